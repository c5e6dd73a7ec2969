"""Checkpoints of the same weights, as a run leaves them in its last, its best and a numbered file.

The files may differ, in the epoch that stands beside the weights or in the format; the tensors are compared.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from soup_core.checkpoints import Checkpoint, unwrapped
from soup_core.runtime.files import listed, shown
from soup_core.zoo.moments import moments_of
from soup_core.zoo.naming import is_base, stem

SAMPLE_BYTES = 64  # of each tensor, which tell almost all apart
BLOCK_BYTES = 1 << 22


def each_weights_once(folder: Path, checkpoints: Mapping[Path, Checkpoint]) -> tuple[list[Path], tuple[str, ...]]:
    """The files without those that repeat the weights of another of their run, or are links to one; and what was left out.

    Of equal ones a base is kept first, then one with a number in its name. Raises CheckpointError where one has changed
    since it was opened.
    """
    moments = dict(zip(checkpoints, moments_of([file.relative_to(folder) for file in checkpoints]), strict=True))
    kept_first = sorted(checkpoints, key=lambda file: (not is_base(stem(file.name)), moments[file].count is None))
    groups: dict[object, list[Path]] = {}
    for file in kept_first:
        groups.setdefault(moments[file].run, []).append(file)
        groups.setdefault(_inode(file), []).append(file)
    first_of: dict[Path, Path] = {}
    for group in groups.values():
        left = [file for file in group if file not in first_of]
        first_of |= _repeated(left, checkpoints)
    repeats: dict[Path, list[str]] = {}
    for file, first in first_of.items():
        repeats.setdefault(first, []).append(shown(str(file.relative_to(folder))))
    notices = tuple(
        f"{listed(files, 3)}: the weights of {shown(str(first.relative_to(folder)))} again, which is taken once."
        for first, files in repeats.items()
    )
    return [file for file in checkpoints if file not in first_of], notices


def _inode(file: Path) -> object:
    try:
        status = file.stat()
    except OSError:
        return file
    return status.st_dev, status.st_ino


def _repeated(files: Sequence[Path], checkpoints: Mapping[Path, Checkpoint]) -> dict[Path, Path]:
    """Those whose tensors stand in an earlier one, each with that one. Only what begins alike is read through."""
    by_sample: dict[str, list[Path]] = {}
    for file in files if len(files) > 1 else ():
        by_sample.setdefault(_tensors_digest(checkpoints[file], SAMPLE_BYTES), []).append(file)
    repeated = {}
    for alike in by_sample.values():
        first: dict[str, Path] = {}
        for file in alike if len(alike) > 1 else ():
            digest = _tensors_digest(checkpoints[file], None)
            if digest in first:
                repeated[file] = first[digest]
            first.setdefault(digest, file)
    return repeated


@lru_cache(maxsize=4096)
def _tensors_digest(checkpoint: Checkpoint, at_most: int | None) -> str:
    """SHA-256 of all tensors with their names without wrappers, types and shapes, or of the first bytes of each."""
    digest = hashlib.sha256()
    with checkpoint.reader() as read:
        for bare, name in sorted((bare, name) for name, bare in unwrapped(checkpoint.tensors).items()):
            info = checkpoint.tensors[name]
            digest.update(f"{bare} {info.dtype} {info.shape}\n".encode())
            size = info.end - info.begin if at_most is None else min(info.end - info.begin, at_most)
            block = memoryview(bytearray(min(size, BLOCK_BYTES)))
            for begin in range(0, size, BLOCK_BYTES):
                part = block[: size - begin]
                read.fill(name, begin // info.dtype.itemsize, part)
                digest.update(part)
    return digest.hexdigest()
