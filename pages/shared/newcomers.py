"""Ingredients that a zoo gets while a page of it is open: named in the sidebar, and shown when one asks, so that nothing jumps."""

import streamlit as st

import soup_core as sc
from pages.shared import pulse, session
from soup_core.data import ASSETS
from soup_core.formatting import listed, plain
from soup_core.zoo.opening import ZOO_FILE
from soup_core.zoo.toml import read_zoo_file

LOOK_SECONDS = 3  # between two looks at one file's time and size


def newcomers(zoo: sc.Zoo) -> list[str]:
    """The names that zoo.toml has now and had not when the zoo was opened; none while it cannot be read."""
    known = {*zoo.names, *(excluded.name for excluded in zoo.excluded)}
    try:
        return [entry.name for entry in read_zoo_file(zoo.folder / ZOO_FILE).ingredients if entry.name not in known]
    except sc.ZooError:
        return []


def watch(zoo: sc.Zoo) -> None:
    """Look from time to time whether the zoo has grown, and offer what is new; bundled zoos do not grow."""
    if zoo.folder.resolve().is_relative_to(ASSETS) or st.session_state.get(session.RENDERING, False):
        return
    looked_at: tuple[int, int] | None = None
    new: list[str] = []
    offered: list[str] = []

    def grown() -> bool:
        nonlocal looked_at, new
        try:
            status = (zoo.folder / ZOO_FILE).stat()
        except OSError:
            return False
        if looked_at != (status.st_mtime_ns, status.st_size):
            looked_at, new = (status.st_mtime_ns, status.st_size), newcomers(zoo)
        return new != offered

    @st.fragment(key="newcomers")
    def panel() -> None:
        nonlocal offered
        grown()
        offered = new
        if new:
            many = f"{len(new)} new ingredients" if len(new) > 1 else "1 new ingredient"
            if st.button(f"Show {many}: {plain(listed(new, 3))}", icon=":material/add_circle:", width="stretch"):
                st.rerun()

    panel()
    pulse.watch("newcomers", grown, "newcomers", every=LOOK_SECONDS)
