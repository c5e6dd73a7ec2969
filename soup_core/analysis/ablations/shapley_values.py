"""What each ingredient adds on average over all orders: Shapley values of the uniform soup, sampled."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soup_core.analysis.ablations.number import growing_soups
from soup_core.evaluation import Estimate, Evaluator, sample_mean
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import BASE, Zoo


@dataclass(frozen=True)
class ShapleyStep:
    """Each ingredient's Shapley value after so many pairs of permutations, as a share of the images.

    The values sum to `whole`, the accuracy of the soup of all, less `empty`, the value of no ingredient.
    """

    pairs: int
    names: tuple[str, ...]
    values: tuple[Estimate, ...]
    empty: float
    whole: float


def shapley(
    zoo: Zoo, evaluate: Evaluator, names: Iterable[str] | None = None, *, pairs: int = 20, seed: int = 0
) -> Iterator[ShapleyStep]:
    """Estimate what each ingredient adds to the uniform soup's accuracy, averaged over the orders of putting them in.

    A step comes after each pair of a random permutation and its reverse. The estimate has no bias: no permutation is cut
    short, and the pairs, whose means are the samples, are independent. The value of no ingredient at all is the base's
    accuracy, or chance, one of the outputs, where there is no base. Sources: Shapley 1953 (doi 10.1515/9781400881970-018);
    Castro et al. 2009 (doi 10.1016/j.cor.2008.04.004) for sampling; Mitchell et al. 2022, arXiv 2104.12199, for the
    reverse permutations.
    """
    whole = uniform_soup(zoo, names)
    members, shuffled = whole.names, random.Random(seed)
    # In images, since sums of whole numbers are exact.
    empty = evaluate(Soup.single(BASE)).correct if zoo.base else evaluate.total / len(evaluate.outputs)
    samples: list[NDArray[np.float64]] = []
    for pair in range(1, pairs + 1):
        order = shuffled.sample(members, len(members))
        both = []
        for permutation in (order, order[::-1]):
            correct = [evaluation.correct for evaluation in evaluate.many(growing_soups(zoo, permutation))]
            added = dict(zip(permutation, np.diff([empty, *correct]), strict=True))
            both.append([added[name] for name in members])
        samples.append(np.mean(both, axis=0))
        each = np.transpose(samples) / evaluate.total
        yield ShapleyStep(
            pair, members, tuple(map(sample_mean, each)), empty / evaluate.total, evaluate(whole).accuracy
        )
