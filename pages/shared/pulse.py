"""A page that looks whether anything has changed, as often as that happens, and draws nothing where it has not."""

import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.shared import fetched

LEAST_SECONDS, MOST_SECONDS = 0.25, 2.0  # between two looks; so at most four pictures a second are drawn
PATIENCE = 4  # the next look comes after such a part of the time that nothing has changed for
_component = st.components.v2.component(
    "pulse", js=fetched.component(Path(__file__).with_name("pulse.js")), isolate_styles=False
)


def watch(key: str, changed: Callable[[], object], *fragments: str, every: float | None = None) -> None:
    """Look again and again, for as long as somebody sees the page, and where `changed` says so draw `fragments` anew.

    These are keys of fragments, without any the whole page. `every` are seconds between two looks; without them looks are
    the rarer the longer nothing has changed.
    """
    last_change, number = time.monotonic(), 0
    mine = f"pulse-{key}"

    def look() -> None:
        nonlocal last_change
        if changed():
            last_change = time.monotonic()
            # mine last: then the next look says that they were drawn
            st.rerun([*fragments, mine] if fragments else "app")

    @st.fragment(key=mine)
    def pulse() -> None:
        nonlocal number
        number += 1
        quiet = (time.monotonic() - last_change) / PATIENCE
        seconds = every or min(MOST_SECONDS, max(LEAST_SECONDS, quiet))
        _component(key=f"{mine}-look", data={"number": number, "seconds": seconds}, on_look_change=look)

    pulse()
