"""What is taken along: a page's scene as a panel, and the command that writes scenes as files, each read back."""

import zipfile
from pathlib import Path

import plotly.graph_objects as go
import pytest
import safetensors.torch
import streamlit as st
from pptx import Presentation

import soup_core as sc
from pages.present import rendering
from pages.shared import caching, work
from pages.shared.uploads import LentUploads
from soup_core import charts
from soup_core.jobs import Jobs
from soup_core.presentation.panels import Drawing
from soup_core.presentation.scenes import Scene, to_json
from soup_core.zoo import with_uploads
from tests.app_pages import open_page
from tests.panels import figures_in
from tests.zoos import random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))


def test_a_scene_shows_what_its_page_shows(zoo: sc.Zoo) -> None:
    found = rendering.panel_of(Scene(page="Greedy", state={"zoo": ("made",), "step": ("5",)}, title="Search", note="n"))
    evaluate = sc.Evaluator(zoo)
    *_, last = sc.greedy_soup(zoo, evaluate)
    assert found.numbers[0].value == charts.percent(evaluate(last.soup))
    assert any(f"greedy keeps {len(last.soup.names)}" in each for each in found.sentences)
    (curve, *_) = found.drawings
    assert curve.figure.data
    assert curve.alt.startswith("Greedy search, step 5 of 5")


def test_a_scene_without_a_page_and_one_with_an_error_are_one_line(zoo: sc.Zoo) -> None:
    with pytest.raises(sc.SoupError, match="no page 'Nowhere'"):
        rendering.panel_of(Scene(page="Nowhere"))
    for file in zoo.folder.glob("m*.safetensors"):
        file.unlink()
    with pytest.raises(sc.SoupError, match=r"The page Home cannot be shown: .*made"):
        rendering.panel_of(Scene(page="Home", state={"zoo": ("made",)}))


def test_what_a_page_says_beside_its_findings_is_in_the_panel(zoo: sc.Zoo) -> None:
    found = rendering.panel_of(Scene(page="Ingredients", state={"zoo": ("made",), "in": ("m1", "gone")}))
    assert any("names gone, which is not in this zoo" in each for each in found.messages)


def test_a_scene_shows_what_its_session_has_uploaded(zoo: sc.Zoo, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(random_linears(1, seed=7)["m0"], file)
    scene = Scene(page="Ingredients", state={"zoo": ("made",), "in": ("mine",)})
    found = rendering.panel_of(scene, LentUploads({"made": {"mine": file}}))
    mine = sc.Evaluator(with_uploads(zoo, {"mine": file}))(sc.Soup({"mine": 1.0}))
    assert found.numbers[0].value == charts.percent(mine)
    assert not found.messages


def test_work_that_a_page_asks_about_is_done_for_a_file(
    zoo: sc.Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a large zoo, where a reader is asked before it begins; without a start there would be nothing to wait for."""
    monkeypatch.setattr(work, "SMALL_GIGABYTES", 0.0)
    taken_up = []
    monkeypatch.setattr(
        caching, "Jobs", lambda store, take_up: taken_up.append(take_up) or Jobs(store, take_up=take_up)
    )
    scenes = tmp_path / "scenes.json"
    scenes.write_text(to_json([Scene(page="Robustness", state={"zoo": ("made",), "view": ("Cost",)}, title="Bill")]))
    asked = open_page("pages/5_Robustness.py", view="Cost")
    assert not list(rendering._drawings(asked)), "it waits to be asked"
    st.cache_resource.clear()
    with monkeypatch.context() as patched:
        patched.setattr("logging.disable", lambda _: None)
        rendering.main("made", tmp_path / "made.html", scenes)
    assert figures_in((tmp_path / "made.html").read_text())
    assert taken_up == [True, False], "unfinished jobs are the server's"


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
    assert rendering.without_markup(markup) == text


def test_the_command_writes_each_kind_and_refuses_others(zoo: sc.Zoo, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    scenes = tmp_path / "scenes.json"
    scenes.write_text(to_json([Scene(page="Ingredients", state={"zoo": ("made",), "in": ("m1", "m3")}, title="Two")]))
    for kind in ("html", "pptx", "zip"):
        rendering.write(
            "made", tmp_path / f"made.{kind}", scenes, lambda done, total, _: progress.append((done, total))
        )
    assert progress[:3] == [(0, 2), (1, 2), (2, 2)]
    evaluation = sc.Evaluator(zoo)(sc.uniform_soup(zoo, ["m1", "m3"]))
    page = (tmp_path / "made.html").read_text()
    assert f'<dd class="value">{charts.percent(evaluation)}</dd>' in page
    (points_drawn, *_) = figures_in(page)
    singles = sorted(each.correct for each in (sc.Evaluator(zoo)(sc.Soup({name: 1.0})) for name in zoo.names))
    ys = sorted(
        round(float(row[2]) * evaluation.total / 100)
        for row in Drawing(go.Figure(points_drawn), "").table.rows
        if row[0] in ("in the soup", "not in it")
    )
    assert ys == singles
    texts = [
        shape.text_frame.text
        for slide in Presentation(tmp_path / "made.pptx").slides
        for shape in slide.shapes
        if shape.has_text_frame
    ]
    assert charts.percent(evaluation) in texts
    names = zipfile.ZipFile(tmp_path / "made.zip").namelist()
    assert {"1-1.svg", "1-1.png"} <= set(names)
    with pytest.raises(sc.SoupError, match="expected a name that ends in"):
        rendering.write("made", tmp_path / "made.doc", scenes, lambda *_: None)
