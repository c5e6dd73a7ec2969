"""The Train page: what it asks for, what it says of the outcome, and what it removes."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from soup_core import charts
from soup_core.analysis.acceptance import acceptances
from soup_core.finetune import Hyperparameters, checked, finetune, random_search, space_of, sweep, usual
from soup_core.runtime.store import default_store
from soup_core.zoo import user_ingredients
from tests.app_pages import closes, metric, open_page, until, words
from tests.zoos import linears_around_zero, random_deeps, random_linears, write_zoo

PAGE = "pages/6_Train.py"
SET = {"tuning_rate": "0.02", "tuning_epochs": "3", "augmentation": "flip", "mixup": "0.2", "decay": "0.05",
       "smoothing": "0.1", "tuning_seed": "4"}  # fmt: skip
RUN = Hyperparameters(0.02, 0.05, 3, label_smoothing=0.1, mixup=0.2, augmentation="flip", seed=4)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_deeps(4), architecture="test_deep"))


def train(test: AppTest) -> AppTest:
    """Press Train, and run the page until the work has ended."""
    next(button for button in test.button if button.label == "Train").click().run()
    return until(test, lambda test: not any(button.label == "Stop" for button in test.button))


def test_before_any_run_it_says_what_there_is_to_beat(zoo: sc.Zoo) -> None:
    test = open_page(PAGE)
    evaluate = sc.Evaluator(zoo)
    steps = list(sc.greedy_soup(zoo, evaluate))
    assert metric(test, "Best single model") == charts.percent(evaluate(steps[0].soup))
    assert metric(test, "Greedy soup") == charts.percent(evaluate(steps[-1].soup))
    assert not [each for each in test.expander if each.label.startswith("Added by you")]


@pytest.mark.parametrize("value", [1.5e-9, 3.0, 1e300])
def test_whatever_the_zoo_says_of_its_runs_there_is_a_usual_one(tmp_path: Path, value: float) -> None:
    st.cache_resource.clear()
    folder = write_zoo(tmp_path / "made", random_deeps(3), architecture="test_deep")
    strange = f"{{ learning_rate = {value}, weight_decay = {value}, epochs = {value} }}"
    text = (folder / "zoo.toml").read_text()
    (folder / "zoo.toml").write_text(text.replace("{ learning_rate = 0.1 }", strange))
    zoo = sc.open_zoo(folder)
    assert checked(usual(zoo, 2))
    assert not open_page(PAGE).exception
    assert not open_page(PAGE, search="random search").exception


def test_a_run_ends_with_the_cores_numbers_and_the_ingredient_in_the_zoo(zoo: sc.Zoo) -> None:
    test = train(open_page(PAGE, **SET))
    assert not test.exception
    made = sc.open_zoo("made")
    assert made.names == ("m0", "m1", "m2", "m3", "own-01")
    assert made.by_name["own-01"].hyperparameters == RUN.recorded()
    evaluate = sc.Evaluator(made)
    (found,) = acceptances(made, evaluate, ["own-01"])
    assert metric(test, "own-01") == charts.percent(found.single)
    assert metric(test, "Greedy") == ("takes it" if found.accepted else "leaves it out")
    *_, last = sc.greedy_soup(made, evaluate)
    assert metric(test, "Greedy soup") == charts.percent(evaluate(last.soup))
    assert f"{found.after.correct:,} of 120 held-out images right instead of {found.before.correct:,}" in words(test)
    other = open_page("pages/1_Ingredients.py")
    assert metric(other, "Your soup") == charts.percent(evaluate(sc.uniform_soup(made)))


def test_row_42_the_page_attaches_to_what_was_trained_whatever_its_controls_say(zoo: sc.Zoo) -> None:
    train(open_page(PAGE, **SET))
    again = open_page(PAGE)
    assert metric(again, "own-01")
    assert "own-01" in words(closes(again))


def test_what_was_added_is_listed_removed_and_made_again(zoo: sc.Zoo) -> None:
    test = train(open_page(PAGE, **SET))
    assert "Added by you: 1" in [each.label for each in test.expander]
    assert test.dataframe[0].value.to_dict("records")[0]["seed"] == 4
    pills = next(group for group in test.get("button_group") if group.label == "Take away")
    pills.select("own-01").run()
    next(button for button in test.button if button.label == "Remove").click().run()
    assert not test.exception
    assert sc.open_zoo("made").names == zoo.names
    assert "no longer in the zoo" in words(test)
    train(test)
    assert sc.open_zoo("made").names[-1] == "own-01"
    assert metric(test, "own-01")


def test_a_search_trains_what_the_core_draws(zoo: sc.Zoo) -> None:
    test = train(open_page(PAGE, search="random search", runs="3", tuning_seed="2"))
    drawn = list(random_search(3, seed=2, space=space_of(zoo, 2)))
    made = sc.open_zoo("made")
    assert [made.by_name[f"own-0{n}"].hyperparameters for n in (1, 2, 3)] == [each.recorded() for each in drawn]
    found = list(acceptances(made, sc.Evaluator(made), made.names[4:]))
    taken = [each.name for each in found if each.accepted]
    assert metric(test, "Greedy") == f"takes {len(taken)} of 3"
    assert f"Of 3 new ingredients greedy takes {len(taken)}" in words(test)
    assert metric(test, max(found, key=lambda each: each.single.correct).name)


def test_an_ingredient_that_becomes_the_best_is_where_greedy_starts(tmp_path: Path) -> None:
    st.cache_resource.clear()
    folder = write_zoo(tmp_path / "made", {**random_linears(2, spread=4.0), "base": random_linears(1)["m0"]})
    test = train(open_page(PAGE, **{**SET, "tuning_epochs": "40", "mixup": "0", "smoothing": "0"}))
    made = sc.open_zoo(folder.name)
    (found,) = acceptances(made, sc.Evaluator(made), ["own-01"])
    assert found.starts
    assert f"Greedy starts from own-01, now the best single model: it gets {found.single.correct} of 120" in words(test)


def test_a_zoo_without_a_base_asks_what_to_start_from(tmp_path: Path) -> None:
    st.cache_resource.clear()
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(3)))
    test = open_page(PAGE, **SET)
    singles = {name: sc.Evaluator(zoo)(sc.Soup({name: 1.0})) for name in zoo.names}
    chosen = next(each for each in test.selectbox if each.label == "Start from")
    assert chosen.value == max(zoo.names, key=lambda name: singles[name].correct)
    train(test)
    origin = user_ingredients.origin_of(sc.open_zoo("made").by_name["own-01"].checkpoint)
    assert origin.start == chosen.value


def test_a_zoo_without_images_to_train_on_says_so(zoo: sc.Zoo) -> None:
    import safetensors.torch

    tensors = safetensors.torch.load_file(zoo.folder / "data.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("train")}
    safetensors.torch.save_file(kept, zoo.folder / "data.safetensors")
    test = train(open_page(PAGE))
    assert not test.exception
    assert "no tensor train.images" in words(test).replace("\\", "")
    assert not default_store().jobs()


def test_a_run_that_diverges_is_told(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_is_sound", lambda *_: False)
    test = train(open_page(PAGE, **SET))
    assert "nothing was added; try a lower learning rate" in words(test)
    assert sc.open_zoo("made").names == zoo.names


def test_row_43_a_stopped_run_says_so_and_goes_on(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, epochs = [True], sweep.FinetuneRun.epochs

    def slowly(self: sweep.FinetuneRun, wanted: Hyperparameters, *, ended: bool = False) -> Iterator[object]:
        for step in epochs(self, wanted, ended=ended):
            yield step
            while slow[0]:
                time.sleep(0.01)
                sweep.yield_point()

    monkeypatch.setattr(sweep.FinetuneRun, "epochs", slowly)
    test = open_page(PAGE, **SET)
    next(button for button in test.button if button.label == "Train").click().run()
    next(button for button in test.button if button.label == "Stop").click().run()
    until(test, lambda test: "Stopped" in words(test))
    assert "no longer in the zoo" not in words(test)
    slow[0] = False
    next(button for button in test.button if button.label == "Go on").click().run()
    until(test, lambda test: "Greedy" in [each.label for each in test.metric])
    assert sc.open_zoo("made").names[-1] == "own-01"


def test_figures_of_a_training_hold_what_it_told(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", linears_around_zero(2)))
    steps = list(finetune(zoo, sc.Evaluator(zoo), hyperparameters=[RUN, replace(RUN, seed=5, epochs=2)]))
    best = sc.Evaluator(zoo)(sc.Soup({"m0": 1.0}))
    first, second, ends, start = charts.training_accuracy(steps, best).data
    base = steps[0].start
    assert list(first.y) == [100 * each.accuracy for each in (base, *(step.held_out for step in steps[:3]))]
    assert list(second.y) == [100 * each.accuracy for each in (base, *(step.held_out for step in steps[3:]))]
    assert [point[0] for point in ends.customdata] == ["own-01", "own-02"]
    assert list(start.y) == [100 * base.accuracy]
    trained, held_out = charts.training_losses(steps).data
    assert list(trained.x) == [0, 1, 2]
    assert list(trained.y)[1:] == [step.loss for step in steps[3:]]
    assert list(held_out.y) == [base.loss, *(step.held_out.loss for step in steps[3:])]
