"""Chance: every comparison is paired on the same images and carries an interval.

What has no closed form, calibration and means over shifts, is resampled: Efron & Tibshirani 1993 (doi 10.1201/9780429246593).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from soup_core.evaluation.evaluation import Evaluation

Z_95 = float(special.ndtri(0.975))  # not by scipy.stats, which takes most of a second to import
DRAWS = 1000
DRAWS_AT_ONCE = 50


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
    """Compare two evaluations of the same split, image by image: see `compare_bits`, which says what it raises.

    >>> ours = Evaluation(3, 4, 0.5, 0.0, bytes([0b1110_0000]))
    >>> theirs = Evaluation(2, 4, 0.5, 0.0, bytes([0b1001_0000]))
    >>> found = compare(ours, theirs)
    >>> found.difference, found.gained, found.lost
    (0.25, 2, 1)
    """
    return compare_bits(ours.bits(), theirs.bits())


def compare_bits(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Comparison:
    """Compare two models by which of the same images each has right: booleans (N,), a value an image.

    Interval: Agresti & Min 2005 (doi 10.1002/sim.1781), half an image added to each cell of the two-by-two table; test:
    McNemar's, exact. Raises ValueError where the numbers of images differ.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"two evaluations of {len(ours)} and {len(theirs)} images cannot be paired")
    gained, lost = int(np.sum(ours & ~theirs)), int(np.sum(theirs & ~ours))
    p_value = min(1.0, 2 * float(special.bdtr(min(gained, lost), gained + lost, 0.5)))
    total = len(ours) + 2
    middle = (gained - lost) / total
    error = float(np.sqrt(gained + lost + 1 - (gained - lost) ** 2 / total)) / total
    reach = Z_95 * error
    return Comparison(
        (gained - lost) / len(ours), max(-1.0, middle - reach), min(1.0, middle + reach), p_value, gained, lost
    )


def accuracy_interval(evaluation: Evaluation) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy: within 0 to 1, and wider on the side where there is more room.

    >>> low, high = accuracy_interval(Evaluation(10, 10, 0.0, 0.0, bytes([0xFF, 0xC0])))
    >>> f"{low:.3f} to {high:.3f}"
    '0.722 to 1.000'
    """
    total, share = evaluation.total, evaluation.accuracy
    middle = (share + Z_95**2 / (2 * total)) / (1 + Z_95**2 / total)
    reach = Z_95 * float(np.sqrt(share * (1 - share) / total + (Z_95 / (2 * total)) ** 2)) / (1 + Z_95**2 / total)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def estimate(value: float, drawn: NDArray[np.floating]) -> Estimate:
    """The basic bootstrap interval of a value from what it is in D resamples, (D,) (Davison & Hinkley 1997, chapter 5).

    It turns the resamples' quantiles about the value, so that a statistic that resampling pushes one way, as it does
    the calibration error, is pushed back instead of twice.
    """
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value, float(2 * value - high), float(2 * value - low))


def resampled_means(scores: NDArray[np.floating], *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """The columns' means (draws×K) in resamples of the rows of scores (N×K), N rows drawn with replacement each time.

    The same N and seed draw the same rows, whatever the scores: two models resampled apart are still paired.
    """
    generator, total = np.random.default_rng(seed), len(scores)
    means = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        count = min(DRAWS_AT_ONCE, draws - start)
        rows = generator.integers(total, size=(count, total))
        times = np.stack([np.bincount(row, minlength=total) for row in rows])
        means.append(times.astype(scores.dtype) @ scores / total)
    return np.concatenate(means).astype(np.float64)
