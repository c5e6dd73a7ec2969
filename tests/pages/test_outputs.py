"""Pages of a zoo of outputs, run by Streamlit's own test driver."""

from pathlib import Path

import numpy as np
import pytest
import streamlit as st

from tests.app_pages import meaning, metric, open_page, words
from tests.outputs import made_labels, made_logits, made_outputs, softmax

LABELS = made_labels()
MODELS = {f"n{index}": made_logits(LABELS, index, 0.9 + 0.1 * index) for index in range(5)}
ROBUSTNESS, INGREDIENTS = "pages/5_Robustness.py", "pages/1_Ingredients.py"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    st.cache_resource.clear()
    return made_outputs(tmp_path / "made")


def percent(names: list[str], split: str) -> str:
    """The accuracy of an ensemble by numpy, as pages write one of fewer than 1,000 images."""
    mean = np.mean([softmax(MODELS[name][f"{split}.logits"]) for name in names], axis=0)
    right = mean.argmax(1) == LABELS[f"{split}.labels"]
    return f"{100 * right.mean():.1f} %"


def best() -> str:
    def key(name: str) -> tuple[int, str]:
        right = MODELS[name]["held_out.logits"].argmax(1) == LABELS["held_out.labels"]
        return -int(right.sum()), name

    return min(MODELS, key=key)


@pytest.mark.usefixtures("folder")
def test_home_compares_the_best_model_with_its_ensembles() -> None:
    test = open_page("app.py")
    assert not test.exception
    assert not test.error
    assert metric(test, "Best single model") == percent([best()], "test")
    assert metric(test, "Ensemble of all") == percent(list(MODELS), "test")
    assert "points" in meaning(test)
    (table,) = test.dataframe
    assert sorted(table.value["model"]) == list(MODELS)
    assert table.value["model"].iloc[0] == best()


@pytest.mark.usefixtures("folder")
def test_the_chosen_models_make_the_ensemble() -> None:
    test = open_page(INGREDIENTS, **{"in": ["n1", "n3"]})
    assert metric(test, "Your ensemble, held-out") == percent(["n1", "n3"], "held_out")
    assert "ensemble of 2 models" in meaning(test)
    test.toggle[0].set_value(True).run()
    assert metric(test, "Your ensemble, test") == percent(["n1", "n3"], "test")
    next(button for button in test.button if button.label == "None").click().run()
    assert "Nothing is in the ensemble yet" in words(test)
    next(button for button in test.button if button.label == "All").click().run()
    assert metric(test, "Your ensemble, held-out") == percent(list(MODELS), "held_out")
    next(button for button in test.button if button.label == "Greedy's").click().run()
    assert not test.exception
    assert len(test.session_state["in"]) > 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("path", "view", "expected"),
    [
        (INGREDIENTS, "Disagreement", "wrong on different images"),
        (ROBUSTNESS, "Figure", "Under shift the greedy ensemble"),
        (ROBUSTNESS, "Shifts", "Most is lost under"),
        (ROBUSTNESS, "Calibration", "The calibration error of the ensemble of all"),
        (ROBUSTNESS, "What changed", "differs by"),
    ],
)
def test_a_view_closes_with_its_sentence(path: str, view: str, expected: str) -> None:
    test = open_page(path, view=view)
    assert not test.exception
    assert not test.error
    assert expected in meaning(test)


@pytest.mark.usefixtures("folder")
def test_names_of_classes_are_literal_text() -> None:
    test = open_page(ROBUSTNESS, view="What changed", a="n0", b="n4")
    assert not test.exception
    assert "<b>" not in words(test)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "path", ["pages/2_Greedy.py", "pages/3_Interpolation.py", "pages/4_Learned.py", "pages/6_Train.py"]
)
def test_what_needs_weights_says_so_and_offers_the_rest(path: str) -> None:
    test = open_page(path)
    assert not test.exception
    assert not test.error
    assert "without weights" in meaning(test)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", ["pages/7_Learn.py", "pages/8_Present.py", "pages/9_Add_a_zoo.py"])
def test_pages_that_are_not_of_the_zoo_stay_as_they_are(path: str, folder: Path) -> None:
    test = open_page(path)
    assert not test.exception
    assert not test.error
    assert "without weights" not in "\n".join(str(part.value) for part in test.markdown)


def test_without_shifts_the_rest_is_there(tmp_path: Path) -> None:
    st.cache_resource.clear()
    folder = made_outputs(tmp_path / "made", 2)
    plain_only(folder)
    test = open_page(ROBUSTNESS)
    assert meaning(test) == "**This zoo has no outputs on shifted images.**"
    assert "ensemble of all" in meaning(open_page(ROBUSTNESS, view="Calibration"))


def plain_only(folder: Path) -> None:
    for name in ("labels", "n2"):
        for path in (folder / name).glob("shift.*.npy") if (folder / name).is_dir() else ():
            path.unlink()


def test_a_changed_file_is_read_anew(tmp_path: Path, folder: Path) -> None:
    before = metric(open_page("app.py"), "Ensemble of all")
    labels = folder / "labels" / "test.labels.npy"
    np.save(labels, (LABELS["test.labels"] + 1) % 4)
    assert metric(open_page("app.py"), "Ensemble of all") != before


def test_what_is_left_out_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "n1.npz").unlink()
    (folder / "labels" / "note.txt").write_text("not an array")
    test = open_page("app.py")
    assert "n1 is left out" in words(test)
    assert not test.exception


def test_a_zoo_that_cannot_be_opened_is_one_sentence(folder: Path) -> None:
    (folder / "labels" / "test.labels.npy").unlink()
    test = open_page("app.py")
    assert not test.exception
    (error,) = test.error
    assert "has no test.labels" in error.value


@pytest.mark.usefixtures("folder")
def test_a_folder_of_outputs_becomes_a_zoo(tmp_path: Path) -> None:
    made_outputs(tmp_path / "given", with_toml=False)
    test = open_page("pages/9_Add_a_zoo.py")
    assert not test.exception
    assert "Outputs of 5 models, without weights" in meaning(test)
    next(each for each in test.button if each.label == "Write zoo.toml").click().run()
    assert not test.exception
    assert [str(each.value) for each in test.success] == ["given is a zoo of outputs now: 5 models; 0 left out."]
    assert metric(open_page("app.py", zoo="given"), "Ensemble of all") == percent(list(MODELS), "test")


@pytest.mark.usefixtures("folder")
def test_the_metric_of_the_sidebar_selects() -> None:
    test = open_page("app.py", metric="log-loss")
    assert not test.exception
    assert not test.error
    assert "nats" in metric(test, "Ensemble of all: test log loss")
    assert "worst-group" not in next(each for each in test.selectbox if each.label == "Select by").options
    test = open_page(INGREDIENTS, metric="worst-class")
    assert metric(test, "Your ensemble, held-out: worst class")
    assert not test.exception
