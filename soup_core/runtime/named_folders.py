"""Folders that were named while a server ran, beside those of SOUP_ZOOS: confirmed ones, and lent ones.

A confirmed folder is kept in SOUP_HOME, so that a restart still knows it, and counts only in a process that says so: a
server that others can reach, the command line and the other servers go by SOUP_ZOOS alone. A lent folder counts in this
process until it is gone.
"""

import json
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

from soup_core.errors import ZooError
from soup_core.runtime.files import home, shown, write_atomically

FILE = "folders.json"
FOLDERS_AT_MOST = 100
BYTES_AT_MOST = 1_000_000
PROJECT = Path(__file__).resolve().parents[2]
OF_THE_SYSTEM = tuple(
    Path("/", name)
    for name in ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "System", "Library")
)
_counts: dict[Path, bool] = {}  # by SOUP_HOME, whether this process goes by what was named
_lent: dict[Path, list[Path]] = {}  # likewise
_changing = threading.Lock()


def heed_named_folders(local: bool) -> None:
    """Let folders that were named count in this process, and no more from the first time on that `local` is false."""
    with _changing:
        _counts[home()] = local and _counts.get(home(), True)


def named_folders() -> tuple[Path, ...]:
    """The folders that count in this process and are there: the confirmed ones in their order, then the lent ones."""
    if not _counts.get(home()):
        return ()
    with _changing:
        lent = _lent[home()] = [folder for folder in _lent.get(home(), []) if folder.is_dir()]
        return (*(folder for folder in _kept() if _is_itself(folder)), *lent)


def name_folder(path: Path) -> Path:
    """Let a folder count from now on, as whoever runs the server has confirmed; its path with links resolved.

    Raises ZooError for what is no folder, or one that holds more than checkpoints (see `refused`), and SoupError where
    SOUP_HOME cannot be written.
    """
    folder = resolved(path)
    if reason := refused(folder):
        raise ZooError(f"{shown(str(folder))} {reason}")
    with _changing:
        kept = [each for each in _kept() if each != folder and each.is_dir()]
        if len(kept) >= FOLDERS_AT_MOST:
            raise ZooError(f"{FOLDERS_AT_MOST} folders are named already; take some out of {home() / FILE}.")
        write_atomically(home() / FILE, json.dumps({"folders": [str(each) for each in (*kept, folder)]}).encode())
    return folder


def lend_folder(folder: Path) -> None:
    """Let a folder count in this process until it is gone."""
    with _changing:
        _lent.setdefault(home(), []).append(folder)


def resolved(path: Path) -> Path:
    """The folder of a path, with links resolved and ~ as the user's own. Raises ZooError where there is none.

    A relative path is none, since who names it need not know where the server was started.
    """
    with suppress(OSError, RuntimeError, ValueError):
        found = path.expanduser()
        if found.is_absolute() and _is_readable(folder := found.resolve(strict=True)):
            return folder
    raise ZooError(
        f"{shown(str(path))} is no folder on this machine that can be read; give its whole path, such as /home/me/sweep."
    )


def refused(folder: Path) -> str:
    """Why a folder, with links resolved, may not be named; empty where it may.

    Refused are folders above or below which more lies than checkpoints: the file system, the user's own folder, what this
    program keeps or is made of, and the system's.
    """
    users, own = Path.home().resolve(), home().resolve()
    if folder == folder.parent:
        return "is the whole file system; name the folder above your checkpoints."
    if users.is_relative_to(folder):
        return "holds all that is yours; name the folder above your checkpoints."
    if any(each.is_relative_to(folder) or folder.is_relative_to(each) for each in (own, PROJECT)):
        return "is where this program lies or keeps its results; name the folder above your checkpoints."
    if any(folder.is_relative_to(each.resolve()) for each in OF_THE_SYSTEM):
        return "belongs to the system; name the folder above your checkpoints."
    if os.pathsep in str(folder):
        return f"has a {os.pathsep} in its path, which parts folders in SOUP_ZOOS; rename it."
    return ""


def _kept() -> list[Path]:
    """What SOUP_HOME has; nothing where its file is missing, damaged, or no plain file."""
    try:
        status = os.lstat(home() / FILE)
        if not stat.S_ISREG(status.st_mode) or status.st_size > BYTES_AT_MOST:
            return []
        folders = json.loads((home() / FILE).read_bytes())["folders"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [Path(each) for each in folders if isinstance(each, str)] if isinstance(folders, list) else []


def _is_readable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _is_itself(folder: Path) -> bool:
    """Whether a folder is still there and no link has taken its place since it was confirmed."""
    try:
        return _is_readable(folder) and folder.resolve() == folder and not refused(folder)
    except (OSError, RuntimeError, ValueError):
        return False
