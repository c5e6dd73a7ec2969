"""Panels as slides: charts with their numbers, pictures, and text that stays in its place."""

import io
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from pptx import Presentation
from pptx.util import Emu, Inches

import soup_core as sc
from soup_core import charts
from soup_core.charts.geometry import map_scatter
from soup_core.presentation import slides
from soup_core.presentation.figures import Picture
from soup_core.presentation.panels import Drawing, Number, Panel, Table
from soup_core.runtime.store import Store
from soup_core.weight_space.maps import pca_map
from tests.panels import HOSTILE, heat, panel, points
from tests.zoos import random_linears, write_zoo

# How wide a letter is in Arial, of the font's size: regular and bold, from the font's own table (n is 1139 of 2048).
ARIAL = {"n": (1139 / 2048, 1251 / 2048), "W": (1933 / 2048, 1933 / 2048), "m": (1706 / 2048, 1821 / 2048),
         "x": (1024 / 2048, 1139 / 2048)}  # fmt: skip
ARIAL_HIGH = 2355 / 2048  # from a line to the next


def drawn_as_boxes(figures: Sequence[go.Figure]) -> list[Picture]:
    png = io.BytesIO()
    Image.new("RGB", (900, 400)).save(png, "PNG")
    return [Picture(b"", png.getvalue(), 900, 400) for _ in figures]


def deck(*panels: Panel, title: str = "Z", lead: str = "l") -> list[Any]:
    return list(Presentation(io.BytesIO(slides.slides(title, lead, panels, drawn_as_boxes))).slides)


def texts(slide: Any) -> list[str]:
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def note(slide: Any) -> list[str]:
    return str(slide.notes_slide.notes_text_frame.text).split("\n") if slide.has_notes_slide else []


def size_of(frame: Any) -> tuple[float, bool]:
    (font,) = {(run.font.size.pt, bool(run.font.bold)) for each in frame.paragraphs for run in each.runs}
    return font


def overflowing(slide: Any, letter: str) -> Iterator[str]:
    """The texts of one letter that need more room in Arial than they have."""
    for shape in slide.shapes:
        frames = [(shape.text_frame, shape.width, shape.height)] if shape.has_text_frame else []
        if shape.has_table:
            rows = enumerate(shape.table.rows)
            frames = [
                (cell.text_frame, shape.table.columns[j].width - 2 * slides.CELL_EDGE, Inches(0.2))
                for _, row in rows
                for j, cell in enumerate(row.cells)
            ]
        for frame, width, height in frames:
            if set(frame.text) <= {letter, "…"} and frame.text:
                size, bold = size_of(frame)
                room, wide, letters = width / 12700 / size, ARIAL[letter][bold], frame.text.count(letter)
                lines = max(1, -(-letters // int(room / wide)))
                last = letters - (lines - 1) * int(room / wide)
                lines += last * wide + frame.text.count("…") > room  # which is as wide as the font's size
                if lines * size * ARIAL_HIGH * 12700 > height:
                    yield frame.text


def boxes_apart(slide: Any) -> bool:
    """Whether no two shapes of a slide overlap, and each is within it."""
    boxes = [(each.left, each.top, each.left + each.width, each.top + each.height) for each in slide.shapes]
    within = all(min(x, y) >= 0 and right <= slides.WIDTH and end <= slides.HEIGHT for x, y, right, end in boxes)
    return within and all(
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in combinations(boxes, 2)
    )


def charts_of(made: bytes) -> list[Any]:
    return [shape.chart for slide in Presentation(io.BytesIO(made)).slides for shape in slide.shapes if shape.has_chart]


def test_lines_and_points_become_charts_with_their_numbers() -> None:
    (chart,) = charts_of(slides.slides("Z", "l", [panel(drawings=(Drawing(points(), "Said."),))]))
    found = {(plot.name, tuple(plot.values)) for plot in chart.plots[0].series}
    assert found == {("line", (1.0, 4.0, 2.0)), ("a <b>", (3.0,)), ("a <b>", (5.0,))}
    assert (chart.value_axis.minimum_scale, chart.value_axis.maximum_scale) == (0, 6)
    assert chart.value_axis.axis_title.text_frame.text == "accuracy"


def test_names_along_the_axis_become_categories_and_levels_lines() -> None:
    figure = go.Figure(go.Scatter(x=[0, 2], y=[1.0, 3.0], mode="markers", name="in"))
    charts.style.names_axis(figure, ["m1", "m2", "m3"], "Ingredients")
    charts.style.level(figure, 2.5, "best", "#0072B2", "dash")
    (chart,) = charts_of(slides.slides("Z", "l", [panel(drawings=(Drawing(figure, ""),))]))
    assert list(chart.plots[0].categories) == ["m1", "m2", "m3"]
    assert [list(each.values) for each in chart.plots[0].series] == [[1.0, None, 3.0], [2.5, 2.5, 2.5]]
    assert chart.plots[0].series[1].name == "best 2.50 %"


def test_what_slides_do_not_know_is_a_picture_with_its_words() -> None:
    bars = go.Figure(go.Scatter(x=[1], y=[2], error_y={"array": [0.5]}))
    band = go.Figure(go.Scatter(x=[1, 2], y=[2, 3], fill="tonexty"))
    drawn: list[go.Figure] = []

    def draw(figures: Sequence[go.Figure]) -> list[Picture]:
        drawn.extend(figures)
        return drawn_as_boxes(figures)

    made = slides.slides(
        "Z", "l", [panel(drawings=tuple(Drawing(each, "Words.") for each in (heat(), bars, band)))], draw
    )
    assert [type(each.data[0]) for each in drawn] == [go.Heatmap, go.Scatter, go.Scatter]
    pictures = [
        each for slide in Presentation(io.BytesIO(made)).slides for each in slide.shapes if each.shape_type == 13
    ]
    assert [each._element.nvPicPr.cNvPr.get("descr") for each in pictures] == ["Words."] * 3
    assert all(each.top + each.height <= Emu(slides.HEIGHT) for each in pictures)


def test_slides_without_chromium_say_so_where_a_picture_would_be() -> None:
    def draw(_: Any) -> list[Picture]:
        raise sc.SoupError("None was found.")

    made = Presentation(io.BytesIO(slides.slides("Z", "l", [panel(drawings=(Drawing(heat(), ""),))], draw)))
    assert any("None was found." in shape.text_frame.text for shape in made.slides[1].shapes if shape.has_text_frame)


def test_slides_carry_words_notes_and_tables() -> None:
    table = Table(tuple("abcdefghij"), tuple(tuple(f"{row}{each}" for each in "abcdefghij") for row in range(40)))
    given = panel(
        numbers=(Number("Accuracy", "1 %"),),
        tables=(table,),
        sentences=("First.", "Meaning."),
        messages=("A warning.",),
    )
    first, second, third = deck(given, Panel("Bare"), title="Zoo")
    assert first.shapes.title.text_frame.text == "Zoo"
    assert note(second) == ["A note.", "First.", "Meaning.", "A warning."]
    assert "First.\nMeaning." in texts(second)
    assert "A warning." not in texts(second)
    (frame,) = [shape.table for shape in second.shapes if shape.has_table]
    assert [cell.text for cell in frame.rows[0].cells] == list("abcdefghij")
    assert frame.cell(1, 0).text == "0a"
    shown = len(frame.rows) - 1
    assert 8 <= shown < 40
    assert f"{shown} of 40 rows, 10 of 10 columns." in texts(second)
    assert third.shapes.title.text_frame.text == "Bare"


@pytest.mark.parametrize("count", [1, 4, 5, 6, 8])
@pytest.mark.parametrize("alone", [True, False])
def test_all_numbers_are_on_the_slide(count: int, alone: bool) -> None:
    numbers = tuple(Number(f"label {each}", f"9{each}.20 %", f"+0.{each} points") for each in range(count))
    _, slide = deck(panel(numbers=numbers, drawings=() if alone else (Drawing(points(), ""),), sentences=("Meaning.",)))
    for number in numbers:
        assert {number.label, number.value, number.beneath} <= set(texts(slide))
    assert note(slide) == ["A note.", "Meaning."]
    assert boxes_apart(slide)


def test_numbers_that_have_no_room_are_in_the_notes() -> None:
    numbers = tuple(Number(f"label {each}", f"{each} %", "beneath") for each in range(10))
    _, slide = deck(panel(numbers=numbers, drawings=(Drawing(points(), ""),)))
    assert {f"{each} %" for each in range(8)} <= set(texts(slide))
    assert note(slide) == ["A note.", "label 8: 8 % beneath", "label 9: 9 % beneath"]


@pytest.mark.parametrize("letter", list(ARIAL))
@pytest.mark.parametrize("count", [0, 1, 5, 8])
def test_long_texts_stay_within_their_places_and_are_whole_in_the_notes(letter: str, count: int) -> None:
    long = {size: letter * size for size in (60, 200, 600)}
    table = Table(
        tuple(long[60] for _ in range(10)), tuple(tuple(letter * (3 * j) for j in range(10)) for _ in range(40))
    )
    given = Panel(
        long[200],
        long[600],
        tuple(Number(long[60], long[60], long[200]) for _ in range(count)),
        (Drawing(points(), ""), Drawing(heat(), "")),
        (table,),
        (letter * 150, letter * 700),
    )
    only_table = Panel(long[200], long[600], given.numbers, (), (table,), given.sentences)
    only_words = Panel(long[200], long[600], given.numbers, (), (), given.sentences)
    made = deck(given, only_table, only_words, title=long[600], lead=long[600] * 3)
    assert len(made) == 6
    for slide in made:
        assert list(overflowing(slide, letter)) == []
        assert boxes_apart(slide)
    cells = [cell.text for shape in made[4].shapes if shape.has_table for row in shape.table.rows for cell in row.cells]
    for slide, shown in zip(made, [texts(each) for each in made], strict=True):
        assert all(any(whole.startswith(each[:-1]) for whole in note(slide)) for each in shown if each.endswith("…"))
        heading = long[600] if slide is made[0] else long[200]
        assert heading.startswith(shown[0].rstrip("…"))
    assert any(each.endswith("…") for each in cells)
    assert all(any(whole == long[60] for whole in note(made[4])) for each in cells if each.endswith("…"))
    assert long[600] in note(made[0])


def test_the_last_sentences_have_the_room_that_there_is() -> None:
    sentences = tuple(" ".join([word] * 120) for word in ("first", "second", "third"))
    _, slide = deck(panel(sentences=sentences, drawings=(Drawing(points(), ""),)))
    assert sentences[2] in texts(slide)
    assert not any("first" in each for each in texts(slide))
    assert note(slide) == ["A note.", *sentences]


def scatter(mode: str = "markers", x: Any = (1, 2, 3), y: Any = (1, 2, 3), **given: Any) -> go.Figure:
    return go.Figure(go.Scatter(x=x, y=y, mode=mode, name="n", **given))


NOT_KNOWN = {
    "colours by number": scatter(marker={"color": [90.1, 91.2, 90.7]}),
    "colours by numpy's": scatter(marker={"color": np.array([90.1, 91.2, 90.7])}),
    "one number for all": scatter(marker={"color": 3, "colorscale": "Viridis"}),
    "a scale": scatter(marker={"color": ["#000000"] * 3, "colorscale": "Viridis"}),
    "an axis of colours": scatter(marker={"color": [1, 2, 3], "coloraxis": "coloraxis"}),
    "packed colours": go.Figure(go.Scatter(x=[1, 2], y=[1, 2], mode="markers", marker={"color": {
        "dtype": "f8", "bdata": "AAAAAAAA8D8AAAAAAAAAQA=="}})),
    "sizes by number": scatter(marker={"size": [4, 9, 25]}),
    "marks that differ along a line": scatter("lines+markers", marker={"size": [4, 9, 9]}),
    "words": scatter("markers+text", text=["a", "b", "c"]),
    "curves": scatter("lines", line={"shape": "spline"}),
    "a logarithmic axis": scatter().update_xaxes(type="log"),
    "a reversed axis": scatter().update_yaxes(range=[5, 0]),
    "a reversed axis, by name": scatter().update_yaxes(autorange="reversed"),
    "axes of one scale": scatter().update_yaxes(scaleanchor="x"),
    "an open range": scatter().update_yaxes(range=[0, None]),
    "words within it": scatter().add_annotation(text="here", x=1, y=1),
    "bars in a stack": go.Figure([go.Bar(x=[0], y=[1]), go.Bar(x=[0], y=[2])]).update_layout(barmode="stack")
    .update_xaxes(tickvals=[0], ticktext=["a"]),
    "two points at one name": scatter(x=(0, 0, 1)).update_xaxes(tickvals=[0, 1], ticktext=["a", "b"]),
    "names without places": scatter().update_xaxes(ticktext=["a", "b"]),
    "one axis longer": scatter(x=(1, 2)),
    "nothing": go.Figure(),
    "no points in a line": scatter("lines", x=[], y=[]),
    "no points": scatter(x=[], y=[]).add_hline(1),
    "no bars": go.Figure(go.Bar(x=[], y=[])).update_xaxes(tickvals=[0], ticktext=["a"]),
    "no values": scatter("lines", y=[None, None, None]).add_hline(1),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_KNOWN)
def test_figures_that_charts_would_not_do_justice_are_pictures(kind: str) -> None:
    assert slides.native(NOT_KNOWN[kind]) is None
    _, slide = deck(panel(drawings=(Drawing(NOT_KNOWN[kind], "Words."),)))
    assert [each.shape_type for each in slide.shapes].count(13) == 1


def test_a_map_coloured_by_accuracy_is_a_picture(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))
    places = pca_map(sc.gram(zoo, Store(tmp_path / "store")))
    assert slides.native(map_scatter(places, {name: 90.0 + at for at, name in enumerate(zoo.names)}, label="l")) is None


def test_a_second_size_points_a_mark_out() -> None:
    chart = slides.native(scatter(marker={"size": [8, 16, 8], "color": "#D55E00"}))
    assert chart is not None
    assert [(each.xs, each.size, each.colour) for each in chart.series] == [
        ((1, 3), 8, "#D55E00"),
        ((2,), 16, "#D55E00"),
    ]
    (drawn,) = charts_of(slides.slides("Z", "", [panel(drawings=(Drawing(scatter(marker={"size": [8, 16, 8]}), ""),))]))
    assert [each.marker.size for each in drawn.plots[0].series] == [6, 12]  # points of 1/72 inch, pixels of 1/96


def test_empty_traces_are_left_out_beside_others() -> None:
    figure = scatter().add_trace(go.Scatter(x=[], y=[], mode="lines", name="empty"))
    chart = slides.native(figure)
    assert chart is not None
    assert [each.name for each in chart.series] == ["n"]


def test_the_legend_lists_what_the_figures_does() -> None:
    figure = go.Figure(
        [
            go.Scatter(x=[1, 2], y=[1, 2], mode="lines", name="hidden", showlegend=False),
            go.Scatter(x=[1, 2], y=[2, 3], mode="markers", name="shown", marker={"symbol": ["star", "star-open"]}),
            go.Scatter(x=[1, 2], y=[2, 3], mode="lines", name="also"),
        ]
    )
    (chart,) = charts_of(slides.slides("Z", "l", [panel(drawings=(Drawing(figure, ""),))]))
    entries = chart.legend._element.xpath("./c:legendEntry[c:delete/@val='1']/c:idx/@val")
    names = [each.name for each in chart.plots[0].series]
    assert [names[int(each)] for each in entries] == ["hidden", "shown"]
    assert names == ["hidden", "shown", "shown", "also"]
    (bare,) = charts_of(slides.slides("Z", "l", [panel(drawings=(Drawing(scatter(), ""),))]))
    assert not bare.has_legend


def test_the_first_series_claims_as_many_points_as_the_longest() -> None:
    figure = go.Figure([go.Scatter(x=[1], y=[1], mode="markers"), go.Scatter(x=[1, 2, 3], y=[2, 3, 4], mode="markers")])
    (chart,) = charts_of(slides.slides("Z", "l", [panel(drawings=(Drawing(figure, ""),))]))
    assert [tuple(each.values) for each in chart.plots[0].series] == [(1.0, None, None), (2.0, 3.0, 4.0)]


def test_a_level_reaches_over_the_whole_axis() -> None:
    figure = scatter()
    charts.style.level(figure, 2.5, "best", "#0072B2", "dash")
    chart = slides.native(figure)
    assert chart is not None
    assert chart.x_range == (0, 4)
    assert chart.series[-1].xs == (0, 4)


def test_names_of_a_chart_are_cut_to_a_line() -> None:
    long = "n" * 300
    figure = scatter().add_trace(go.Scatter(x=[1, 2], y=[1, 2], mode="lines", name=long))
    _, slide = deck(
        panel(drawings=(Drawing(figure.update_xaxes(title=long + "x").update_yaxes(title=long + "y"), ""),))
    )
    (chart,) = [shape.chart for shape in slide.shapes if shape.has_chart]
    for text in (
        chart.plots[0].series[1].name,
        chart.category_axis.axis_title.text_frame.text,
        chart.value_axis.axis_title.text_frame.text,
    ):
        assert text.endswith("n…")
        assert len(text) * 12 * ARIAL["n"][0] < 13.333 * 72
    assert {long, long + "x", long + "y"} <= set(note(slide))


def test_hostile_words_stay_words() -> None:
    _, slide = deck(
        Panel(HOSTILE, HOSTILE, (Number(HOSTILE, HOSTILE),), (), (Table((HOSTILE,), ((HOSTILE,),)),), (HOSTILE,))
    )
    seen = "</script><img src=x onerror=alert(1)> &    name"
    assert slide.shapes.title.text_frame.text == seen
    assert seen in note(slide)
