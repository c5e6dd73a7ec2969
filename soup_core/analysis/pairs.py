"""Pairs of ingredients: what averaging two gains against the angle between them, barriers, and where predictions differ.

Wortsman et al. 2022, arXiv 2203.05482, section 3.2 and its figures of the advantage of averaging against the angle.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from soup_core.analysis.interpolation import Barrier, error_barrier, line
from soup_core.errors import CoefficientError
from soup_core.evaluation import Comparison, Estimate, Evaluation, Evaluator, ModelOutputs, compare, paired_mean
from soup_core.soup import BatchNorm, Soup, uniform
from soup_core.weight_space.gram import Gram, Matrix, angles
from soup_core.zoo import Zoo

SEED = "seed"
Pair = tuple[str, str]


@dataclass(frozen=True)
class PairAdvantage:
    """Two ingredients, the angle in degrees between their differences from the origin, and what their average gains.

    `differing` are the hyperparameters that set them apart, see `differing_hyperparameters`; the angle is NaN where one
    of the two has not moved.
    """

    a: str
    b: str
    angle: float
    differing: tuple[str, ...]
    ends: tuple[Evaluation, Evaluation]
    middle: Evaluation

    @property
    def over_mean(self) -> Estimate:
        """The middle's accuracy less the mean of the two ends'."""
        a, b = (end.bits().astype(float) for end in self.ends)
        return paired_mean(self.middle.bits() - (a + b) / 2)

    @property
    def over_better(self) -> Comparison:
        """The middle against the end that is better on these images, which favours that end a little."""
        return compare(self.middle, max(self.ends, key=lambda end: end.correct))


@dataclass(frozen=True)
class PairBarrier:
    """The error barrier between two ingredients."""

    a: str
    b: str
    barrier: Barrier


@dataclass(frozen=True, eq=False)
class IngredientPrediction:
    """The class that a model says of each image, in the split's order; -1 where its logits are not finite."""

    name: str
    classes: NDArray[np.int64]


def sampled_pairs(zoo: Zoo, budget: int, seed: int = 0) -> tuple[Pair, ...]:
    """So many different pairs of the zoo's ingredients, drawn at random, or all; more of a seed continue fewer.

    Raises CoefficientError for fewer than one.
    """
    if budget < 1:
        raise CoefficientError(f"At least one pair is drawn; found {budget}.")
    pairs = list(combinations(zoo.names, 2))
    random.Random(seed).shuffle(pairs)
    return tuple(pairs[:budget])


def pair_advantages(
    evaluate: Evaluator, gram: Gram, pairs: Iterable[Pair], *, batch_norm: BatchNorm = "averaged"
) -> Iterator[PairAdvantage]:
    """Evaluate the average of each pair, yielding a result a pair; the ends are evaluated once, or known."""
    degrees = angles(gram)
    for a, b in pairs:
        angle = float(degrees[gram.index(a), gram.index(b)])
        first, second = (evaluate(Soup.single(name, batch_norm=batch_norm)) for name in (a, b))
        middle = evaluate(uniform((a, b), batch_norm=batch_norm))
        yield PairAdvantage(a, b, angle, differing_hyperparameters(evaluate.zoo, a, b), (first, second), middle)


def pair_barriers(
    evaluate: Evaluator, pairs: Iterable[Pair], *, alphas: Sequence[float] = (0.5,), batch_norm: BatchNorm = "averaged"
) -> Iterator[PairBarrier]:
    """The error barrier of each pair over a few alphas, by default the middle alone, which is a bound from below."""
    for a, b in pairs:
        first, second = (Soup.single(name, batch_norm=batch_norm) for name in (a, b))
        yield PairBarrier(a, b, error_barrier(list(line(evaluate, first, second, alphas))))


def barrier_matrix(names: Sequence[str], barriers: Iterable[PairBarrier]) -> Matrix:
    """K×K heights of the barriers (0 to 1) in the order of the names; NaN for pairs that were not evaluated."""
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 0.0)
    indices = {name: index for index, name in enumerate(names)}
    for pair in barriers:
        row, column = indices[pair.a], indices[pair.b]
        matrix[row, column] = matrix[column, row] = pair.barrier.height
    return matrix


def predictions(evaluate: ModelOutputs, names: Iterable[str] | None = None) -> Iterator[IngredientPrediction]:
    """What each ingredient predicts, from its kept logits; a forward pass over the split where there are none."""
    for name in evaluate.zoo.names if names is None else names:
        logits = evaluate.logits(Soup.single(name))
        yield IngredientPrediction(name, logits.argmax(1).where(logits.isfinite().all(1), -1).numpy())


def disagreement(models: Sequence[IngredientPrediction]) -> Matrix:
    """K×K share of images on which the predicted classes of two models differ; without a class they always do.

    Which images are right does not tell: two models may be wrong in different ways (Fort et al. 2019, arXiv
    1912.02757).
    """
    matrix = np.zeros((len(models), len(models)))
    for (row, first), (column, second) in combinations(enumerate(models), 2):
        agree = (first.classes == second.classes) & (first.classes >= 0)
        matrix[row, column] = matrix[column, row] = 1 - float(agree.mean())
    return matrix


def differing_hyperparameters(zoo: Zoo, a: str, b: str) -> tuple[str, ...]:
    """The hyperparameters in which two ingredients differ, sorted.

    Runs that differ in another one have a noise of their own anyway: "seed" is said only where nothing else differs.
    """
    first, second = zoo.by_name[a].hyperparameters, zoo.by_name[b].hyperparameters
    differing = {key for key in {*first, *second} if first.get(key) != second.get(key)}
    return tuple(sorted(differing - {SEED} or differing))
