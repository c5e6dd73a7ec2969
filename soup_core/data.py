"""Labelled images as tensors: the held-out split selects, the test split and its shifts report, train is for tuning.

A split is uint8 images with int64 labels; normalisation happens on the device, batch by batch.
"""

import hashlib
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from soup_core.checkpoints import Checkpoint
from soup_core.errors import DataError
from soup_core.preprocessing import Normalization
from soup_core.shifts import SHIFTS, shifted

ASSETS = Path(__file__).resolve().parent.parent / "assets"
FASHION_MNIST = ASSETS / "data" / "fashion_mnist"
FASHION_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
PLAIN_SPLITS = ("held_out", "test", "train")


FASHION_NORMALIZATION = Normalization(mean=(0.2860,), std=(0.3530,))
UNNORMALIZED = Normalization(mean=(0.0,), std=(1.0,))


@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N×C×H×W) and labels (int64, N) under the split's name."""

    name: str
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images and labels: two splits of the same digest hold the same data."""
        content = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        content.update(self.images.contiguous().numpy().data)
        content.update(self.labels.contiguous().numpy().data)
        return content.hexdigest()


@dataclass(frozen=True)
class Data:
    """Where a zoo's images come from: "fashion_mnist" or "tensors:FILE", the file relative to `folder`."""

    source: str
    folder: Path
    normalization: Normalization

    @cached_property
    def _tensors(self) -> Checkpoint:
        return Checkpoint(self.folder / self.source.removeprefix("tensors:"))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the labels' order, empty where nobody has named them."""
        return FASHION_CLASSES if self.source == "fashion_mnist" else ()

    def shifts(self) -> tuple[str, ...]:
        """Names of the distribution shifts that `split("test:NAME")` knows, severities included."""
        made = tuple(f"{name}-{severity}" for name in SHIFTS for severity in range(1, 6))
        if self.source == "fashion_mnist":
            return made
        given = {
            name.removeprefix("shift.").removesuffix(".images")
            for name in self._tensors.tensors
            if name.startswith("shift.") and name.endswith(".images")
        }
        return (*sorted(given), *(name for name in made if name not in given))

    def split(self, name: str) -> Split:
        """Load "held_out", "test", "train" or "test:SHIFT", for instance "test:blur-3".

        Raises DataError where the source has no such split or its tensors are not of the expected shape and type.
        """
        plain, _, shift = name.partition(":")
        if plain not in PLAIN_SPLITS or (shift and plain != "test"):
            raise DataError(f'There is no split {name!r}; expected "held_out", "test", "train" or "test:SHIFT".')
        if shift and shift not in self.shifts():
            known = ", ".join(dict.fromkeys(known.rpartition("-")[0] or known for known in self.shifts()))
            raise DataError(
                f"There is no shift {shift!r}; expected one of {known}, each with a severity from -1 to -5."
            )
        if self.source == "fashion_mnist":
            images, labels = _bundled_tensors(plain)
        elif shift and f"shift.{shift}.images" in self._tensors.tensors:
            return self._checked(name, *self._read(f"shift.{shift}"))
        else:
            images, labels = self._read(plain)
        split = self._checked(name, images, labels)
        return Split(name, shifted(split.images, shift), split.labels) if shift else split

    def _read(self, prefix: str) -> tuple[Tensor, Tensor]:
        file = self._tensors
        for part in ("images", "labels"):
            if f"{prefix}.{part}" not in file.tensors:
                raise DataError(f"{file.path} has no tensor {prefix}.{part}; it holds {_listed(file.tensors)}.")
        return file.read(f"{prefix}.images"), file.read(f"{prefix}.labels")

    def _checked(self, name: str, images: Tensor, labels: Tensor) -> Split:
        where = f"The split {name} of {self.source}"
        if images.ndim != 4 or images.dtype != torch.uint8:
            raise DataError(
                f"{where}: images must be uint8 of shape N×C×H×W; found {_described(images)}. Save them so again."
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise DataError(
                f"{where}: labels must be int64 of shape ({len(images)},), one for each image; found "
                f"{_described(labels)}."
            )
        if not len(labels):
            raise DataError(f"{where} holds no image; at least one is needed.")
        if len(self.normalization.mean) not in (1, images.shape[1]):
            raise DataError(
                f"{where}: images have {images.shape[1]} channels, but normalize in zoo.toml gives "
                f"{len(self.normalization.mean)} means; give one mean and one std for each channel."
            )
        return Split(name, images, labels)


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _listed(names: Iterable[str], most: int = 6) -> str:
    listed = sorted(names)
    return ", ".join(listed[:most]) + (" and more" if len(listed) > most else "")


def _bundled_tensors(name: str) -> tuple[Tensor, Tensor]:
    path = FASHION_MNIST / f"{name}.safetensors.xz"
    try:
        return _unpacked(path, path.stat().st_mtime_ns)
    except (OSError, lzma.LZMAError, safetensors.SafetensorError, KeyError) as error:
        raise DataError(
            f"The bundled images {path.name} are missing or damaged ({error}); restore assets/data from the project."
        ) from error


@lru_cache(maxsize=1)  # forty shifts are made of the same test images, and unpacking takes longer than most of them
def _unpacked(path: Path, modified: int) -> tuple[Tensor, Tensor]:
    tensors = safetensors.torch.load(lzma.decompress(path.read_bytes()))
    return tensors["images"], tensors["labels"]
