"""Scenes of a session: adding the view that is open, and any page before an audience, with `?present=1`.

While presenting, the address says so: `present`, `scenes` (all of them, see soup_core.scenes.to_link), `scene` (from 1) and
`pin` (keys of controls that stay), beside the page's own parameters.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import streamlit as st
from pydantic import ValidationError

from pages.shared import session
from soup_core.errors import SoupError
from soup_core.formatting import plain
from soup_core.presentation.scenes import Scene, from_link, to_link

OWN = ("present", "scene", "scenes", "pin")
LINKS_KNOWN = 50
STYLE = (Path(__file__).resolve().parent / "present.css").read_text()
CONTROLS = ("stButton", "stDownloadButton", "stSelectbox", "stMultiSelect", "stNumberInput", "stSlider", "stCheckbox",
            "stButtonGroup", "stTextInput", "stTextArea", "stFileUploader", "stExpander", "stPageLink", "stPopover",
            "stRadio")  # fmt: skip
PINNABLE: Mapping[str, Mapping[str, str]] = {
    "Ingredients": {"in": "Ingredients", "view": "View", "batch_norm": "BatchNorm statistics", "test": "Test accuracy",
                    "map": "Map", "pairs": "Pairs", "ablation": "Ablation"},
    "Greedy": {"player": "Play", "order": "Order", "ties": "Accept", "band": "Band over orders"},
    "Interpolation": {"a": "From", "b": "To", "c": "And", "view": "View", "judged": "Judged on", "form": "Drawn as"},
    "Learned": {"granularity": "One coefficient for", "test": "Test accuracies"},
    "Robustness": {"view": "View"},
    "Learn": {"lesson": "Lesson", "prediction": "Prediction"},
}  # fmt: skip


def is_on() -> bool:
    """Whether the open page is before an audience."""
    return st.query_params.get("present") == "1"


def scenes() -> tuple[Scene, ...]:
    """The session's scenes: those of the address, which a link brings, or else those kept.

    A link that cannot be read is told, once, and leaves what was kept. Where one change follows another at once, the browser
    still sends the link from before them, so a link that this session has read or written is not read again.
    """
    state = st.session_state
    link = st.query_params.get("scenes")
    if link is not None and link not in _known():
        _known().append(link)
        state[session.SCENES_LINK] = link
        try:
            state[session.SCENES] = from_link(link)
        except SoupError as error:
            st.warning(plain(str(error)))
    kept: tuple[Scene, ...] = state.get(session.SCENES, ())
    return kept


def _known() -> deque[str]:
    links: deque[str] = st.session_state.setdefault(session.SCENES_LINKS_KNOWN, deque(maxlen=LINKS_KNOWN))
    return links


def keep(changed: Sequence[Scene]) -> None:
    """Take these as the session's scenes, and put them into an address that holds some.

    Raises SoupError where a link could not hold them.
    """
    link = to_link(changed)
    from_link(link)
    st.session_state[session.SCENES], st.session_state[session.SCENES_LINK] = tuple(changed), link
    _known().append(link)
    if "scenes" in st.query_params:
        st.query_params["scenes"] = link


def open_view(title: str, zoo: str) -> Scene:
    """The view that is open as a scene, with its zoo told in any case. Raises SoupError where its address is too long."""
    state = {key: tuple(st.query_params.get_all(key)) for key in st.query_params if key not in OWN}
    view = state.get("lesson") or state.get("view") or ()
    try:
        return Scene(page=title, state={"zoo": (zoo,), **state}, title=": ".join((title, *view[:1])))
    except ValidationError:
        raise SoupError(
            "This view cannot be a scene: something in its address is longer than a scene can hold."
        ) from None


def add(title: str, zoo: str) -> None:
    """Add the view that is open to the scenes; the session says what came of it."""
    try:
        keep((*scenes(), open_view(title, zoo)))
        message = f"Scene {len(scenes())} is added; Present has them all."
    except SoupError as error:
        message = plain(str(error))
    st.session_state[session.SCENE_ADDED] = message


def address_of(scene: Scene, number: int | None = None) -> dict[str, list[str]]:
    """The parameters of a scene's page; with its number, before an audience. Streamlit lets no page set those of `embed`."""
    address = {key: list(values) for key, values in scene.state.items() if not key.startswith("embed")}
    if number is None:
        return address
    return {**address, "present": ["1"], "scene": [str(number)], "scenes": [to_link(scenes())]}


def show(paths: Mapping[str, str], number: int) -> NoReturn:
    """Show a scene, counted from 1; `paths` are those of the pages by title.

    What a page's controls are bound to can be set only from another page, so it goes by a third one, which `relay`s. What
    controls said is forgotten, or else it would outlive their page; so is what a scene leaves out where it is usual.
    """
    state = st.session_state
    between = next(page for page in paths if page not in (state[session.PAGE], scenes()[number - 1].page))
    for key in list(state):
        if not str(key).startswith(session.KEPT) or key == session.TAKEN:
            del state[key]
    state[session.CHOICES] = {"zoo": state[session.CHOICES]["zoo"]}
    st.switch_page(paths[between], query_params={"present": "1", "scene": str(number), "scenes": to_link(scenes())})


def relay(paths: Mapping[str, str], title: str) -> None:
    """Where the address asks for a scene of another page, go there; to be called before any control is drawn."""
    scene, number = current(), number_now()
    if scene and scene.page != title and scene.page in paths:
        st.switch_page(paths[scene.page], query_params=address_of(scene, number))


def number_now() -> int | None:
    """Which scene is shown, from 1, where one is."""
    asked = st.query_params.get("scene", "")
    return int(asked) if is_on() and re.fullmatch("[0-9]{1,3}", asked) and 1 <= int(asked) <= len(scenes()) else None


def current() -> Scene | None:
    """The scene that is shown, where one is."""
    number = number_now()
    return scenes()[number - 1] if number else None


def leave() -> None:
    """Back to the page with its controls."""
    for key in OWN:
        st.query_params.pop(key, None)


def draw(paths: Mapping[str, str]) -> None:
    """Hide the controls that are not pinned, and draw those of a presentation: back, next, leave, and their keys."""
    scene, number, count = current(), number_now(), len(scenes())
    pinned = [*st.query_params.get_all("pin"), *(scene.pinned if scene else ())]
    kept = "".join(f":not(.st-key-{_class(key)}, .st-key-{_class(key)} *)" for key in pinned)
    controls = ", ".join(f"[data-testid={name}]" for name in CONTROLS)
    st.html(
        f'<style>{STYLE}[data-testid="stMain"] [data-testid="stElementContainer"]:has({controls}){kept}'
        ":not(.st-key-presenting *) { display: none; }</style>"
    )
    to = None
    with st.container(horizontal=True, vertical_alignment="center", key="presenting"):
        if number:
            back = st.button("Back", shortcut="Left", key="present:back", disabled=number == 1)
            st.caption(f"{number} of {count}", width="content")
            forward = st.button("Next", shortcut="Right", key="present:next", disabled=number == count)
            to = number - 1 if back else number + 1 if forward else None
        st.button("Leave", shortcut="Esc", key="present:leave", on_click=leave)
    if number:
        with st.container(key="remote"):  # the keys of a presenter's remote control
            if st.button("Next", shortcut="PageDown", key="remote:next", disabled=number == count):
                to = number + 1
            if st.button("Back", shortcut="PageUp", key="remote:back", disabled=number == 1):
                to = number - 1
    if to:
        show(paths, to)


def _class(key: str) -> str:
    """What Streamlit makes of a widget's key as the name of a class."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())
