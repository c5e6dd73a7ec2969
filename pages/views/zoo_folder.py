"""A folder that nobody named when the server was started: named here and confirmed at its terminal, or uploaded."""

import secrets
from pathlib import Path

import streamlit as st

from pages.shared import dropped, session
from soup_core.errors import SoupError, ZooError
from soup_core.formatting import plain, visible
from soup_core.runtime.confirmation import SECONDS, Confirmations
from soup_core.runtime.files import shown
from soup_core.runtime.named_folders import name_folder, resolved
from soup_core.zoo.inspection import holds_models
from soup_core.zoo.opening import ZOO_FILE

state = st.session_state
PATH_AT_MOST = 4096  # characters, as Linux has it


@st.cache_resource(show_spinner=False)
def confirmations() -> Confirmations:
    """The open question of this server, whichever of its sessions asks."""
    return Confirmations()


def is_open() -> bool:
    """Whether something is to be read or typed here."""
    return session.FOLDER_ASKED in state or session.FOLDER_MESSAGE in state


def draw() -> None:
    """Offer both ways, and say what came of the last try."""
    by_name, by_upload = st.columns(2, gap="large")
    with by_name:
        _named()
    with by_upload:
        _uploaded()
    if told := state.pop(session.FOLDER_MESSAGE, None):
        way, message = told
        (by_name if way == "named" else by_upload).error(plain(message))


def _named() -> None:
    st.text_input(
        "A folder on this machine",
        key="folder-path",
        max_chars=PATH_AT_MOST,
        placeholder="/home/me/sweep",
        on_change=_ask,
        help="Its whole path; the folder above your checkpoints. It is read, and zoo.toml written into it, after you have "
        "confirmed it in the terminal where the app was started.",
    )
    if (asked := state.get(session.FOLDER_ASKED)) is None:
        st.caption("Press Enter, and a code is printed in the terminal where the app was started.")
        return
    st.caption(f"For {plain(shown(asked, 80))}: the terminal where the app was started shows a code now.")
    with st.form("folder-confirmed", border=False, clear_on_submit=True):
        code, press = st.columns([2, 1], vertical_alignment="bottom")
        code.text_input("Code from the terminal", key="folder-code", max_chars=20, autocomplete="off")
        press.form_submit_button("Confirm", on_click=_confirm, width="stretch")


def _ask() -> None:
    text = str(state["folder-path"]).strip()
    state.pop(session.FOLDER_ASKED, None)
    if not text:
        return
    asker = state.setdefault(session.FOLDER_ASKER, secrets.token_hex(16))
    try:
        code = confirmations().ask(asker, text)
    except SoupError as error:
        state[session.FOLDER_MESSAGE] = "named", str(error)
        return
    state[session.FOLDER_ASKED] = text
    print(_question(text, code), flush=True)


def _question(text: str, code: str) -> str:
    """What the terminal shows: the path with its links resolved, without what would act on a terminal."""
    try:
        where = str(resolved(Path(text)))
    except ZooError:
        where = f"{text} (no folder that can be read)"
    return (
        "\nThe page Add a zoo asks for a folder, to read it and to write zoo.toml there:\n"
        f"    {shown(visible(where), PATH_AT_MOST)}\n"
        f"If it was you, type this code there within {SECONDS / 60:.0f} minutes: {code}\n"
        "If not, do nothing.\n"
    )


def _confirm() -> None:
    try:
        path = confirmations().confirm(state.get(session.FOLDER_ASKER, ""), str(state["folder-code"]))
    except SoupError as error:
        state[session.FOLDER_MESSAGE] = "named", str(error)
        return
    state.pop(session.FOLDER_ASKED, None)
    try:
        folder = resolved(Path(path))
        if not (folder / ZOO_FILE).is_file() and not holds_models(folder):
            raise ZooError(
                f"{shown(str(folder))} holds no checkpoint, and so was not taken; name the folder above them."
            )
        state[session.FOLDER_SHOWN] = name_folder(folder)
        state["folder-path"] = ""
    except SoupError as error:
        state[session.FOLDER_MESSAGE] = "named", str(error)


def _uploaded() -> None:
    key = f"folder-files-{state.get(session.FOLDERS_DROPPED, 0)}"  # another one once its files have been taken
    files = st.file_uploader(
        "Or a folder of this browser's machine",
        accept_multiple_files="directory",
        key=key,
        max_upload_size=dropped.MEGABYTES,
        help=f"Checkpoints and the images that judge them, at most {dropped.BYTES_AT_MOST / 1e9:g} GB. Choose it with the "
        "button: what is dragged here comes without its folders.",
    )
    if files:
        size = sum(each.size for each in files)
        st.button(
            f"Take these {len(files):,} files, {size / 1e6:,.1f} MB", on_click=_take, args=(key,), width="stretch"
        )
    st.caption(
        "It is copied into this machine's temporary folder, where every page of this server sees it, and goes when this "
        "tab is closed or loaded anew."
    )


def _take(key: str) -> None:
    try:
        state[session.FOLDER_SHOWN] = dropped.keep(state[key])
    except SoupError as error:
        state[session.FOLDER_MESSAGE] = "uploaded", str(error)
    state[session.FOLDERS_DROPPED] = state.get(session.FOLDERS_DROPPED, 0) + 1
