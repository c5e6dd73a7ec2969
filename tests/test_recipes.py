from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.soup import uniform
from soup_core.store import Store

Make = Callable[..., Path]


def naive_greedy(zoo: sc.Zoo, order: Sequence[str], ties: bool) -> tuple[list[str], int]:
    """Load, average and evaluate every candidate in full, with nothing of the core's own evaluation."""
    split = zoo.data.split("held_out")
    inputs = split.images.float() / 255

    def correct(names: Sequence[str]) -> int:
        files = [dict(zoo.by_name[name].checkpoint.read_all()) for name in names]
        module = zoo.module()
        module.load_state_dict({key: sum(f[key] for f in files) / len(files) for key in files[0]})
        with torch.no_grad():
            return int((module(inputs).argmax(1) == split.labels).sum())

    chosen, best = [order[0]], correct(order[:1])
    for name in order[1:]:
        found = correct([*chosen, name])
        if found > best or (ties and found == best):
            chosen, best = [*chosen, name], found
    return chosen, best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_greedy_decides_as_the_naive_search(linear_zoo: Make, seed: int, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(7, seed))
    order = f"random:{seed}"
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo, batch_size=10), order=order, ties=ties))
    chosen, best = naive_greedy(zoo, [step.candidate for step in steps], ties)
    assert [step.candidate for step in steps if step.accepted] == chosen
    assert steps[-1].soup == uniform(chosen)
    accepted = [step for step in steps if step.accepted]
    assert accepted[-1].evaluation is not None
    assert accepted[-1].evaluation.correct == best
    full = list(
        sc.greedy_soup(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "s")), order=order, ties=ties, full=True)
    )
    assert [step.accepted for step in full] == [step.accepted for step in steps]
    for stopped, whole in zip(steps, full, strict=True):
        assert whole.evaluation is not None
        assert stopped.correct_at_most >= whole.evaluation.correct


@pytest.mark.parametrize("seed", range(3))
def test_greedy_lies_between_the_best_single_and_the_best_subset(linear_zoo: Make, seed: int) -> None:
    zoo = sc.open_zoo(linear_zoo(5, seed))
    evaluate = sc.Evaluator(zoo)
    greedy = evaluate(list(sc.greedy_soup(zoo, evaluate))[-1].soup).correct
    subsets = [evaluate(uniform(s)).correct for k in range(1, 6) for s in combinations(zoo.names, k)]
    assert max(evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names) <= greedy <= max(subsets)


def test_the_order_is_by_accuracy_and_ties_go_by_name(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    evaluate = sc.Evaluator(zoo)
    singles = {name: evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names}
    tried = [step.candidate for step in sc.greedy_soup(zoo, evaluate)]
    assert tried == sorted(zoo.names, key=lambda name: (-singles[name], name))
    shuffled = [[s.candidate for s in sc.greedy_soup(zoo, evaluate, order=f"random:{seed}")] for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]


def test_greedy_run_again_runs_no_image(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    first = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    again = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert sum(step.images_evaluated for step in first) > 0
    assert sum(step.images_evaluated for step in again) == 0
    assert [step.soup for step in first] == [step.soup for step in again]


def test_greedy_sees_held_out_images_only(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    asked: list[str] = []
    original = type(zoo.data).split
    monkeypatch.setattr(type(zoo.data), "split", lambda self, name: asked.append(name) or original(self, name))
    list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert asked == ["held_out"]


@pytest.mark.parametrize("order", ["sideways", "random:x", ["m0", "m0"], ["m0", "nobody"], []])
def test_an_order_that_is_none_is_refused(linear_zoo: Make, order: str | list[str]) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    with pytest.raises(sc.CoefficientError):
        list(sc.greedy_soup(zoo, sc.Evaluator(zoo), order=order))
