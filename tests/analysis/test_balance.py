from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import soup_core as sc
from soup_core.analysis.preflight import preflight_checks
from soup_core.analysis.preflight.balance import balance_check

Make = Callable[..., Path]


def with_labels(folder: Path, counts: tuple[int, ...]) -> sc.Zoo:
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    tensors["held_out.labels"] = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    return sc.open_zoo(folder)


@pytest.mark.parametrize(
    ("counts", "is_unbalanced"), [((40, 40, 40), False), ((60, 40, 20), False), ((100, 15, 5), True)]
)
def test_unbalanced_classes_are_noticed(linear_zoo: Make, counts: tuple[int, ...], is_unbalanced: bool) -> None:
    found = balance_check(sc.Evaluator(with_labels(linear_zoo(2), counts)))
    assert (found is not None) == is_unbalanced


def test_a_class_without_an_image_is_no_rare_one(linear_zoo: Make) -> None:
    assert balance_check(sc.Evaluator(with_labels(linear_zoo(2), (60, 60, 0)))) is None


def test_balanced_accuracy_is_proposed_until_it_is_chosen(linear_zoo: Make) -> None:
    zoo = with_labels(linear_zoo(3), (100, 15, 5))
    found = {each.what: each for each in preflight_checks(zoo, sc.Evaluator(zoo))}["balance"]
    assert found.verdict == "notice"
    assert "83.3 % of the held-out images are class 0, and of the rarest class there are 5" in found.sentence
    assert "--metric balanced-accuracy" in found.sentence
    judged = zoo.judged_by("balanced-accuracy")
    chosen = balance_check(sc.Evaluator(judged))
    assert chosen is not None
    assert chosen.verdict == "good"
    assert "soups are selected by balanced accuracy, which heeds that" in chosen.sentence
