"""The labelled images that come with the app, by the name that zoo.toml gives as their source.

Each lies packed in a folder of assets/data, beside the notice that its licence asks for.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from soup_core.data.packed_images import PackedImages, packed_names, read_packed
from soup_core.data.preprocessing import Normalization
from soup_core.errors import DataError

ASSETS = Path(__file__).resolve().parents[2] / "assets"
FASHION_MNIST = ASSETS / "data" / "fashion_mnist"
ICONS = ASSETS / "data" / "icons"
FASHION_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_NORMALIZATION = Normalization(mean=(0.2860,), std=(0.3530,))
ABOUT = "about.json"
SHIFT = "shift."  # begins the name of a shift's file, as it does in a file of tensors


@dataclass(frozen=True)
class Licence:
    """Whose a part of a bundled set is: the part's name, its author, the licence, where it stands, and of how many images."""

    part: str
    author: str
    licence: str
    url: str
    images: int


@dataclass(frozen=True)
class BundledSet:
    """A bundled set: its folder, the classes in the labels' order, and how images are normalised.

    `notice` is the file with what its licence asks to be passed on, `licences` whose its parts are, where it has several.
    """

    folder: Path
    classes: tuple[str, ...]
    normalization: Normalization
    notice: Path
    licences: tuple[Licence, ...] = ()

    @property
    def shifts(self) -> tuple[str, ...]:
        """The names of its real distribution shifts, none where its record cannot be read."""
        return tuple(name.removeprefix(SHIFT) for name in packed_names(self.folder) if name.startswith(SHIFT))

    def read(self, name: str) -> tuple[PackedImages, Tensor]:
        """The images, packed, and the labels (int64, N) of "held_out", "test", "train" or "shift.NAME".

        Raises DataError where they are missing or damaged.
        """
        return read_packed(self.folder, name)


def _fashion_mnist() -> BundledSet:
    return BundledSet(FASHION_MNIST, FASHION_CLASSES, FASHION_NORMALIZATION, FASHION_MNIST / "LICENSE")


def _icons() -> BundledSet:
    path = ICONS / ABOUT
    try:
        about = json.loads(path.read_bytes())
        licences = tuple(
            Licence(row["set"], row["author"], row["licence"], row["url"], row["icons"]) for row in about["licences"]
        )
        normalization = Normalization(tuple(about["mean"]), tuple(about["std"]))
        return BundledSet(ICONS, tuple(about["classes"]), normalization, ICONS / "LICENSES.txt", licences)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); restore assets/data from the project.") from error


_SETS: Mapping[str, Callable[[], BundledSet]] = {"fashion_mnist": _fashion_mnist, "icons": _icons}
BUNDLED_SETS = tuple(_SETS)


@cache
def bundled_set(source: str) -> BundledSet | None:
    """The bundled set that a zoo's source names, None for another source. Raises DataError where it is damaged."""
    return _SETS[source]() if source in _SETS else None
