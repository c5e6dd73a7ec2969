"""Where labelled images lie: class folders as torchvision's ImageFolder reads them, and torchvision's own data sets.

Nothing is decoded here. Folders are read only below `roots`, with links resolved: those that the operator has named, which
are the zoo's own and SOUP_ZOOS.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from soup_core.errors import DataError
from soup_core.runtime import settings
from soup_core.runtime.files import shown
from soup_core.runtime.named_folders import named_folders

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")  # others start programs, whatever the file's name is
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "held_out": ("val", "valid", "validation", "dev", "eval", "held_out"),
    "test": ("test", "testing"),
}
"""How the folder of each split is called, in capitals or not: torchvision's, Roboflow's, fastai's, Keras', Kaggle's."""
WHOLE = "whole"
FETCHED_WITH = "fetch it with python -m soup_core images ZOO --download."
Stamp = tuple[str, int, int]  # a file's name, its bytes, and the time of its last change


Loaded: TypeAlias = "tuple[Image, int]"  # with its label
Item: TypeAlias = "tuple[str, Callable[[], Loaded]]"  # its name, and what loads it


class Opened(NamedTuple):
    """Images ready to be loaded, and the classes' names where they are known."""

    items: Sequence[Item]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """Image files below a folder, with a label each, and the folders' own classes in the labels' order."""

    folder: str
    labels: tuple[int, ...]
    stamps: tuple[Stamp, ...]
    classes: tuple[str, ...]

    def opened(self) -> Opened:
        """The files, to be loaded one by one; their names are relative to the folder."""
        items = [
            (name, partial(_load, os.path.join(self.folder, name), label))
            for (name, *_), label in zip(self.stamps, self.labels, strict=True)
        ]
        return Opened(items, tuple(self.classes))

    @property
    def with_images(self) -> tuple[str, ...]:
        """The classes that have an image."""
        return tuple(self.classes[label] for label in sorted(set(self.labels)))

    def only(self, chosen: Sequence[bool]) -> "Files":
        """The chosen ones, in their order."""
        labels = tuple(label for label, taken in zip(self.labels, chosen, strict=True) if taken)
        stamps = tuple(stamp for stamp, taken in zip(self.stamps, chosen, strict=True) if taken)
        return Files(self.folder, labels, stamps, self.classes)


@dataclass(frozen=True)
class TorchvisionSet:
    """One part of a data set of torchvision on disk, and the files that it is read from."""

    dataset: str
    root: str
    arguments: Mapping[str, Any]
    stamps: tuple[Stamp, ...]

    def opened(self) -> Opened:
        """The images, to be loaded one by one; their names are their places in the part."""
        dataset = made_by_torchvision(self.dataset, self.root, self.arguments)
        items = [(f"image {index}", partial(dataset.__getitem__, index)) for index in range(len(dataset))]
        classes = getattr(dataset, "classes", ())  # Imagenette's are tuples of synonyms
        return Opened(
            items, tuple(", ".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in classes)
        )


@dataclass(frozen=True)
class HeldOut:
    """The share of each class that is held out where a source has no split for it.

    An image is chosen by the digest of the seed and of its name, so that neither the order in which files are listed nor
    other files decide on it.
    """

    share: float = 0.2
    seed: int = 0

    def chosen(self, names: Sequence[str], labels: Sequence[int]) -> list[bool]:
        """Whether each image is held out; of two or more in a class, at least one is and one is not."""
        by_class: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            by_class.setdefault(label, []).append(index)
        chosen = [False] * len(names)
        for members in by_class.values():
            count = min(max(1, round(self.share * len(members))), len(members) - 1)
            for index in sorted(members, key=lambda each: self._rank(names[each]))[:count]:
                chosen[index] = True
        return chosen

    def _rank(self, name: str) -> bytes:
        return hashlib.sha256(os.fsencode(f"{self.seed} {name}")).digest()


class SplitOrigin(NamedTuple):
    """The part of a source that a split is taken from: all of it, or what is held out of it, or the rest."""

    part: str
    held_out: bool | None = None


def split_origin(split: str, parts: Collection[str], where: str, *, texts: bool = False) -> SplitOrigin:
    """Where "held_out", "test" or "train" comes from, of the parts that a source of images or `texts` has.

    Given parts are taken as they are. Where held-out images are missing they are taken out of train; where there is no
    train, or test images are missing, the one part there is beside train is divided. Raises DataError where nothing
    serves.
    """
    what, container = ("texts", "a file") if texts else ("images", "a folder")
    pools = [part for part in ("held_out", "test", WHOLE) if part in parts]
    if split == "train":
        if "train" in parts:
            return SplitOrigin("train", None if pools != ["test"] else False)
        raise DataError(f"{where} has no training {what}; they are expected in {container} named train.")
    if split in parts and len(pools) == 2:
        return SplitOrigin(split)
    if "train" in parts and pools == ["test"]:
        return SplitOrigin("test") if split == "test" else SplitOrigin("train", True)
    if pools:
        return SplitOrigin(pools[0], split == "held_out")
    raise DataError(f"{where} has training {what} alone; those to report on are in {container} named test.")


def operator_folders() -> tuple[Path, ...]:
    """The folders of SOUP_ZOOS, as they are given, and those that were named since, where they count."""
    return (*settings.ZOOS(), *named_folders())


def allowed(path: Path, roots: Sequence[Path], *, strict: bool = True) -> Path:
    """The path with its links resolved. Raises DataError where it is below none of the roots, or, if strict, not there."""
    try:
        resolved = path.resolve(strict=strict)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{shown(str(path))} is missing or cannot be reached; correct it in zoo.toml.") from error
    if not any(resolved.is_relative_to(root) for root in roots):
        raise DataError(
            f"{shown(str(path))} lies outside the zoo's folder and those named in SOUP_ZOOS; move it there, or name its "
            "folder in SOUP_ZOOS."
        )
    return resolved


def split_folders(names: Sequence[str], where: str) -> dict[str, str]:
    """Of the names of folders, which one holds "train", "held_out" and "test", as far as they are there.

    Raises DataError where two are for one split.

    >>> split_folders(["Test", "extra", "Training", "valid"], "images")
    {'train': 'Training', 'held_out': 'valid', 'test': 'Test'}
    """
    found: dict[str, str] = {}
    for split, spellings in SPELLINGS.items():
        for name in names:
            if name.lower() in spellings:
                if split in found:
                    raise DataError(
                        f"{where} has both {shown(found[split])} and {shown(name)} for one split; keep one."
                    )
                found[split] = name
    return found


@dataclass(frozen=True)
class ImageFolder:
    """The parts of a folder of images, "train", "held_out" and "test" or "whole", and the folder's name of each.

    `unused` are the folders beside them that hold images and became no split.
    """

    parts: Mapping[str, Files]
    names: Mapping[str, str]
    unused: tuple[str, ...] = ()


def image_folder(path: Path, roots: Sequence[Path]) -> ImageFolder:
    """The parts of a folder by the names of its folders, see SPELLINGS, or all of it where it holds classes.

    Raises DataError for a folder that holds neither, two for one split, and for links that lead out of the roots.
    """
    folder = allowed(path, roots)
    names = _split_names(folder, roots)
    if not names:
        return ImageFolder({WHOLE: class_folders(folder, roots)}, {WHOLE: ""})
    beside = [name for name in directories(folder, roots) if name not in names.values()]
    unused = tuple(name for name in beside if _holds_images(folder / name))
    parts = {part: class_folders(folder, roots, within=name) for part, name in names.items()}
    return ImageFolder(parts, names, unused)


def class_folder_names(path: Path, roots: Sequence[Path]) -> dict[str, list[str]]:
    """The names of the class folders of each part, as `image_folder` has them, without a look at any image.

    Raises DataError as `image_folder` does, though not where a class is empty.
    """
    folder = allowed(path, roots)
    names = _split_names(folder, roots) or {WHOLE: ""}
    return {part: directories(folder / name, roots) for part, name in names.items()}


def _split_names(folder: Path, roots: Sequence[Path]) -> dict[str, str]:
    there = [name for name in directories(folder, roots) if directories(folder / name, roots)]
    return split_folders(there, shown(str(folder)))


def class_folders(folder: Path, roots: Sequence[Path], *, within: str = "") -> Files:
    """The image files in the class folders of `folder`, or of the folder `within` it, in torchvision's order.

    Labels are places among these folders, sorted. Raises DataError where there is no class or no image.
    """
    parent = folder / within
    classes = directories(parent, roots)
    if not classes:
        raise DataError(f"{shown(str(parent))} holds no folder of a class; expected CLASS/*.jpg or other images in it.")
    stamped = [
        ((os.path.relpath(path, folder), size, modified), label)
        for label, name in enumerate(classes)
        for path, size, modified in _images(parent / name, roots)
    ]
    if not stamped:
        raise DataError(f"{shown(str(parent))} holds no image; expected files ending in {', '.join(SUFFIXES)}.")
    return Files(
        str(folder), tuple(label for _, label in stamped), tuple(stamp for stamp, _ in stamped), tuple(classes)
    )


def directories(folder: Path, roots: Sequence[Path]) -> list[str]:
    """The names of the folders in a folder, sorted, without hidden ones. Raises DataError for a link out of the roots."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{shown(str(folder))} cannot be read ({error.strerror}); see to its permissions.") from error
    for name in names:
        allowed(folder / name, roots)
    return names


def _images(folder: Path, roots: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and time of change of every image file below a class folder, in torchvision's order."""
    try:
        for parent, inner, names in sorted(os.walk(folder, onerror=_raise)):
            if links := [name for name in inner if os.path.islink(os.path.join(parent, name))]:
                raise DataError(
                    f"{shown(os.path.join(parent, links[0]))} is a link to a folder within a class; put its images there "
                    "themselves."
                )
            for name in sorted(names):
                if name.lower().endswith(SUFFIXES):
                    path = os.path.join(parent, name)
                    status = os.lstat(path)
                    if stat.S_ISLNK(status.st_mode):
                        status = os.stat(allowed(Path(path), roots))
                    if stat.S_ISREG(status.st_mode):
                        yield path, status.st_size, status.st_mtime_ns
    except OSError as error:
        raise DataError(f"{shown(str(folder))} cannot be read ({error.strerror}); see to its permissions.") from error


def _holds_images(folder: Path, depth: int = 1) -> bool:
    """Whether an image lies in a folder or in one directly below it; what cannot be read holds none."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and entry.name.lower().endswith(SUFFIXES):
                    return True
                if depth and entry.is_dir(follow_symlinks=False) and _holds_images(folder / entry.name, depth - 1):
                    return True
    except OSError:
        pass
    return False


def _raise(error: OSError) -> None:
    raise error


def _load(path: str, label: int) -> Loaded:
    """As torchvision's loader does it: the content decides on the format, and an EXIF orientation is not applied."""
    from PIL import Image

    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError(f"{width}×{height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}")
        return image.convert("RGB"), label


_BY_TRAIN: Mapping[str, Mapping[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT: Mapping[str, Mapping[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE: Mapping[str, Mapping[str, Any]] = {**_BY_SPLIT, "held_out": {"split": "val"}}
TORCHVISION: Mapping[str, tuple[str, Mapping[str, Mapping[str, Any]]]] = {
    "CIFAR10": ("cifar-10-batches-py/*", _BY_TRAIN),
    "CIFAR100": ("cifar-100-python/*", _BY_TRAIN),
    "DTD": ("dtd/dtd/**/*", _THREE),
    "EuroSAT": ("eurosat/2750/**/*", {WHOLE: {}}),
    "FashionMNIST": ("FashionMNIST/raw/*", _BY_TRAIN),
    "Flowers102": ("flowers-102/**/*", _THREE),
    "Food101": ("food-101/**/*", _BY_SPLIT),
    "GTSRB": ("gtsrb/**/*", _BY_SPLIT),
    "Imagenette": ("imagenette2/**/*", {"train": {"split": "train"}, "held_out": {"split": "val"}}),
    "KMNIST": ("KMNIST/raw/*", _BY_TRAIN),
    "MNIST": ("MNIST/raw/*", _BY_TRAIN),
    "OxfordIIITPet": ("oxford-iiit-pet/**/*", {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "STL10": ("stl10_binary/*", _BY_SPLIT),
    "SVHN": ("*_32x32.mat", _BY_SPLIT),
}
"""The data sets that are known: where their files lie below the root, and the arguments of each part.

Those alone, since some others run code that their files hold.
"""


def torchvision_sets(dataset: str, path: Path, roots: Sequence[Path]) -> dict[str, TorchvisionSet]:
    """The parts of a data set of torchvision below a root. Raises DataError where it is unknown or not there."""
    pattern, parts = _known(dataset)
    root = allowed(path, roots, strict=False)
    files = sorted(root.glob(pattern))
    for each in {file.parent for file in files}.union(file for file in files if file.is_symlink()):
        allowed(each, roots)
    statuses = [(file, file.stat()) for file in files]
    stamps = tuple(
        (str(file.relative_to(root)), status.st_size, status.st_mtime_ns)
        for file, status in statuses
        if stat.S_ISREG(status.st_mode)
    )
    if not stamps:
        raise DataError(
            f"{shown(str(path))} does not hold {dataset} (no {pattern}); correct root in zoo.toml, or {FETCHED_WITH}"
        )
    return {part: TorchvisionSet(dataset, str(root), arguments, stamps) for part, arguments in parts.items()}


def fetch(dataset: str, path: Path, roots: Sequence[Path]) -> None:
    """Fetch every part of a data set of torchvision to a root. Raises DataError where that fails."""
    _, parts = _known(dataset)
    root = allowed(path, roots, strict=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{shown(str(path))} cannot be made ({error.strerror}); choose another root.") from error
    for arguments in parts.values():
        made_by_torchvision(dataset, str(root), {**arguments, "download": True})


def made_by_torchvision(dataset: str, root: str, arguments: Mapping[str, Any]) -> Any:
    """The data set itself. Raises DataError for whatever goes wrong in making it."""
    from torchvision import datasets  # takes long to import

    _known(dataset)
    try:
        return getattr(datasets, dataset)(root, **arguments)
    except Exception as error:  # each data set has its own ways to fail on missing or damaged files
        if arguments.get("download"):
            message = f"could not be fetched into {shown(str(root))} ({error}); see to the connection, or put its files there."
        else:
            message = f"could not be read from {shown(str(root))} ({error}); {FETCHED_WITH}"
        raise DataError(f"{dataset} {message}") from error


def _known(dataset: str) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    if dataset not in TORCHVISION:
        raise DataError(
            f"The data set torchvision:{dataset} is not known here; expected one of {', '.join(TORCHVISION)}, or the "
            "images as imagefolder:PATH."
        )
    return TORCHVISION[dataset]
