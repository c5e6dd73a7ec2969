"""Labelled texts of a table: CSV, tab-separated values, JSON Lines or Parquet, a row after the other.

A file is read as data and by its bytes alone; what a row says wrongly is refused with the place where it stands.
"""

import csv
import io
import json
import os
import re
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from soup_core.data.tokens import Sentences
from soup_core.errors import DataError
from soup_core.runtime.files import listed, shown

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
FILE_AT_MOST = 2_000_000_000  # bytes
TEXT_AT_MOST = 131_072  # characters, where Python's reader of CSV draws the line too
LINE_AT_MOST = 4_000_000  # bytes of a row of JSON
ROWS_AT_ONCE = 256  # of Parquet
TEXTS = ("text", "sentence", "review", "content", "tweet", "comment")
PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"),
    ("text1", "text2"), ("text", "text_pair"), ("query", "passage"),
)  # fmt: skip
LABELS = ("label", "labels", "class", "target", "sentiment", "category", "gold_label")
Label = int | str


@dataclass(frozen=True)
class Columns:
    """The names of the columns: the text, of pairs the second text, the label, and what says which split a row is in.

    An empty name is one that nobody has said.
    """

    text: str = ""
    pair: str = ""
    label: str = ""
    split: str = ""


class Row(NamedTuple):
    """A text or a pair, its label, and what the column of splits says, empty where there is none."""

    texts: Sentences
    label: Label
    split: str = ""


def column_names(file: Path) -> tuple[str, ...]:
    """The columns that a file has; of JSON Lines those of its first row. Raises DataError where it cannot be read."""
    with opened(file) as binary:
        if _kind(file) == "parquet":
            with _parquet_errors(file):
                return tuple(_parquet(file, binary).schema_arrow.names)
        with closing(_tables(file, binary, names_alone=True)) as tables:  # while the file is open
            for _, table in tables:
                return tuple(map(str, table))
    raise DataError(f"{shown(file)} holds no row; expected labelled texts.")


def chosen_columns(asked: Columns, names: Sequence[str], where: str) -> Columns:
    """The columns by name: those that were asked for, and for the others what they are usually called.

    Raises DataError where one is missing, or none is called so.

    >>> chosen_columns(Columns(), ["idx", "premise", "hypothesis", "label"], "x.csv")
    Columns(text='premise', pair='hypothesis', label='label', split='')
    """
    for key, name in asdict(asked).items():
        if name and name not in names:
            raise DataError(
                f"{where} has no column {shown(name)}, which zoo.toml names as the {key}; it has {_some(names)}."
            )
    folded = {name.lower(): name for name in reversed(names)}
    text, pair, label = asked.text, asked.pair, asked.label
    if not text:
        known = next((each for each in PAIRS if set(each) <= set(folded)), None)
        single = next((each for each in TEXTS if each in folded), None)
        if known is None and single is None:
            raise DataError(
                f"Which column of {where} is the text? It has {_some(names)}; say in [data] of zoo.toml "
                'columns = { text = "…", label = "…" }.'
            )
        text = folded[known[0] if known else str(single)]
        pair = pair or (folded[known[1]] if known else "")
    if not label:
        found = next((each for each in LABELS if each in folded), None)
        if found is None:
            raise DataError(
                f"Which column of {where} is the label? It has {_some(names)}; say in [data] of zoo.toml "
                'columns = { text = "…", label = "…" }.'
            )
        label = folded[found]
    return Columns(text, pair, label, asked.split or folded.get("split", ""))


def rows(file: Path, columns: Columns) -> Iterator[Row]:
    """The rows of a file, by columns that it has.

    Raises DataError, which names the row, for what is no UTF-8, no row of its format, or lacks a text or a label.
    """
    wanted = [name for name in asdict(columns).values() if name]
    with opened(file) as binary, closing(_any_tables(file, binary, wanted)) as tables:
        for where, table in tables:
            texts = tuple(_text(table, name, where) for name in (columns.text, columns.pair) if name)
            split = str(table.get(columns.split) or "") if columns.split else ""
            yield Row(texts, _label(table.get(columns.label), columns.label, where), split)


def _any_tables(file: Path, binary: BinaryIO, wanted: Sequence[str]) -> Generator[tuple[str, dict[str, Any]]]:
    return _parquet_rows(file, binary, wanted) if _kind(file) == "parquet" else _tables(file, binary)


def _tables(file: Path, binary: BinaryIO, *, names_alone: bool = False) -> Generator[tuple[str, dict[str, Any]]]:
    """Each row with the place where it stands; with `names_alone` one whose keys are the columns."""
    if _kind(file) in ("csv", "tsv"):
        yield from _separated(file, binary, names_alone)
    else:
        yield from _json_lines(file, binary)


def _separated(file: Path, binary: BinaryIO, names_alone: bool) -> Generator[tuple[str, dict[str, Any]]]:
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
    tabs: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}  # as GLUE's own files are
    reader = csv.reader(text, strict=True, **(tabs if _kind(file) == "tsv" else {}))
    names: list[str] = []
    try:
        for values in reader:
            where = f"{shown(file)}, line {reader.line_num},"
            if not values:
                continue
            if not names:
                names = values
                if len(set(names)) < len(names):
                    raise DataError(f"{where} names a column twice ({_some(names)}); give each a name of its own.")
                if names_alone:
                    yield where, dict.fromkeys(names)
                continue
            if len(values) != len(names):
                raise DataError(f"{where} has {len(values)} values for {len(names)} columns; correct that row.")
            yield where, dict(zip(names, values, strict=True))
    except UnicodeDecodeError as error:
        raise _no_utf8(file, error) from error
    except csv.Error as error:
        raise DataError(f"{shown(file)}, line {reader.line_num}, is no row of CSV ({error}); correct it.") from error
    finally:
        text.detach()  # whoever opened the file closes it


def _json_lines(file: Path, binary: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    number = 0
    while line := binary.readline(LINE_AT_MOST + 1):
        number += 1
        where = f"{shown(file)}, line {number},"
        if len(line) > LINE_AT_MOST:
            raise DataError(f"{where} is longer than {LINE_AT_MOST:,} bytes; expected an object of JSON a line.")
        if not line.strip():
            continue
        try:
            table = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise _no_utf8(file, error) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is no JSON ({shown(str(error), 100)}); expected an object a line.") from error
        if not isinstance(table, dict):
            raise DataError(f"{where} holds no object; expected JSON Lines, an object with text and label a line.")
        yield where, table


def _parquet_rows(file: Path, binary: BinaryIO, wanted: Sequence[str]) -> Generator[tuple[str, dict[str, Any]]]:
    number = 0
    with _parquet_errors(file):
        batches = _parquet(file, binary).iter_batches(ROWS_AT_ONCE, columns=list(wanted), use_threads=False)
    while True:
        with _parquet_errors(file):
            batch = next(batches, None)
            content = None if batch is None else batch.to_pylist()
        if content is None:
            return
        for table in content:
            number += 1
            yield f"{shown(file)}, row {number},", table


def _parquet(file: Path, binary: BinaryIO) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(
            f"{shown(file)} needs the package pyarrow, which is not installed here. Install it with: pip install pyarrow"
        ) from error
    opened = ParquetFile(binary, memory_map=False, pre_buffer=False)
    groups = (opened.metadata.row_group(index) for index in range(opened.metadata.num_row_groups))
    if sum(group.total_byte_size for group in groups) > FILE_AT_MOST:
        raise DataError(f"{shown(file)} unpacks to more than {FILE_AT_MOST:,} bytes; divide it into smaller files.")
    return opened


@contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # pyarrow raises many kinds on damaged files
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DataError(f"{shown(file)} cannot be read as Parquet ({shown(reason, 150)}); write it again.") from error


def _text(table: dict[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise DataError(
            f"{where} has no text in the column {shown(name)}; found {found}. Correct that row, or leave it out."
        )
    if len(value) > TEXT_AT_MOST:
        raise DataError(f"{where} has a text of {len(value):,} characters; at most {TEXT_AT_MOST:,} are read. Cut it.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where} has half a character in the column {shown(name)}, which is no text; correct it."
        ) from error
    return value


def _label(value: Any, name: str, where: str) -> Label:
    if isinstance(value, str) and value.strip() and len(value) <= TEXT_AT_MOST:
        # A table without types has numbers as text.
        return int(float(value)) if re.fullmatch(r"-?\d{1,9}(\.0)?", value.strip()) else value
    if isinstance(value, int) and abs(value) < 10**9:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**9:
        return int(value)
    found = "nothing" if value in (None, "") else shown(repr(value), 40)
    raise DataError(
        f"{where} has no label in the column {shown(name)}; found {found}. Expected a name or a whole number: correct that "
        "row, or leave it out."
    )


@contextmanager
def opened(file: Path) -> Iterator[BufferedReader]:
    """The file, where it is a regular one of a size that is read; a FIFO is never waited for. Raises DataError otherwise."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown(file)} cannot be read ({reason}); see to the file.") from error
    with os.fdopen(descriptor, "rb") as binary:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{shown(file)} is no regular file; put the texts themselves there.")
        if status.st_size > FILE_AT_MOST:
            raise DataError(
                f"{shown(file)} has {status.st_size:,} bytes; at most {FILE_AT_MOST:,} are read. Divide it into smaller ones."
            )
        yield binary


def _kind(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")


def _no_utf8(file: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"{shown(file)} is no UTF-8 (byte {error.object[error.start]:#04x} at {error.start}: {error.reason}); save it again "
        "as UTF-8."
    )


def _some(names: Sequence[str]) -> str:
    return listed([shown(name, 60) for name in names], 8)
