"""Hyperparameters and accuracy as axes, a line an ingredient (Inselberg 1985, doi 10.1007/BF01898350)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from soup_core.evaluation import Evaluator
from soup_core.zoo import Value, Zoo


@dataclass(frozen=True)
class Axis:
    """A hyperparameter as positions on an axis, one an ingredient.

    The positions are the numbers, their decimal logarithms where `logarithmic`, or 0, 1, 2 … for categories. `ticks` gives
    positions with their words; without any, the positions speak for themselves.
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
    accuracies = tuple(100 * evaluation.accuracy for evaluation in evaluate.singles().values())
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
    positions = [_position(value, logarithmic) for value in given]
    on_scale = [position for position in positions if position is not None]
    low, high = min(on_scale), max(on_scale)
    words_below = sorted({_word(value) for value, position in zip(given, positions, strict=True) if position is None})
    step = (high - low) / 8 or 1.0
    below = {word: low - step * count for count, word in enumerate(words_below, 1)}
    ticks = [(position, word) for word, position in below.items()]
    if logarithmic:
        ticks += _decades(low, high)
    elif below:
        ticks += [(number, f"{number:.4g}") for number in dict.fromkeys((low, (low + high) / 2, high))]
    values = [
        below[_word(value)] if position is None else position for value, position in zip(given, positions, strict=True)
    ]
    return Axis(name, tuple(values), tuple(ticks), logarithmic)


def _position(value: Value | None, logarithmic: bool) -> float | None:
    """A value's position on a scale of numbers, or None where it has none there."""
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
