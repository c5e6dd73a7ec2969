"""Files made of scenes, in the background: one after the other, each by a process of its own; the last ones are kept."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.shared.uploads import LentUploads
from soup_core.data import operator_folders
from soup_core.presentation.scenes import Scene, to_json

ROOT = Path(__file__).resolve().parents[2]
FILES_KEPT = 12
COMMAND = (sys.executable, "-m", "pages.present.rendering")


@dataclass(frozen=True)
class FileRequest:
    """A zoo's scenes as a file of a kind: "html", "pptx" or "zip". `digest` is that of the zoo's content."""

    zoo: str
    digest: str
    kind: str
    scenes: tuple[Scene, ...]

    @property
    def key(self) -> str:
        """The same for the same."""
        return f"{self.zoo}\n{self.digest}\n{self.kind}\n{to_json(self.scenes)}"


@dataclass
class FileState:
    """How far a file is: waiting, running, or ended with its content or with what went wrong."""

    share: float = 0.0
    words: str = "waiting for another file"
    data: bytes | None = None
    error: str | None = None
    stopped: bool = False
    process: subprocess.Popen[str] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.data is not None or self.error is not None


class _Files:
    """The files of this server by key, and a lock for them and one for the process that is at work."""

    def __init__(self) -> None:
        self.states: dict[str, FileState] = {}
        self.lock, self.at_work = threading.Lock(), threading.Lock()
        atexit.register(self.end)

    def end(self) -> None:
        for each in self.states.values():
            _kill(each)


@st.cache_resource(show_spinner=False)
def _files() -> _Files:
    return _Files()


def _kill(state: FileState) -> None:
    state.stopped = True
    if state.process:
        state.process.kill()


def state_of(request: FileRequest) -> FileState | None:
    """What there is of a file, where it was asked for."""
    return _files().states.get(request.key)


def start(request: FileRequest, uploads: LentUploads) -> None:
    """Make a file as a session with these uploads sees it, unless it is being made."""
    files = _files()
    with files.lock:
        existing = files.states.pop(request.key, None)
        if existing and not existing.ended:
            files.states[request.key] = existing
            return
        ended = [key for key, each in files.states.items() if each.ended]
        for key in ended[: max(0, len(files.states) + 1 - FILES_KEPT)]:
            del files.states[key]
        state = files.states[request.key] = FileState()
    threading.Thread(target=_make, args=(state, request, uploads, files.at_work), daemon=True).start()


def stop(request: FileRequest) -> None:
    """End the making of a file; what was computed for it is in the store."""
    files = _files()
    with files.lock:
        if state := files.states.pop(request.key, None):
            _kill(state)


def _make(state: FileState, request: FileRequest, uploads: LentUploads, at_work: threading.Lock) -> None:
    with at_work:
        if state.stopped:
            return
        try:
            with tempfile.TemporaryDirectory(prefix="model-soups-", ignore_cleanup_errors=True) as folder:
                _follow(state, request, uploads, Path(folder))
        except OSError as error:
            state.error = f"It could not be made: {error.strerror or error}."


def _follow(state: FileState, request: FileRequest, uploads: LentUploads, folder: Path) -> None:
    scenes, uploads_file, file = folder / "scenes.json", folder / "uploads.json", folder / f"output.{request.kind}"
    scenes.write_text(to_json(request.scenes), encoding="utf-8")
    uploads_file.write_text(json.dumps(uploads.files, default=str), encoding="utf-8")
    state.words = "starting"
    process = state.process = subprocess.Popen(
        [
            *COMMAND,
            "--json",
            "--attended",
            "--scenes",
            scenes,
            "--uploads",
            uploads_file,
            "-o",
            file,
            "--",
            request.zoo,
        ],
        cwd=ROOT,
        env={**os.environ, "SOUP_ZOOS": os.pathsep.join(map(str, operator_folders())), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdin=subprocess.PIPE,  # it ends with this process
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    message = ""
    with process:
        assert process.stdout is not None
        if state.stopped:
            process.kill()
        for line in process.stdout:
            try:
                report = json.loads(line)
            except ValueError:
                continue
            message = report.get("error", message)
            if "total" in report:
                state.share, state.words = min(1.0, report["done"] / max(1, report["total"])), report["what"]
    if process.returncode == 0 and file.is_file():
        state.data = file.read_bytes()
    else:
        state.error = message or "It could not be made; the process that made it ended early. Try again."
