"""What is taken along: a page's scene as a panel, panels as a report, as slides and as figures, each read back."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import streamlit as st
from PIL import Image
from pptx import Presentation
from pptx.util import Emu

import soup_core as sc
from pages.shared import along
from soup_core import charts, printing, slides
from soup_core.printing import Picture, for_print
from soup_core.report import figures_in, html_report
from soup_core.scenes import Drawing, Number, Panel, Scene, Table, to_json
from tests.conftest import random_linears, write_zoo

HOSTILE = "</script><img src=x onerror=alert(1)> & \x00 ‮name"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))


def points() -> go.Figure:
    return go.Figure(
        [go.Scatter(x=[0.0, 0.5, 1.0], y=[1.0, 4.0, 2.0], name="line", line={"color": "#0072B2", "dash": "dot"}),
         go.Scatter(x=[0.5, 1.0], y=[3.0, 5.0], mode="markers", name="a &lt;b&gt;",
                    marker={"color": "#D55E00", "symbol": ["star", "star-open"]})],
        {"xaxis": {"title": {"text": "alpha"}}, "yaxis": {"title": {"text": "accuracy"}, "range": [0, 6]}},
    )  # fmt: skip


def heat() -> go.Figure:
    return go.Figure(go.Heatmap(z=np.array([[1.0, 2.0], [3.0, 4.5]]), x=["p", "q"], y=["r", "s"], name="h"))


def panel(**given: Any) -> Panel:
    return Panel("A title", "A note.", **given)


def charts_of(made: bytes) -> list[Any]:
    return [shape.chart for slide in Presentation(io.BytesIO(made)).slides for shape in slide.shapes if shape.has_chart]


def test_a_scene_shows_what_its_page_shows(zoo: sc.Zoo) -> None:
    found = along.panel_of(Scene(page="Greedy", state={"zoo": ("made",), "step": ("5",)}, title="Search", note="n"))
    evaluate = sc.Evaluator(zoo)
    *_, last = sc.greedy_soup(zoo, evaluate)
    assert found.numbers[0].value == charts.percent(evaluate(last.soup))
    assert any(f"greedy keeps {len(last.soup.names)}" in each for each in found.sentences)
    (curve, *_) = found.drawings
    assert curve.figure.data
    assert curve.alt.startswith("Greedy search, step 5 of 5")


def test_a_scene_without_a_page_and_one_with_an_error_are_one_line(zoo: sc.Zoo) -> None:
    with pytest.raises(sc.SoupError, match="no page 'Nowhere'"):
        along.panel_of(Scene(page="Nowhere"))


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("**bold** words", "bold words"),
        ("see [the paper](https://x.test/a) now", "see the paper now"),
        (r"a\_b \*c\*", "a_b *c*"),
        (":material/check: ok", "ok"),
        (r"\[not a link\](x)", "[not a link](x)"),
    ],
)
def test_markup_becomes_the_text_that_it_shows(markup: str, text: str) -> None:
    assert along.without_markup(markup) == text


def test_a_figures_data_as_a_table() -> None:
    table = Drawing(points(), "").table
    assert table.heads == ("series", "alpha", "accuracy")
    assert table.rows[0] == ("line", "0", "1")
    assert table.rows[3] == ("a <b>", "0.5", "3")
    packed = go.Figure(json.loads(heat().to_json()))
    assert Drawing(packed, "").table.rows == (("h", "p", "r", "1"), ("h", "q", "r", "2"), ("h", "p", "s", "3"),
                                              ("h", "q", "s", "4.5"))  # fmt: skip
    across = go.Figure(
        go.Parcoords(dimensions=[{"label": "rate", "values": [1, 2]}, {"label": "wd", "values": [3, 4]}])
    )
    assert Drawing(across, "").table == Table(("rate", "wd"), (("1", "3"), ("2", "4")))


def test_a_report_holds_the_numbers_and_figures_and_asks_nobody() -> None:
    given = panel(numbers=(Number("Accuracy", "91.20 %", "+0.1"),), drawings=(Drawing(points(), "Two lines."),),
                  tables=(Table(("name", "held-out"), (("m1", "90.1"),)),), sentences=("It gained.",))  # fmt: skip
    made = html_report("A zoo", "A lead.", [given, panel()])
    for text in ("A zoo", "1. A title", "2. A title", "91.20 %", "Two lines.", "<td>90.1</td>", "It gained."):
        assert text in made
    (figure,) = figures_in(made)
    assert figure == json.loads(points().to_json())
    assert "default-src 'none'" in made
    assert len(made.encode()) < 8e6


def test_names_in_a_report_are_text() -> None:
    hostile = go.Figure(go.Scatter(x=[1], y=[1], name=HOSTILE))
    made = html_report(HOSTILE, HOSTILE, [Panel(HOSTILE, HOSTILE, (Number(HOSTILE, HOSTILE),), (Drawing(hostile, HOSTILE),),
                                                (Table((HOSTILE,), ((HOSTILE,),)),), (HOSTILE,))])  # fmt: skip
    assert "<img" not in made.split("</head>")[1]
    assert figures_in(made)[0]["data"][0]["name"] == HOSTILE  # type: ignore[index]


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

    def draw(figures: Any) -> list[Picture]:
        drawn.extend(figures)
        png = io.BytesIO()
        Image.new("RGB", (900, 400)).save(png, "PNG")
        return [Picture(b"", png.getvalue(), 900, 400) for _ in figures]

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
    given = [panel(numbers=(Number(HOSTILE, "1 %"),), tables=(table,), sentences=("Meaning.",)), Panel("Bare")]
    made = Presentation(io.BytesIO(slides.slides("Zoo", "Lead.", given)))
    first, second, third = made.slides
    assert first.shapes.title.text_frame.text == "Zoo"
    assert second.notes_slide.notes_text_frame.text == "A note.\nMeaning."
    (frame,) = [shape.table for shape in second.shapes if shape.has_table]
    assert frame.cell(1, 0).text == "0a"
    assert any("11 of 40 rows" in shape.text_frame.text for shape in second.shapes if shape.has_text_frame)
    assert third.shapes.title.text_frame.text == "Bare"


def test_figures_for_print_are_dark_on_white_and_still() -> None:
    figure = points().update_layout(sliders=[{}], updatemenus=[{}], paper_bgcolor="black")
    drawn = for_print(figure)
    assert (drawn.layout.paper_bgcolor, drawn.layout.sliders, drawn.layout.updatemenus) == ("white", (), ())
    assert figure.layout.paper_bgcolor == "black"


def test_figures_are_drawn_as_svg_and_png() -> None:
    (picture,) = printing.pictures([points()])
    assert picture.svg.startswith(b"<svg")
    assert b"accuracy" in picture.svg
    width, height = (int.from_bytes(picture.png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (3 * picture.width, 3 * picture.height)
    assert printing.pictures([]) == []


def test_without_chromium_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(sc.SoupError, match="install it"):
        printing.pictures([points()])


def test_the_command_writes_each_kind_and_refuses_others(zoo: sc.Zoo, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    scenes = tmp_path / "scenes.json"
    scenes.write_text(to_json([Scene(page="Ingredients", state={"zoo": ("made",), "in": ("m1", "m3")}, title="Two")]))
    for kind in ("html", "pptx", "zip"):
        along.write("made", tmp_path / f"made.{kind}", scenes, lambda done, total, _: told.append((done, total)))
    assert told[:3] == [(0, 2), (1, 2), (2, 2)]
    evaluation = sc.Evaluator(zoo)(sc.uniform_soup(zoo, ["m1", "m3"]))
    page = (tmp_path / "made.html").read_text()
    assert f'<dd class="value">{charts.percent(evaluation)}</dd>' in page
    (points_drawn, *_) = figures_in(page)
    singles = {each.correct for each in (sc.Evaluator(zoo)(sc.Soup({name: 1.0})) for name in zoo.names)}
    ys = {round(float(row[2]) * evaluation.total / 100) for row in
          Drawing(go.Figure(points_drawn), "").table.rows if row[0] in ("in the soup", "not in it")}  # fmt: skip
    assert ys == singles
    assert not any(math.isnan(each) for each in ys)
    texts = [shape.text_frame.text for slide in Presentation(tmp_path / "made.pptx").slides for shape in slide.shapes
             if shape.has_text_frame]  # fmt: skip
    assert charts.percent(evaluation) in texts
    names = zipfile.ZipFile(tmp_path / "made.zip").namelist()
    assert {"1-1.svg", "1-1.png"} <= set(names)
    with pytest.raises(sc.SoupError, match="expected a name that ends in"):
        along.write("made", tmp_path / "made.doc", scenes, lambda *_: None)
