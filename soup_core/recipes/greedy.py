"""Greedy soup: from the best ingredient on, keep each next one only if the average gets better on the held-out set.

Wortsman et al. 2022, arXiv 2203.05482, recipe 1. It is never worse on the held-out set than the best ingredient, and it
fails only where held-out images are too few to tell ingredients apart.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, hardest_first
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class GreedyStep:
    """One candidate: whether it was accepted, its evaluation, or a bound on its correct images if rejected early.

    `index` counts from 0, the best ingredient; `soup` is the soup after this step; `images_evaluated` are the images
    run now, 0 where the store answered.
    """

    index: int
    candidate: str
    accepted: bool
    evaluation: Evaluation | None
    correct_at_most: int
    images_evaluated: int
    soup: Soup


def greedy_soup(
    zoo: Zoo,
    evaluate: Evaluator,
    *,
    order: str | Sequence[str] = "accuracy",
    ties: bool = False,
    full: bool = False,
) -> Iterator[GreedyStep]:
    """Walk through the candidates, yielding a step for each.

    `order` is "accuracy" (held-out, best first, ties by name), "random:SEED", or a list of names. A candidate is
    accepted on a strict improvement, with `ties` also on an equal count. Unless `full`, a candidate is stopped as soon
    as its errors, counted on the images that ingredients miss most first, say that it cannot win: the decisions are
    those of the full search.
    """
    trials = {name: evaluate.trial(Soup({name: 1.0})) for name in zoo.names}
    singles = {name: trial.evaluation for name, trial in trials.items() if trial.evaluation is not None}
    names = candidate_order(singles, order)
    zoo.check_names(names)
    images = hardest_first(singles.values())
    best = singles[names[0]]
    soup = uniform(names[:1])
    yield GreedyStep(0, names[0], True, best, best.correct, trials[names[0]].images_evaluated, soup)
    for index, name in enumerate(names[1:], 1):
        candidate = uniform({*soup.names, name})
        errors_below = best.total - best.correct + (1 if ties else 0)
        trial = evaluate.trial(candidate, errors_below=None if full else errors_below, order=images)
        accepted = trial.evaluation is not None and trial.evaluation.total - trial.evaluation.correct < errors_below
        if accepted and trial.evaluation is not None:
            best, soup = trial.evaluation, candidate
        yield GreedyStep(index, name, accepted, trial.evaluation, trial.correct_at_most, trial.images_evaluated, soup)


def candidate_order(singles: Mapping[str, Evaluation], order: str | Sequence[str]) -> list[str]:
    """The names in the order in which they are tried. Raises CoefficientError for an order that is none."""
    if not isinstance(order, str):
        if len(set(order)) < len(order) or not order:
            raise CoefficientError(f"An order names each candidate once; found {', '.join(order) or 'no name'}.")
        return list(order)
    if order == "accuracy":
        return sorted(singles, key=lambda name: (-singles[name].correct, name))
    kind, _, seed = order.partition(":")
    if kind == "random" and seed.isdecimal():
        names = sorted(singles)
        random.Random(int(seed)).shuffle(names)
        return names
    if order in singles:
        return [order]
    raise CoefficientError(f'An order is "accuracy", "random:SEED" or names with commas between; found {order!r}.')
