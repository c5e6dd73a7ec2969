"""Every page run by Streamlit's own test driver, on a made zoo."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

import soup_core as sc
from soup_core import charts, formatting
from soup_core.analysis.face_off import recipes_of
from tests.app_pages import closes, metric, open_page, until, words
from tests.zoos import random_linears, write_zoo

PAGES = ["app.py", "pages/1_Ingredients.py", "pages/2_Greedy.py", "pages/3_Interpolation.py", "pages/4_Learned.py",
         "pages/5_Robustness.py", "pages/6_Train.py", "pages/7_Learn.py", "pages/8_Present.py",
         "pages/9_Add_a_zoo.py"]  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_run_looks_once_where_zoos_may_lie(
    path: str, zoo: sc.Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    iterdir = Path.iterdir

    def counted(folder: Path) -> Iterator[Path]:
        if folder == tmp_path:  # which SOUP_ZOOS names
            looks.append(folder)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", counted)
    test = open_page(path)
    first = len(looks)
    test.run()
    assert not test.exception
    for_sweeps = path.startswith("pages/9_")  # folders that are no zoos yet
    assert (first, len(looks) - first) == ((2, 2) if for_sweeps else (1, 1))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_draws_and_closes_with_a_sentence(path: str, zoo: sc.Zoo) -> None:
    test = closes(open_page(path))
    assert not test.exception
    assert not test.error


@pytest.mark.usefixtures("few_images")  # the page shows a bundled zoo instead
@pytest.mark.parametrize("path", PAGES)
def test_an_unknown_zoo_is_named_and_the_session_lives(path: str, zoo: sc.Zoo) -> None:
    test = open_page(path, zoo="nowhere")
    assert not test.exception
    assert "nowhere" in words(test)


NEED_NO_ZOO = ("pages/7_Learn.py", "pages/8_Present.py")


@pytest.mark.parametrize("path", [path for path in PAGES if path not in NEED_NO_ZOO])
def test_a_broken_zoo_is_one_sentence(path: str, zoo: sc.Zoo) -> None:
    (zoo.folder / "zoo.toml").write_text("format = 'one'")
    test = open_page(path)
    assert not test.exception
    assert len(test.error) == 1
    assert "format" in test.error[0].value


@pytest.mark.parametrize("path", NEED_NO_ZOO)
def test_a_broken_zoo_hides_no_page_that_needs_none(path: str, zoo: sc.Zoo) -> None:
    (zoo.folder / "zoo.toml").write_text("format = 'one'")
    test = open_page(path)
    assert not test.exception
    assert not test.error
    closes(test)


@pytest.mark.parametrize("path", [path for path in PAGES if path not in NEED_NO_ZOO])
def test_a_broken_ingredient_is_left_out_and_the_page_works(path: str, zoo: sc.Zoo) -> None:
    os.truncate(zoo.folder / "m1.safetensors", 90)
    test = open_page(path)
    assert not test.exception
    assert any("m1" in warning.value for warning in test.warning)
    closes(test)


def test_home_reports_the_cores_test_numbers(zoo: sc.Zoo) -> None:
    test = open_page("app.py")
    report = sc.Evaluator(zoo, "test")
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert metric(test, "Best single") == charts.percent(report(steps[0].soup))
    assert metric(test, "Uniform") == charts.percent(report(sc.uniform_soup(zoo)))
    assert metric(test, "Greedy") == charts.percent(report(steps[-1].soup))


def test_a_toggle_moves_the_number_to_what_the_core_computes(zoo: sc.Zoo) -> None:
    test = open_page("pages/1_Ingredients.py")
    held_out = sc.Evaluator(zoo)
    assert metric(test, "Your soup") == charts.percent(held_out(sc.uniform_soup(zoo)))
    pills = test.get("button_group")[0]
    pills.unselect("m1").run()
    left = [name for name in zoo.names if name != "m1"]
    assert metric(test, "Your soup") == charts.percent(held_out(sc.uniform_soup(zoo, left)))
    next(button for button in test.button if button.label == "Undo").click().run()
    assert metric(test, "Your soup") == charts.percent(held_out(sc.uniform_soup(zoo)))
    next(button for button in test.button if button.label == "None").click().run()
    assert "Nothing is in the soup" in words(test)
    next(button for button in test.button if button.label == "Invert").click().run()
    assert metric(test, "Your soup") == charts.percent(held_out(sc.uniform_soup(zoo)))
    next(button for button in test.button if button.label == "Only the best k").click().run()
    best = sorted(zoo.names, key=lambda name: (-held_out(sc.Soup({name: 1.0})).correct, name))[:3]
    assert metric(test, "Your soup") == charts.percent(held_out(sc.uniform_soup(zoo, best)))


def test_the_test_number_is_hidden_until_asked_for(zoo: sc.Zoo) -> None:
    test = open_page("pages/1_Ingredients.py")
    assert not [each for each in test.metric if "test" in each.label]
    test.toggle[0].set_value(True).run()
    assert metric(test, "Your soup, test") == charts.percent(sc.Evaluator(zoo, "test")(sc.uniform_soup(zoo)))


def test_an_unknown_ingredient_in_the_address_is_named(zoo: sc.Zoo) -> None:
    test = open_page("pages/1_Ingredients.py", **{"in": ["m0", "nobody"]})
    assert "nobody" in words(test)
    assert metric(test, "Your soup") == charts.percent(sc.Evaluator(zoo)(sc.Soup({"m0": 1.0})))


def test_greedy_stands_at_the_step_of_the_address(zoo: sc.Zoo) -> None:
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    test = open_page("pages/2_Greedy.py", step="5")
    assert metric(test, "Ingredients in it") == f"{len(steps[-1].soup.names)} of 5 tried"
    next(button for button in test.button if button.label == "Back").click().run()
    assert metric(test, "Ingredients in it") == f"{len(steps[3].soup.names)} of 4 tried"


def test_interpolation_shows_the_middle_and_the_barrier(zoo: sc.Zoo) -> None:
    test = open_page("pages/3_Interpolation.py", a="m0", b="m3")
    found = list(sc.line(sc.Evaluator(zoo), sc.Soup({"m0": 1.0}), sc.Soup({"m3": 1.0})))
    middle = next(point.evaluation for point in found if point.alpha == 0.5)
    assert metric(test, "The middle") == charts.percent(middle)
    assert metric(test, "Error barrier") == f"{100 * sc.error_barrier(found).height:.2f} points"
    test = open_page("pages/3_Interpolation.py", a="m0", b="m0")
    assert "same model" in words(test)


def test_the_ensemble_of_the_same_stands_beside_the_soup(zoo: sc.Zoo) -> None:
    test = open_page("pages/1_Ingredients.py", **{"in": ["m0", "m2"]})
    assert metric(test, "Their ensemble") == charts.percent(sc.ensemble(sc.Evaluator(zoo), ["m0", "m2"]))


def test_learned_ends_with_the_cores_numbers_and_keeps_test_back(zoo: sc.Zoo) -> None:
    test = closes(open_page("pages/4_Learned.py", granularity="model", epochs="2", softmax_rate="0.2"))
    held_out, report = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    *_, final = sc.learned_soup(zoo, held_out, granularity="model", epochs=2, learning_rate=0.2)
    assert metric(test, "Learned soup, held-out") == charts.percent(held_out(final.soup))
    assert metric(test, "Uniform soup, held-out") == charts.percent(held_out(sc.uniform_soup(zoo)))
    assert not [each for each in test.metric if "test" in each.label]
    test.toggle(key="test").set_value(True).run()
    assert metric(test, "Learned soup, test") == charts.percent(report(final.soup))


def test_home_compares_every_recipe(zoo: sc.Zoo) -> None:
    whole = recipes_of(zoo)
    test = until(open_page("app.py"), lambda test: test.dataframe and len(test.dataframe[0].value) >= whole)
    rows = {row["recipe"]: row for row in test.dataframe[0].value.to_dict("records")}
    assert rows["Ensemble"]["test"] == charts.percent(sc.ensemble(sc.Evaluator(zoo, "test"), zoo.names))
    assert rows["Ensemble"]["models run"] == 5
    assert rows["Greedy soup"]["test"] == metric(test, "Greedy soup")


def test_greedy_takes_a_given_list_and_tells_the_selection_gap(zoo: sc.Zoo) -> None:
    given = open_page("pages/2_Greedy.py", order="given", list=["m3", "m1"], step="2")
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo), order=["m3", "m1"])
    assert metric(given, "Ingredients in it") == f"{len(last.soup.names)} of 2 tried"
    assert "selection gap" in words(open_page("pages/2_Greedy.py", step="5"))


def test_the_band_over_shuffled_orders_is_told(zoo: sc.Zoo) -> None:
    test = open_page("pages/2_Greedy.py", step="5", band="true")
    until(test, lambda test: "20 shuffled orders the lowest" in words(test))
    ends = [step.correct[-1] for step in sc.greedy_band(zoo, sc.Evaluator(zoo))]
    assert f"{100 * min(ends) / 120:.2f} %" in words(test)


def test_the_sidebar_tells_where_checkpoints_are(zoo: sc.Zoo) -> None:
    assert "are kept in memory" in words(open_page("pages/1_Ingredients.py"))
    assert "are read from their files" in words(open_page("pages/1_Ingredients.py", memory="0"))
    assert "in bf16" in words(open_page("pages/1_Ingredients.py", precision="bf16"))


def test_row_36_names_are_literal_text() -> None:
    hostile = "![x](http://evil/x.png) <img src=x> **b** :red[x] $x$ `x`\n\u202eabc"
    escaped = formatting.plain(hostile)
    assert "\n" not in escaped
    assert "\u202e" not in escaped
    assert "![" not in escaped
    assert "](" not in escaped
    assert "\\*\\*b\\*\\*" in escaped
