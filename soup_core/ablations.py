"""Ablations of a soup: how many models, which of them, how many held-out images, which hyperparameters.

Wortsman et al. 2022, arXiv 2203.05482. All goes through the store, so a soup met twice is evaluated once.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from soup_core.errors import CoefficientError, SoupError
from soup_core.evaluation import Evaluation, Evaluator, Trial
from soup_core.recipes.ensemble import ensemble
from soup_core.recipes.greedy import GreedyStep, candidate_order, walk
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.statistics import Comparison, compare
from soup_core.zoo import BASE, Value, Zoo

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class Mean:
    """The mean of independent samples and its standard error, which is NaN for one sample."""

    value: float
    standard_error: float
    samples: int

    @property
    def reach(self) -> float:
        """Half of the 95 % interval, by Student's t; NaN for one sample."""
        if self.samples < 2:
            return math.nan
        return self.standard_error * float(special.stdtrit(self.samples - 1, 0.975))


@dataclass(frozen=True)
class Averaged:
    """One split's evaluations of the k-th model alone, and of the first k models' uniform soup and ensemble."""

    single: Evaluation
    soup: Evaluation
    ensemble: Evaluation


@dataclass(frozen=True)
class NumberStep:
    """The first `count` models of an order, the last of which is `name`: held out, and on the split that reports."""

    count: int
    name: str
    soup: Soup
    held_out: Averaged
    report: Averaged | None


@dataclass(frozen=True)
class NumberBandStep:
    """The same curve of the uniform soup in one shuffled order: an evaluation for each number of models."""

    seed: int
    names: tuple[str, ...]
    held_out: tuple[Evaluation, ...]
    report: tuple[Evaluation, ...] | None


@dataclass(frozen=True)
class LeftOut:
    """A soup without one of its ingredients; `comparison` is that soup against the whole, so a loss is below zero."""

    name: str
    soup: Soup
    evaluation: Evaluation
    comparison: Comparison


@dataclass(frozen=True)
class ShapleyStep:
    """Each ingredient's Shapley value after so many pairs of permutations, as a share of the images.

    The values sum to `whole`, the accuracy of the soup of all, less `empty`, the value of no ingredient.
    """

    pairs: int
    names: tuple[str, ...]
    values: tuple[Mean, ...]
    empty: float
    whole: float


@dataclass(frozen=True)
class GapStep:
    """Greedy soups chosen on `size` held-out images: a draw's gain over its best single model, there and in the report.

    Gains are shares of the images; `gap` is the first gain less the second, the mean over draws.
    """

    size: int
    held_out_gains: tuple[float, ...]
    report_gains: tuple[float, ...]

    @property
    def held_out_gain(self) -> Mean:
        """The mean gain on the images that chose the soup."""
        return _mean(self.held_out_gains)

    @property
    def report_gain(self) -> Mean:
        """The mean gain on the images that only report."""
        return _mean(self.report_gains)

    @property
    def gap(self) -> Mean:
        """The mean selection gap: how much the first gain flatters."""
        return _mean(np.subtract(self.held_out_gains, self.report_gains))


@dataclass(frozen=True)
class Axis:
    """A hyperparameter as places on an axis, one an ingredient.

    The places are the numbers, their decimal logarithms where `logarithmic`, or 0, 1, 2 … for categories. `ticks` gives
    places with their words; without any, the places speak for themselves.
    """

    name: str
    values: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    logarithmic: bool = False


@dataclass(frozen=True)
class HyperparameterTable:
    """The ingredients' names and an axis a hyperparameter; the last axis is held-out accuracy in percent."""

    names: tuple[str, ...]
    axes: tuple[Axis, ...]


def number_averaged(
    zoo: Zoo, evaluate: Evaluator, *, order: str | Sequence[str] = "accuracy", report: Evaluator | None = None
) -> Iterator[NumberStep]:
    """Average the first k models of an order, k = 1, 2, …, yielding the uniform soup's and the ensemble's evaluations.

    `order` is as in greedy_soup; `report` evaluates the same on another split, for reporting alone. The ensemble runs no
    model of its own: it averages kept logits. Source: Wortsman et al. 2022, arXiv 2203.05482, its curves over the number
    of models.
    """
    names = _ordered(zoo, evaluate, order)

    def averaged(evaluate: Evaluator, first: list[str], soup: Soup) -> Averaged:
        return Averaged(evaluate(Soup({first[-1]: 1.0})), evaluate(soup), ensemble(evaluate, first))

    for count, soup in enumerate(_soups(zoo, names), 1):
        first = names[:count]
        yield NumberStep(
            count,
            first[-1],
            soup,
            averaged(evaluate, first, soup),
            averaged(report, first, soup) if report else None,
        )


def number_averaged_band(
    zoo: Zoo, evaluate: Evaluator, *, orders: int = 20, report: Evaluator | None = None
) -> Iterator[NumberBandStep]:
    """The uniform soup's curve in shuffled orders, of seeds 0 up to `orders`: how much is due to averaging alone.

    Source: Wortsman et al. 2022, arXiv 2203.05482, its curves over the number of models.
    """
    for seed in range(orders):
        names = _ordered(zoo, evaluate, f"random:{seed}")
        soups = _soups(zoo, names)
        held_out = tuple(evaluate.many(soups))
        yield NumberBandStep(seed, tuple(names), held_out, tuple(report.many(soups)) if report else None)


def leave_one_out(zoo: Zoo, evaluate: Evaluator, names: Iterable[str] | None = None) -> Iterator[LeftOut]:
    """Take each ingredient once out of the uniform soup of the named ones, of all where none are named.

    Raises CoefficientError for fewer than two ingredients. Source: the leave-one-out rival of Ghorbani & Zou 2019,
    arXiv 1904.02868; the paired interval as in `compare`.
    """
    whole = uniform_soup(zoo, names)
    if len(whole.names) < 2:
        raise CoefficientError(
            f"Leaving one out needs at least two ingredients; found {', '.join(whole.names)}. Put another one in."
        )
    with_all = evaluate(whole)
    left = [whole.drop(name) for name in whole.names]
    for name, soup, evaluation in zip(whole.names, left, evaluate.many(left), strict=True):
        yield LeftOut(name, soup, evaluation, compare(evaluation, with_all))


def shapley(
    zoo: Zoo, evaluate: Evaluator, names: Iterable[str] | None = None, *, pairs: int = 20, seed: int = 0
) -> Iterator[ShapleyStep]:
    """Estimate what each ingredient adds to the uniform soup's accuracy, averaged over the orders of putting them in.

    A step comes after each pair of a random permutation and its reverse. The estimate has no bias: no permutation is cut
    short, and the pairs, whose means are the samples, are independent. The value of no ingredient at all is the base's
    accuracy, or chance, 1/num_classes, where there is no base. Sources: Shapley 1953 (doi 10.1515/9781400881970-018);
    Castro et al. 2009 (doi 10.1016/j.cor.2008.04.004) for sampling; Mitchell et al. 2022, arXiv 2104.12199, for the
    reverse permutations.
    """
    whole = uniform_soup(zoo, names)
    members, shuffled = whole.names, random.Random(seed)
    # In images, since sums of whole numbers are exact.
    empty = evaluate(Soup({BASE: 1.0})).correct if zoo.base else evaluate.total / zoo.architecture["num_classes"]
    samples: list[NDArray[np.float64]] = []
    for pair in range(1, pairs + 1):
        order = shuffled.sample(members, len(members))
        both = []
        for permutation in (order, order[::-1]):
            correct = [found.correct for found in evaluate.many(_soups(zoo, permutation))]
            added = dict(zip(permutation, np.diff([empty, *correct]), strict=True))
            both.append([added[name] for name in members])
        samples.append(np.mean(both, axis=0))
        each = np.transpose(samples) / evaluate.total
        yield ShapleyStep(
            pair,
            members,
            tuple(_mean(found) for found in each),
            empty / evaluate.total,
            evaluate(whole).accuracy,
        )


def greedy_on(zoo: Zoo, evaluate: Evaluator, images: NDArray[np.int64], *, ties: bool = False) -> Iterator[GreedyStep]:
    """The greedy search on some of the evaluator's images, by their indices (n,), from the correctness bits kept.

    The decisions are those of greedy_soup on these images alone; only soups that nobody has met are run, on the whole
    split. The steps' evaluations have neither loss nor calibration error. Source: Wortsman et al. 2022, arXiv
    2203.05482, recipe 1.
    """

    def trial(soup: Soup) -> tuple[Evaluation, Trial]:
        found = _only(evaluate(soup), images)
        return found, Trial(found, found.correct, 0)

    singles = {name: trial(Soup({name: 1.0})) for name in zoo.names}
    names = candidate_order({name: found for name, (found, _) in singles.items()}, "accuracy")
    yield from walk(
        Soup({names[0]: 1.0}), names, singles[names[0]][1], Soup.add, lambda soup, _: trial(soup)[1], ties=ties
    )


def selection_gap(
    zoo: Zoo,
    evaluate: Evaluator,
    report: Evaluator,
    *,
    sizes: Sequence[int] | None = None,
    draws: int = 20,
    seed: int = 0,
    ties: bool = False,
) -> Iterator[GapStep]:
    """How much a greedy soup's gain flatters, for each size of the held-out set: so many draws without replacement.

    Draws of one size are independent given the held-out images there are, so the standard errors are about these images
    alone, and shrink as draws overlap more; the whole set can be drawn once, which has no standard error. Image indices
    of a draw: numpy's default_rng([seed, size, draw]).choice(total, size, replace=False). Raises SoupError for a size
    that the held-out set does not have. Source: the greedy search of Wortsman et al. 2022, arXiv 2203.05482; the gap is
    the overfitting in model selection of Cawley & Talbot 2010 (JMLR 11).
    """
    total = evaluate.total
    wanted = [*(size for size in SIZES if size < total), total] if sizes is None else list(sizes)
    if impossible := [size for size in wanted if not 1 <= size <= total]:
        raise SoupError(f"There are {total:,} held-out images to draw from; found a size of {impossible[0]:,}.")
    for size in wanted:
        held_out_gains, report_gains = [], []
        for draw in range(draws if size < total else 1):
            images = np.random.default_rng([seed, size, draw]).choice(total, size, replace=False)
            accepted = [step for step in greedy_on(zoo, evaluate, images, ties=ties) if step.accepted]
            first, last = accepted[0], accepted[-1]  # whose counts are known, and not mere bounds
            held_out_gains.append((last.correct_at_most - first.correct_at_most) / size)
            report_gains.append((report(last.soup).correct - report(first.soup).correct) / report.total)
        yield GapStep(size, tuple(held_out_gains), tuple(report_gains))


def hyperparameter_table(zoo: Zoo, evaluate: Evaluator) -> HyperparameterTable:
    """Lay the ingredients' hyperparameters along axes fit for parallel coordinates, held-out accuracy last.

    Words and truth values become categories. Positive numbers that are not all whole are laid out by their logarithm
    where they span a decade or more. What has no place among the numbers, such as a zero there, or a value that is not
    given, stands below them. A hyperparameter on which all agree has no axis. Source: the random search of Wortsman et
    al. 2022, arXiv 2203.05482; the plot is Inselberg's (1985, doi 10.1007/BF01898350).
    """
    given = [ingredient.hyperparameters for ingredient in zoo.ingredients]
    columns = {key: [each.get(key) for each in given] for key in dict.fromkeys(key for each in given for key in each)}
    axes = [_axis(key, values) for key, values in columns.items() if len({repr(value) for value in values}) > 1]
    accuracies = tuple(100 * evaluate(Soup({name: 1.0})).accuracy for name in zoo.names)
    return HyperparameterTable(zoo.names, (*axes, Axis("held-out (%)", accuracies)))


def _axis(name: str, given: Sequence[Value | None]) -> Axis:
    numbers = [value for value in given if isinstance(value, (int, float)) and math.isfinite(value)]
    if not numbers or any(isinstance(value, (bool, str)) for value in given):
        words = [_word(value) for value in given]
        kinds = sorted(set(words))
        return Axis(name, tuple(float(kinds.index(word)) for word in words), tuple(enumerate(kinds)))
    positive = [number for number in numbers if number > 0]
    logarithmic = (
        min(numbers) >= 0
        and bool(positive)
        and max(positive) >= 10 * min(positive)
        and not all(float(number).is_integer() for number in numbers)
    )
    places = [_place(value, logarithmic) for value in given]
    on_scale = [place for place in places if place is not None]
    low, high = min(on_scale), max(on_scale)
    words_below = sorted({_word(value) for value, place in zip(given, places, strict=True) if place is None})
    step = (high - low) / 8 or 1.0
    below = {word: low - step * count for count, word in enumerate(words_below, 1)}
    ticks = [(place, word) for word, place in below.items()]
    if logarithmic:
        ticks += _decades(low, high)
    elif below:
        ticks += [(number, f"{number:.4g}") for number in dict.fromkeys((low, (low + high) / 2, high))]
    values = [below[_word(value)] if place is None else place for value, place in zip(given, places, strict=True)]
    return Axis(name, tuple(values), tuple(ticks), logarithmic)


def _place(value: Value | None, logarithmic: bool) -> float | None:
    """A value's place on a scale of numbers, or None where it has none there."""
    if not isinstance(value, (int, float)) or not math.isfinite(value) or (logarithmic and not value):
        return None
    return math.log10(value) if logarithmic else float(value)


def _word(value: Value | None) -> str:
    if value is None:
        return "not given"
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else f"{value:g}"


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten as ticks of a logarithmic axis; 2 and 5 times them too, where they alone would be fewer than two."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1,), (1, 2, 5)):
        ticks = [(power + math.log10(factor), f"{factor * 10.0**power:g}") for power in powers for factor in factors]
        inside = [tick for tick in ticks if low - 1e-9 <= tick[0] <= high + 1e-9]
        if len(inside) > 1:
            break
    return inside


def _ordered(zoo: Zoo, evaluate: Evaluator, order: str | Sequence[str]) -> list[str]:
    names = candidate_order({name: evaluate(Soup({name: 1.0})) for name in zoo.names}, order)
    zoo.check_names(names)
    return names


def _soups(zoo: Zoo, names: Sequence[str]) -> list[Soup]:
    """The uniform soups of the first name, of the first two, and so on."""
    return [uniform_soup(zoo, names[:count]) for count in range(1, len(names) + 1)]


def _only(evaluation: Evaluation, images: NDArray[np.int64]) -> Evaluation:
    """What is known of an evaluation on some of its images: counts and bits."""
    bits = evaluation.bits()[images]
    return Evaluation(int(bits.sum()), len(bits), math.nan, math.nan, np.packbits(bits).tobytes())


def _mean(samples: Sequence[float] | NDArray[np.float64]) -> Mean:
    count = len(samples)
    error = float(np.std(samples, ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return Mean(float(np.mean(samples)), error, count)
