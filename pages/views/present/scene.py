"""One scene of the presentation: its place, title, note, and the controls that the audience may see used."""

from collections.abc import Mapping

import streamlit as st

from pages.shared import presenting, session
from soup_core.formatting import plain
from soup_core.presentation.scenes import Scene


def redraw() -> None:
    """The scenes have changed places: their fields are filled anew."""
    st.session_state[session.SCENES_DRAWN] = st.session_state.get(session.SCENES_DRAWN, 0) + 1


def draw(paths: Mapping[str, str], number: int) -> None:
    """Draw the scene of this number, counted from 1."""
    scene = presenting.scenes()[number - 1]
    count, pinnable = len(presenting.scenes()), presenting.PINNABLE.get(scene.page, {})
    key = f"scene:{st.session_state.get(session.SCENES_DRAWN, 0)}:{number}"
    with st.container(border=True):
        words, side = st.columns([2, 1])
        words.text_input(
            f"Scene {number}, {plain(scene.page)}: title",
            scene.title,
            max_chars=200,
            key=f"{key}:title",
            on_change=_write,
            args=(number, key, "title"),
        )
        words.text_area(
            "Note",
            scene.note,
            height=80,
            max_chars=2000,
            key=f"{key}:note",
            on_change=_write,
            args=(number, key, "note"),
            help="It stands under the title, and in the notes of a slide.",
        )
        if pinnable:
            side.multiselect(
                "Controls that stay",
                list(pinnable),
                [each for each in scene.pinned if each in pinnable],
                format_func=pinnable.__getitem__,
                key=f"{key}:pinned",
                on_change=_write,
                args=(number, key, "pinned"),
            )
        with side.container(horizontal=True):
            st.button("Up", key=f"{key}:up", on_click=_move, args=(number, -1), disabled=number == 1)
            st.button("Down", key=f"{key}:down", on_click=_move, args=(number, 1), disabled=number == count)
            st.button("Remove", key=f"{key}:remove", on_click=_remove, args=(number,))
        if scene.page in paths:
            side.page_link(
                paths[scene.page],
                label="Open it",
                icon=":material/arrow_forward:",
                query_params=presenting.address_of(scene),
            )
        else:
            side.warning("This app has no such page.")


def _write(number: int, key: str, field: str) -> None:
    value = st.session_state[f"{key}:{field}"]
    _replace(number, field, tuple(value) if field == "pinned" else value)


def _replace(number: int, field: str, value: object) -> None:
    scenes = list(presenting.scenes())
    scenes[number - 1] = Scene.model_validate({**scenes[number - 1].model_dump(), field: value})
    presenting.keep(scenes)


def _move(number: int, by: int) -> None:
    scenes = list(presenting.scenes())
    scenes.insert(number - 1 + by, scenes.pop(number - 1))
    presenting.keep(scenes)
    redraw()


def _remove(number: int) -> None:
    scenes = list(presenting.scenes())
    del scenes[number - 1]
    presenting.keep(scenes)
    redraw()
