"""Checkpoints that a session has uploaded: in a folder of its own, which goes when the session does."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.shared import session
from soup_core.errors import SoupError
from soup_core.runtime.files import shown, write_together

AT_MOST = 12
MEGABYTES = 1000  # a file
NAME_AT_MOST = 50  # characters, which are up to 4 bytes each


class _UploadFolder:
    """The folder, and by zoo what lies in it under which name; the folder is removed with this object."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="model-soups-"))
        self.files: dict[str, dict[str, Path]] = {}
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _session_folder() -> _UploadFolder:
    if session.UPLOADS not in st.session_state:
        st.session_state[session.UPLOADS] = _UploadFolder()
    kept: _UploadFolder = st.session_state[session.UPLOADS]
    return kept


def place_for_folder(name: str) -> Path:
    """A path of this name that is not there yet, below what goes when the session does."""
    return Path(tempfile.mkdtemp(dir=_session_folder().folder)) / name


def of(zoo: str) -> tuple[tuple[str, Path], ...]:
    """What this session has uploaded to a zoo: names and files, in the order in which they came."""
    kept = st.session_state.get(session.UPLOADS)
    return tuple(kept.files.get(zoo, {}).items()) if kept else ()


@dataclass(frozen=True)
class LentUploads:
    """Another session's uploads by zoo and name, which stay where they are."""

    files: Mapping[str, Mapping[str, Path]]


def lent() -> LentUploads:
    """What this session has uploaded, for a process that draws its pages as it sees them."""
    kept = st.session_state.get(session.UPLOADS)
    return LentUploads(kept.files if kept else {})


def keep(zoo: str, name: str, uploaded: UploadedFile) -> Path:
    """Keep a file for the session. Raises SoupError where it has enough of them, and where the disk is full."""
    kept = _session_folder()
    files = kept.files.setdefault(zoo, {})
    if len(files) >= AT_MOST:
        raise SoupError(f"A session keeps at most {AT_MOST} uploads to a zoo; put the folder into a zoo of its own.")
    name_shown = shown(PurePath(uploaded.name).name, NAME_AT_MOST)  # what a browser says is no path
    path = Path(tempfile.mkdtemp(dir=kept.folder)) / (name_shown if name_shown.strip(".") else "upload")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            shutil.copyfileobj(uploaded, file)

    write_together({path: write}, uploaded.size)
    files[name] = path
    return path


def drop(zoo: str, name: str) -> None:
    """Let an upload go."""
    shutil.rmtree(st.session_state[session.UPLOADS].files[zoo].pop(name).parent, ignore_errors=True)
