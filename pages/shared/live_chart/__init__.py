"""A Plotly figure that keeps zoom, camera and legend through reruns, and reports clicks, selections and brushes.

Drawn by plotly's script for our charts, which Streamlit serves as a static file, so that the browser fetches it once.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.shared import fetched
from pages.shared.fetched import STATIC
from pages.shared.live_chart import sending
from soup_core.charts import plotly_script
from soup_core.runtime.files import write_atomically

Event = dict[str, Any]
HERE = Path(__file__).resolve().parent
_component = st.components.v2.component(
    "live_chart", js=fetched.component(HERE / "live_chart.js"), isolate_styles=False
)


def live_chart(
    figure: go.Figure | sending.JSON, key: str, alt: str, on_event: Callable[[Event], None] | None = None
) -> None:
    """Draw a figure, or one as JSON; `alt` says it in words; keys go along its marks.

    In the layout's meta, `least_width` is how many pixels it takes at least; `aspect` is the height of its drawing as a
    share of the width, for which a narrow page makes it lower.

    `on_event` is called, before the whole page runs again, with `{"kind": "click" | "select" | "brush",
    "points": [{"x", "y", "z", "customdata", "curve", "point"}]}`; a brush has `dimensions` in place of points: a name,
    a label and a range, or None, for each axis of parallel coordinates.
    """

    state, answered = st.session_state, f"{key}:answered"

    def report() -> None:
        event = state[key].get("event")
        if event is not None and on_event is not None:
            state[answered] = state.get(answered, 0) + 1  # so that the same figure is drawn anew, without a box in it
            on_event(event)
            st.rerun()  # or else a chart in a fragment would draw that fragment alone anew

    _component(
        key=key,
        data={
            **sending.content(figure, key),
            "chart": key,
            "alt": alt,
            "plotly": _address(),
            "listens": on_event is not None,
            "answered": state.get(answered, 0),
        },
        on_event_change=report,
        on_lost_change=lambda: sending.lost(key),
    )


@cache
def _address() -> str:
    """Where the browser finds plotly's script: a copy beside the app, made where it is missing or another."""
    script = plotly_script.script()
    whole = "" if script == plotly_script.OURS else "-whole"
    copy = STATIC / f"plotly-{plotly_script.version(script)}{whole}.min.js"
    if not copy.is_file() or copy.stat().st_size != script.stat().st_size:
        write_atomically(copy, script.read_bytes())
    return f"app/static/{copy.name}"
