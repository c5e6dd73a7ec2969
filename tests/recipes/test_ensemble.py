from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import soup_core as sc
from soup_core.recipes.ensemble import averaged_outputs, ensembles
from soup_core.runtime.store import Store
from soup_core.soup import uniform
from tests.zoos import CLASSES, write_zoo

Make = Callable[..., Path]


def naive_scores(zoo: sc.Zoo, names: Sequence[str], average: str) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the averaged outputs, one module after the other, and the labels."""
    split = zoo.data.split("held_out")
    outputs = []
    for name in names:
        module = zoo.module()
        module.load_state_dict(dict(zoo.by_name[name].checkpoint.read_all()))
        with torch.no_grad():
            logits = module.double()(split.images.double() / 255)
        outputs.append(logits.softmax(1) if average == "probabilities" else logits)
    mean = sum(outputs) / len(outputs)
    return (mean.log() if average == "probabilities" else mean.log_softmax(1)), split.labels


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_an_ensemble_is_the_loop_over_its_modules(deep_zoo: Make, average: str) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    names = ("m0", "m2", "m3", "base")
    found = sc.ensemble(sc.Evaluator(zoo, batch_size=50), names, average=average)
    scores, labels = naive_scores(zoo, names, average)
    assert found.bits().tolist() == (scores.argmax(1) == labels).tolist()
    assert found.loss == pytest.approx(float(F.nll_loss(scores, labels)), abs=1e-5)
    assert (found.total, found.precision) == (len(labels), "float32")


def test_linear_models_ensemble_of_logits_is_their_soup(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluate = sc.Evaluator(zoo)
    logits, soup = sc.ensemble(evaluate, zoo.names, average="logits"), evaluate(sc.uniform_soup(zoo))
    assert logits.bits().tolist() == soup.bits().tolist()
    assert logits.loss == pytest.approx(soup.loss, abs=1e-5)


def test_of_one_model_it_is_the_model_and_a_name_counts_once(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    alone = evaluate(sc.Soup({"m1": 1.0}))
    for average in ("probabilities", "logits"):
        one = sc.ensemble(evaluate, ["m1"], average=average)
        assert (one.correct, one.correctness) == (alone.correct, alone.correctness)
        assert one.loss == pytest.approx(alone.loss, abs=1e-9)
        twice = sc.ensemble(evaluate, ["m0", "m1", "m0"], average=average)
        assert twice == sc.ensemble(evaluate, ["m1", "m0"], average=average)


def test_kept_logits_need_no_forward_pass(deep_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    store = Store(zoo.folder / "own.sqlite")
    singles = [sc.Soup({name: 1.0}) for name in zoo.names]
    for single in singles:
        sc.Evaluator(zoo, store=store)(single)
    assert evaluated == singles
    first = sc.ensemble(sc.Evaluator(zoo, store=store), zoo.names)
    sc.ensemble(sc.Evaluator(zoo, store=store), zoo.names, average="logits")
    list(sc.greedy_ensemble(zoo, sc.Evaluator(zoo, store=store)))
    assert evaluated == singles
    assert first == sc.ensemble(sc.Evaluator(zoo, store=Store(zoo.folder / "other.sqlite")), zoo.names)
    assert evaluated == 2 * singles


def test_row_45_damaged_logits_are_computed_again(deep_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(deep_zoo(2))
    evaluate = sc.Evaluator(zoo)
    before = averaged_outputs(evaluate, zoo.names)
    key = evaluate.key(sc.Soup({"m1": 1.0}))
    for content in ("substr(content, 1, 40)", "x''", "CAST(x'00' || substr(content, 2) AS BLOB)"):
        evaluate.store._write((f"UPDATE tensors SET content = {content} WHERE key = ?", [(key,)]))
        evaluated.clear()
        assert torch.equal(averaged_outputs(evaluate, zoo.names), before)
        assert evaluated == [sc.Soup({"m1": 1.0})]


def test_logits_of_a_shift_are_not_kept_but_what_they_tell_is(deep_zoo: Make, evaluated: list[sc.Soup]) -> None:
    """A shift's logits are used while they are at hand: each model is run once for all ensembles, and for itself."""
    zoo = sc.open_zoo(deep_zoo(4))
    singles = [sc.Soup({name: 1.0}) for name in zoo.names]
    evaluate = sc.Evaluator(zoo, "test:blur-2", memory=0)
    several = [zoo.names, ["m2", "m0"], ["m0", "m2"], ["m3"]]
    every, *_, alone = found = ensembles(evaluate, several)
    assert evaluated == singles
    assert evaluate.store._one("SELECT count(*) FROM tensors") == (0,)
    assert [evaluate(single).total for single in singles] == 4 * [120]
    assert ensembles(evaluate, several) == found
    assert found[1] == found[2]
    assert evaluated == singles
    assert alone.correctness == evaluate(singles[3]).correctness
    assert every.precision == "float32"  # nothing was rounded, since nothing was kept
    on_test = sc.Evaluator(zoo, "test")
    sc.ensemble(on_test, ["m0", "m1"])
    assert on_test.store._one("SELECT count(*) FROM tensors") == (2,)


def test_several_ensembles_are_those_found_one_by_one(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    several = [["m3", "m1"], zoo.names, ["m4"]]
    for average in ("probabilities", "logits"):
        together = ensembles(sc.Evaluator(zoo, store=Store(zoo.folder / "a")), several, average=average)
        alone = sc.Evaluator(zoo, store=Store(zoo.folder / "b"))
        assert together == [sc.ensemble(alone, names, average=average) for names in several]
    assert ensembles(sc.Evaluator(zoo), []) == []


def test_row_45_a_damaged_record_of_an_ensemble_is_computed_again(linear_zoo: Make) -> None:
    evaluate = sc.Evaluator(sc.open_zoo(linear_zoo(3)))
    right = sc.ensemble(evaluate, ["m0", "m2"])
    evaluate.store._write(("UPDATE evaluations SET correct = correct + 1", [()]))
    assert sc.ensemble(evaluate, ["m2", "m0"]) == right


def test_logits_beyond_the_budget_are_kept_in_half_precision_and_said_to_be(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    small, ample = (
        sc.Evaluator(zoo, memory=memory, store=Store(zoo.folder / f"{memory}.sqlite")) for memory in (6e-6, 1)
    )
    sizes = []
    for evaluate in (small, ample):
        for name in zoo.names:
            evaluate(sc.Soup({name: 1.0}))
        sizes.append(evaluate.store._one("SELECT sum(length(content)) FROM tensors")[0])
    assert sizes[0] < 0.75 * sizes[1]
    exact, rounded = sc.ensemble(ample, zoo.names), sc.ensemble(small, zoo.names)
    assert exact.precision == "float32"
    assert "half precision" in rounded.precision
    assert rounded.loss == pytest.approx(exact.loss, rel=1e-2)
    assert small(sc.Soup({"m0": 1.0})) == ample(sc.Soup({"m0": 1.0}))  # only what is kept is rounded


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_ensemble_decides_as_the_naive_search(linear_zoo: Make, seed: int, average: str, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(6, seed))

    def correct(names: Sequence[str]) -> int:
        scores, labels = naive_scores(zoo, names, average)
        return int((scores.argmax(1) == labels).sum())

    alone = {name: correct([name]) for name in zoo.names}
    order = sorted(zoo.names, key=lambda name: (-alone[name], name))
    chosen, best, accepted = [order[0]], alone[order[0]], [True]
    for name in order[1:]:
        found = correct([*chosen, name])
        accepted.append(found > best or (ties and found == best))
        if accepted[-1]:
            chosen, best = [*chosen, name], found
    steps = list(sc.greedy_ensemble(zoo, sc.Evaluator(zoo), average=average, ties=ties))
    assert [step.candidate for step in steps] == order
    assert [step.accepted for step in steps] == accepted
    assert steps[-1].soup == uniform(chosen)
    assert [step.evaluation.correct for step in steps if step.accepted and step.evaluation][-1] == best


def test_greedy_ensemble_sees_held_out_images_only(linear_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    list(sc.greedy_ensemble(zoo, sc.Evaluator(zoo)))
    assert splits_asked == ["held_out"]


def test_no_name_an_unknown_name_and_an_unknown_average_are_refused(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate = sc.Evaluator(zoo)
    for names, average, message in (
        ([], "logits", "at least one model; found 'logits' of 0"),
        (["m0", "nobody"], "logits", "no ingredient 'nobody'"),
        (["m0"], "votes", "averages probabilities or logits of at least one model; found 'votes' of 1"),
    ):
        with pytest.raises(sc.CoefficientError, match=message):
            sc.ensemble(evaluate, names, average=average)
    assert not evaluated
    with pytest.raises(sc.CoefficientError, match=r"averages probabilities or logits of .*; found 'votes'"):
        list(sc.greedy_ensemble(zoo, evaluate, average="votes"))


def test_a_class_that_no_model_believes_in_is_no_infinity_in_an_ensemble(tmp_path: Path) -> None:
    file = {"head.weight": torch.zeros(CLASSES, 4), "head.bias": torch.tensor([0.0, -1000.0, -2000.0])}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": file, "b": file}))
    evaluate = sc.Evaluator(zoo)
    found = sc.ensemble(evaluate, zoo.names)
    labels = evaluate.data.labels
    assert (found.not_finite, found.correct) == (0, int((labels == 0).sum()))
    assert found.loss == pytest.approx(1000 * float(labels.double().mean()))  # the loss of class k is 1000 k


def test_an_ensemble_of_logits_in_half_precision_is_the_same_twice_and_labelled_as_it_is(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    small, ample = sc.Evaluator(zoo, memory=0), sc.Evaluator(zoo, memory=1)  # with one store
    first, again = (averaged_outputs(small, zoo.names) for _ in range(2))
    assert torch.equal(first, again)
    assert sc.ensemble(small, zoo.names).precision == "float32 from logits kept in half precision"
    exact = sc.ensemble(ample, zoo.names)
    assert exact.precision == "float32"
    assert exact == sc.ensemble(sc.Evaluator(zoo, memory=1, store=Store(zoo.folder / "own")), zoo.names)
