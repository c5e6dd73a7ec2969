"""A figure as a chart that slides know: lines, points or bars with their numbers, or that it is none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from soup_core.charts.style import unescaped
from soup_core.presentation.panels import values_of


@dataclass(frozen=True)
class Series:
    """One line of points of a chart; `fill` is False for hollow marks, `colour` like "#0072B2", `listed` in the legend."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str
    symbol: str | None
    fill: bool
    line: str | None
    size: float = 12  # of the marks, in pixels of the screen
    listed: bool = True


@dataclass(frozen=True)
class Chart:
    """A figure as slides know it: of categories where it has names along its axis, else of numbers."""

    series: tuple[Series, ...]
    categories: tuple[str, ...]
    bars: bool
    x_title: str
    y_title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float] | None


def native(figure: go.Figure) -> Chart | None:
    """The figure as a chart of slides, or None where it holds what they do not know.

    These are bands, error bars, maps of colour, marks whose colour or size is a number, words within the figure, and axes
    that are logarithmic, reversed or of one scale.
    """
    layout = figure.layout
    traces = [each for each in figure.data if each.visible in (None, True)]
    kinds = {each.type for each in traces}
    if not traces or kinds not in ({"scatter"}, {"bar"}) or not all(map(_plain, traces)) or not _plain_axes(layout):
        return None
    names, positions = values_of(layout.xaxis.ticktext), values_of(layout.xaxis.tickvals)
    series = [part for trace in traces for part in _series(trace) if part.xs]
    if not series or any(not _is_number(value) for each in series for value in (*each.xs, *each.ys)):
        return None
    categories = tuple(unescaped(str(name)) for name in names)
    if categories and positions != tuple(range(len(categories))):
        return None
    if categories and any(len(set(each.xs)) < len(each.xs) or not {*each.xs} <= {*positions} for each in series):
        return None
    if kinds == {"bar"} and (not categories or layout.barmode not in (None, "group")):
        return None
    levels = list(_levels(figure, series))
    if len(levels) != len(layout.shapes) or (kinds == {"bar"} and levels) or len(layout.annotations) > len(levels):
        return None
    if categories:
        along = tuple(map(float, range(len(categories))))
        levels = [replace(each, xs=along, ys=each.ys[:1] * len(along)) for each in levels]
    if layout.showlegend is False:
        series = [replace(each, listed=False) for each in series]
    given = layout.yaxis.range
    return Chart(
        (*series, *levels),
        categories,
        kinds == {"bar"},
        unescaped(layout.xaxis.title.text or ""),
        unescaped(layout.yaxis.title.text or ""),
        _extent(series),
        None if given is None else (float(given[0]), float(given[1])),
    )


def _plain_axes(layout: Any) -> bool:
    if any(axis.startswith(("xaxis", "yaxis")) and axis not in ("xaxis", "yaxis") for axis in layout.to_plotly_json()):
        return False
    for axis in (layout.xaxis, layout.yaxis):
        low, high = axis.range or (0, 1)
        if axis.type == "log" or axis.scaleanchor is not None or axis.autorange == "reversed":
            return False
        if not (_is_number(low) and _is_number(high)) or low >= high:
            return False
    return True


def _plain(trace: Any) -> bool:
    marker = trace.marker
    given = [_several(marker.color)]
    if marker.colorscale is not None or marker.coloraxis is not None or any(map(_is_number, (marker.color, *given[0]))):
        return False
    if trace.type == "bar":
        known = trace.orientation in (None, "v") and trace.base is None
    else:
        mode, sizes = trace.mode or "lines+markers", _several(marker.size)
        given += [_several(marker.symbol), sizes]
        known = trace.fill in (None, "none") and trace.line.shape in (None, "linear", "hv") and "text" not in mode
        known = known and trace.error_x.array is None and len(set(sizes)) <= 2  # one of two sizes points a mark out
        known = known and not ("lines" in mode and any(len(set(each)) > 1 for each in given))
    count = len(values_of(trace.y))
    return (
        known and trace.error_y.array is None and all(len(each) in (0, count) for each in (*given, values_of(trace.x)))
    )


def _several(value: Any) -> tuple[Any, ...]:
    """What is given for each point, or nothing where it is one for all."""
    return () if value is None or isinstance(value, (str, int, float)) else values_of(value)


def _series(trace: Any) -> Iterator[Series]:
    """A trace's points, parted by colour, mark and size where these differ within it."""
    xs, ys = values_of(trace.x), values_of(trace.y)
    if not xs:
        xs = tuple(range(len(ys)))
    mode = trace.mode or "lines+markers" if trace.type == "scatter" else "markers"
    name, listed = unescaped(trace.name or ""), trace.showlegend is not False
    line_colour = trace.line.color if trace.type == "scatter" else None

    def each_of(value: Any, usual: Any) -> list[Any]:
        several = _several(value)
        return [part or usual for part in several] if several else [value or usual] * len(xs)

    colours = each_of(trace.marker.color, line_colour if isinstance(line_colour, str) else "#808080")
    symbols = each_of(trace.marker.symbol if trace.type == "scatter" else None, "circle")
    sizes = each_of(trace.marker.size if trace.type == "scatter" else None, 12)
    if not xs:
        return
    if "lines" in mode:
        symbol = str(symbols[0]) if "markers" in mode else None
        colour = line_colour if isinstance(line_colour, str) else str(colours[0])
        line = "solid" if trace.line.dash in (None, "solid") else "dash"
        pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
        if trace.line.shape == "hv":  # level up to the next point, then up or down
            pairs = [each for (x, y), (to, _) in pairwise(pairs) for each in ((x, y), (to, y))] + pairs[-1:]
        yield Series(
            name,
            tuple(x for x, _ in pairs),
            tuple(y for _, y in pairs),
            _hex(colour),
            symbol,
            symbol is not None and "open" not in symbol,
            line,
            sizes[0],
            listed,
        )
        return
    looks = list(zip(colours, symbols, sizes, strict=True))
    for number, look in enumerate(dict.fromkeys(looks)):
        chosen = [at for at, each in enumerate(looks) if each == look and ys[at] is not None]
        colour, symbol, size = look
        yield Series(
            name,
            tuple(xs[at] for at in chosen),
            tuple(ys[at] for at in chosen),
            _hex(colour),
            str(symbol),
            "open" not in str(symbol),
            None,
            size,
            listed and number == 0,
        )


def _levels(figure: go.Figure, series: Sequence[Series]) -> Iterator[Series]:
    """Lines across the figure as series, each named by its label."""
    for shape in figure.layout.shapes:
        if (
            shape.type == "line"
            and _is_number(shape.y0)
            and shape.y0 == shape.y1
            and str(shape.xref).endswith("domain")
        ):
            label = next((note.text for note in figure.layout.annotations if note.y == shape.y0), None)
            yield Series(
                unescaped(label or ""),
                _extent(series),
                (float(shape.y0),) * 2,
                _hex(shape.line.color),
                None,
                True,
                "dash" if shape.line.dash not in (None, "solid") else "solid",
            )


def _hex(colour: Any) -> str:
    return colour if isinstance(colour, str) and colour.startswith("#") and len(colour) == 7 else "#808080"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _extent(series: Sequence[Series]) -> tuple[float, float]:
    """The span of the numbers along a chart; counts get a step of room on either side."""
    xs = [x for each in series for x in each.xs]
    room = 1.0 if all(float(x).is_integer() for x in xs) else 0.0
    return min(xs) - room, max(xs) + (room or (1.0 if min(xs) == max(xs) else 0.0))
