"""Ensembles that follow from each other: each model's outputs are added once, and all comes out as found one by one."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import soup_core as sc
from soup_core.analysis.ablations import number_averaged
from soup_core.recipes.ensemble import successive
from soup_core.runtime.store import Store

Make = Callable[..., Path]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[sc.Soup]:
    """The soups whose outputs are asked for from here on."""
    asked: list[sc.Soup] = []
    original = sc.Evaluator.logits
    monkeypatch.setattr(sc.Evaluator, "logits", lambda self, soup: (asked.append(soup), original(self, soup))[1])
    return asked


def opened(zoo: sc.Zoo, name: str) -> sc.Evaluator:
    return sc.Evaluator(zoo, store=Store(zoo.folder / f"{name}.sqlite"))


def test_growing_ensembles_read_each_model_once(linear_zoo: Make, read: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(12))
    steps = list(number_averaged(zoo, opened(zoo, "a")))
    assert len(read) == 12
    alone = opened(zoo, "b")
    for step in steps:
        wanted = sc.ensemble(alone, [each.name for each in steps[: step.count]])
        assert step.held_out.ensemble.correctness == wanted.correctness
        assert step.held_out.ensemble.loss == pytest.approx(wanted.loss, rel=1e-12)


def test_a_greedy_ensemble_reads_each_candidate_once(linear_zoo: Make, read: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(12))
    list(sc.greedy_ensemble(zoo, opened(zoo, "a")))
    assert len(read) == 12


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_any_order_of_asking_gives_what_each_ensemble_is(linear_zoo: Make, average: str) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluated, alone = successive(opened(zoo, "a"), average=average), opened(zoo, "b")
    for names in (["m2"], ["m2", "m0"], ["m4"], ["m4", "m3", "m2"], zoo.names, ["m0", "m1"], ["m0", "m1", "m0"]):
        found, wanted = evaluated(names), sc.ensemble(alone, names, average=average)
        assert found.correctness == wanted.correctness
        assert found.loss == pytest.approx(wanted.loss, rel=1e-12)


@pytest.mark.parametrize("search", [number_averaged, sc.greedy_ensemble])
def test_row_38_what_was_stopped_goes_on_to_the_same_bits(
    linear_zoo: Make, search: Callable[..., Iterator[Any]]
) -> None:
    zoo = sc.open_zoo(linear_zoo(8))
    whole = list(search(zoo, opened(zoo, "whole")))
    stopped = opened(zoo, "stopped")
    list(islice(search(zoo, stopped), 4))
    again = list(search(zoo, stopped))
    if search is number_averaged:
        assert [step.held_out.ensemble for step in again] == [step.held_out.ensemble for step in whole]
    else:
        assert [step.evaluation for step in again] == [step.evaluation for step in whole]
