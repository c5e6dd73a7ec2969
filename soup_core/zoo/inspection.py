"""Looking through a folder for checkpoints: each file opened, or refused with the reason."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from soup_core.checkpoints import METADATA, Checkpoint, folder_kind, index_of, is_optimizer, open_likeliest
from soup_core.data import operator_folders
from soup_core.errors import CheckpointError, ZooError
from soup_core.runtime.files import home, shown
from soup_core.zoo.naming import ENDINGS, natural_order

FILES_AT_MOST = 2000
DEPTH = 3  # of sub-folders
NOT_WEIGHTS = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "training_args.bin")


@dataclass(frozen=True, eq=False)
class InspectedFile:
    """A file of the folder, opened or refused with the reason; `of` is how many files there are to look at.

    `weights` is the part that was taken where a file holds several.
    """

    file: Path
    of: int
    checkpoint: Checkpoint | None
    reason: str = ""
    weights: str | None = None


def sweep_folders() -> tuple[Path, ...]:
    """The folders of SOUP_ZOOS, and those directly below, that hold checkpoints and neither are zoos nor hold any.

    Raises ZooError where one of them cannot be read.
    """
    folders: list[Path] = []
    for root in operator_folders():
        below = [path for path in sorted(root.iterdir()) if path.is_dir() and path.resolve() != home().resolve()]
        zoos = [path for path in (root, *below) if (path / "zoo.toml").exists()]
        folders += [*([] if zoos else [root]), *(path for path in below if path not in zoos and root not in zoos)]
    return tuple(folder for folder in dict.fromkeys(folders) if next(_candidates(folder, DEPTH), None))


def inspect_folder(folder: Path) -> Iterator[InspectedFile]:
    """Open every file of the folder, and of its sub-folders, that may be a checkpoint.

    Raises ZooError where the folder cannot be read or holds none, or too many.
    """
    files = list(_candidates(folder, DEPTH))
    if not files:
        raise ZooError(f"{shown(folder)} holds no checkpoint; expected files that end in {', '.join(ENDINGS)}.")
    if len(files) > FILES_AT_MOST:
        raise ZooError(f"{shown(folder)} holds {len(files):,} checkpoints; at most {FILES_AT_MOST:,} are looked at.")
    for file in files:
        try:
            checkpoint, part = open_likeliest(file, roots=[folder])
        except CheckpointError as error:
            yield InspectedFile(file, len(files), None, str(error))
        else:
            why = f"; {checkpoint.notes[-1]}" if part else ""
            notice = (
                f"{shown(file)} holds weights in several places; those of {shown(part)} are taken{why}." if part else ""
            )
            yield InspectedFile(file, len(files), checkpoint, notice, part)


def _candidates(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: natural_order(entry.name))
    except OSError as error:
        raise ZooError(f"{shown(folder)} cannot be read as a folder ({error.strerror}).") from error
    names = {entry.name for entry in entries}
    if kind := folder_kind(names):  # one checkpoint, by its own name where it lies within what is looked at
        if not (kind == "distributed" and is_optimizer(folder.name)):
            yield folder if depth < DEPTH or kind == "zero" else folder / METADATA
        return
    for entry in entries:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and depth and not entry.name.startswith("."):
            yield from _candidates(folder / entry.name, depth - 1)
        elif (
            (stat.S_ISREG(mode) or entry.is_symlink())
            and entry.name.lower().endswith(ENDINGS)
            and (entry.name not in NOT_WEIGHTS)
            and not ((shard := index_of(entry.name)) and shard[0] in names)  # its index is the checkpoint
        ):
            yield folder / entry.name
