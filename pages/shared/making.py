"""Files made of scenes, in the background: each by a process of its own, which is followed, stopped, and kept an hour."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from soup_core.scenes import Scene, to_json

ROOT = Path(__file__).resolve().parents[2]
FILES_KEPT = 12


@dataclass(frozen=True)
class Wanted:
    """A zoo's scenes as a file of a kind: "html", "pptx" or "zip"."""

    zoo: str
    kind: str
    scenes: tuple[Scene, ...]

    @property
    def key(self) -> str:
        """The same for the same."""
        return f"{self.zoo}\n{self.kind}\n{to_json(self.scenes)}"


@dataclass
class Made:
    """How far a file is: running, ended with its content, or with what went wrong."""

    process: subprocess.Popen[str]
    share: float = 0.0
    words: str = "starting"
    data: bytes | None = None
    error: str | None = None
    began: float = field(default_factory=time.monotonic)


@st.cache_resource(show_spinner=False)
def _all() -> tuple[dict[str, Made], threading.Lock]:
    made: dict[str, Made] = {}
    atexit.register(_end, made)
    return made, threading.Lock()


def _end(made: dict[str, Made]) -> None:
    for each in made.values():
        if each.process.poll() is None:
            each.process.kill()


def found(wanted: Wanted) -> Made | None:
    """What there is of a file, where it was asked for."""
    return _all()[0].get(wanted.key)


def runs(wanted: Wanted) -> bool:
    """Whether a file is being made."""
    made = found(wanted)
    return made is not None and made.data is None and made.error is None


def start(wanted: Wanted) -> None:
    """Make a file, unless it is being made."""
    made, lock = _all()
    with lock:
        if runs(wanted):
            return
        ended = [key for key, each in made.items() if each.process.poll() is not None]
        for key in ended[: max(0, len(made) - FILES_KEPT)]:
            del made[key]
        place = tempfile.TemporaryDirectory(prefix="model-soups-")
        scenes, file = Path(place.name) / "scenes.json", Path(place.name) / f"made.{wanted.kind}"
        scenes.write_text(to_json(wanted.scenes), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pages.shared.along",
            wanted.zoo,
            "--scenes",
            str(scenes),
            "-o",
            str(file),
            "--json",
        ]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        made[wanted.key] = Made(process)
    threading.Thread(target=_follow, args=(made[wanted.key], file, place), daemon=True).start()


def stop(wanted: Wanted) -> None:
    """End the making of a file; what was computed for it is in the store."""
    made, lock = _all()
    with lock:
        if each := made.pop(wanted.key, None):
            each.process.kill()


def _follow(made: Made, file: Path, place: tempfile.TemporaryDirectory[str]) -> None:
    told = ""
    assert made.process.stdout is not None
    with place, made.process.stdout as lines:
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            told = said.get("error", told)
            if "total" in said:
                made.share, made.words = min(1.0, said["done"] / max(1, said["total"])), said["what"]
        if made.process.wait() == 0 and file.is_file():
            made.data = file.read_bytes()
        else:
            made.error = told or "It could not be made; the process that made it ended early. Try again."
