"""The panel that takes a soup along and brings one back, by Streamlit's own test driver."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from soup_core import charts, export
from soup_core.evaluation import Evaluator
from tests.adapters import adapter_zoo
from tests.app_pages import closes, metric, open_page, words
from tests.zoos import random_deeps, random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")
INGREDIENTS = "pages/1_Ingredients.py"


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", {"base": random_linears(1, 9)["m0"], **random_linears(5)}))


def bring(test: AppTest, content: str | bytes | Mapping[str, object], name: str = "soup.json") -> AppTest:
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    uploader = next(each for each in test.file_uploader if each.label.startswith("Bring one back"))
    uploader.set_value((name, raw, "application/octet-stream"))
    return test.run()


def told(test: AppTest) -> str:
    return "\n".join([words(test), *(str(each.value) for each in test.success)])


@pytest.mark.parametrize("kind", ["recipe", "card", "file"])
def test_what_was_taken_along_sets_the_pills(kind: str, zoo: sc.Zoo) -> None:
    soup = sc.uniform_soup(zoo, ["m1", "m4"])
    out = sc.Export(soup, sc.Evaluator(zoo))
    content: str | bytes = {
        "recipe": out.recipe,
        "card": export.model_card(out, "soup"),
        "file": export.safetensors_bytes(out),
    }[kind]
    test = bring(open_page(INGREDIENTS), content)
    assert not test.exception
    assert test.get("button_group")[0].value == ["m1", "m4"]
    assert metric(test, "Your soup") == charts.percent(sc.Evaluator(zoo)(soup))
    assert "This page shows the soup of that file" in told(test)
    test.get("button_group")[0].unselect("m4").run()
    assert "The file holds Uniform soup of 2 ingredients" in told(test)


def test_the_choice_of_statistics_comes_back_too(tmp_path: Path) -> None:
    st.cache_resource.clear()
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_deeps(3), architecture="test_deep"))
    soup = sc.uniform_soup(zoo, ["m0", "m2"], batch_norm="first")
    test = bring(open_page(INGREDIENTS), sc.Export(soup, sc.Evaluator(zoo)).recipe)
    assert metric(test, "Your soup") == charts.percent(sc.Evaluator(zoo)(soup))
    assert "This page shows the soup of that file" in told(test)


@pytest.mark.parametrize("coefficients", [{"m0": 0.25, "m1": 0.75}, {"m0": 0.5, "base": 0.5}])
def test_a_soup_that_pills_cannot_say_is_told_with_its_accuracy(coefficients: dict[str, float], zoo: sc.Zoo) -> None:
    test = bring(open_page(INGREDIENTS), coefficients)
    assert test.get("button_group")[0].value == list(zoo.names)
    found = sc.Evaluator(zoo)(sc.Soup(coefficients))
    assert charts.percent(found) in told(test)
    assert charts.counts(found) in told(test)


def test_another_zoos_recipe_is_one_sentence_and_changes_nothing(zoo: sc.Zoo, tmp_path: Path) -> None:
    other = sc.open_zoo(write_zoo(tmp_path / "other", random_linears(5, seed=3)))
    for content, sentence in (
        (
            sc.Export(sc.uniform_soup(other, ["m1"]), sc.Evaluator(other)).recipe,
            "is another file than the one in the zoo made",
        ),
        ('{"nobody": 1.0}', "There is no ingredient"),
        ("<html>", "There is no recipe of a soup in this file"),
    ):
        test = bring(open_page(INGREDIENTS), content)
        assert not test.exception
        assert len(test.error) == 1
        assert sentence in told(test).replace("\\", "")
        assert test.get("button_group")[0].value == list(zoo.names)


@pytest.mark.parametrize(
    ("path", "kind"), [("pages/2_Greedy.py", "Greedy soup"), ("pages/4_Learned.py", "Learned soup")]
)
def test_greedy_and_learned_offer_theirs_and_take_one_back(path: str, kind: str, zoo: sc.Zoo) -> None:
    address = {"step": "5"} if "Greedy" in path else {"epochs": "1"}
    test = closes(open_page(path, **address))
    held_out = sc.Evaluator(zoo)
    *_, last = (
        sc.greedy_soup(zoo, held_out)
        if "Greedy" in path
        else sc.learned_soup(zoo, held_out, epochs=1, learning_rate=0.05)
    )
    out = sc.Export(last.soup, held_out, title=sc.title_of(last.soup, kind))
    assert export.command(out, "soup.safetensors", "soup.json") in [code.value for code in test.code]
    bring(test, {"m0": 0.5, "m1": 0.5})
    assert "The file holds Uniform soup of 2 ingredients" in told(test)
    assert not test.exception


def test_the_command_reports_the_test_images_only_where_asked(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[str] = []
    original = Evaluator.__call__
    monkeypatch.setattr(Evaluator, "__call__", lambda self, soup: evaluated.append(self.split) or original(self, soup))
    test = open_page(INGREDIENTS)
    assert "--test" not in test.code[0].value
    assert set(evaluated) == {"held_out"}
    test.toggle(key="export:test").set_value(True).run()
    assert "--test" in test.code[0].value


def test_an_empty_selection_can_be_filled_from_a_file(zoo: sc.Zoo) -> None:
    test = open_page(INGREDIENTS)
    next(button for button in test.button if button.label == "None").click().run()
    assert not test.get("download_button")[1:]  # only the table's
    bring(test, {"m2": 1.0})
    assert metric(test, "Your soup") == charts.percent(sc.Evaluator(zoo)(sc.Soup({"m2": 1.0})))


def test_a_large_model_is_left_to_the_command_line(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(test: AppTest) -> bool:
        (button,) = [each for each in test.get("download_button") if each.label.startswith("Weights")]
        return bool(button.proto.disabled)

    assert not weights(open_page(INGREDIENTS))
    monkeypatch.setattr("pages.views.export.DOWNLOAD_GIGABYTES", 1e-8)
    assert weights(open_page(INGREDIENTS))


def test_a_page_draws_without_making_any_of_it(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    for made in ("safetensors_bytes", "model_card", "remaking_script", "csv_text", "weights"):
        monkeypatch.setattr(export, made, lambda *_: pytest.fail("made before it was asked for"))
    assert not open_page(INGREDIENTS).exception


def test_a_soup_of_adapters_has_the_command_of_its_own_adapter(tmp_path: Path) -> None:
    st.cache_resource.clear()
    adapter_zoo(tmp_path / "made")
    test = open_page(INGREDIENTS)
    assert not test.exception
    (command,) = [each.value for each in test.code if "--adapter" in each.value]
    assert "--adapter concat" in command
    assert "-o soup-adapter" in command
