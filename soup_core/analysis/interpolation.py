"""Straight through weight space: the line between two soups with the error barrier on it, and the plane through three.

Beside the line, the ensemble of its two ends, which mixes their outputs in the same shares.

Error barrier: Entezari et al. 2022, arXiv 2110.06296; from what height on there is one: Frankle et al. 2020, arXiv
1912.05671. Plane: Garipov et al. 2018, arXiv 1802.10026.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, row_blocks
from soup_core.soup import Soup, interpolate, mix
from soup_core.weight_space.gram import Gram
from soup_core.weight_space.maps import Position, check_placed

ALPHAS = tuple(step / 10 for step in range(-5, 16))
CONNECTED_BELOW = 0.02  # Frankle et al. 2020: below such a barrier two networks are linearly connected


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

    @property
    def connected(self) -> bool:
        """Whether it is so low that the ends count as linearly mode connected."""
        return self.height < CONNECTED_BELOW


def line(evaluate: Evaluator, soup_a: Soup, soup_b: Soup, alphas: Iterable[float] = ALPHAS) -> Iterator[LinePoint]:
    """Evaluate along a line, both ends always among the points: they and the middle first, then the others.

    Raises CoefficientError where the ends' BatchNorm statistics are made in different ways.
    """
    wanted = {0.0, 1.0, *alphas}
    for alpha in [0.0, 1.0, *sorted(wanted - {0.0, 1.0}, key=lambda alpha: (abs(alpha - 0.5), alpha))]:
        yield LinePoint(alpha, evaluate(interpolate(soup_a, soup_b, alpha)))


def ensemble_line(
    evaluate: Evaluator, soup_a: Soup, soup_b: Soup, alphas: Iterable[float] = ALPHAS
) -> Iterator[LinePoint]:
    """Along the same alphas, the ensemble: (1 - alpha) * a's probabilities + alpha * b's; at both ends the model itself.

    An ensemble has no outside, so only alphas from 0 to 1 are taken. It costs the two ends' forward passes, none where
    their logits are kept (Wortsman et al. 2022, arXiv 2203.05482, section 4).
    """
    scores_a, scores_b = (evaluate.logits(soup).double().log_softmax(1) for soup in (soup_a, soup_b))
    yield LinePoint(0.0, evaluate(soup_a))
    yield LinePoint(1.0, evaluate(soup_b))
    for alpha in sorted({alpha for alpha in alphas if 0 < alpha < 1}):
        parts = (
            torch.logaddexp(scores_a[rows] + math.log(1 - alpha), scores_b[rows] + math.log(alpha))
            for rows in row_blocks(*scores_a.shape)
        )
        evaluation = evaluate.measured(parts)
        approximate = " from logits kept in half precision" if evaluate.logits_are_approximate else ""
        yield LinePoint(alpha, replace(evaluation, precision=evaluate.precision + approximate))


def error_barrier(points: Sequence[LinePoint]) -> Barrier:
    """The error barrier over alpha from 0 to 1; a height of 0 where no point lies above the straight line.

    >>> def point(alpha, correct):
    ...     return LinePoint(alpha, Evaluation(correct, 100, 0.0, 0.0, b""))
    >>> barrier = error_barrier([point(0.0, 80), point(0.5, 40), point(1.0, 60)])  # error 0.6, the line is at 0.3
    >>> barrier.alpha, round(barrier.height, 4), barrier.connected
    (0.5, 0.3, False)
    """
    errors = {point.alpha: 1 - point.evaluation.accuracy for point in points}
    heights = {
        alpha: error - ((1 - alpha) * errors[0.0] + alpha * errors[1.0])
        for alpha, error in errors.items()
        if 0 <= alpha <= 1
    }
    alpha = max(heights, key=lambda alpha: (heights[alpha], -alpha))
    return Barrier(alpha, max(0.0, heights[alpha]))


@dataclass(frozen=True)
class Plane:
    """The plane through three soups, with orthonormal axes in the space of all parameters, Euclidean units.

    The first soup is at (0, 0), the second at (`width`, 0), the third at (`lean`, `height`).
    """

    corners: tuple[Soup, Soup, Soup]
    width: float
    lean: float
    height: float

    def soup(self, x: float, y: float) -> Soup:
        """The soup at a point: a + x * e1 + y * e2, as an affine mix of the three."""
        return mix(dict(zip(self.corners, self.shares(x, y), strict=True)))

    def shares(self, x: float, y: float) -> tuple[float, float, float]:
        """How much of each of the three is in the soup at a point; together they are 1."""
        third = y / self.height
        second = (x - third * self.lean) / self.width
        return 1 - second - third, second, third

    def grid(self, resolution: int, margin: float = 0.25) -> tuple[list[float], list[float]]:
        """The x and y of a grid of so many columns and rows over the three, with a margin in parts of their extent."""
        xs, ys = (0.0, self.width, self.lean), (0.0, self.height)
        return _spread(min(xs), max(xs), resolution, margin), _spread(min(ys), max(ys), resolution, margin)


@dataclass(frozen=True)
class PlanePoint:
    """The evaluation at a point of the grid; `stride` is the distance between points of its pass, 1 in the last."""

    column: int
    row: int
    x: float
    y: float
    stride: int
    evaluation: Evaluation


def plane_through(gram: Gram, a: Soup, b: Soup, c: Soup) -> Plane:
    """Lay a plane through three soups. Raises CoefficientError where they lie on one line, or have no place."""
    check_placed(gram, a, b, c)
    width = math.sqrt(max(0.0, gram.inner(a, b, a, b)))
    lean = gram.inner(a, b, a, c) / width if width else 0.0
    length = math.sqrt(max(0.0, gram.inner(a, c, a, c)))
    height = math.sqrt(max(0.0, length**2 - lean**2))
    if height <= 1e-6 * max(width, length) or not width:  # of two equal squares 1e-16 may be left, of length 1e-8
        raise CoefficientError(
            "The three soups lie on one line; choose three that do not, to lay a plane through them."
        )
    return Plane((a, b, c), width, lean, height)


def plane_place(gram: Gram, plane: Plane, soup: Soup) -> Position:
    """A soup's projection on the plane, and its distance off it. Raises CoefficientError where it has no place."""
    check_placed(gram, soup)
    a, b, c = plane.corners
    x = gram.inner(a, soup, a, b) / plane.width
    y = (gram.inner(a, soup, a, c) - plane.lean * x) / plane.height
    foot = plane.soup(x, y)
    return Position(x, y, math.sqrt(max(0.0, gram.inner(foot, soup, foot, soup))))


def plane_points(evaluate: Evaluator, plane: Plane, *, resolution: int = 21) -> Iterator[PlanePoint]:
    """Evaluate the plane's grid, coarse first: every fourth point both ways, then every second, then all.

    Raises CoefficientError for a grid of fewer than two columns and rows.
    """
    if resolution < 2:
        raise CoefficientError(f"A grid has at least two columns and rows; found {resolution}.")
    xs, ys = plane.grid(resolution)
    done: set[tuple[int, int]] = set()
    for stride in (4, 2, 1):
        cells = [(c, r) for r in range(0, resolution, stride) for c in range(0, resolution, stride)]
        cells = [cell for cell in cells if cell not in done]
        done.update(cells)
        evaluations = evaluate.many(plane.soup(xs[column], ys[row]) for column, row in cells)
        for (column, row), evaluation in zip(cells, evaluations, strict=True):
            yield PlanePoint(column, row, xs[column], ys[row], stride, evaluation)


def _spread(low: float, high: float, count: int, margin: float) -> list[float]:
    low, high = low - margin * (high - low), high + margin * (high - low)
    return [low + (high - low) * index / (count - 1) for index in range(count)]
