"""Where outputs and labels lie: safetensors, .npz or a folder of .npy, each a table of arrays by names such as "test.logits".

A name is a split's and what is there of it. A split is held_out, test or shift.NAME, which may be written test:NAME as
elsewhere; in a folder the names are those of the files.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soup_core.checkpoints import Checkpoint
from soup_core.checkpoints.identity import opened
from soup_core.checkpoints.numpy_files import MAGIC, WHOLE, NumpyFile
from soup_core.checkpoints.safetensors import START_BYTES, kind_of
from soup_core.data.sources import allowed
from soup_core.errors import DataError
from soup_core.runtime.files import shown

EXPECTED = "a safetensors file, a .npz, or a folder of .npy"
FILES_AT_MOST = 1000  # of a folder
KINDS = ("logits", "probabilities", "labels", "groups")


class Place(NamedTuple):
    """What an array is of: a split as evaluators name it, "held_out", "test" or "test:SHIFT", and one of KINDS."""

    split: str
    kind: str


class Arrays:
    """The arrays of a file or of a folder of .npy, by name, with their shapes; read when asked for.

    Raises SoupError for whatever is none of these, is damaged, or lies outside the roots once links are followed.
    """

    def __init__(self, path: Path, roots: Sequence[Path]) -> None:
        self.path, self.name = path, shown(path)
        resolved = allowed(path, roots)
        self._files: Mapping[str, tuple[Checkpoint | NumpyFile, str]] = MappingProxyType(
            _of_folder(resolved, roots) if resolved.is_dir() else _of_file(resolved, self.name)
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """By name, that of each array."""
        return {name: _shape(file, own) for name, (file, own) in self._files.items()}

    @property
    def places(self) -> dict[Place, str]:
        """Which array is what, for those whose names say it. Raises DataError where two are for one place."""
        found: dict[Place, str] = {}
        for name in self._files:
            if (place := place_of(name)) is None:
                continue
            if place in found:
                raise DataError(
                    f"{self.name} has both {shown(found[place])} and {shown(name)} for the {place.kind} of {place.split}; keep "
                    "one."
                )
            found[place] = name
        return found

    def numbers(self, name: str) -> Tensor:
        """An array of numbers as it is in the file, but for unsigned integers, which become int64.

        Raises SoupError for texts, and where the file has changed or is damaged.
        """
        file, own = self._files[name]
        if isinstance(file, Checkpoint):
            return file.read(own)
        array = file.read(own)
        if array.dtype.kind == "U":
            raise DataError(
                f"{self.name} holds texts in {shown(name)}; expected numbers. Save it as an array of numbers."
            )
        if array.dtype == np.uint64:
            array = np.minimum(array, np.uint64(2**63 - 1))
        if array.dtype.kind == "u":
            array = array.astype(np.int64)
        return torch.from_numpy(array)

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of texts (N). Raises DataError for another."""
        file, own = self._files[name]
        if isinstance(file, Checkpoint) or file.arrays[own].dtype.kind != "U" or len(file.arrays[own].shape) != 1:
            raise DataError(f"{self.name} should hold a list of texts in {shown(name)}; save it as an array of them.")
        return tuple(str(text) for text in file.read(own))


def place_of(name: str) -> Place | None:
    """What an array of this name is of; None for a name that says nothing.

    >>> place_of("shift.blur-3.logits")
    Place(split='test:blur-3', kind='logits')
    """
    split, _, kind = name.rpartition(".")
    if kind not in KINDS:
        return None
    if split in ("held_out", "test"):
        return Place(split, kind)
    for begin in ("shift.", "test:"):
        if split.startswith(begin) and len(split) > len(begin):
            return Place(f"test:{split.removeprefix(begin)}", kind)
    return None


def _of_file(path: Path, name: str) -> dict[str, tuple[Checkpoint | NumpyFile, str]]:
    with opened(path, name, expected=EXPECTED) as file:
        start = os.pread(file.descriptor, START_BYTES, 0)
    if start.startswith(MAGIC):
        raise DataError(
            f"{name} is a single array, which does not say of which split it is; put such files into a folder, as "
            "held_out.logits.npy and test.logits.npy, and name that."
        )
    if kind_of(start) == "pickled" and not start.startswith(b"PK"):
        raise DataError(f"{name} is a pickle, which is never opened; expected {EXPECTED}. Save plain arrays.")
    if start.startswith(b"PK"):
        numpy_file = NumpyFile(path)
        return {each: (numpy_file, each) for each in numpy_file.arrays}
    checkpoint = Checkpoint(path)
    return {each: (checkpoint, each) for each in checkpoint.tensors}


def _of_folder(folder: Path, roots: Sequence[Path]) -> dict[str, tuple[Checkpoint | NumpyFile, str]]:
    try:
        files = sorted(path for path in folder.iterdir() if path.name.endswith(".npy"))
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read as a folder ({error.strerror}).") from error
    if not files or len(files) > FILES_AT_MOST:
        raise DataError(
            f"{shown(folder)} holds {len(files):,} files of numpy; expected one to {FILES_AT_MOST:,}, such as held_out.logits.npy."
        )
    found: dict[str, tuple[Checkpoint | NumpyFile, str]] = {}
    for path in files:
        numpy_file = NumpyFile(allowed(path, roots))
        if WHOLE not in numpy_file.arrays:
            raise DataError(f"{shown(path)} is an archive; expected a single array. Call it .npz, and name it itself.")
        found[path.name.removesuffix(".npy")] = (numpy_file, WHOLE)
    return found


def _shape(file: Checkpoint | NumpyFile, name: str) -> tuple[int, ...]:
    return file.tensors[name].shape if isinstance(file, Checkpoint) else file.arrays[name].shape
