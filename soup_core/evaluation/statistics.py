"""Chance: every comparison is paired on the same images and carries an interval. No other module computes one of these.

What has no closed form, as calibration, means over shifts and most metrics, is resampled: Efron & Tibshirani 1993 (doi
10.1201/9780429246593).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from soup_core.evaluation.evaluation import Evaluation
from soup_core.runtime.interruption import yield_point

Z_95 = float(special.ndtri(0.975))  # not by scipy.stats, which takes most of a second to import
DRAWS = 1000
DRAWS_AT_ONCE = 50


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; accuracies and differences are shares of 1. Bounds are NaN where there is none."""

    value: float
    low: float
    high: float

    @property
    def spans_zero(self) -> bool:
        """Whether zero is within the interval, so that chance alone explains a difference."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Comparison(Estimate):
    """How a model differs from another on the same images: the accuracy difference, and McNemar's exact p.

    `gained` images only the first has right, `lost` only the second.
    """

    p_value: float
    gained: int
    lost: int

    @property
    def difference(self) -> float:
        """The first model's accuracy less the second's."""
        return self.value


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

    The interval is `paired_mean`'s; the test is McNemar's, exact. Raises ValueError where the numbers of images differ.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"two evaluations of {len(ours)} and {len(theirs)} images cannot be paired")
    gained, lost = int(np.sum(ours & ~theirs)), int(np.sum(theirs & ~ours))
    p_value = min(1.0, 2 * float(special.bdtr(min(gained, lost), gained + lost, 0.5)))
    difference = _paired(gained - lost, gained + lost, len(ours))
    return Comparison(difference.value, difference.low, difference.high, p_value, gained, lost)


def compare_values(ours: Evaluation, theirs: Evaluation) -> Estimate:
    """How an evaluation differs from another on the same images, by the metric that both are judged by.

    For accuracy and top-5 a `Comparison`, for log loss `sample_mean`'s interval of the paired differences, for other metrics
    a bootstrap that resamples the images of both together. Raises ValueError where metrics or numbers of images differ.
    """
    if ours.metric is not theirs.metric:
        raise ValueError(f"{ours.metric.name} cannot be compared with {theirs.metric.name}")
    if ours.measured is None or theirs.measured is None:
        return compare(ours, theirs)
    if ours.total != theirs.total:
        raise ValueError(f"two evaluations of {ours.total} and {theirs.total} images cannot be paired")
    answers, value = (ours.measured.answers, theirs.measured.answers), ours.value - theirs.value
    if ours.metric.key == "top-5":
        return compare_bits(answers[0].astype(bool), answers[1].astype(bool))
    if ours.metric.key == "log-loss":
        return replace(sample_mean(np.subtract(*answers)), value=value)
    values, truth = ours.metric.values, ours.measured.truth
    drawn = [values(truth, answers[0], times) - values(truth, answers[1], times) for times in _resamples(ours.total)]
    return _finite(value, np.concatenate(drawn))


def value_interval(evaluation: Evaluation) -> Estimate:
    """The metric's value with its interval: Wilson's of counts, `sample_mean`'s of losses, else the bootstrap's."""
    if evaluation.measured is None:
        return wilson(evaluation.correct, evaluation.total)
    answers = evaluation.measured.answers
    if evaluation.metric.key == "top-5":
        return wilson(int(answers.astype(bool).sum()), evaluation.total)
    if evaluation.metric.key == "log-loss":
        return replace(sample_mean(answers.astype(np.float64)), value=evaluation.value)
    values, truth = evaluation.metric.values, evaluation.measured.truth
    found = _finite(evaluation.value, np.concatenate([values(truth, answers, t) for t in _resamples(evaluation.total)]))
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high))


def _finite(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """The interval from the resamples in which there is a value: AUROC has none where a class was not drawn."""
    there = drawn[np.isfinite(drawn)]
    return estimate(value, there) if len(there) else Estimate(value, math.nan, math.nan)


def paired_mean(differences: NDArray[np.floating]) -> Estimate:
    """The mean of differences between two models, one an image (N, from -1 to 1), with its interval.

    Agresti & Min 2005 (doi 10.1002/sim.1781), half an image added to each cell of the two-by-two table: half an image at
    each of -1 and 1, and one at 0, so that the interval has a width where no image differs.
    """
    return _paired(float(differences.sum()), float(np.square(differences).sum()), len(differences))


def _paired(summed: float, squares: float, images: int) -> Estimate:
    """`paired_mean` from the differences' sum and the sum of their squares, which for two models are counts."""
    total = images + 2
    middle = summed / total
    reach = Z_95 * (math.sqrt(squares + 1 - summed**2 / total) / total)
    return Estimate(summed / images, max(-1.0, middle - reach), min(1.0, middle + reach))


def wilson(correct: int, total: int) -> Estimate:
    """A share of counts with Wilson's interval (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    share = correct / total
    middle = (share + Z_95**2 / (2 * total)) / (1 + Z_95**2 / total)
    reach = Z_95 * math.sqrt(share * (1 - share) / total + (Z_95 / (2 * total)) ** 2) / (1 + Z_95**2 / total)
    return Estimate(share, max(0.0, middle - reach), min(1.0, middle + reach))


def accuracy_interval(evaluation: Evaluation) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy: within 0 to 1, and wider on the side where there is more room.

    >>> low, high = accuracy_interval(Evaluation(10, 10, 0.0, 0.0, bytes([0xFF, 0xC0])))
    >>> f"{low:.3f} to {high:.3f}"
    '0.722 to 1.000'
    """
    accuracy = wilson(evaluation.correct, evaluation.total)
    return accuracy.low, accuracy.high


def sample_mean(samples: Sequence[float] | NDArray[np.floating]) -> Estimate:
    """The mean of independent samples with Student's t interval; of a single one there is none."""
    mean, count = float(np.mean(samples)), len(samples)
    if count < 2:
        return Estimate(mean, math.nan, math.nan)
    reach = float(np.std(samples, ddof=1)) / math.sqrt(count) * float(special.stdtrit(count - 1, 0.975))
    return Estimate(mean, mean - reach, mean + reach)


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
    total = len(scores)
    means = [times.astype(scores.dtype) @ scores / total for times in _resamples(total, draws, seed)]
    return np.concatenate(means).astype(np.float64)


def _resamples(total: int, draws: int = DRAWS, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """How often each row is drawn in each of some resamples at a time (at most DRAWS_AT_ONCE×N)."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, DRAWS_AT_ONCE):
        count = min(DRAWS_AT_ONCE, draws - start)
        rows = generator.integers(total, size=(count, total))
        yield np.stack([np.bincount(row, minlength=total) for row in rows]).astype(np.float64)
        yield_point()
