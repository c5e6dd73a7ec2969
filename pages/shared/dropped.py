"""Folders that a browser has uploaded: written again as they were, below this session's own, and lent to this server.

What a browser says is no path: each part of a name is looked at before anything is written.
"""

import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath

from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.shared import uploads
from soup_core.errors import SoupError
from soup_core.runtime.files import shown
from soup_core.runtime.named_folders import lend_folder
from soup_core.zoo import find_zoo

FILES_AT_MOST = 20_000
BYTES_AT_MOST = 4_000_000_000
MEGABYTES = 1000  # a file
DEPTH_AT_MOST = 12
PART_BYTES_AT_MOST = 200


def folder_and_paths(names: Sequence[str]) -> tuple[str, tuple[PurePosixPath, ...]]:
    """The folder's name, and each file's path in it. Raises SoupError for names that are none of files in one folder."""
    split = [name.split("/") for name in names]
    if any(len(parts) == 1 for parts in split):
        raise SoupError(
            f"The browser gave {shown(next(name for name in names if '/' not in name), 60)} without its folder, as browsers "
            "do with what is dragged here; choose the folder with the button instead."
        )
    for parts in split:
        if len(parts) > DEPTH_AT_MOST or not all(map(_is_safe, parts)):
            raise SoupError(f"{shown('/'.join(parts), 60)} is no name that a file in a folder can be given; rename it.")
    if len(folders := {parts[0] for parts in split}) != 1:
        raise SoupError(f"One folder at a time; found {len(folders)}, for instance {shown(min(folders), 60)}.")
    paths = tuple(PurePosixPath(*parts[1:]) for parts in split)
    if len({unicodedata.normalize("NFC", str(path)).casefold() for path in paths}) != len(paths):
        raise SoupError("Two files of the folder have one name, but for capitals; rename one of them.")
    return folders.pop(), paths


def keep(files: Sequence[UploadedFile]) -> Path:
    """Write a folder's files as they were in it, and let it count until the session ends.

    Raises SoupError for more than is kept, for names as `folder_and_paths` does, and where the disk is full.
    """
    name, paths = folder_and_paths([each.name for each in files])
    size = sum(each.size for each in files)
    if len(files) > FILES_AT_MOST or size > BYTES_AT_MOST:
        raise SoupError(
            f"{shown(name, 60)} has {len(files):,} files of {size / 1e9:.1f} GB together; at most {FILES_AT_MOST:,} of "
            f"{BYTES_AT_MOST / 1e9:g} GB are kept. Name the folder on this machine instead."
        )
    folder = uploads.place_for_folder(_free(name))
    try:
        for path, each in zip(paths, files, strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("xb") as file:
                shutil.copyfileobj(each, file)
    except OSError as error:
        shutil.rmtree(folder.parent, ignore_errors=True)
        raise SoupError(
            f"{shown(name, 60)} could not be kept ({error.strerror}); it needs {size / 1e6:.0f} MB of the "
            "temporary folder."
        ) from error
    lend_folder(folder)
    return folder


def _is_safe(part: str) -> bool:
    """Whether a part of a path names one entry of a folder, here and on every system."""
    hidden = any(unicodedata.category(character) in ("Cc", "Cs") for character in part)
    return (
        part not in ("", ".", "..") and not hidden and not set(part) & set("\\:") and _bytes(part) <= PART_BYTES_AT_MOST
    )


def _bytes(part: str) -> int:
    return len(part.encode("utf-8", "replace"))


def _free(name: str) -> str:
    """The name, or the first with a number that no zoo has."""
    names: Iterable[str] = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(each for each in names if find_zoo(each) is None)
