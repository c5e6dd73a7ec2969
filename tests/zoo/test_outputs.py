import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import soup_core as sc
from soup_core.errors import SoupError
from soup_core.evaluation import OutputsEvaluator, best_first
from soup_core.recipes.ensemble import ensemble
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.soup import Soup
from soup_core.zoo.outputs import OutputsZoo, open_outputs, outputs_zoo_folder
from tests.outputs import (
    CLASSES,
    FORMATS,
    IMAGES,
    Table,
    as_npz,
    made_labels,
    made_logits,
    made_outputs,
    softmax,
    write_outputs,
)

LABELS = made_labels()
MODELS = {f"n{index}": made_logits(LABELS, index) for index in range(5)}
SPLITS = {"held_out": "held_out", "test": "test", **{f"test:{s[6:]}": s for s in IMAGES if s.startswith("shift.")}}
Change = Callable[[Table], object]


@pytest.fixture
def zoo(tmp_path: Path) -> OutputsZoo:
    return open_outputs(write_outputs(tmp_path / "made", MODELS, LABELS))


def correct(scores: NDArray[Any], split: str) -> int:
    return int((scores.argmax(1) == LABELS[f"{split}.labels"]).sum())


def refusal(folder: Path) -> str:
    with pytest.raises(SoupError) as refused:
        open_outputs(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_counts_and_losses_are_numpys_in_every_format(zoo: OutputsZoo) -> None:
    assert zoo.names == tuple(MODELS)
    assert list(zoo.splits) == ["held_out", "test", "test:blur-1", "test:blur-3", "test:fog"]
    for split, own in SPLITS.items():
        labels = LABELS[f"{own}.labels"]
        for name, evaluation in OutputsEvaluator(zoo, split).singles().items():
            logits = MODELS[name][f"{own}.logits"]
            assert evaluation.correct == correct(logits, own)
            true = softmax(logits)[np.arange(len(labels)), labels]
            assert evaluation.loss == pytest.approx(-np.log(true).mean(), rel=1e-9)
            np.testing.assert_array_equal(evaluation.bits(), logits.argmax(1) == labels)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_ensembles_are_numpys_means(average: str, zoo: OutputsZoo) -> None:
    score = softmax if average == "probabilities" else np.asarray
    for split, own in SPLITS.items():
        mean = np.mean([score(MODELS[name][f"{own}.logits"].astype(float)) for name in ("n1", "n3", "n4")], axis=0)
        assert ensemble(OutputsEvaluator(zoo, split), ["n4", "n1", "n3"], average=average).correct == correct(mean, own)


def test_greedy_ensemble_is_a_plain_loop_over_the_held_out_outputs(zoo: OutputsZoo) -> None:
    shares = {name: softmax(table["held_out.logits"]) for name, table in MODELS.items()}
    order = sorted(shares, key=lambda name: (-correct(shares[name], "held_out"), name))
    chosen, best = [order[0]], correct(shares[order[0]], "held_out")
    accepted = [True]
    for name in order[1:]:
        found = correct(np.mean([shares[each] for each in (*chosen, name)], axis=0), "held_out")
        accepted.append(found > best)
        if found > best:
            chosen, best = [*chosen, name], found
    evaluate = OutputsEvaluator(zoo)
    steps = list(greedy_ensemble(zoo, evaluate))
    assert [step.candidate for step in steps] == order == best_first(evaluate.singles())
    assert [step.accepted for step in steps] == accepted
    assert set(steps[-1].soup.names) == set(chosen)
    assert len(chosen) > 1


def test_probabilities_are_noticed_and_their_logarithms_taken(tmp_path: Path) -> None:
    called = {
        "said": {name.replace("logits", "probabilities"): softmax(table) for name, table in MODELS["n0"].items()},
        "noticed": {name: softmax(table).astype(np.float32) for name, table in MODELS["n1"].items()},
        "half": {name: softmax(table).astype(np.float16) for name, table in MODELS["n2"].items()},
        "logits": MODELS["n3"],
    }
    zoo = open_outputs(write_outputs(tmp_path / "made", called, LABELS))
    assert [model.are_probabilities for model in zoo.models] == [True, True, True, False]
    (notice,) = zoo.notices
    assert notice.startswith("The outputs of noticed, half are probabilities")
    logits = OutputsEvaluator(zoo, "test").logits(Soup.single("said"))
    np.testing.assert_allclose(logits.softmax(1).numpy(), called["said"]["test.probabilities"], rtol=1e-12)
    one = ensemble(OutputsEvaluator(zoo, "test"), ["said", "noticed"])
    mean = (called["said"]["test.probabilities"] + called["noticed"]["test.logits"]) / 2
    assert one.correct == correct(mean, "test")


def test_a_probability_of_zero_costs_much_and_not_everything(tmp_path: Path) -> None:
    sure = {name: np.eye(len(CLASSES))[made.argmax(1)] for name, made in MODELS["n0"].items()}
    zoo = open_outputs(write_outputs(tmp_path / "made", {"sure": sure}, LABELS))
    found = OutputsEvaluator(zoo)(Soup.single("sure"))
    assert found.correct == correct(sure["held_out.logits"], "held_out")
    assert found.not_finite == 0
    wrong = 1 - found.accuracy
    assert found.loss == pytest.approx(-wrong * np.log(np.finfo(np.float32).tiny), rel=1e-6)


def test_float64_is_not_rounded(tmp_path: Path) -> None:
    close = {name: np.where(made == made.max(1, keepdims=True), 1 + 1e-12, 1.0) for name, made in MODELS["n0"].items()}
    zoo = open_outputs(write_outputs(tmp_path / "made", {"close": close}, LABELS))
    assert OutputsEvaluator(zoo)(Soup.single("close")).correct == correct(MODELS["n0"]["held_out.logits"], "held_out")


def test_outputs_that_are_not_finite_count_as_wrong_row_26(tmp_path: Path) -> None:
    broken = {name: made.copy() for name, made in MODELS["n0"].items()}
    wrong = ~(broken["test.logits"].argmax(1) == LABELS["test.labels"])
    broken["test.logits"][3, 1] = np.nan
    broken["test.logits"][5, 2] = np.inf
    zoo = open_outputs(write_outputs(tmp_path / "made", {"broken": broken}, LABELS))
    found = OutputsEvaluator(zoo, "test")(Soup.single("broken"))
    assert found.not_finite == 2
    wrong[[3, 5]] = True
    assert found.total - found.correct == wrong.sum()


def test_what_is_known_is_found_again_and_other_labels_are_another_question(tmp_path: Path) -> None:
    zoo = open_outputs(write_outputs(tmp_path / "made", MODELS, LABELS))
    other = open_outputs(write_outputs(tmp_path / "other", MODELS, made_labels(seed=1)))
    one, again, third = (OutputsEvaluator(each) for each in (zoo, zoo, other))
    soup = Soup.single("n0")
    assert again.recall(again.key(soup)) is None
    one(soup)
    assert again.recall(again.key(soup)) == one(soup)
    assert one.key(soup) != third.key(soup)
    assert zoo.digest != other.digest


def test_groups_and_classes_come_along(tmp_path: Path) -> None:
    groups = {name.replace("labels", "groups"): numbers % 2 for name, numbers in LABELS.items()}
    labels = {**LABELS, **groups, "classes": np.array(CLASSES)}
    zoo = open_outputs(write_outputs(tmp_path / "made", MODELS, labels, formats=[as_npz]))
    assert zoo.classes == CLASSES
    found = zoo.splits["test"].groups
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), groups["test.groups"])


def test_weights_are_asked_for_in_one_sentence(zoo: OutputsZoo) -> None:
    with pytest.raises(sc.ZooError, match=r"without weights.*ensemble"):
        sc.open_zoo(zoo.folder)
    with pytest.raises(sc.ZooError, match="without weights"):
        OutputsEvaluator(zoo)(Soup({"n0": 0.5, "n1": 0.5}))
    with pytest.raises(sc.CoefficientError, match="no model 'other'"):
        ensemble(OutputsEvaluator(zoo), ["other"])
    with pytest.raises(sc.DataError, match="no split 'test:rain'"):
        OutputsEvaluator(zoo, "test:rain")


def test_a_zoo_of_weights_is_none_of_outputs(tmp_path: Path, linear_zoo: Callable[..., Path]) -> None:
    folder = linear_zoo()
    assert outputs_zoo_folder(folder) is None
    assert outputs_zoo_folder(tmp_path / "nowhere") is None
    with pytest.raises(sc.ZooError, match="key kind"):
        open_outputs(folder)
    made = made_outputs(tmp_path / "made")
    assert outputs_zoo_folder("made") == outputs_zoo_folder(made) == made


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop("test.logits"), "either test.logits or test.probabilities"),
        (lambda t: t.update({"test.probabilities": softmax(t["test.logits"])}), "holds both"),
        (lambda t: t.update({"test:fog.logits": t["shift.fog.logits"]}), "keep one"),
        (lambda t: t.update({"test.logits": t["test.logits"][1:]}), "(89, 4); expected (90, 4)"),
        (lambda t: t.update({"test.logits": t["test.logits"][:, 1:]}), "(90, 3); expected (90, 4)"),
        (lambda t: t.update({"test.logits": t["test.logits"].argmax(1)}), "(90,); expected (90, 4)"),
        (lambda t: t.update({"test.logits": t["test.logits"].astype(np.int64)}), "in int64"),
        (lambda t: t.update({"test.probabilities": t.pop("test.logits")}), "do not sum to 1"),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_model_that_does_not_fit_is_left_out_with_the_reason(
    change: Change, expected: str, form: Any, tmp_path: Path
) -> None:
    broken = dict(MODELS["n0"])
    change(broken)
    folder = write_outputs(tmp_path / "made", {**MODELS, "n0": broken}, LABELS, formats=[form])
    zoo = open_outputs(folder)
    (excluded,) = zoo.excluded
    assert excluded.name == "n0"
    assert expected in excluded.reason
    assert excluded.reason.startswith("n0")
    assert zoo.names == ("n1", "n2", "n3", "n4")
    with pytest.raises(sc.CoefficientError, match="n0 cannot be used"):
        zoo.check_names(["n0"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop("held_out.labels"), "has no held_out.labels"),
        (lambda t: t.update({"test.labels": t["test.labels"] - 1}), "the label -1 in test"),
        (lambda t: t.update({"test.labels": t["test.labels"] + 1}), "labels up to 4"),
        (lambda t: t.update({"test.labels": t["test.labels"].astype(np.float32)}), "in float32"),
        (lambda t: t.update({"test.labels": t["test.labels"][:, None]}), "one whole number an image"),
        (lambda t: t.update({"test.labels": t["test.labels"][:0]}), "0 labels of test"),
        (lambda t: t.update({"test.groups": t["test.labels"][1:]}), "90 labels of test and 89 groups"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change: Change, expected: str, tmp_path: Path) -> None:
    labels = dict(LABELS)
    change(labels)
    sentence = refusal(write_outputs(tmp_path / "made", MODELS, labels))
    assert sentence.startswith("labels")
    assert expected in sentence


def test_unsigned_labels_are_taken_and_those_beyond_all_numbers_refused(tmp_path: Path) -> None:
    small = {name: numbers.astype(np.uint16) for name, numbers in LABELS.items()}
    zoo = open_outputs(write_outputs(tmp_path / "made", MODELS, small, formats=[as_npz]))
    assert zoo.splits["test"].labels.dtype == torch.int64
    beyond = {**LABELS, "test.labels": np.full(90, 2**64 - 1, np.uint64)}
    assert "labels up to 9223372036854775807" in refusal(
        write_outputs(tmp_path / "other", MODELS, beyond, formats=[as_npz])
    )


def test_two_models_with_the_same_outputs_are_told_row_35(tmp_path: Path) -> None:
    zoo = open_outputs(write_outputs(tmp_path / "made", {**MODELS, "copy": MODELS["n2"]}, LABELS))
    assert zoo.notices == ("n2, copy have the same outputs throughout: they are one model that counts more than once.",)


def test_hostile_files_leave_the_other_models_usable(tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[as_npz])
    (tmp_path / "secret.npz").write_bytes((folder / "n0.npz").read_bytes())
    other = tmp_path / "elsewhere"
    other.mkdir()
    for index in range(5):
        (folder / f"n{index}.npz").rename(other / f"n{index}.npz")
    (folder / "n0.npz").write_bytes(pickle.dumps({"held_out.logits": [1]}))
    (folder / "n1.npz").symlink_to("n1.npz")
    os.mkfifo(folder / "n2.npz")
    (folder / "n3.npz").mkdir()
    (other / "n4.npz").rename(folder / "n4.npz")
    zoo = open_outputs(folder)
    assert zoo.names == ("n4",)
    reasons = {excluded.name: excluded.reason for excluded in zoo.excluded}
    assert "pickle, which is never opened" in reasons["n0"]
    assert "cannot be reached" in reasons["n1"]
    assert "not a regular file" in reasons["n2"]
    assert "0 files of numpy" in reasons["n3"]


def test_a_link_out_of_the_folder_is_refused_row_18(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[as_npz])
    monkeypatch.setenv("SOUP_ZOOS", str(folder))
    (folder / "n0.npz").rename(tmp_path / "n0.npz")
    (folder / "n0.npz").symlink_to(tmp_path / "n0.npz")
    zoo = open_outputs(folder)
    assert [each.name for each in zoo.excluded] == ["n0"]
    assert "outside the zoo's folder" in zoo.excluded[0].reason


def test_a_single_array_does_not_say_what_it_is(tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[as_npz])
    np.save(folder / "n0.npz", MODELS["n0"]["test.logits"])
    (folder / "n0.npz.npy").rename(folder / "n0.npz")
    assert "single array" in open_outputs(folder).excluded[0].reason


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "format = 2", "key format"),
        ('name = "n1"', 'name = "n0"', "'n0' stands twice"),
        ("seed = 0", "seed = [0]", "key models.0.hyperparameters.seed"),
        ('title = "Made outputs"', "", "key title"),
        ('title = "Made outputs"', 'title = "x"\nclasses = ["a", "b"]', "no usable model"),
        ("[[models]]", "[[models", "cannot be read as TOML"),
    ],
)
def test_a_zoo_toml_that_does_not_fit_is_refused(old: str, new: str, expected: str, tmp_path: Path) -> None:
    file = write_outputs(tmp_path / "made", MODELS, LABELS) / "zoo.toml"
    file.write_text(file.read_text().replace(old, new))
    sentence = refusal(tmp_path / "made")
    assert expected in sentence


def test_models_are_selected_by_the_zoos_metric(tmp_path: Path) -> None:
    groups = {name.replace("labels", "groups"): np.arange(len(numbers)) % 3 for name, numbers in LABELS.items()}
    folder = write_outputs(tmp_path / "made", MODELS, {**LABELS, **groups})
    file = folder / "zoo.toml"
    file.write_text(file.read_text().replace("format = 1", 'format = 1\nmetric = "worst-group"'))
    zoo = open_outputs(folder)
    assert zoo.metric == "worst-group"

    def worst(name: str) -> float:
        right = MODELS[name]["held_out.logits"].argmax(1) == LABELS["held_out.labels"]
        return float(min(right[groups["held_out.groups"] == group].mean() for group in range(3)))

    singles = OutputsEvaluator(zoo).singles()
    assert {name: each.value for name, each in singles.items()} == pytest.approx({name: worst(name) for name in MODELS})
    assert best_first(singles) == sorted(MODELS, key=lambda name: (-worst(name), name))
    steps = list(greedy_ensemble(zoo, OutputsEvaluator(zoo)))
    values = [step.evaluation.value for step in steps if step.accepted and step.evaluation]
    assert values == sorted(set(values))
    by_loss = zoo.judged_by("log-loss")
    for name, each in OutputsEvaluator(by_loss).singles().items():
        true = softmax(MODELS[name]["held_out.logits"])[np.arange(60), LABELS["held_out.labels"]]
        assert each.value == pytest.approx(-np.log(true).mean(), rel=1e-5)
    with pytest.raises(sc.SoupError, match="auroc is for two classes"):
        OutputsEvaluator(zoo.judged_by("auroc"))
    with pytest.raises(sc.ZooError, match="found 'best'"):
        zoo.judged_by("best")
