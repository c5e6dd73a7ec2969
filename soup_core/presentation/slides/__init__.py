"""Panels as a PowerPoint file: charts that can be edited where slides know their kind, pictures elsewhere.

A figure of lines, points or bars becomes a chart of the presentation, with its numbers; bands, error bars, maps of colour,
sizes that vary and solids become pictures with their description. Text that is too long for its place becomes smaller, then
is cut, and is whole in the slide's notes.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb
from pptx import Presentation
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_AXIS_CROSSES, XL_CHART_TYPE, XL_LEGEND_POSITION, XL_MARKER_STYLE, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_LINE
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Inches, Pt

from soup_core.errors import SoupError
from soup_core.formatting import visible
from soup_core.presentation.figures import Picture, pictures
from soup_core.presentation.panels import Drawing, Number, Panel, Table
from soup_core.presentation.slides.fitting import FONT, fit, height_of, width_of
from soup_core.presentation.slides.native import Chart, Series, native

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
EDGE, GAP, TITLE_TOP, TITLE_HIGH = Inches(0.6), Inches(0.12), Inches(0.4), Inches(0.95)
INNER = WIDTH - 2 * EDGE
INK, QUIET, ACCENT = RGBColor(0x1B, 0x24, 0x30), RGBColor(0x5A, 0x64, 0x72), RGBColor(0x00, 0x72, 0xB2)
HOLLOW = 0.7  # how much lighter hollow marks are; not all programs draw a mark's edge
TITLE_SIZES, LEAD_SIZES, CLOSING_SIZES = (30, 27, 24, 21, 18), (16, 14, 13, 12), (15, 14, 13, 12)
LEAD_HIGH, CLOSING_HIGH = Inches(1.1), Inches(1.0)
NUMBERS_WIDE, TWO_NUMBERS_WIDE = Inches(2.9), Inches(4.5)
NUMBERS_AT_MOST, NUMBERS_IN_A_COLUMN, NUMBERS_IN_A_ROW = 8, 5, 4
NUMBER_HIGH = Inches(1.15)
ROW_HIGH, COUNT_HIGH, CELL_EDGE, COLUMN_AT_LEAST = Inches(0.33), Inches(0.25), Pt(5), Pt(80)
MARKERS = {"circle": XL_MARKER_STYLE.CIRCLE, "diamond": XL_MARKER_STYLE.DIAMOND, "square": XL_MARKER_STYLE.SQUARE,
           "star": XL_MARKER_STYLE.STAR, "triangle": XL_MARKER_STYLE.TRIANGLE, "hexagon": XL_MARKER_STYLE.CIRCLE,
           "pentagon": XL_MARKER_STYLE.CIRCLE, "x": XL_MARKER_STYLE.X}  # fmt: skip
Box = tuple[int, int, int, int]  # from the left, from the top, how wide and how high, in EMU
Draw = Callable[[Sequence[go.Figure]], Sequence[Picture]]


@dataclass(frozen=True)
class Page:
    """A slide that is being filled, and the texts that were cut on it."""

    slide: Any
    cut: list[str]

    def note(self, *texts: str) -> None:
        """Write the texts, and what was cut besides, into the slide's notes."""
        noted = [_text(each) for each in texts if each]
        noted += [each for each in dict.fromkeys(self.cut) if each not in noted]
        if noted:
            self.slide.notes_slide.notes_text_frame.text = "\n".join(noted)


def slides(title: str, lead: str, panels: Sequence[Panel], draw: Draw = pictures) -> bytes:
    """The panels as a .pptx file: a slide with the title, then one a panel, and more for what does not fit on it.

    The note of a panel is under its title and, with its sentences and its messages, in the notes of the
    slide. `draw` makes pictures of figures; where it cannot, its reason stands in their place.
    """
    deck = Presentation()
    deck.slide_width, deck.slide_height = WIDTH, HEIGHT
    first = _page(deck)
    _title(first, title, Inches(2.6))
    _write(first, lead, (EDGE, Inches(3.55) + GAP, INNER, Inches(1.5)), LEAD_SIZES, QUIET)
    _write(first, "Made with Model Soups Explorer", (EDGE, HEIGHT - Inches(0.9), INNER, Inches(0.4)), (14,), QUIET)
    first.note()
    others = [each for panel in panels for each in panel.drawings if native(each.figure) is None]
    shown: dict[int, Picture | str] = {}
    try:
        drawn = draw([each.figure for each in others])
        shown.update((id(each), picture) for each, picture in zip(others, drawn, strict=True))
    except SoupError as error:
        shown.update((id(each), str(error)) for each in others)
    for panel in panels:
        _panel(deck, panel, shown)
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def _panel(deck: Any, panel: Panel, shown: dict[int, Picture | str]) -> None:
    things: list[Drawing | Table] = [*panel.drawings, *(each for each in panel.tables if each.rows)]
    notes = [panel.note, *panel.sentences, *panel.messages]
    page, end = _page(deck), int(HEIGHT - EDGE)
    top = int(TITLE_TOP + TITLE_HIGH + GAP)
    _title(page, panel.title, TITLE_TOP)
    if panel.note:
        top += _write(page, panel.note, (EDGE, top, INNER, LEAD_HIGH), LEAD_SIZES, QUIET) + GAP
    if panel.sentences:
        end -= _closing(page, panel.sentences) + GAP
    numbers, rest = panel.numbers[:NUMBERS_AT_MOST], panel.numbers[NUMBERS_AT_MOST:]
    columns = NUMBERS_IN_A_ROW if not things else 1 if len(numbers) <= NUMBERS_IN_A_COLUMN else 2
    wide = int(INNER if not things else NUMBERS_WIDE if columns == 1 else TWO_NUMBERS_WIDE)
    _numbers(page, numbers, (EDGE + INNER - wide, top, wide, end - top), columns)
    if things:
        _thing(page, things[0], shown, (EDGE, top, INNER - wide - 2 * GAP if numbers else INNER, end - top))
    page.note(*notes, *(f"{each.label}: {each.value} {each.beneath}".strip() for each in rest))
    for thing in things[1:]:
        page, top = _page(deck), int(TITLE_TOP + TITLE_HIGH + GAP)
        _title(page, panel.title, TITLE_TOP)
        _thing(page, thing, shown, (EDGE, top, INNER, HEIGHT - EDGE - top))
        page.note(*notes)


def _page(deck: Any) -> Page:
    return Page(deck.slides.add_slide(deck.slide_layouts[5]), [])  # a title alone


def _title(page: Page, title: str, top: int) -> None:
    heading = page.slide.shapes.title
    heading.left, heading.top, heading.width, heading.height = EDGE, Emu(top), INNER, TITLE_HIGH
    heading.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    _bare(heading.text_frame)
    _fill(page, heading.text_frame, title, (INNER, TITLE_HIGH), TITLE_SIZES, INK, bold=True)


def _closing(page: Page, sentences: Sequence[str]) -> int:
    """Write the sentences at the slide's end, the last ones where all have no room; returns how high they are."""
    shown = list(sentences)
    room = (INNER, CLOSING_HIGH)
    while len(shown) > 1 and fit("\n".join(shown), room, CLOSING_SIZES, bold=True).cut:
        del shown[0]
    fitted = fit("\n".join(shown), room, CLOSING_SIZES, bold=True)
    box = (EDGE, HEIGHT - EDGE - fitted.high, INNER, fitted.high)
    return _write(page, "\n".join(shown), box, (fitted.size,), INK, bold=True)


def _thing(page: Page, thing: Drawing | Table, shown: dict[int, Picture | str], box: Box) -> None:
    left, top, width, height = box
    if isinstance(thing, Table):
        _table(page, thing, box)
        return
    chart = native(thing.figure)
    if chart is not None:
        _chart(page, chart, thing.alt, box)
        return
    picture = shown[id(thing)]
    if isinstance(picture, str):
        _write(page, picture, box, (14, 12), QUIET)
        return
    wide = int(min(width, height * picture.width / picture.height))
    placed = page.slide.shapes.add_picture(io.BytesIO(picture.png), left + (width - wide) // 2, top, wide)
    placed._element.nvPicPr.cNvPr.set("descr", _text(thing.alt))  # python-pptx has no name for it


def _numbers(page: Page, numbers: Sequence[Number], box: Box, columns: int) -> None:
    """Numbers in columns, each a label, its value, and what stands beneath it."""
    left, top, width, height = box
    if not numbers:
        return
    rows = -(-len(numbers) // columns)
    high = min(NUMBER_HIGH, height // rows)
    roomy = high >= Pt(60)
    label, value = (Pt(14), Pt(29)) if roomy else (Pt(12), Pt(17))
    sizes, small = ((24, 20, 16, 14, 12), (11, 10, 9)) if roomy else ((14, 12), (10, 9))
    beneath = high - label - value - Pt(3)
    wide = (width - (columns - 1) * GAP) // columns
    for at, number in enumerate(numbers):
        x, y = left + at % columns * (wide + GAP), top + at // columns * high
        _write(page, number.label, (x, y, wide, label), small, QUIET)
        _write(page, number.value, (x, y + label, wide, value), sizes, ACCENT, bold=True)
        _write(page, number.beneath, (x, y + label + value, wide, beneath), small, QUIET)


def _table(page: Page, table: Table, box: Box) -> None:
    left, top, width, height = box
    rows = table.rows[: (height - COUNT_HIGH) // ROW_HIGH - 1]
    widths = _columns((table.heads, *rows), width)
    frame = page.slide.shapes.add_table(len(rows) + 1, len(widths), left, top, width, ROW_HIGH * (len(rows) + 1))
    for column, wide in zip(frame.table.columns, widths, strict=True):
        column.width = wide
    for i, row in enumerate((table.heads, *rows)):
        for j, wide in enumerate(widths):
            cell = frame.table.cell(i, j)
            cell.margin_left = cell.margin_right = CELL_EDGE
            room = (wide - 2 * CELL_EDGE, height_of(1, 11))
            _fill(page, cell.text_frame, row[j].replace("\n", " "), room, (11,), None if i == 0 else INK, bold=i == 0)
    if len(table.rows) > len(rows) or len(table.heads) > len(widths):
        _write(
            page,
            f"{len(rows)} of {len(table.rows)} rows, {len(widths)} of {len(table.heads)} columns.",
            (left, top + ROW_HIGH * (len(rows) + 1), width, COUNT_HIGH),
            (11,),
            QUIET,
        )


def _columns(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide the columns that fit are: as wide as their cells where there is room, the widest ones narrower else."""
    needed = [
        Pt(max(width_of(_text(cell), 11, i == 0) for i, cell in enumerate(column)) + 1) + 2 * CELL_EDGE
        for column in zip(*rows, strict=True)
    ]
    while len(needed) > 1 and sum(min(each, COLUMN_AT_LEAST) for each in needed) > width:
        del needed[-1]
    most = max(needed)
    while most > COLUMN_AT_LEAST and sum(min(each, most) for each in needed) > width:
        most -= Pt(1)
    needed = [min(each, most) for each in needed]
    return [width * each // sum(needed) for each in needed]


def _chart(page: Page, chart: Chart, alt: str, box: Box) -> None:
    left, top, width, height = box

    def one_line(text: str, wide: int) -> str:
        fitted = fit(_text(text), (wide, height_of(1, 12)), (12,), bold=False)
        page.cut.extend([_text(text)] * fitted.cut)
        return fitted.text

    data: Any
    if chart.categories:
        data = CategoryChartData()
        data.categories = [one_line(each, height // 3) for each in chart.categories]
        for each in chart.series:
            at = dict(zip(each.xs, each.ys, strict=True))
            data.add_series(
                one_line(each.name, width // 2), [at.get(float(index)) for index in range(len(chart.categories))]
            )
    else:
        data = XyChartData()
        for each in chart.series:
            points = data.add_series(one_line(each.name, width // 2))
            for x, y in zip(each.xs, each.ys, strict=True):
                points.add_data_point(x, y)
    kind = (
        XL_CHART_TYPE.COLUMN_CLUSTERED
        if chart.bars
        else (XL_CHART_TYPE.LINE_MARKERS if chart.categories else XL_CHART_TYPE.XY_SCATTER_LINES)
    )
    frame = page.slide.shapes.add_chart(kind, Emu(left), Emu(top), Emu(width), Emu(height), data)
    frame._element.nvGraphicFramePr.cNvPr.set("descr", _text(alt))
    drawn = frame.chart
    drawn.font.size, drawn.font.name, drawn.font.color.rgb = Pt(12), FONT, INK
    drawn.has_title = False
    drawn.has_legend = sum(each.listed for each in chart.series) > 1
    if drawn.has_legend:
        drawn.legend.position, drawn.legend.include_in_layout = XL_LEGEND_POSITION.TOP, False
        _unlist(drawn.legend, [at for at, each in enumerate(chart.series) if not each.listed])
    if chart.bars and len({x for each in chart.series for x in each.xs}) == sum(len(each.xs) for each in chart.series):
        drawn.plots[0].overlap = 100  # a bar a category, so each in its middle
    if not chart.categories:
        drawn.category_axis.minimum_scale, drawn.category_axis.maximum_scale = chart.x_range
        most = max(
            len(each.xs) for each in chart.series
        )  # LibreOffice draws no more points than the first series claims
        for count in drawn.plots[0].series[0]._element.xpath("./c:xVal//c:ptCount | ./c:yVal//c:ptCount"):
            count.val = most
    for axis, title, wide in ((drawn.category_axis, chart.x_title, width), (drawn.value_axis, chart.y_title, height)):
        axis.has_major_gridlines = axis is drawn.value_axis
        axis.format.line.color.rgb = QUIET
        axis.crosses, axis.tick_label_position = XL_AXIS_CROSSES.MINIMUM, XL_TICK_LABEL_POSITION.LOW
        if title:
            axis.axis_title.text_frame.text = one_line(title, wide * 5 // 8)
            _style(axis.axis_title.text_frame, 12, QUIET)
    drawn.value_axis.major_gridlines.format.line.color.rgb = RGBColor(0xD8, 0xDD, 0xE3)
    if chart.y_range:
        drawn.value_axis.minimum_scale, drawn.value_axis.maximum_scale = chart.y_range
    for series, each in zip(drawn.plots[0].series, chart.series, strict=True):
        _colour_series(series, each, chart.bars)


def _unlist(legend: Any, places: Sequence[int]) -> None:
    """Take series out of the legend; python-pptx has no name for it."""
    for place in reversed(places):
        entry = f'<c:legendEntry {nsdecls("c")}><c:idx val="{place}"/><c:delete val="1"/></c:legendEntry>'
        legend._element.insert(1, parse_xml(entry))  # after its position


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
    series.marker.style = MARKERS.get(of.symbol.split("-")[0], XL_MARKER_STYLE.CIRCLE)
    series.marker.size = max(2, min(72, round(0.75 * of.size)))  # in points
    series.marker.format.line.color.rgb = colour
    series.marker.format.fill.solid()
    series.marker.format.fill.fore_color.rgb = colour
    series.marker.format.fill.fore_color.brightness = 0.0 if of.fill else HOLLOW


def _write(page: Page, text: str, box: Box, sizes: Sequence[float], colour: RGBColor, bold: bool = False) -> int:
    """Write a text into its box, in the largest of the sizes at which it fits, else cut; returns how high it is."""
    if not text:
        return 0
    left, top, width, height = box
    shape = page.slide.shapes.add_textbox(Emu(left), Emu(top), Emu(width), Emu(height))
    _bare(shape.text_frame)
    high = _fill(page, shape.text_frame, text, (width, height), sizes, colour, bold)
    shape.height = Emu(high)
    return high


def _bare(frame: Any) -> None:
    """Let a text's place be all its own, and stay as it is."""
    frame.auto_size = MSO_AUTO_SIZE.NONE
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0


def _fill(
    page: Page,
    frame: Any,
    text: str,
    room: tuple[int, int],
    sizes: Sequence[float],
    colour: RGBColor | None,
    bold: bool,
) -> int:
    whole = _text(text)
    fitted = fit(whole, room, sizes, bold)
    page.cut.extend([whole] * fitted.cut)
    frame.text, frame.word_wrap = fitted.text, True
    _style(frame, fitted.size, colour, bold)
    return fitted.high


def _style(frame: Any, size: float, colour: RGBColor | None, bold: bool = False) -> None:
    for paragraph in frame.paragraphs:
        paragraph.alignment = PP_ALIGN.LEFT
        for font in (paragraph.font, *(run.font for run in paragraph.runs)):
            font.size, font.bold, font.name = Pt(size), bold, FONT
            if colour is not None:
                font.color.rgb = colour


def _text(text: str) -> str:
    """What a slide can hold: without control characters, and without halves of letters."""
    return "\n".join(map(visible, text.split("\n"))).encode("utf-8", "replace").decode()
