"""Groups of image files: a table of CSV that says which group each is of, for the metric of the worst group.

As in Sagawa et al. 2020 (arXiv 1911.08731), a group is for instance a class on one kind of background.
"""

import csv
import io
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from soup_core.data import sources
from soup_core.errors import DataError
from soup_core.runtime.files import shown

BYTES_AT_MOST = 100_000_000
COLUMNS = ("file", "group")


def read_groups(file: Path, roots: Sequence[Path]) -> Mapping[str, str]:
    """The group of each image by its path below the image folder, from the columns `file` and `group` of a table.

    Raises DataError for a file that is not there, lies elsewhere or is none, and for one without these columns.
    """
    text = _text(sources.allowed(file, roots))
    rows = csv.DictReader(io.StringIO(text))
    try:
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            found = ", ".join(map(shown, rows.fieldnames or ())) or "none"
            raise DataError(f"{shown(str(file))} must have the columns file and group; found {found}.")
        return {row["file"]: row["group"] for row in rows}
    except csv.Error as error:
        raise DataError(f"{shown(str(file))} cannot be read as CSV: {error}. Correct it there.") from error


def numbered(groups: Mapping[str, str], names: Sequence[str], where: str) -> Tensor | None:
    """The number of each named image's group (N, int64), by the sorted names of groups; None where none has any.

    Raises DataError where only some of the images have one.
    """
    missing = [name for name in names if not groups.get(name)]
    if len(missing) == len(names):
        return None
    if missing:
        raise DataError(
            f"{where}: {len(missing):,} of {len(names):,} images have no group, the first is {shown(missing[0])}; name a "
            "group for every image of a split, by its path below the image folder, or for none."
        )
    number = {group: index for index, group in enumerate(sorted(set(groups.values())))}
    return torch.tensor([number[groups[name]] for name in names])


def _text(file: Path) -> str:
    try:  # a FIFO would wait for a writer
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > BYTES_AT_MOST:
                raise DataError(f"{shown(str(file))} is no file of at most {BYTES_AT_MOST:,} bytes.")
            return opened.read(BYTES_AT_MOST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(str(file))} cannot be read: {error}. See that it is there, in UTF-8.") from error
