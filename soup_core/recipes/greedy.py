"""Greedy soup: recipe 1 of Wortsman et al. 2022 (arXiv 2203.05482).

From the best ingredient on, keep each next one only if the average gets better on the held-out set.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, Trial, best_first, hardest_first
from soup_core.recipes.recipe import About, Parameter, Recipe
from soup_core.soup import Soup
from soup_core.zoo import BASE, Zoo

FULL = Parameter("full", "flag", "Evaluate every candidate in full", False)
TIES = Parameter("ties", "flag", "Accept on an equal count too", False)


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


@dataclass(frozen=True)
class BandStep:
    """One whole greedy search in a shuffled order: its seed, and the best held-out count after each candidate."""

    seed: int
    correct: tuple[int, ...]
    total: int
    images_evaluated: int
    soup: Soup


def greedy_soup(
    zoo: Zoo, evaluate: Evaluator, *, order: str | Sequence[str] = "accuracy", ties: bool = False, full: bool = False
) -> Iterator[GreedyStep]:
    """Walk through the candidates, yielding a step for each.

    `order` is "accuracy" (held-out, best first, ties by name), "random:SEED", or a list of names. A candidate is
    accepted on a strict improvement, with `ties` also on an equal count. Unless `full`, a candidate is stopped as soon
    as its errors, counted on the images that ingredients miss most first, say that it cannot win: the decisions are
    those of the full search. Raises CoefficientError for an order that is none, an unknown name, and the base.
    """
    trials = {name: evaluate.trial(Soup.single(name)) for name in zoo.names}
    singles = {name: trial.evaluation for name, trial in trials.items() if trial.evaluation is not None}
    names = candidate_order(singles, order)
    zoo.check_names(names)
    if BASE in names:
        raise CoefficientError("The base is no candidate; name ingredients.")
    images = None if full else hardest_first(singles.values())
    first = Trial(singles[names[0]], singles[names[0]].correct, trials[names[0]].images_evaluated)
    yield from keep_improvements(
        Soup.single(names[0]),
        names,
        first,
        Soup.add,
        lambda soup, errors_below: evaluate.trial(soup, errors_below=errors_below, order=images),
        ties=ties,
    )


def keep_improvements(
    soup: Soup,
    candidates: Sequence[str],
    first: Trial,
    change: Callable[[Soup, str], Soup],
    judge: Callable[[Soup, int], Trial],
    *,
    ties: bool = False,
) -> Iterator[GreedyStep]:
    """Change a soup by one candidate after the other, keeping each change that makes it better.

    The first candidate is in the soup that one starts from, whose trial is `first`. `judge(soup, errors_below)` may stop
    where the errors reach its limit.
    """
    best = first.evaluation
    assert best is not None, "one starts from a whole evaluation"
    yield GreedyStep(0, candidates[0], True, best, best.correct, first.images_evaluated, soup)
    for index, name in enumerate(candidates[1:], 1):
        changed = change(soup, name)
        errors_below = best.total - best.correct + (1 if ties else 0)
        trial = judge(changed, errors_below)
        accepted = trial.evaluation is not None and trial.evaluation.total - trial.evaluation.correct < errors_below
        if accepted and trial.evaluation is not None:
            best, soup = trial.evaluation, changed
        yield GreedyStep(index, name, accepted, trial.evaluation, trial.correct_at_most, trial.images_evaluated, soup)


def greedy_band(zoo: Zoo, evaluate: Evaluator, *, orders: int = 20, ties: bool = False) -> Iterator[BandStep]:
    """Whole greedy searches in shuffled orders, of seeds 0 up to `orders`: how much the order alone decides."""
    for seed in range(orders):
        steps = list(greedy_soup(zoo, evaluate, order=f"random:{seed}", ties=ties))
        yield BandStep(
            seed, tuple(so_far(steps)), evaluate.total, sum(step.images_evaluated for step in steps), steps[-1].soup
        )


def so_far(steps: Iterable[GreedyStep]) -> Iterator[int]:
    """The best held-out count after each step."""
    correct = 0
    for step in steps:
        if step.accepted:
            correct = step.correct_at_most
        yield correct


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
        "that makes held-out accuracy better. So on the held-out images it is never worse than the best model. It "
        "fails where these images are too few to tell candidates apart: what was chosen by chance does not carry over "
        "to the test images, and the gain there is smaller than the one that chose it.",
    ),
    greedy_soup,
    parameters=(Parameter("order", "order", "accuracy, random:SEED, or names", "accuracy"), FULL, TIES),
    command="greedy",
)
