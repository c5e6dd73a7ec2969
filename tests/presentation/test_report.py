"""Panels as a report, their figures as tables and for print."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser

import soup_core as sc
from soup_core.charts.style import literal, unescaped
from soup_core.formatting import visible
from soup_core.presentation import figures
from soup_core.presentation.figures import for_print
from soup_core.presentation.panels import Drawing, Number, Panel, Table
from soup_core.presentation.report import html_report
from tests.e2e.driver import chromium
from tests.panels import HOSTILE, figures_in, heat, panel, points
from tests.patience import PATIENCE


def test_a_figures_data_as_a_table() -> None:
    table = Drawing(points(), "").table
    assert table.heads == ("series", "alpha", "accuracy")
    assert table.rows[0] == ("line", "0", "1")
    assert table.rows[3] == ("a <b>", "0.5", "3")
    packed = go.Figure(json.loads(heat().to_json()))
    assert Drawing(packed, "").table.rows == (
        ("h", "p", "r", "1"),
        ("h", "q", "r", "2"),
        ("h", "p", "s", "3"),
        ("h", "q", "s", "4.5"),
    )
    across = go.Figure(
        go.Parcoords(dimensions=[{"label": "rate", "values": [1, 2]}, {"label": "wd", "values": [3, 4]}])
    )
    assert Drawing(across, "").table == Table(("rate", "wd"), (("1", "3"), ("2", "4")))


@pytest.mark.parametrize("upward", [[0.5, 0.25], np.array([0.5, 0.25])])
def test_a_figures_table_holds_how_far_its_intervals_reach(upward: Any) -> None:
    error = {"type": "data", "symmetric": False, "array": upward, "arrayminus": [9, 9]}
    figure = go.Figure(
        [go.Scatter(x=[1, 2], y=[3, 4], name="a", error_y=error), go.Bar(x=[1], y=[5], name="b")],
        {"xaxis": {"title": {"text": "size"}}, "yaxis": {"title": {"text": "gain<br>in points"}}},
    )
    for each in (figure, go.Figure(json.loads(figure.to_json()))):
        table = Drawing(each, "").table
        assert table.heads == ("series", "size", "gain in points", "value")
        assert table.rows == (("a", "1", "3", "0.5"), ("a", "2", "4", "0.25"), ("b", "1", "5", ""))


def test_axes_without_a_label_have_a_table() -> None:
    assert Drawing(go.Figure(go.Parcoords(dimensions=[{"values": [1, 2]}])), "").table == Table(("",), (("1",), ("2",)))


@given(st.text())
def test_what_was_escaped_for_a_figure_is_itself_again(text: str) -> None:
    assert unescaped(literal(text)) == visible(text)


def test_a_line_break_of_a_figure_is_a_space() -> None:
    assert unescaped("gain<br>in &lt;br&gt; &amp;lt; &copy;") == "gain in <br> &lt; &copy;"


def test_what_a_page_tells_beside_its_findings_is_last_in_its_section() -> None:
    made = html_report("Z", "", [panel(sentences=("It gained.",), messages=("Not all <b>finite</b>.", "Old."))])
    section = made.split("<section>")[1].split("</section>")[0]
    assert section.endswith(
        '<p><strong>It gained.</strong></p>\n<p class="note">Not all &lt;b&gt;finite&lt;/b&gt;.</p>\n'
        '<p class="note">Old.</p>\n'
    )


def test_a_report_in_a_browser_is_silent_and_nothing_is_cut(tmp_path: Path) -> None:
    table = Table(tuple(f"averylonghead{j}" for j in range(20)), tuple(("0.123456789",) * 20 for _ in range(40)))
    words = "nobreaks" * 30
    number = (Number(words, words, words),) * 5
    given = [
        panel(
            numbers=number,
            drawings=(Drawing(points(), "Lines."), Drawing(heat(), "Heat.")),
            tables=(table,),
            sentences=(words,),
            messages=(words,),
        ),
        Panel(words, words, drawings=(Drawing(slid(), "A slider."),)),
    ]
    (tmp_path / "report.html").write_text(html_report(words, words, given))
    with ThreadPoolExecutor(1) as thread:  # of its own, since the browser tests' Chromium may have this one
        thread.submit(look_at, tmp_path / "report.html").result()


def slid() -> go.Figure:
    steps = [{"label": each, "method": "animate", "args": [[each]]} for each in "ab"]
    return points().update_layout(sliders=[{"steps": steps}])


def look_at(file: Path) -> None:
    with chromium() as browser:
        for width in (390, 1200):
            opened(browser, file, width, "light")
        opened(browser, file, 1200, "dark")


def opened(browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    """Open a report, and look whether it is silent, keeps its width, and prints each head with its first chart."""
    page, wrong = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme), list[str]()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url == file.as_uri() else wrong.append(asked.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg .xtick').length > 2")
    assert page.locator(".chart:has(.main-svg)").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 1009})  # an A4 page within margins of 15 mm
    page.wait_for_function("document.documentElement.scrollWidth <= 680")  # once the charts have been drawn anew
    parts = "[...document.querySelectorAll('td, th, h1, h2, p, dd, .main-svg')]"
    page.wait_for_function(f"{parts}.every(one => one.getBoundingClientRect().right <= 680)")
    whole = "each => each.every(one => getComputedStyle(one).breakInside == 'avoid')"
    assert page.locator("header, figure, tr").evaluate_all(whole)
    assert page.locator("header:has(h2):has(figure)").count() == 2
    assert page.locator(".slider-container").evaluate_all(
        "each => each.length && each.every(one => getComputedStyle(one).display == 'none')"
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert wrong == []


def test_a_report_holds_the_numbers_and_figures_and_asks_nobody() -> None:
    given = panel(
        numbers=(Number("Accuracy", "91.20 %", "+0.1"),),
        drawings=(Drawing(points(), "Two lines."),),
        tables=(Table(("name", "held-out"), (("m1", "90.1"),)),),
        sentences=("It gained.",),
    )
    made = html_report("A zoo", "A lead.", [given, panel()])
    for text in ("A zoo", "1. A title", "2. A title", "91.20 %", "Two lines.", "<td>90.1</td>", "It gained."):
        assert text in made
    (figure,) = figures_in(made)
    assert figure == json.loads(points().to_json())
    assert "default-src 'none'" in made
    assert len(made.encode()) < 8e6


def test_names_in_a_report_are_text() -> None:
    hostile = go.Figure(go.Scatter(x=[1], y=[1], name=HOSTILE))
    made = html_report(
        "{{ 6 * 7 }}",
        HOSTILE,
        [
            Panel(
                HOSTILE,
                HOSTILE,
                (Number(HOSTILE, HOSTILE),),
                (Drawing(hostile, HOSTILE),),
                (Table((HOSTILE,), ((HOSTILE,),)),),
                (HOSTILE,),
            )
        ],
    )
    assert "<img" not in made.split("</head>")[1]
    assert "{{ 6 * 7 }}" in made.split("</head>")[1]
    assert figures_in(made)[0]["data"][0]["name"] == HOSTILE


def test_figures_for_print_are_dark_on_white_and_still() -> None:
    figure = points().update_layout(sliders=[{}], updatemenus=[{}], paper_bgcolor="black")
    drawn = for_print(figure)
    assert (drawn.layout.paper_bgcolor, drawn.layout.sliders, drawn.layout.updatemenus) == ("white", (), ())
    assert figure.layout.paper_bgcolor == "black"


def test_figures_are_drawn_as_svg_and_png() -> None:
    (picture,) = figures.pictures([points()])
    assert picture.svg.startswith(b"<svg")
    assert b"accuracy" in picture.svg
    width, height = (int.from_bytes(picture.png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (3 * picture.width, 3 * picture.height)
    assert figures.pictures([]) == []


def test_without_chromium_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(sc.SoupError, match="install it"):
        figures.pictures([points()])
