"""Looking through a folder for checkpoints: each file opened, or refused with the reason."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from soup_core.checkpoints import METADATA, Checkpoint, folder_kind, index_of, is_optimizer, open_likeliest
from soup_core.data import operator_folders
from soup_core.errors import CheckpointError, ZooError
from soup_core.runtime.files import home, shown
from soup_core.zoo.naming import ENDINGS, natural_order
from soup_core.zoo.outputs.proposal import holds_outputs

FILES_AT_MOST = 2000
FOLDERS_AT_MOST = 20_000  # of sub-folders; those of image classes are among them
DEPTH = 12  # of sub-folders; mlflow and hydra with Lightning need 7
# What transformers, accelerate and skorch write beside the weights.
NOT_WEIGHTS = re.compile(
    r"(optimizer|scheduler|sampler|dl_state_dict|scaler|criterion|rng_state|random_states)(_\d+)*\.(pt|pth|bin)|training_args\.bin"
)


@dataclass(frozen=True, eq=False)
class InspectedFile:
    """A file of the folder, opened or refused with the reason; `of` is how many files there are to look at.

    `weights` is the part that was taken where a file holds several. `share` of all files' bytes have been looked at with
    this one, and `coming` is the next file.
    """

    file: Path
    of: int
    checkpoint: Checkpoint | None
    reason: str = ""
    weights: str | None = None
    share: float = 1.0
    coming: Path | None = None


def sweep_folders() -> tuple[Path, ...]:
    """The operator's folders, and those directly below, that hold checkpoints or outputs and neither are zoos nor hold any.

    Those that cannot be read are passed over: see `unreadable_folders`.
    """
    folders: list[Path] = []
    for root in filter(_is_readable, operator_folders()):
        below = [path for path in sorted(root.iterdir()) if path.is_dir() and path.resolve() != home().resolve()]
        zoos = [path for path in (root, *below) if _is_readable(path) and (path / "zoo.toml").exists()]
        folders += [*([] if zoos else [root]), *(path for path in below if path not in zoos and root not in zoos)]
    return tuple(folder for folder in dict.fromkeys(folders) if _is_readable(folder) and holds_models(folder))


def unreadable_folders() -> tuple[Path, ...]:
    """The operator's folders that are not there, or may not be read."""
    return tuple(folder for folder in operator_folders() if not _is_readable(folder))


def holds_checkpoints(folder: Path) -> bool:
    """Whether a folder, or one of its sub-folders, has a file that may be a checkpoint, as far as they can be read."""
    try:
        return next(_candidates(folder), None) is not None
    except ZooError:  # a sub-folder cannot be read, which looking at the folder says
        return True


def holds_models(folder: Path) -> bool:
    """Whether a folder has files that may be checkpoints, or outputs of models, as far as it can be read."""
    return holds_checkpoints(folder) or holds_outputs(folder)


def _is_readable(folder: Path) -> bool:
    try:
        return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)
    except OSError:
        return False


def inspect_folder(folder: Path) -> Iterator[InspectedFile]:
    """Open every file of the folder, and of its sub-folders, that may be a checkpoint.

    Raises ZooError where the folder cannot be read or holds none, or too many.
    """
    left = [FOLDERS_AT_MOST]
    files = list(_candidates(folder, left=left))
    if left[0] < 0:
        raise ZooError(
            f"{shown(folder)} has more than {FOLDERS_AT_MOST:,} folders below it; name one that holds the checkpoints, and "
            "the images by --data."
        )
    if not files:
        raise ZooError(f"{shown(folder)} holds no checkpoint; expected files that end in {', '.join(ENDINGS)}.")
    if len(files) > FILES_AT_MOST:
        raise ZooError(f"{shown(folder)} holds {len(files):,} checkpoints; at most {FILES_AT_MOST:,} are looked at.")
    sizes = [_size(file) for file in files]
    looked = 0
    for number, file in enumerate(files):
        looked += sizes[number]
        share, coming = looked / sum(sizes), files[number + 1] if number + 1 < len(files) else None
        try:
            checkpoint, part = open_likeliest(file, roots=[folder])
        except CheckpointError as error:
            yield InspectedFile(file, len(files), None, str(error), share=share, coming=coming)
        else:
            why = f"; {checkpoint.notes[-1]}" if part else ""
            notice = (
                f"{shown(file)} holds weights in several places; those of {shown(part)} are taken{why}." if part else ""
            )
            yield InspectedFile(file, len(files), checkpoint, notice, part, share, coming)


def _size(file: Path) -> int:
    """The bytes of a file, and one more, since each takes some time."""
    try:
        return 1 + file.stat().st_size
    except OSError:
        return 1


def _candidates(folder: Path, depth: int = DEPTH, left: list[int] | None = None) -> Iterator[Path]:
    """The files in natural order, those of sub-folders too; `left` counts how many of these may still be looked into."""
    left = [FOLDERS_AT_MOST] if left is None else left
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
            left[0] -= 1
            if left[0] < 0:
                return
            yield from _candidates(folder / entry.name, depth - 1, left)
        elif (
            (stat.S_ISREG(mode) or entry.is_symlink())
            and entry.name.lower().endswith(ENDINGS)
            and not NOT_WEIGHTS.fullmatch(entry.name)
            and not ((shard := index_of(entry.name)) and shard[0] in names)  # its index is the checkpoint
        ):
            yield folder / entry.name
