"""The line between two soups, inside and beyond, and the error barrier on it (Frankle et al. 2020, arXiv 1912.05671)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from soup_core.evaluation import Evaluation, Evaluator
from soup_core.soup import Soup, interpolate

ALPHAS = tuple(step / 10 for step in range(-5, 16))


@dataclass(frozen=True)
class LinePoint:
    """The evaluation at (1 - alpha) * a + alpha * b."""

    alpha: float
    evaluation: Evaluation


@dataclass(frozen=True)
class Barrier:
    """Where the error rises most above the straight line between the ends' errors, and by how much (0 to 1)."""

    alpha: float
    height: float


def line(evaluate: Evaluator, soup_a: Soup, soup_b: Soup, alphas: Iterable[float] = ALPHAS) -> Iterator[LinePoint]:
    """Evaluate along a line, both ends always among the points: they and the middle first, then the others."""
    wanted = {0.0, 1.0, *alphas}
    for alpha in [0.0, 1.0, *sorted(wanted - {0.0, 1.0}, key=lambda alpha: (abs(alpha - 0.5), alpha))]:
        yield LinePoint(alpha, evaluate(interpolate(soup_a, soup_b, alpha)))


def error_barrier(points: Sequence[LinePoint]) -> Barrier:
    """The error barrier over alpha from 0 to 1; a height of 0 where no point lies above the straight line."""
    errors = {point.alpha: 1 - point.evaluation.accuracy for point in points}
    heights = {
        alpha: error - ((1 - alpha) * errors[0.0] + alpha * errors[1.0])
        for alpha, error in errors.items()
        if 0 <= alpha <= 1
    }
    alpha = max(heights, key=lambda alpha: (heights[alpha], -alpha))
    return Barrier(alpha, max(0.0, heights[alpha]))
