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
from soup_core.presentation.scenes import Scene, to_json

ROOT = Path(__file__).resolve().parents[2]
FILES_KEPT = 12
COMMAND = (sys.executable, "-m", "pages.present.rendering")


@dataclass(frozen=True)
class Wanted:
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
class Made:
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
        self.made: dict[str, Made] = {}
        self.lock, self.at_work = threading.Lock(), threading.Lock()
        atexit.register(self.end)

    def end(self) -> None:
        for each in self.made.values():
            _kill(each)


@st.cache_resource(show_spinner=False)
def _files() -> _Files:
    return _Files()


def _kill(made: Made) -> None:
    made.stopped = True
    if made.process:
        made.process.kill()


def found(wanted: Wanted) -> Made | None:
    """What there is of a file, where it was asked for."""
    return _files().made.get(wanted.key)


def start(wanted: Wanted, uploads: LentUploads) -> None:
    """Make a file as a session with these uploads sees it, unless it is being made."""
    files = _files()
    with files.lock:
        known = files.made.pop(wanted.key, None)
        if known and not known.ended:
            files.made[wanted.key] = known
            return
        ended = [key for key, each in files.made.items() if each.ended]
        for key in ended[: max(0, len(files.made) + 1 - FILES_KEPT)]:
            del files.made[key]
        made = files.made[wanted.key] = Made()
    threading.Thread(target=_make, args=(made, wanted, uploads, files.at_work), daemon=True).start()


def stop(wanted: Wanted) -> None:
    """End the making of a file; what was computed for it is in the store."""
    files = _files()
    with files.lock:
        if made := files.made.pop(wanted.key, None):
            _kill(made)


def _make(made: Made, wanted: Wanted, uploads: LentUploads, at_work: threading.Lock) -> None:
    with at_work:
        if made.stopped:
            return
        try:
            with tempfile.TemporaryDirectory(prefix="model-soups-", ignore_cleanup_errors=True) as folder:
                _follow(made, wanted, uploads, Path(folder))
        except OSError as error:
            made.error = f"It could not be made: {error.strerror or error}."


def _follow(made: Made, wanted: Wanted, uploads: LentUploads, folder: Path) -> None:
    scenes, lent, file = folder / "scenes.json", folder / "uploads.json", folder / f"made.{wanted.kind}"
    scenes.write_text(to_json(wanted.scenes), encoding="utf-8")
    lent.write_text(json.dumps(uploads.files, default=str), encoding="utf-8")
    made.words = "starting"
    process = made.process = subprocess.Popen(
        [*COMMAND, "--json", "--attended", "--scenes", scenes, "--uploads", lent, "-o", file, "--", wanted.zoo],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
        stdin=subprocess.PIPE,  # it ends with this process
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    told = ""
    with process:
        assert process.stdout is not None
        if made.stopped:
            process.kill()
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            told = said.get("error", told)
            if "total" in said:
                made.share, made.words = min(1.0, said["done"] / max(1, said["total"])), said["what"]
    if process.returncode == 0 and file.is_file():
        made.data = file.read_bytes()
    else:
        made.error = told or "It could not be made; the process that made it ended early. Try again."
