"""A presentation: scenes, each a page's state with a title and a note, kept as a file or as one link; and what each shows."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from soup_core.charts.style import unescaped
from soup_core.errors import SoupError

FORMAT = 1
SCENES_AT_MOST = 100
UNPACKED_AT_MOST = 1_000_000  # bytes of JSON in a link, which a few bytes may claim to be
Text = Annotated[str, StringConstraints(max_length=2000)]


class Scene(BaseModel):
    """A page with the parameters of its address, what the audience reads, and the keys of the controls that stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: Text
    state: dict[Text, tuple[Text, ...]] = {}
    title: Text = ""
    note: Text = ""
    pinned: tuple[Text, ...] = ()


class Presentation(BaseModel):
    """What a file of scenes holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    scenes: tuple[Scene, ...]


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
        heads = ["series", *(axis.title.text or letter for axis, letter in
                             ((self.figure.layout.xaxis, "x"), (self.figure.layout.yaxis, "y"))), "value"]  # fmt: skip
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
    cells = [["" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else unescaped(str(cell)) for cell in row]
             for row in rows]  # fmt: skip
    used = [place for place in range(len(heads)) if any(row[place] for row in cells)]
    return Table(tuple(unescaped(heads[place]) for place in used),
                 tuple(tuple(row[place] for place in used) for row in cells))  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """What a scene shows: its title and note, then numbers, figures, tables and sentences; all text without markup.

    `told` is what the page says beside its findings: warnings and notices.
    """

    title: str
    note: str = ""
    numbers: tuple[Number, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    sentences: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def to_json(scenes: Sequence[Scene]) -> str:
    """The scenes as a file."""
    return Presentation(scenes=tuple(scenes)).model_dump_json(indent=1, exclude_defaults=True)


def from_json(text: str | bytes, where: str = "The file of scenes") -> tuple[Scene, ...]:
    """The scenes of a file. Raises SoupError, which says what is wrong where."""
    try:
        found = Presentation.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its text"
        raise SoupError(f"{where} cannot be read: at {place}, {first['msg'][:200]}.") from None
    if found.format != FORMAT or len(found.scenes) > SCENES_AT_MOST:
        raise SoupError(f"{where} cannot be read; expected format {FORMAT} and at most {SCENES_AT_MOST} scenes, "
                        f"found format {found.format} and {len(found.scenes)}.")  # fmt: skip
    return found.scenes


def to_link(scenes: Sequence[Scene]) -> str:
    """The scenes as a parameter of an address: compressed JSON, in letters, digits, hyphens and underscores."""
    compact = json.dumps([scene.model_dump(mode="json", exclude_defaults=True) for scene in scenes],
                         separators=(",", ":"), ensure_ascii=False)  # fmt: skip
    return base64.urlsafe_b64encode(zlib.compress(compact.encode(), 9)).decode().rstrip("=")


def from_link(text: str) -> tuple[Scene, ...]:
    """The scenes that `to_link` wrote. Raises SoupError where it did not."""
    try:
        unpacked = zlib.decompressobj()
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = unpacked.decompress(packed, UNPACKED_AT_MOST)
        if not unpacked.eof:
            raise zlib.error("it goes on")
    except (binascii.Error, ValueError, zlib.error):
        raise SoupError("The scenes in the address are incomplete or damaged; copy the whole link once more.") from None
    return from_json(b'{"format":1,"scenes":' + plain + b"}", "The link's list of scenes")
