"""Calibration: whether a model is right as often as it says it is, in bins of equal mass, with its error's interval.

Expected calibration error: Naeini et al. 2015, with equal-mass bins as in Nixon et al. 2019 (arXiv 1904.01685).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from soup_core.analysis.robustness import ComparedModel, groups
from soup_core.evaluation import CALIBRATION_BINS, DRAWS, Estimate, Evaluator, estimate
from soup_core.recipes.ensemble import averaged_outputs
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class Bin:
    """Images of about the same confidence: the mean of it, the share that is right, and how many they are."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """A member's bins, least sure first, its calibration error, and by how much its mean confidence exceeds its accuracy.

    All are shares of 1; without bins and NaN where outputs are not finite.
    """

    member: ComparedModel
    bins: tuple[Bin, ...]
    error: Estimate
    excess_confidence: float


def calibrations(zoo: Zoo, evaluate: Evaluator) -> Iterator[Calibration]:
    """The calibration on the test images of every member of the robustness figure; `evaluate` chooses the soups."""
    report = evaluate.on("test")
    for member in chain.from_iterable(groups(zoo, evaluate)):
        names = member.soup.names
        logits = averaged_outputs(report, names) if member.is_ensemble else report.logits(member.soup)
        yield calibration(member, logits, report.data.labels)


def calibration(member: ComparedModel, logits: Tensor, labels: Tensor) -> Calibration:
    """A member's calibration from its logits (N×C) and the labels (N)."""
    if not bool(logits.isfinite().all()):
        return Calibration(member, (), Estimate(math.nan, math.nan, math.nan), math.nan)
    confidence, correct = _least_sure_first(logits, labels)
    error = expected_error(reliability(logits, labels))
    drawn = estimate(error, _resampled_errors(confidence - correct))
    bounded = Estimate(drawn.value, max(0.0, drawn.low), drawn.high)
    return Calibration(member, reliability(logits, labels), bounded, float(np.mean(confidence - correct)))


def reliability(logits: Tensor, labels: Tensor) -> tuple[Bin, ...]:
    """The reliability diagram's bins: 15 of equal mass, or one an image where there are fewer, least sure first.

    From finite logits (N×C) and labels (N).
    """
    confidence, correct = _least_sure_first(logits, labels)
    count = min(CALIBRATION_BINS, len(correct))
    parts = zip(np.array_split(confidence, count), np.array_split(correct, count), strict=True)
    return tuple(Bin(float(sure.mean()), float(right.mean()), len(right)) for sure, right in parts)


def expected_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error: the mean over images of their bin's gap between confidence and accuracy."""
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / sum(each.count for each in bins)


def _least_sure_first(logits: Tensor, labels: Tensor) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    confidence: NDArray[np.float64] = logits.double().softmax(1).amax(1).numpy()
    correct: NDArray[np.bool_] = (logits.argmax(1) == labels).numpy()
    order = np.argsort(confidence, kind="stable")
    return confidence[order], correct[order]


def _resampled_errors(excess: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """The calibration error in resamples of the images, from confidence less correctness, least sure first."""
    generator, total = np.random.default_rng(seed), len(excess)
    starts = [part[0] for part in np.array_split(np.arange(total), min(CALIBRATION_BINS, total))]
    errors = np.empty(DRAWS)
    for draw in range(DRAWS):
        rows = np.sort(generator.integers(total, size=total))  # sorted places are sorted confidences
        errors[draw] = np.abs(np.add.reduceat(excess[rows], starts)).sum() / total
    return errors
