"""What a scene shows, as values: numbers, figures, tables and sentences, for reports and slides."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import plotly.graph_objects as go

from soup_core.charts.style import unescaped


@dataclass(frozen=True)
class Number:
    """A number as a page shows it, all of it text without markup: what it is, its value, and what stands beneath it."""

    label: str
    value: str
    beneath: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure, and what it shows in words."""

    figure: go.Figure
    alt: str

    @property
    def table(self) -> "Table":
        """The figure's data, a row a point: of a grid a row a cell, of parallel coordinates a row a line.

        A point's last cell is its height in space, or how far its error bar reaches up.
        """
        traces = [each for each in self.figure.data if each.visible in (None, True)]
        if axes := next((each.dimensions for each in traces if each.type == "parcoords"), None):
            columns = [values_of(axis.values) for axis in axes]
            return _table([axis.label or "" for axis in axes], zip(*columns, strict=True))
        heads = [
            "series",
            *(
                axis.title.text or letter
                for axis, letter in ((self.figure.layout.xaxis, "x"), (self.figure.layout.yaxis, "y"))
            ),
            "value",
        ]
        return _table(heads, (row for trace in traces for row in _rows(trace)))


@dataclass(frozen=True)
class Table:
    """Heads, and rows of as many cells each."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def values_of(array: Any) -> tuple[Any, ...]:
    """The values of a figure's array, whether it is a list, numpy's, or packed as Plotly's JSON packs arrays."""
    if isinstance(array, dict) and "bdata" in array:
        flat = np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])
        array = flat.reshape([int(size) for size in str(array.get("shape", flat.size)).split(",")])
    return () if array is None else tuple(np.asarray(array, object).tolist())


def _rows(trace: Any) -> Iterator[tuple[Any, ...]]:
    xs, ys = values_of(getattr(trace, "x", None)), values_of(getattr(trace, "y", None))
    zs = values_of(getattr(trace, "z", None)) or values_of(getattr(getattr(trace, "error_y", None), "array", None))
    name = trace.name or ""
    if zs and isinstance(zs[0], (list, tuple)):
        for j, line in enumerate(zs):
            yield from ((name, xs[i] if xs else i, ys[j] if ys else j, z) for i, z in enumerate(line))
    else:
        yield from ((name, *row) for row in zip_longest(xs, ys, zs))


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """The cells as text, without columns that hold nothing; names were escaped for Plotly, and are not here."""
    cells = [
        ["" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else unescaped(str(cell)) for cell in row]
        for row in rows
    ]
    used = [column for column in range(len(heads)) if any(row[column] for row in cells)]
    return Table(
        tuple(unescaped(heads[column]) for column in used),
        tuple(tuple(row[column] for column in used) for row in cells),
    )


@dataclass(frozen=True)
class Panel:
    """What a scene shows: its title and note, then numbers, figures, tables and sentences; all text without markup.

    `messages` are what the page says beside its findings: warnings and notices.
    """

    title: str
    note: str = ""
    numbers: tuple[Number, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    sentences: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
