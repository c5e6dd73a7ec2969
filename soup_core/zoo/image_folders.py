"""Folders of images beside checkpoints: whether they hold splits, and the classes in them."""

from pathlib import Path

from soup_core.data import class_folder_names, classes_of, operator_folders, split_folders
from soup_core.errors import DataError
from soup_core.runtime.files import shown


def has_splits(folder: Path) -> bool:
    """Whether a folder holds training images and others; two folders for one split are told by whoever reads them."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    try:
        found = split_folders(names, shown(folder))
    except DataError:
        return True
    return "train" in found and len(found) > 1


def class_folders(folder: Path, path: str, num_classes: int) -> tuple[str, ...]:
    """The class folders of images at a path of a zoo's folder, in the order of their text; none where it cannot be read.

    Of folders with different classes those that the network was trained on, as far as their number tells, else all.
    """
    try:
        parts = class_folder_names(folder / path, [each.resolve() for each in (folder, *operator_folders())])
    except DataError:
        return ()
    try:
        return classes_of(parts, num_classes, path)
    except DataError:
        return tuple(sorted({name for names in parts.values() for name in names}))
