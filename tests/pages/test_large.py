"""Pages of zoos with many ingredients: names in a list, links to them, the first number, changes on some images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import soup_core as sc
from pages.views.ingredients import mix, names
from pages.views.interpolation import line
from soup_core import charts
from tests.app_pages import closes, metric, open_page, words
from tests.zoos import random_linears, write_zoo

INGREDIENTS = "pages/1_Ingredients.py"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sc.Zoo]:
    """A zoo of six, for whose pages six are too many for pills."""
    st.cache_resource.clear()
    monkeypatch.setattr(names, "PILLS", 5)
    yield sc.open_zoo(write_zoo(tmp_path / "made", random_linears(6)))
    st.cache_resource.clear()


def shown(zoo: sc.Zoo, *chosen: str) -> str:
    return charts.percent(sc.Evaluator(zoo)(sc.uniform_soup(zoo, chosen)))


def test_many_names_are_a_list_and_few_are_pills(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    test = open_page(INGREDIENTS)
    assert [each.key for each in test.multiselect] == ["in"]
    assert test.multiselect[0].options == list(zoo.names)
    assert test.multiselect[0].value == list(zoo.names)
    monkeypatch.setattr(names, "PILLS", 6)
    st.cache_resource.clear()
    assert not open_page(INGREDIENTS).multiselect


def test_a_link_chooses_in_the_list_and_the_list_writes_the_link(zoo: sc.Zoo) -> None:
    test = open_page(INGREDIENTS, **{"in": ["m4", "nobody", "m1"]})
    assert "The address names nobody" in words(test)
    assert metric(test, "Your soup") == shown(zoo, "m1", "m4")
    test.multiselect[0].set_value(["m5", "m0"]).run()
    assert metric(test, "Your soup") == shown(zoo, "m0", "m5")
    assert test.session_state["history:now"] == ["m0", "m5"], "in the zoo's order, whatever was typed first"
    next(button for button in test.button if button.label == "None").click().run()
    assert test.query_params["empty"] == "true"
    assert "Nothing is in the soup" in words(test)
    assert "Nothing is in the soup" in words(open_page(INGREDIENTS, empty="true"))


def test_greedys_button_chooses_what_the_core_does(zoo: sc.Zoo) -> None:
    test = open_page(INGREDIENTS)
    next(button for button in test.button if button.label == "Greedy's").click().run()
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo))
    assert test.multiselect[0].value == sorted(last.soup.names)
    assert metric(test, "Your soup") == shown(zoo, *last.soup.names)
    next(button for button in test.button if button.label == "Undo").click().run()
    assert test.multiselect[0].value == list(zoo.names)


@pytest.mark.parametrize(("path", "split"), [(INGREDIENTS, "held_out"), ("app.py", "test")])
def test_the_first_number_waits_for_no_single_model(
    path: str, split: str, zoo: sc.Zoo, evaluated: list[sc.Soup]
) -> None:
    closes(open_page(path))
    everything, singles = sc.uniform_soup(zoo), [sc.Soup.single(name) for name in zoo.names]
    before = evaluated[: evaluated.index(everything)]
    assert set(before) <= {singles[0]}, "but for a look at whether anything is to be trusted"
    assert set(singles) <= set(evaluated)


def test_where_all_images_are_too_many_changes_are_tried_on_some(
    zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch, evaluated: list[sc.Soup]
) -> None:
    monkeypatch.setattr(mix, "FEW", 50)
    assert "images" not in words(closes(open_page(INGREDIENTS))).partition("Each change is tried on")[2]
    monkeypatch.setattr(mix, "IMAGES_RUN", 600)
    st.cache_resource.clear()
    test = closes(open_page(INGREDIENTS))
    assert "Each change is tried on 50 of the held-out images." in words(test)
    few = sc.Evaluator(zoo, images=50)
    whole = few(sc.uniform_soup(zoo)).accuracy
    gains = {name: few(sc.uniform_soup(zoo).drop(name)).accuracy - whole for name in zoo.names}
    best = max(sc.Evaluator(zoo).singles(), key=lambda name: gains[name])
    if gains[best] > 0:
        assert f"{100 * gains[best]:+.2f} points on 50 of the held-out images" in words(test)
    else:
        assert "No single change would raise the accuracy of this soup on 50 of the held-out images" in words(test)


def test_the_middle_of_a_line_is_told_before_the_rest_is_evaluated(
    zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch, evaluated: list[sc.Soup]
) -> None:
    told: list[tuple[str, int]] = []
    draw = DeltaGenerator.metric

    def noted(self: DeltaGenerator, label: str, *given: Any, **options: Any) -> DeltaGenerator:
        told.append((label, len(evaluated)))
        return draw(self, label, *given, **options)

    monkeypatch.setattr(DeltaGenerator, "metric", noted)
    monkeypatch.setattr(line, "PATIENCE_SECONDS", -1.0)
    closes(open_page("pages/3_Interpolation.py"))
    assert told[0] == (line.MIDDLE, 3), "the two ends and the middle"
    assert len(evaluated) > 3
