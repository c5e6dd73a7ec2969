"""Greedy soup: recipe 1 of Wortsman et al. 2022 (arXiv 2203.05482).

From the best ingredient on, keep each next one only if the average gets better on the held-out set.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, Trial, best_first, hardest_first, surpasses
from soup_core.recipes.recipe import About, Parameter, Recipe
from soup_core.soup import Soup
from soup_core.zoo import BASE, Zoo

FULL = Parameter("full", "flag", "Evaluate every candidate in full", False)
TIES = Parameter("ties", "flag", "Accept on an equal count too", False)


@dataclass(frozen=True)
class GreedyStep:
    """One candidate: whether it was accepted, its evaluation, or a bound on its correct images if rejected early.

    `index` counts from 0, the best ingredient; `soup` is the soup after this step; `images_evaluated` are the images
    run now, 0 where the store answered. `value_at_most` is the metric's value or its bound, where that is not accuracy.
    """

    index: int
    candidate: str
    accepted: bool
    evaluation: Evaluation | None
    correct_at_most: int
    images_evaluated: int
    soup: Soup
    value_at_most: float | None = None


@dataclass(frozen=True)
class BandStep:
    """One whole greedy search in a shuffled order: its seed, and the best held-out count after each candidate.

    `values` are those of the best by the metric, where that is not accuracy.
    """

    seed: int
    correct: tuple[int, ...]
    total: int
    images_evaluated: int
    soup: Soup
    values: tuple[float, ...] | None = None


def greedy_soup(
    zoo: Zoo, evaluate: Evaluator, *, order: str | Sequence[str] = "accuracy", ties: bool = False, full: bool = False
) -> Iterator[GreedyStep]:
    """Walk through the candidates, yielding a step for each.

    `order` is "accuracy" (by the zoo's metric on held-out images, best first, ties by name), "random:SEED", or a list of
    names. A candidate is accepted on a strict improvement by the metric, with `ties` also where it is as good. Unless
    `full`, a candidate is stopped as soon as its errors, counted on the images that ingredients miss most first, say that
    it cannot win: the decisions are those of the full search. Raises CoefficientError for an order that is none, an unknown name, and the base.
    """
    trials = {name: evaluate.trial(Soup.single(name)) for name in zoo.names}
    singles = {name: trial.evaluation for name, trial in trials.items() if trial.evaluation is not None}
    names = candidate_order(singles, order)
    zoo.check_names(names)
    if BASE in names:
        raise CoefficientError("The base is no candidate; name ingredients.")
    images = None if full else hardest_first(singles.values())
    first = Trial.whole(singles[names[0]], trials[names[0]].images_evaluated)
    yield from keep_improvements(
        Soup.single(names[0]),
        names,
        first,
        Soup.add,
        lambda soup, best: evaluate.candidate(soup, best, ties=ties, order=images),
        ties=ties,
    )


def keep_improvements(
    soup: Soup,
    candidates: Sequence[str],
    first: Trial,
    change: Callable[[Soup, str], Soup],
    judge: Callable[[Soup, Evaluation], Trial],
    *,
    ties: bool = False,
) -> Iterator[GreedyStep]:
    """Change a soup by one candidate after the other, keeping each change that makes it better.

    The first candidate is in the soup that one starts from, whose trial is `first`. `judge(soup, best)` may stop where the
    soup can no longer surpass the best evaluation so far.
    """
    best = first.evaluation
    assert best is not None, "one starts from a whole evaluation"
    yield GreedyStep(0, candidates[0], True, best, best.correct, first.images_evaluated, soup, first.value_at_most)
    for index, name in enumerate(candidates[1:], 1):
        changed = change(soup, name)
        trial = judge(changed, best)
        accepted = trial.evaluation is not None and surpasses(trial.evaluation, best, ties=ties)
        if accepted and trial.evaluation is not None:
            best, soup = trial.evaluation, changed
        known = trial.evaluation, trial.correct_at_most, trial.images_evaluated
        yield GreedyStep(index, name, accepted, *known, soup, trial.value_at_most)


def greedy_band(zoo: Zoo, evaluate: Evaluator, *, orders: int = 20, ties: bool = False) -> Iterator[BandStep]:
    """Whole greedy searches in shuffled orders, of seeds 0 up to `orders`: how much the order alone decides."""
    for seed in range(orders):
        steps = list(greedy_soup(zoo, evaluate, order=f"random:{seed}", ties=ties))
        images, values = sum(step.images_evaluated for step in steps), best_values(steps)
        yield BandStep(seed, tuple(so_far(steps)), evaluate.total, images, steps[-1].soup, values)


def so_far(steps: Iterable[GreedyStep]) -> Iterator[int]:
    """The best held-out count after each step."""
    correct = 0
    for step in steps:
        if step.accepted:
            correct = step.correct_at_most
        yield correct


def best_values(steps: Iterable[GreedyStep]) -> tuple[float, ...] | None:
    """The value of the best by the metric after each step; None where that is accuracy, whose counts are `so_far`."""
    values: list[float] = []
    for step in steps:
        if step.value_at_most is None:
            return None
        values.append(step.value_at_most if step.accepted else values[-1])
    return tuple(values)


def candidate_order(singles: Mapping[str, Evaluation], order: str | Sequence[str]) -> list[str]:
    """The names in the order in which they are tried. Raises CoefficientError for an order that is none."""
    if not isinstance(order, str):
        if len(set(order)) < len(order) or not order:
            raise CoefficientError(f"An order names each candidate once; found {', '.join(order) or 'no name'}.")
        return list(order)
    if order == "accuracy":
        return best_first(singles)
    kind, _, seed = order.partition(":")
    if kind == "random" and seed.isdecimal():
        names = sorted(singles)
        random.Random(int(seed)).shuffle(names)
        return names
    if order in singles:
        return [order]
    raise CoefficientError(f'An order is "accuracy", "random:SEED" or names with commas between; found {order!r}.')


RECIPE = Recipe(
    "greedy",
    About(
        "Greedy soup",
        "Wortsman et al. 2022, recipe 1",
        "https://arxiv.org/abs/2203.05482",
        "Sorts the models by held-out accuracy, starts from the best, and lets each next one into the average only if "
        "that makes held-out accuracy better; or by another metric, where one is chosen. So on the held-out images it is never worse than the best model. It "
        "fails where these images are too few to tell candidates apart: what was chosen by chance does not carry over "
        "to the test images, and the gain there is smaller than the one that chose it.",
    ),
    greedy_soup,
    parameters=(Parameter("order", "order", "accuracy, random:SEED, or names", "accuracy"), FULL, TIES),
    command="greedy",
)
