"""Near chance: whether a model's answers are any better than answers that do not look at the image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from soup_core.evaluation import Evaluation, wilson
from soup_core.evaluation.evaluation import is_correct

TIMES_CHANCE = 1.5  # up to so many times what guessing gets, nothing was learnt that is worth an average
ABOVE_CHANCE = 0.1  # of the way from guessing to all right; with two classes 1.5 times chance would be 75 %


@dataclass(frozen=True)
class Standing:
    """How many images a model has right, the share that guessing gets, and whether the two are much the same.

    Guessing gives each answer as often as the model does, but to any image (the expected agreement of Cohen 1960, doi
    10.1177/001316446002000104), and never less than one of all classes: a model that says the commonest class to every
    image is near chance too.
    """

    correct: int
    total: int
    expected: float
    near_chance: bool

    @property
    def guessed(self) -> str:
        """How many images guessing gets right."""
        return f"{self.expected * self.total:.0f}"


def standing(logits: Tensor, labels: Tensor) -> Standing:
    """Where a model stands by its logits (N×C) on labels (N).

    >>> standing(torch.eye(4).repeat(5, 1), torch.arange(4).repeat(5)).near_chance
    False
    >>> standing(torch.eye(4)[[0] * 20], torch.arange(4).repeat(5))
    Standing(correct=5, total=20, expected=0.25, near_chance=True)
    """
    classes = logits.shape[1]
    answers = logits.nan_to_num().argmax(1)
    shares = [torch.bincount(each, minlength=classes).double() / len(labels) for each in (answers, labels)]
    expected = max(float(shares[0] @ shares[1]), 1 / classes)
    return _standing(int(is_correct(logits, labels).sum()), len(labels), expected)


def is_surely_above(evaluation: Evaluation, labels: Tensor, num_classes: int) -> bool:
    """Whether a model is above chance whatever its answers were, by its count alone."""
    commonest = float(torch.bincount(labels).max()) / len(labels)
    return not _standing(evaluation.correct, evaluation.total, max(commonest, 1 / num_classes)).near_chance


def _standing(correct: int, total: int, expected: float) -> Standing:
    """Near chance where it is not above guessing for certain, or not much, and there are images enough to say so."""
    accuracy = wilson(correct, total)
    much = min(TIMES_CHANCE * expected, expected + ABOVE_CHANCE * (1 - expected))
    near = (accuracy.low <= expected or accuracy.value <= much) and accuracy.high < (1 + expected) / 2
    return Standing(correct, total, expected, near)
