"""Published results as values: accuracies on seven image sets, quantities over them, and their intervals.

Wortsman et al. 2022 (arXiv 2203.05482), 72 models of CLIP ViT-B/32. A quantity is a set of coefficients over image sets:
the test accuracy, the mean of the shifts and the selection gap are three of them, and share one interval.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from soup_core.evaluation import Estimate, wilson
from soup_core.zoo import Value

IMAGES: Mapping[str, int] = {
    "ImageNet2p": 26_000, "ImageNet": 50_000, "ImageNetV2": 10_000, "ImageNetSketch": 50_889, "ImageNetR": 30_000,
    "ObjectNet": 18_574, "ImageNetA": 7_500,
}  # fmt: skip
HELD_OUT_SET, TEST_SET, *SHIFTS = IMAGES
Quantity = Mapping[str, float]
HELD_OUT: Quantity = {HELD_OUT_SET: 1}
TEST: Quantity = {TEST_SET: 1}
MEAN_OF_SHIFTS: Quantity = {shift: 1 / len(SHIFTS) for shift in SHIFTS}
SELECTION_GAP: Quantity = {HELD_OUT_SET: 1, TEST_SET: -1}
QUANTITIES: Mapping[str, Quantity] = {"held-out": HELD_OUT, "test": TEST, "mean of shifts": MEAN_OF_SHIFTS}
CORRELATED = (("held-out", "test"), ("test", "mean of shifts"))
WHOLE_WITHIN = 1e-3  # images; files that keep all digits of a fraction are within 1e-11
ENOUGH_MODELS = 4  # fewer leave a correlation without an interval


@dataclass(frozen=True)
class Score:
    """A published accuracy on a set of images, and the count that is nearest to it."""

    accuracy: float
    total: int

    @property
    def correct(self) -> int:
        """The accuracy as a count of images, rounded where it is none."""
        return round(self.accuracy * self.total)

    @property
    def is_count(self) -> bool:
        """Whether the accuracy is a whole number of images; a mean over classes need not be."""
        return abs(self.accuracy * self.total - self.correct) < WHOLE_WITHIN

    @cached_property
    def interval(self) -> Estimate:
        """The accuracy with Wilson's 95 % interval of its count."""
        return replace(wilson(self.correct, self.total), value=self.accuracy)


@dataclass(frozen=True)
class PublishedModel:
    """A line of a result file; `kind` is "ingredient", "base", "uniform", "greedy" or "ensemble"."""

    name: str
    kind: str
    scores: Mapping[str, Score]
    hyperparameters: Mapping[str, Value | None]

    @cached_property
    def shifts(self) -> Estimate:
        """The mean of the accuracies on the five distribution shifts."""
        return estimate(self, MEAN_OF_SHIFTS)

    def accuracy(self, quantity: Quantity) -> float:
        """The quantity without its interval."""
        return sum(weight * self.scores[name].accuracy for name, weight in quantity.items())


@dataclass(frozen=True)
class Results:
    """What a folder of result files holds; `models` are the fine-tuned ones in the file's order, without the base."""

    name: str
    folder: Path
    models: tuple[PublishedModel, ...]
    base: PublishedModel | None
    soups: tuple[PublishedModel, ...]
    notices: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line for a heading."""
        return f"Published results: {len(self.models):,} fine-tuned models of the model-soups paper"

    @cached_property
    def ranking(self) -> tuple[PublishedModel, ...]:
        """The fine-tuned models, best on the held-out set first, ties by name."""
        return tuple(sorted(self.models, key=lambda model: (-model.scores[HELD_OUT_SET].accuracy, model.name)))

    @property
    def best(self) -> PublishedModel:
        """The fine-tuned model that the held-out set selects."""
        return self.ranking[0]

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the fine-tuned models' hyperparameters, in the file's order."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.hyperparameters))


def estimate(ours: PublishedModel, quantity: Quantity, *, against: PublishedModel | None = None) -> Estimate:
    """A quantity of a model, or its difference from another model's, with the 95 % interval.

    Wilson's intervals of the accuracies, combined as for independent ones by Zou & Donner 2008 (doi 10.1002/sim.3095); for
    one difference that is Newcombe's 1998 score interval. Sets hold different images, so that sums over sets of one model
    are independent; two models on the same images are not, but without results an image they cannot be paired, and this
    unpaired interval is too wide where they are right on the same images.
    """
    sides = [(1.0, ours)] if against is None else [(1.0, ours), (-1.0, against)]
    terms = [(sign * weight, model.scores[name].interval) for sign, model in sides for name, weight in quantity.items()]
    value = sum(weight * score.value for weight, score in terms)
    reach = [[weight * (bound - score.value) for bound in (score.low, score.high)] for weight, score in terms]
    below, above = math.hypot(*(min(pair) for pair in reach)), math.hypot(*(max(pair) for pair in reach))
    return Estimate(value, value - below, value + above)


def relative_drop(model: PublishedModel, shift: str) -> Estimate | None:
    """The share of its test accuracy that a model loses on a shift; None where one of the two counts is zero.

    Interval of the ratio of two independent shares: Katz et al. 1978 (Biometrics 34, 469), by scipy.
    """
    ours, test = model.scores[shift], model.scores[TEST_SET]
    if not ours.correct or not test.correct:
        return None
    from scipy import stats  # takes most of a second

    ratio = stats.contingency.relative_risk(ours.correct, ours.total, test.correct, test.total)
    low, high = ratio.confidence_interval()
    return Estimate(1 - ours.accuracy / test.accuracy, 1 - float(high), 1 - float(low))


def correlation(models: Sequence[PublishedModel], first: Quantity, second: Quantity) -> Estimate | None:
    """Pearson's correlation of two quantities over models, Fisher's interval; None for too few models or a constant."""
    columns = [[model.accuracy(quantity) for model in models] for quantity in (first, second)]
    if len(models) < ENOUGH_MODELS or any(max(column) - min(column) < 1e-12 for column in columns):
        return None
    from scipy import stats  # takes most of a second

    pearson = stats.pearsonr(*columns)
    low, high = pearson.confidence_interval()
    return Estimate(float(pearson.statistic), float(low), float(high))


def correlated(results: Results) -> list[tuple[tuple[PublishedModel, ...], str]]:
    """The models over which correlations are told, with words for them: the fine-tuned ones, then the base too."""
    fine_tuned = [(results.models, f"{len(results.models)} fine-tuned models")]
    if results.base is None:
        return fine_tuned
    return [*fine_tuned, ((results.base, *results.models), f"these and the base {results.base.name}")]


def rank_correlation(models: Sequence[PublishedModel], hyperparameter: str, quantity: Quantity) -> float | None:
    """Spearman's correlation of a hyperparameter with a quantity, over the models where it is a number."""
    pairs = [
        (float(value), model.accuracy(quantity))
        for model in models
        if isinstance(value := model.hyperparameters.get(hyperparameter), (int, float))
    ]
    if len(pairs) < ENOUGH_MODELS or any(max(column) - min(column) < 1e-12 for column in zip(*pairs, strict=True)):
        return None
    from scipy import stats  # takes most of a second

    return float(stats.spearmanr(pairs).statistic)


def in_order(values: Sequence[Value | None]) -> list[Value | None]:
    """Distinct values of a hyperparameter in their order: none first, then numbers, then texts by the numbers in them."""

    def key(value: Value | None) -> tuple[object, ...]:
        if value is None:
            return (0,)
        if isinstance(value, str):
            return (2, [int(digits) for digits in re.findall(r"\d+", value)], value)
        return (1, value)

    return sorted(dict.fromkeys(values), key=key)
