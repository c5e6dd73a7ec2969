"""Where labelled texts lie: a file that is divided, by a column or by shares, or a folder with a file of each split."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from soup_core.data.sources import SPELLINGS, WHOLE, allowed, split_folders
from soup_core.data.text_files import SUFFIXES, Columns, Label, chosen_columns, column_names, rows
from soup_core.errors import DataError
from soup_core.runtime.files import listed, shown

FILES_AT_MOST = 1000
SHARD = re.compile(r"-\d{5}-of-\d{5}$")  # as Hugging Face's datasets are cut


@dataclass(frozen=True)
class TextPart:
    """Files of texts, one after the other, by these columns; with `values` the rows alone of which the split's column says so."""

    files: tuple[Path, ...]
    columns: Columns
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextSource:
    """The parts of a source of texts, "train", "held_out" and "test" or "whole", the name of each, and shifts by name.

    `unused` are the files that became none of these.
    """

    parts: Mapping[str, TextPart]
    names: Mapping[str, str]
    shifts: Mapping[str, TextPart]
    unused: tuple[str, ...] = ()


def text_source(path: Path, roots: Sequence[Path], asked: Columns) -> TextSource:
    """The parts of a file or a folder of texts.

    In a folder each split is a file called as image folders are (see SPELLINGS), and other files with the same columns are
    shifts. Raises DataError where there are none, and for links that lead out of the roots.
    """
    resolved = allowed(path, roots)
    return _of_folder(resolved, roots, asked) if resolved.is_dir() else _of_file(resolved, asked)


def text_part(path: Path, roots: Sequence[Path], asked: Columns) -> TextPart:
    """A file of texts as a whole, whatever a column says of splits. Raises DataError where it cannot be read."""
    file = allowed(path, roots)
    return TextPart((file,), replace(_columns(file, replace(asked, split="")), split=""))


def label_names(part: TextPart) -> tuple[Label, ...]:
    """The different labels of a part, numbers first. Raises DataError as reading it does."""
    found: set[Label] = set()
    for file in part.files:
        status = file.stat()
        found |= {label for label, split in _labels(file, part.columns, status.st_size, status.st_mtime_ns)
                  if not part.values or split in part.values}  # fmt: skip
    return tuple(sorted(found, key=lambda each: (isinstance(each, str), each)))


@lru_cache(maxsize=64)
def _labels(file: Path, columns: Columns, *_identity: int) -> frozenset[tuple[Label, str]]:
    return frozenset((row.label, row.split) for row in rows(file, columns))


def _of_file(file: Path, asked: Columns) -> TextSource:
    columns = _columns(file, asked)
    whole = TextPart((file,), columns)
    if not columns.split:
        return TextSource({WHOLE: whole}, {WHOLE: file.name}, {})
    status = file.stat()
    found = _labels(file, columns, status.st_size, status.st_mtime_ns)
    values = sorted({split for _, split in found})
    names = split_folders(values, f"The column {shown(columns.split)} of {shown(file)}")
    if not names:
        raise DataError(
            f"The column {shown(columns.split)} of {shown(file)} says {listed(map(shown, values))}; expected train, "
            'validation or test, or another column as columns = { split = "…" } in [data] of zoo.toml.'
        )
    parts = {part: replace(whole, values=(value,)) for part, value in names.items()}
    beside = {value: replace(whole, values=(value,)) for value in values if value and value not in names.values()}
    return TextSource(parts, names, beside)


def _of_folder(folder: Path, roots: Sequence[Path], asked: Columns) -> TextSource:
    try:
        entries = sorted(itertools.islice(folder.iterdir(), FILES_AT_MOST + 1))
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read ({error.strerror}); see to its permissions.") from error
    if len(entries) > FILES_AT_MOST:
        raise DataError(f"{shown(folder)} holds more than {FILES_AT_MOST:,} files; name one with the texts alone.")
    by_stem: dict[str, list[Path]] = {}
    for entry in entries:
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file():
            by_stem.setdefault(SHARD.sub("", entry.stem), []).append(allowed(entry, roots))
    for stem, files in by_stem.items():
        if len(files) > 1 and not all(SHARD.search(file.stem) for file in files):
            raise DataError(
                f"{shown(folder)} has both {shown(files[0])} and {shown(files[1])} for {shown(stem)}; keep one."
            )
    names = split_folders(list(by_stem), shown(folder))
    if not names:
        known = listed((spelling for spellings in SPELLINGS.values() for spelling in spellings), 20)
        raise DataError(
            f"{shown(folder)} holds no file of a split; expected one called {known}, with {' or '.join(SUFFIXES)} after it, or "
            "the name of one file that is divided."
        )
    parts = {part: _joined(by_stem[stem], asked) for part, stem in names.items()}
    columns = next(iter(parts.values())).columns
    shifts, unused = {}, []
    for stem, files in by_stem.items():
        if stem in names.values():
            continue
        try:
            shifts[stem] = _joined(files, columns)
        except DataError:
            unused.append(files[0].name)
    return TextSource(parts, names, shifts, tuple(unused))


def _joined(files: Sequence[Path], asked: Columns) -> TextPart:
    return TextPart(tuple(files), replace(_columns(files[0], asked), split=""))


def _columns(file: Path, asked: Columns) -> Columns:
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(f"{shown(file)} is no table of texts; expected a name that ends in {', '.join(SUFFIXES)}.")
    return chosen_columns(asked, column_names(file), shown(file))
