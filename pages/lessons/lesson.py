"""What lessons share: the value `Lesson`, how a reader predicts, and how that is scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import address
from pages.shared.context import Context

Predicted = tuple[float | str, ...]
PAPER = "[Wortsman et al. 2022](https://arxiv.org/abs/2203.05482)"


class Prediction(Protocol):
    """A way to predict."""

    def draw(self, key: str, so_far: Predicted) -> Predicted:
        """Draw the widgets of the lesson of a key, and give what they hold now; `so_far` is what was kept of it."""

    def fits(self, predicted: Predicted) -> bool:
        """Whether it is a whole answer, which the address may not hold."""


@dataclass(frozen=True)
class NumberPrediction:
    """A number set on a slider; its unit is shown with it."""

    label: str
    low: float
    high: float
    step: float
    start: float = 0.0
    shown: str = "%+.2f points"

    def draw(self, key: str, so_far: Predicted) -> Predicted:
        """One slider."""
        predicted = st.slider(
            self.label,
            self.low,
            self.high,
            self.start,
            self.step,
            format=self.shown,
            **address.bound(f"guess:{key}", of_zoo=False),
        )
        return (round(predicted, 6),)

    def fits(self, predicted: Predicted) -> bool:
        """One number within the slider's ends."""
        return len(predicted) == 1 and is_number(predicted[0], self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several options; nothing is chosen at first."""

    label: str
    options: tuple[str, ...]

    def draw(self, key: str, so_far: Predicted) -> Predicted:
        """One row of buttons, none of which is pressed at first."""
        predicted = st.radio(
            self.label, self.options, None, horizontal=True, **address.bound(f"guess:{key}", of_zoo=False)
        )
        return () if predicted is None else (predicted,)

    def fits(self, predicted: Predicted) -> bool:
        """One of the options."""
        return len(predicted) == 1 and predicted[0] in self.options


@dataclass(frozen=True)
class Outcome:
    """A run's result beside what was predicted, as words, with the figure, one sentence, and the reason for it."""

    score: int
    predicted: str
    result: str
    figure: go.Figure
    alt: str
    sentence: str
    why: str


@dataclass(frozen=True)
class Link:
    """A page and its state, beside the zoo and how it is computed on."""

    path: str
    label: str
    state: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lesson:
    """A question about a bundled zoo.

    `ask` gives the way to predict, `run` the outcome for what was predicted, `onward` where one can go on alone.
    """

    key: str
    title: str
    zoo: str
    question: str
    setting: str
    ask: Callable[[Context], Prediction]
    run: Callable[[Context, Predicted], Outcome]
    onward: Callable[[Context], Link]


def is_number(value: Any, low: float, high: float) -> bool:
    """Whether it is a number from `low` to `high`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def near(predicted: float, low: float, high: float, reach: float) -> int:
    """100 for a number within the interval, falling to 0 at `reach` outside it."""
    off = max(low - predicted, predicted - high, 0.0)
    return max(0, round(100 * (1 - off / reach)))


def near_difference(predicted: float, comparison: sc.Comparison, reach: float = 1.0) -> int:
    """`near` for a difference in points, within its 95 % interval."""
    return near(predicted, 100 * comparison.low, 100 * comparison.high, reach)


def agreed(predicted: Sequence[object], right: Sequence[object]) -> int:
    """The share of decisions, in percent, that are the right ones."""
    return round(100 * sum(a == b for a, b in zip(predicted, right, strict=True)) / len(right))
