"""Tables of labelled texts beside checkpoints: where they lie, their columns and labels, and the tokenizer that reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soup_core.data import operator_folders, split_folders
from soup_core.data.sources import allowed
from soup_core.data.text_files import SUFFIXES, Columns, Label, column_names
from soup_core.data.text_sources import SHARD, TextSource, label_names, text_source
from soup_core.data.text_tokenizers import holds_tokenizer
from soup_core.errors import DataError
from soup_core.zoo.naming import written

FOLDERS_AT_MOST = 200


def texts_beside(folder: Path) -> str | None:
    """The path of a folder, this one or one in it, with files of texts for at least two splits; None where there is none."""
    for parent in (folder, *_folders(folder)):
        try:
            stems = {SHARD.sub("", each.stem) for each in parent.iterdir() if each.suffix.lower() in SUFFIXES}
            if len(split_folders(sorted(stems), parent.name)) > 1:
                return written(parent, folder)
        except (OSError, DataError):
            continue
    return None


def tokenizer_beside(folder: Path, architecture: Mapping[str, Any], files: Sequence[Path]) -> str | None:
    """The path of the folder whose tokenizer reads the texts: the network's own, that of a checkpoint, or one around it."""
    family, _, own = str(architecture.get("name", "")).partition(":")
    candidates = [folder / own] if family == "transformers" else []
    candidates += [parent for file in files for parent in file.parents if parent.is_relative_to(folder)]
    candidates += _folders(folder)
    for each in dict.fromkeys(candidates):
        if holds_tokenizer(each):
            return written(each, folder)
    return None


def text_labels(folder: Path, path: str, columns: Mapping[str, str]) -> tuple[Label, ...]:
    """The labels of all splits, numbers first; none where they cannot be read."""
    try:
        source = _source(folder, path, columns)
        found = {label for part in source.parts.values() for label in label_names(part)}
    except (DataError, OSError):
        return ()
    return tuple(sorted(found, key=lambda each: (isinstance(each, str), each)))


def text_question(folder: Path, path: str, columns: Mapping[str, str]) -> str:
    """What keeps the texts at a path from being read, such as columns that nobody has named; empty where nothing does."""
    try:
        _source(folder, path, columns)
    except DataError as error:
        return str(error)
    return ""


def columns_of(folder: Path, path: str) -> tuple[str, ...]:
    """The columns of the texts at a path, of which a person may choose; none where there is no table that can be read."""
    try:
        place = allowed(folder / path, [each.resolve() for each in (folder, *operator_folders())])
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        tables = [
            each for each in files if each.suffix.lower() in SUFFIXES and not each.is_symlink() and each.is_file()
        ]
        return column_names(tables[0]) if tables else ()
    except (DataError, OSError):
        return ()


def _source(folder: Path, path: str, columns: Mapping[str, str]) -> TextSource:
    roots = [each.resolve() for each in (folder, *operator_folders())]
    return text_source(folder / path, roots, Columns(**columns))


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink())[:FOLDERS_AT_MOST]
    except OSError:
        return []
