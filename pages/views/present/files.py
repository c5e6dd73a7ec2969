"""What the audience takes home: the scenes as one HTML page, as slides, and their figures for print."""

from collections.abc import Sequence

import streamlit as st

from pages.present import background_files
from pages.present.background_files import FileRequest, FileState
from pages.shared import pulse, session, uploads
from soup_core.formatting import plain
from soup_core.presentation.scenes import Scene
from soup_core.zoo import Zoo

KINDS = {
    "html": ("Report", "HTML", "text/html", "One HTML file with live charts; it needs no network, and prints."),
    "pptx": ("Slides", "PowerPoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
             "A PowerPoint file; its charts can be edited where slides know them."),
    "zip": ("Figures", "SVG, PNG", "application/zip", "Every figure as SVG and PNG, for print; drawn by Chromium."),
}  # fmt: skip


def draw(zoo: Zoo, scenes: Sequence[Scene]) -> None:
    """Offer each kind of file of the open zoo: made in the background when asked for, then to be saved."""
    st.markdown("##### Take it along")
    requests = {kind: FileRequest(zoo.name, zoo.digest, kind, tuple(scenes)) for kind in KINDS}

    def at_work() -> bool:
        return any(state is not None and not state.ended for _, state in map(_latest, requests.values()))

    def seen() -> list[tuple[float, str, bool] | None]:
        states = (state for _, state in map(_latest, requests.values()))
        return [None if state is None else (state.share, state.words, state.ended) for state in states]

    followed = at_work()
    drawn: list[tuple[float, str, bool] | None] = []

    @st.fragment(key="files")
    def panel() -> None:
        nonlocal drawn
        drawn = seen()
        for column, now in zip(st.columns(len(requests)), requests.values(), strict=True):
            with column:
                _offer(now)
        if at_work() != followed:  # whether it looks again is the page's to say, not this part's
            st.rerun()

    panel()
    if followed:
        pulse.watch("files", lambda: seen() != drawn, "files")


def _asked() -> dict[str, FileRequest]:
    """What this session asked for last of each kind: scenes may have changed since."""
    asked: dict[str, FileRequest] = st.session_state.setdefault(session.FILES_WANTED, {})
    return asked


def _latest(now: FileRequest) -> tuple[FileRequest, FileState | None]:
    """The file of the scenes as they are, or else the one that was asked for before they changed."""
    before = _asked().get(now.kind, now)
    request = before if background_files.state_of(now) is None and before.zoo == now.zoo else now
    return request, background_files.state_of(request)


def _offer(now: FileRequest) -> None:
    label, form, mime, what = KINDS[now.kind]
    request, state = _latest(now)
    if state is not None and not state.ended:
        st.progress(state.share, text=f"{label}: {plain(state.words)}")
        st.button("Stop", key=f"end:{now.kind}", on_click=background_files.stop, args=(request,))
        return
    if state is not None and state.data is not None:
        before = request != now
        st.download_button(
            f"Save the {label.lower()}, {len(state.data) / 1e6:.1f} MB",
            state.data,
            f"{now.zoo}.{now.kind}",
            mime,
            on_click="ignore",
            width="stretch",
            help=what,
            key=f"save:{now.kind}",
            type="secondary" if before else "primary",
        )
        if before:
            st.caption("It was made before the last changes.")
            _button("Make it anew", now)
        return
    if state is not None:
        st.error(plain(str(state.error)))
    _button("Try again" if state is not None else f"Make the {label.lower()} ({form})", now, what)


def _button(label: str, now: FileRequest, what: str | None = None) -> None:
    st.button(label, key=f"make:{now.kind}", on_click=_start, args=(now,), width="stretch", help=what)


def _start(now: FileRequest) -> None:
    _asked()[now.kind] = now
    background_files.start(now, uploads.lent())
