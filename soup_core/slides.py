"""Panels as a PowerPoint file: charts that can be edited where slides know their kind, pictures elsewhere.

A figure of lines, points or bars becomes a chart of the presentation, with its numbers; bands, error bars, maps of colour
and solids become pictures with their description.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb
from pptx import Presentation
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_AXIS_CROSSES, XL_CHART_TYPE, XL_LEGEND_POSITION, XL_MARKER_STYLE, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_LINE
from pptx.enum.text import PP_ALIGN
from pptx.util import Emu, Inches, Pt

from soup_core.errors import SoupError
from soup_core.printing import Picture, pictures
from soup_core.scenes import Drawing, Number, Panel, Table, values_of
from soup_core.words import visible

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
EDGE, TITLE_TOP = Inches(0.6), Inches(0.4)
INNER = WIDTH - 2 * EDGE
INK, QUIET, ACCENT = RGBColor(0x1B, 0x24, 0x30), RGBColor(0x5A, 0x64, 0x72), RGBColor(0x00, 0x72, 0xB2)
HOLLOW = 0.7  # how much lighter hollow marks are; not all programs draw a mark's edge
NUMBERS_WIDE = Inches(3.1)
NUMBERS_AT_MOST, ROWS_AT_MOST, COLUMNS_AT_MOST = 4, 11, 7
MARKERS = {"circle": XL_MARKER_STYLE.CIRCLE, "diamond": XL_MARKER_STYLE.DIAMOND, "square": XL_MARKER_STYLE.SQUARE,
           "star": XL_MARKER_STYLE.STAR, "triangle": XL_MARKER_STYLE.TRIANGLE, "hexagon": XL_MARKER_STYLE.CIRCLE,
           "pentagon": XL_MARKER_STYLE.CIRCLE, "x": XL_MARKER_STYLE.X}  # fmt: skip
Place = tuple[int, int, int]  # how far down, how wide and how high, in EMU
Draw = Callable[[Sequence[go.Figure]], Sequence[Picture]]


@dataclass(frozen=True)
class Series:
    """One line of points of a chart; `fill` is False for hollow marks, `colour` like "#0072B2"."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str
    symbol: str | None
    fill: bool
    line: str | None


@dataclass(frozen=True)
class Chart:
    """A figure as slides know it: of categories where it has names along its axis, else of numbers."""

    series: tuple[Series, ...]
    categories: tuple[str, ...]
    bars: bool
    x_title: str
    y_title: str
    y_range: tuple[float, float] | None


def slides(title: str, lead: str, panels: Sequence[Panel], draw: Draw = pictures) -> bytes:
    """The panels as a .pptx file: a slide with the title, then one a panel, and more for what does not fit on it.

    The note of a panel is under its title and, with its sentences, in the notes of the slide. `draw` makes pictures of
    figures; where it cannot, its reason stands in their place.
    """
    made = Presentation()
    made.slide_width, made.slide_height = WIDTH, HEIGHT
    first = _slide(made, title, lead, Inches(2.6))
    _write(first, "Made with Model Soups Explorer", EDGE, HEIGHT - Inches(0.9), INNER, Inches(0.4), 14, QUIET)
    others = [each for panel in panels for each in panel.drawings if native(each.figure) is None]
    shown: dict[int, Picture | str] = {}
    try:
        drawn = draw([each.figure for each in others])
        shown.update((id(each), picture) for each, picture in zip(others, drawn, strict=True))
    except SoupError as error:
        shown.update((id(each), str(error)) for each in others)
    for panel in panels:
        _panel(made, panel, shown)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def _panel(made: Any, panel: Panel, shown: dict[int, Picture | str]) -> None:
    things: list[Drawing | Table] = [*panel.drawings, *(each for each in panel.tables if each.rows)]
    pages = [things[at : at + 1] for at in range(len(things))] or [[]]
    for number, page in enumerate(pages):
        slide = _slide(made, panel.title, panel.note if number == 0 else "")
        top = Inches(1.35) if number or not panel.note else Inches(2.15)
        beside = panel.numbers[:NUMBERS_AT_MOST] if number == 0 else ()
        width = INNER - (NUMBERS_WIDE if beside else 0)
        end = HEIGHT - EDGE - (Inches(0.75) if panel.sentences and number == 0 else 0)
        _numbers(slide, beside, top, end - top)
        for thing in page:
            _thing(slide, thing, shown, (top, width, end - top))
        if panel.sentences and number == 0:
            _write(slide, panel.sentences[-1], EDGE, end + Inches(0.1), INNER, Inches(0.65), 15, INK, bold=True)
        slide.notes_slide.notes_text_frame.text = _text("\n".join((panel.note, *panel.sentences)))


def _thing(slide: Any, thing: Drawing | Table, shown: dict[int, Picture | str], place: Place) -> None:
    top, width, height = place
    if isinstance(thing, Table):
        _table(slide, thing, place)
        return
    chart = native(thing.figure)
    if chart is not None:
        _chart(slide, chart, thing.alt, place)
        return
    picture = shown[id(thing)]
    if isinstance(picture, str):
        _write(slide, picture, EDGE, top, width, height, 14, QUIET)
        return
    wide = int(min(width, height * picture.width / picture.height))
    placed = slide.shapes.add_picture(io.BytesIO(picture.png), EDGE + (width - wide) // 2, top, wide)
    placed._element.nvPicPr.cNvPr.set("descr", _text(thing.alt))  # python-pptx has no name for it


def _slide(made: Any, title: str, lead: str, top: int = TITLE_TOP) -> Any:
    slide = made.slides.add_slide(made.slide_layouts[5])  # a title alone
    heading = slide.shapes.title
    heading.left, heading.top, heading.width, heading.height = EDGE, Emu(top), INNER, Inches(0.95)
    heading.text_frame.text, heading.text_frame.word_wrap = _text(title), True
    _style(heading.text_frame, 30 if len(title) < 50 else 24, INK, bold=True)
    if lead:
        _write(slide, lead, EDGE, top + Inches(0.95), INNER, Inches(0.75), 16 if len(lead) < 220 else 13, QUIET)
    return slide


def _numbers(slide: Any, numbers: Sequence[Number], top: int, height: int) -> None:
    left, width = EDGE + INNER - NUMBERS_WIDE + Inches(0.2), NUMBERS_WIDE - Inches(0.2)
    for place, number in enumerate(numbers):
        at = top + place * min(Inches(1.15), height // len(numbers))
        _write(slide, number.label, left, at, width, Inches(0.3), 11, QUIET)
        _write(slide, number.value, left, at + Inches(0.2), width, Inches(0.5), 24 if len(number.value) < 10 else 18, ACCENT,
               bold=True)  # fmt: skip
        _write(slide, number.beneath, left, at + Inches(0.62), width, Inches(0.3), 11, QUIET)


def _table(slide: Any, table: Table, place: Place) -> None:
    top, width, _ = place
    rows, columns = table.rows[:ROWS_AT_MOST], min(COLUMNS_AT_MOST, len(table.heads))
    frame = slide.shapes.add_table(len(rows) + 1, columns, EDGE, top, width, Inches(0.33) * (len(rows) + 1))
    letters = [min(40, max(len(row[j]) for row in (table.heads, *rows))) + 3 for j in range(columns)]
    for j, column in enumerate(frame.table.columns):
        column.width = width * letters[j] // sum(letters)
    for i, row in enumerate((table.heads, *rows)):
        for j, cell in enumerate(row[:columns]):
            field = frame.table.cell(i, j)
            field.text = _text(cell)
            _style(field.text_frame, 11, None if i == 0 else INK, bold=i == 0)
    if len(table.rows) > len(rows) or len(table.heads) > columns:
        _write(slide, f"{len(rows)} of {len(table.rows)} rows, {columns} of {len(table.heads)} columns.", EDGE,
               HEIGHT - EDGE, INNER, Inches(0.3), 11, QUIET)  # fmt: skip


def _chart(slide: Any, chart: Chart, alt: str, place: Place) -> None:
    top, width, height = place
    data: Any
    if chart.categories:
        data = CategoryChartData()
        data.categories = [_text(each) for each in chart.categories]
        for each in chart.series:
            at = dict(zip(each.xs, each.ys, strict=True))
            data.add_series(_text(each.name), [at.get(float(place)) for place in range(len(chart.categories))])
    else:
        data = XyChartData()
        for each in chart.series:
            points = data.add_series(_text(each.name))
            for x, y in zip(each.xs, each.ys, strict=True):
                points.add_data_point(x, y)
    kind = XL_CHART_TYPE.COLUMN_CLUSTERED if chart.bars else (
        XL_CHART_TYPE.LINE_MARKERS if chart.categories else XL_CHART_TYPE.XY_SCATTER_LINES
    )  # fmt: skip
    frame = slide.shapes.add_chart(kind, EDGE, Emu(top), Emu(width), Emu(height), data)
    frame._element.nvGraphicFramePr.cNvPr.set("descr", _text(alt))
    drawn = frame.chart
    drawn.font.size, drawn.font.color.rgb = Pt(12), INK
    drawn.has_title = False
    drawn.has_legend = len(chart.series) > 1
    if drawn.has_legend:
        drawn.legend.position, drawn.legend.include_in_layout = XL_LEGEND_POSITION.TOP, False
    if not chart.categories:
        drawn.category_axis.minimum_scale, drawn.category_axis.maximum_scale = _extent(chart.series)
    for axis, title in ((drawn.category_axis, chart.x_title), (drawn.value_axis, chart.y_title)):
        axis.has_major_gridlines = axis is drawn.value_axis
        axis.format.line.color.rgb = QUIET
        axis.crosses, axis.tick_label_position = XL_AXIS_CROSSES.MINIMUM, XL_TICK_LABEL_POSITION.LOW
        if title:
            axis.axis_title.text_frame.text = _text(title)
            _style(axis.axis_title.text_frame, 12, QUIET)
    drawn.value_axis.major_gridlines.format.line.color.rgb = RGBColor(0xD8, 0xDD, 0xE3)
    if chart.y_range:
        drawn.value_axis.minimum_scale, drawn.value_axis.maximum_scale = chart.y_range
    for series, each in zip(drawn.plots[0].series, chart.series, strict=True):
        _colour_series(series, each, chart.bars)


def _extent(series: Sequence[Series]) -> tuple[float, float]:
    """The span of the numbers along a chart; counts get a step of room on either side."""
    xs = [x for each in series for x in each.xs]
    room = 1.0 if all(float(x).is_integer() for x in xs) else 0.0
    return min(xs) - room, max(xs) + (room or (1.0 if min(xs) == max(xs) else 0.0))


def _colour_series(series: Any, of: Series, bars: bool) -> None:
    colour = RGBColor(*hex_to_rgb(of.colour))
    if bars:
        series.format.fill.solid()
        series.format.fill.fore_color.rgb = colour
        return
    series.smooth = False
    if of.line is None:
        series.format.line.fill.background()
    else:
        series.format.line.color.rgb, series.format.line.width = colour, Pt(2)
        if of.line != "solid":
            series.format.line.dash_style = MSO_LINE.DASH
    if of.symbol is None:
        series.marker.style = XL_MARKER_STYLE.NONE
        return
    series.marker.style, series.marker.size = MARKERS.get(of.symbol.split("-")[0], XL_MARKER_STYLE.CIRCLE), 9
    series.marker.format.line.color.rgb = colour
    series.marker.format.fill.solid()
    series.marker.format.fill.fore_color.rgb = colour
    series.marker.format.fill.fore_color.brightness = 0.0 if of.fill else HOLLOW


def native(figure: go.Figure) -> Chart | None:
    """The figure as a chart of slides, or None where it holds what they do not know: bands, error bars, maps of colour."""
    layout = figure.layout
    traces = [each for each in figure.data if each.visible in (None, True)]
    kinds = {each.type for each in traces}
    if not traces or kinds not in ({"scatter"}, {"bar"}) or any(not _plain(each) for each in traces):
        return None
    names, places = layout.xaxis.ticktext, layout.xaxis.tickvals
    found = [part for trace in traces for part in _series(trace)]
    if not found or any(not _is_number(value) for each in found for value in (*each.xs, *each.ys)):
        return None
    if any(axis.startswith(("xaxis", "yaxis")) and axis not in ("xaxis", "yaxis") for axis in layout.to_plotly_json()):
        return None
    categories = () if names is None else tuple(_unescaped(str(name)) for name in names)
    if names is not None and list(map(float, places)) != list(range(len(categories))):
        return None
    if categories and any(x not in range(len(categories)) for each in found for x in each.xs):
        return None
    if kinds == {"bar"} and not categories:
        return None
    levels = list(_levels(figure, found))
    if len(levels) != len(layout.shapes) or (kinds == {"bar"} and levels):
        return None
    if categories:
        levels = [
            Series(each.name, tuple(map(float, range(len(categories)))), each.ys[:1] * len(categories), each.colour, None,
                   True, each.line) for each in levels
        ]  # fmt: skip
    given = layout.yaxis.range
    return Chart(
        (*found, *levels), categories, kinds == {"bar"}, _title(layout.xaxis), _title(layout.yaxis),
        None if given is None else (float(given[0]), float(given[1])),
    )  # fmt: skip


def _plain(trace: Any) -> bool:
    if trace.type == "bar":
        return (trace.orientation or "v") == "v" and trace.error_y.array is None and trace.base is None
    errors = (trace.error_x.array, trace.error_y.array)
    return trace.fill in (None, "none") and all(each is None for each in errors)


def _series(trace: Any) -> Iterator[Series]:
    """A trace's points, parted by colour and mark where these differ within it."""
    xs, ys = values_of(trace.x), values_of(trace.y)
    if not xs:
        xs = tuple(range(len(ys)))
    mode = trace.mode or "lines+markers" if trace.type == "scatter" else "markers"
    name = _unescaped(trace.name or "")
    line_colour = trace.line.color if trace.type == "scatter" else None

    def each_of(value: Any, usual: str) -> list[Any]:
        several = values_of(value) if not isinstance(value, str) else ()
        return [part or usual for part in several] if several else [value or usual] * len(xs)

    colours = each_of(trace.marker.color, line_colour if isinstance(line_colour, str) else "#808080")
    symbols = each_of(trace.marker.symbol if trace.type == "scatter" else None, "circle")
    if "lines" in mode:
        symbol = str(symbols[0]) if "markers" in mode and symbols else None
        colour = line_colour if isinstance(line_colour, str) else str(colours[0]) if colours else "#808080"
        line = "solid" if trace.line.dash in (None, "solid") else "dash"
        pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
        if trace.line.shape == "hv":  # level up to the next point, then up or down
            pairs = [each for (x, y), (to, _) in pairwise(pairs) for each in ((x, y), (to, y))] + pairs[-1:]
        yield Series(name, tuple(x for x, _ in pairs), tuple(y for _, y in pairs), _hex(colour), symbol,
                     symbol is not None and "open" not in symbol, line)  # fmt: skip
        return
    for kind in dict.fromkeys(zip(colours, symbols, strict=True)):
        chosen = [
            at for at, pair in enumerate(zip(colours, symbols, strict=True)) if pair == kind and ys[at] is not None
        ]
        yield Series(name, tuple(xs[at] for at in chosen), tuple(ys[at] for at in chosen), _hex(kind[0]), str(kind[1]),
                     "open" not in str(kind[1]), None)  # fmt: skip


def _levels(figure: go.Figure, found: Sequence[Series]) -> Iterator[Series]:
    """Lines across the figure as series, each named by its label."""
    xs = [x for each in found for x in each.xs]
    for shape in figure.layout.shapes:
        if shape.type == "line" and shape.y0 == shape.y1 and str(shape.xref).endswith("domain"):
            label = next((note.text for note in figure.layout.annotations if note.y == shape.y0), None)
            yield Series(_unescaped(label or ""), (min(xs), max(xs)), (float(shape.y0),) * 2, _hex(shape.line.color), None,
                         True, "dash" if shape.line.dash not in (None, "solid") else "solid")  # fmt: skip


def _hex(colour: Any) -> str:
    return colour if isinstance(colour, str) and colour.startswith("#") and len(colour) == 7 else "#808080"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _title(axis: Any) -> str:
    return _unescaped(axis.title.text or "")


def _unescaped(text: str) -> str:
    """Texts were escaped for Plotly, which takes them for markup."""
    return text.replace("<br>", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _write(slide: Any, text: str, left: int, top: int, width: int, height: int, size: int, colour: RGBColor,
           bold: bool = False) -> None:  # fmt: skip
    frame = slide.shapes.add_textbox(Emu(left), Emu(top), Emu(width), Emu(height)).text_frame
    frame.word_wrap = True
    frame.text = _text(text)
    _style(frame, size, colour, bold)


def _style(frame: Any, size: int, colour: RGBColor | None, bold: bool = False) -> None:
    for paragraph in frame.paragraphs:
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.font.size, paragraph.font.bold = Pt(size), bold
        if colour is not None:
            paragraph.font.color.rgb = colour


def _text(text: str) -> str:
    """What a slide can hold: without control characters, and without halves of letters."""
    return "\n".join(map(visible, text.split("\n"))).encode("utf-8", "replace").decode()
