"""Chance: every comparison is paired on the same images and carries an interval."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from soup_core.evaluation import Evaluation


@dataclass(frozen=True)
class Comparison:
    """How a model differs from another on the same images: accuracy difference, 95 % interval, exact McNemar p.

    `gained` images only the first has right, `lost` only the second. All differences are shares of 1.
    """

    difference: float
    low: float
    high: float
    p_value: float
    gained: int
    lost: int


def compare(ours: Evaluation, theirs: Evaluation) -> Comparison:
    """Compare two evaluations of the same split, image by image.

    Interval: Agresti & Min 2005 (doi 10.1002/sim.1781), half an image added to each cell of the two-by-two table; test:
    McNemar's, exact. Raises ValueError where the splits differ in length.
    """
    if ours.total != theirs.total:
        raise ValueError(f"two evaluations of {ours.total} and {theirs.total} images cannot be paired")
    a, b = ours.bits(), theirs.bits()
    gained, lost = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p_value = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    total = ours.total + 2
    middle = (gained - lost) / total
    error = float(np.sqrt(gained + lost + 1 - (gained - lost) ** 2 / total)) / total
    reach = float(stats.norm.ppf(0.975)) * error
    return Comparison(
        (gained - lost) / ours.total, max(-1.0, middle - reach), min(1.0, middle + reach), p_value, gained, lost
    )


def accuracy_interval(evaluation: Evaluation) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy."""
    interval = stats.binomtest(evaluation.correct, evaluation.total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
