"""What a chart sends to the browser: the figure, or the changes since one that the browser has, where these are less.

The browser keeps the last figures of every chart by their versions, also of charts that are not on the page just now. It
asks for the whole one where it has not got what the changes are of, such as after a reload.
"""

import json
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.shared import session
from pages.shared.live_chart.patches import patch, rounded

JSON = dict[str, Any]
MADE = 32  # figures of a chart that need not be made again
KEPT = 3  # figures of a chart, here and in the browser
SETTLED_SECONDS = 0.2  # what was sent less than so long ago may be passed over, where a newer one follows at once
SESSION = "live_chart:session"


@dataclass(frozen=True)
class Sent:
    """A figure as JSON that the browser has, by its version; what was sent for it, and when."""

    version: str
    figure: JSON
    content: Mapping[str, Any]
    time: float


def content(figure: go.Figure | JSON, key: str) -> Mapping[str, Any]:
    """What to send of a chart's figure: "version" and "figure", or "version", "base" and "patch".

    It is the same again where the figure is, so that Streamlit's browser side sees nothing new. A scene that is rendered
    to a file has no browser, and is given the whole.
    """
    new = as_json(figure) if isinstance(figure, go.Figure) else figure
    if st.session_state.get(session.RENDERING, False):
        return {"figure": new}
    sent: list[Sent] = st.session_state.setdefault(_sent(key), [])
    if sent and sent[-1].figure == new:
        return sent[-1].content
    now, number = time.monotonic(), int(sent[-1].version.split("-")[1]) + 1 if sent else 1
    version = f"{st.session_state.setdefault(SESSION, secrets.token_hex(3))}-{number}"
    what: Mapping[str, Any] = {"version": version, "figure": new}
    base = next((each for each in reversed(sent) if now - each.time > SETTLED_SECONDS), None)
    if base is not None:
        changes = {"version": version, "base": base.version, "patch": rounded(patch(base.figure, new))}
        what = min(what, changes, key=lambda each: len(json.dumps(each)))
    sent[:] = [*sent, Sent(version, new, what, now)][-KEPT:]
    return what


def lost(key: str) -> None:
    """The browser has not got what the changes are of: it is sent the whole the next time."""
    st.session_state.pop(_sent(key), None)
    st.session_state.pop(SESSION, None)  # versions are never given twice


def _sent(key: str) -> str:
    return f"{key}:sent"


def made_once(make: Callable[[], go.Figure], key: str, of: Hashable) -> JSON:
    """A chart's figure as JSON, which is not made again in a session for an equal `of`."""
    made: dict[Hashable, JSON] = st.session_state.setdefault(f"{key}:made", {})
    figure = made.pop(of, None) or as_json(make())
    made[of] = figure
    if len(made) > MADE:
        del made[next(iter(made))]
    return figure


def as_json(figure: go.Figure) -> JSON:
    """A figure as JSON has it, arrays as lists."""
    decoded: JSON = _lists(json.loads(figure.to_json()))
    return decoded


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() >= {"bdata", "dtype"}:
            shape = [int(each) for each in str(value.get("shape", -1)).split(",")]
            array = np.frombuffer(b64decode(value["bdata"]), np.dtype(value["dtype"])).reshape(shape)
            return _finite(array.tolist())
        return {key: _lists(each) for key, each in value.items()}
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        return [_lists(each) for each in value]
    return value


def _finite(values: Any) -> Any:
    if isinstance(values, list):
        return [_finite(each) for each in values]
    return values if isfinite(values) else None
