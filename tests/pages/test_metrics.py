"""Pages by another metric than accuracy."""

import re
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from soup_core.formatting import score
from soup_core.recipes import RECIPES
from tests.app_pages import closes, open_page, words
from tests.zoos import random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))


def metrics_of(test: AppTest) -> dict[str, str]:
    return {each.label: each.value for each in test.metric}


def test_a_zoo_offers_the_metrics_that_suit_its_images(zoo: sc.Zoo) -> None:
    page = open_page("pages/2_Greedy.py")
    (chooser,) = [each for each in page.sidebar.selectbox if each.label == "Select by"]
    assert chooser.options == ["accuracy", "balanced-accuracy", "macro-f1", "log-loss", "worst-class"]
    assert chooser.value == "accuracy"
    assert "metric" not in page.query_params


@pytest.mark.parametrize("key", ["macro-f1", "log-loss"])
def test_greedy_is_told_by_the_chosen_metric(zoo: sc.Zoo, key: str) -> None:
    judged = zoo.judged_by(key)
    evaluate = sc.Evaluator(judged)
    steps = list(sc.greedy_soup(judged, evaluate))
    page = open_page("pages/2_Greedy.py", metric=key, step=str(len(zoo.names)))
    assert not page.exception
    name = evaluate.metric.name
    assert metrics_of(page)[f"Greedy soup so far: {name}"] == score(evaluate(steps[-1].soup))
    assert "On the held-out images, which chose it, the soup gains" in words(page)
    assert ("so every candidate is evaluated in full" in words(page)) == (not evaluate.metric.is_bounded)
    assert f"Of {len(zoo.names)} ingredients greedy keeps {sum(step.accepted for step in steps)}: {name}" in words(page)


def test_home_compares_by_the_chosen_metric(zoo: sc.Zoo) -> None:
    judged = zoo.judged_by("balanced-accuracy")
    test, page = sc.Evaluator(judged, "test"), open_page("app.py", metric="balanced-accuracy")
    assert not page.exception
    shown = metrics_of(page)
    assert shown["Uniform soup: test balanced accuracy"] == score(test(sc.uniform_soup(judged)))
    assert re.search(r"Averaging \d of \d models: balanced accuracy [+-]|no average beats", words(page))


def test_ingredients_and_learned_say_the_metric_with_their_numbers(zoo: sc.Zoo) -> None:
    judged = zoo.judged_by("log-loss")
    expected = score(sc.Evaluator(judged)(sc.uniform_soup(judged, ["m0", "m1"])))
    page = open_page("pages/1_Ingredients.py", metric="log-loss", **{"in": ["m0", "m1"]})
    assert not page.exception
    assert metrics_of(page)["Your soup, held-out: log loss"] == expected
    assert expected.endswith(" nats")
    page = closes(open_page("pages/4_Learned.py", metric="log-loss", epochs="1"))
    assert not page.exception
    learned = RECIPES["learned"].soup(judged, sc.Evaluator(judged), epochs=1, learning_rate=0.05)
    assert metrics_of(page)["Learned soup, held-out: log loss"] == score(sc.Evaluator(judged)(learned))


def test_the_choice_goes_along_to_the_next_page(zoo: sc.Zoo) -> None:
    page = open_page("pages/2_Greedy.py", metric="worst-class")
    page.switch_page("pages/1_Ingredients.py").run()
    (chooser,) = [each for each in page.sidebar.selectbox if each.label == "Select by"]
    assert chooser.value == "worst-class"
