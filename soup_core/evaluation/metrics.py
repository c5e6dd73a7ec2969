"""What "better" means: the metrics by which models are selected, each with its definition, and the registry of them all.

Definitions are scikit-learn's (https://scikit-learn.org/stable/modules/model_evaluation.html), which the tests hold them to.
They are written out here since selection asks for them on thousands of resamples at once, and on images half of which have
not been seen yet; the package would be 30 megabytes more to install.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.errors import SoupError
from soup_core.zoo.zoo import MetricKey

TOP = 5
DECIMALS = 12  # of values that are compared: sums in another order are equal to these
Numbers = NDArray[Any]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of a split's images: labels (N, from 0), how many outputs there are, and each image's group (N), if any."""

    labels: NDArray[np.int64]
    outputs: int
    groups: NDArray[np.int64] | None = None

    @cached_property
    def class_cells(self) -> "Cells":
        """The images by their classes."""
        return Cells.of(self.labels)

    @cached_property
    def group_cells(self) -> "Cells":
        """The images by their groups. Raises SoupError where they have none."""
        if self.groups is None:
            raise SoupError("These images have no groups.")
        return Cells.of(self.groups)

    def of(self, rows: NDArray[np.int64]) -> "Truth":
        """What is true of some of the images."""
        return Truth(self.labels[rows], self.outputs, None if self.groups is None else self.groups[rows])


@dataclass(frozen=True, eq=False)
class Cells:
    """Images that are parted: which cells there are, the images cell by cell, and where each cell begins among these."""

    names: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, cells: Numbers) -> "Cells":
        """The images (N) by the number of each one's cell."""
        names, starts = np.unique(np.sort(cells), return_index=True)
        return cls(names.astype(np.int64), np.argsort(cells, kind="stable"), starts)

    def sums(self, values: Values) -> Values:
        """The sums in each cell (D×cells) of values (D×N)."""
        return np.add.reduceat(values[:, self.order], self.starts, axis=1)

    def means(self, answers: Numbers, times: Values) -> Values:
        """In each cell the mean of answers (N), taken so many times each (D×N): D×cells, NaN where none is taken."""
        total = self.sums(times)
        return np.divide(self.sums(times * answers), total, out=np.full_like(total, np.nan), where=total > 0)


@dataclass(frozen=True, eq=False, repr=False)
class Metric:
    """A way to say how good a model is on images.

    `answers(logits, labels)` is what is kept an image (N) beside whether it is right, and `perfect(truth)` the best that
    there is of it; both None where the bit is enough. `values(truth, answers, times)` are the metric's values (D) with the
    images taken so many times each (D×N). Where `is_bounded`, a value can only fall where an image turns out wrong, and does
    so without rounding. `fits(outputs, grouped)` says whether it is for so many outputs of images in groups or not, which
    `condition` says in words.
    """

    key: MetricKey
    name: str
    meaning: str
    values: Callable[[Truth, Numbers, Values], Values]
    answers: Callable[[Tensor, Tensor], Tensor] | None = None
    perfect: Callable[[Truth], Numbers] | None = None
    higher_is_better: bool = True
    is_bounded: bool = True
    unit: Literal["percent", "nats", ""] = "percent"
    fits: Callable[[int, bool], bool] = lambda outputs, grouped: True
    condition: str = ""

    def __repr__(self) -> str:
        return f"METRICS[{self.key!r}]"

    def suits(self, truth: Truth) -> bool:
        """Whether it can be told of these images."""
        of_both = self.key != "auroc" or len(truth.class_cells.names) == 2
        return of_both and self.fits(truth.outputs, truth.groups is not None)

    def value(self, truth: Truth, answers: Numbers) -> float:
        """Its value on all images. Raises nothing for answers that are not finite: the value may then be NaN."""
        (value,) = self.values(truth, answers, np.ones((1, len(truth.labels))))
        return float(value)

    def standing(self, value: float) -> float:
        """What models are ranked by, higher is better: the value or its opposite, rounded, and last of all NaN."""
        return -np.inf if np.isnan(value) else round(value if self.higher_is_better else -value, DECIMALS)

    def best_answers(self, truth: Truth) -> Numbers:
        """The answers of a model that is right everywhere. Only for metrics that are bounded."""
        assert self.is_bounded, "a bound takes what was not seen to be right"
        return self.perfect(truth).copy() if self.perfect else np.ones(len(truth.labels), bool)

    @property
    def search_in_words(self) -> str | None:
        """A sentence where a search by it cannot reject early, else None."""
        if self.is_bounded:
            return None
        return f"{self.name[0].upper()}{self.name[1:]} has no exact bound from counts, so every candidate is evaluated in full."


def predicted(logits: Tensor, labels: Tensor) -> Tensor:
    """The class that each image is taken for (N), in the smallest type; that of logits that are not finite is none: C."""
    outputs = logits.shape[1]
    found = torch.where(torch.isfinite(logits).all(1), logits.argmax(1), outputs)
    return found.to(torch.uint8 if outputs < 2**8 else torch.int16 if outputs < 2**15 else torch.int32)


def in_top(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the true class is among the five of the highest logits (N booleans); of equal ones the later class counts more."""
    true = logits.gather(1, labels[:, None])
    later = torch.arange(logits.shape[1]) > labels[:, None]
    above = (logits > true).sum(1) + ((logits == true) & later).sum(1)
    return (above < TOP) & torch.isfinite(logits).all(1)


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Each image's cross-entropy in nats (N, float64), NaN where logits are not finite."""
    found = -logits.double().log_softmax(1).gather(1, labels[:, None])[:, 0]
    return found.masked_fill(~torch.isfinite(logits).all(1), torch.nan)


def second_less_first(logits: Tensor, labels: Tensor) -> Tensor:
    """How much more the second of two outputs says (N, float64); where logits are not finite as wrong as can be."""
    first, second = logits.double().unbind(1)
    wrong = torch.where(labels == 1, -torch.inf, torch.inf).double()
    return torch.where(torch.isfinite(logits).all(1), second - first, wrong)


def _mean(truth: Truth, answers: Numbers, times: Values) -> Values:
    return np.asarray(times @ answers.astype(np.float64) / times.sum(1))


def _mean_over_classes(truth: Truth, answers: Numbers, times: Values) -> Values:
    return np.asarray(np.nanmean(truth.class_cells.means(answers, times), axis=1))


def _worst_class(truth: Truth, answers: Numbers, times: Values) -> Values:
    return np.asarray(np.nanmin(truth.class_cells.means(answers, times), axis=1))


def _worst_group(truth: Truth, answers: Numbers, times: Values) -> Values:
    return np.asarray(np.nanmin(truth.group_cells.means(answers, times), axis=1))


def _macro_f1(truth: Truth, answers: Numbers, times: Values) -> Values:
    """The mean of 2 * right / (images of the class + images taken for it), over the classes that either has any of."""
    right, either = np.zeros((2, len(times), truth.outputs + 1))
    of_class, of_answer = truth.class_cells, Cells.of(answers)
    right[:, of_class.names] = of_class.sums(times * (answers == truth.labels))
    either[:, of_class.names] = of_class.sums(times)
    either[:, of_answer.names] += of_answer.sums(times)
    right, either = right[:, :-1], either[:, :-1]  # without the class that is none
    scores = np.divide(2 * right, either, out=np.full_like(either, np.nan), where=either > 0)
    return np.asarray(np.nanmean(scores, axis=1))


def _auroc(truth: Truth, answers: Numbers, times: Values) -> Values:
    """The share of pairs, one of each class, of which the second class's has the higher score; a tie is half of one."""
    cells = Cells.of(np.unique(answers, return_inverse=True)[1])
    ours, others = (cells.sums(times * (truth.labels == label)) for label in (1, 0))
    below = np.cumsum(others, axis=1) - others / 2
    pairs = ours.sum(1) * others.sum(1)
    return np.asarray(np.divide((ours * below).sum(1), pairs, out=np.full(len(times), np.nan), where=pairs > 0))


ACCURACY = Metric("accuracy", "accuracy", "The share of the images that are right.", _mean)
METRICS: Mapping[MetricKey, Metric] = {
    metric.key: metric
    for metric in (
        ACCURACY,
        Metric(
            "top-5",
            "top-5 accuracy",
            "The share of the images whose class is among the five that the model finds likeliest.",
            _mean,
            in_top,
            lambda truth: np.ones(len(truth.labels), bool),
            fits=lambda outputs, grouped: outputs > TOP,
            condition="more than five classes",
        ),
        Metric(
            "balanced-accuracy",
            "balanced accuracy",
            "The mean of the classes' own accuracies, so that a rare class counts as much as a frequent one.",
            _mean_over_classes,
        ),
        Metric(
            "macro-f1",
            "macro F1",
            "The mean over the classes of F1, which also falls where images of other classes are taken for one.",
            _macro_f1,
            predicted,
            lambda truth: truth.labels,
        ),
        Metric(
            "log-loss",
            "log loss",
            "The mean cross-entropy in nats, lower is better: it also asks how sure the model is.",
            _mean,
            losses,
            higher_is_better=False,
            is_bounded=False,
            unit="nats",
        ),
        Metric(
            "auroc",
            "AUROC",
            "How often an image of the second class has a higher score than one of the first, at any threshold.",
            _auroc,
            second_less_first,
            is_bounded=False,
            unit="",
            fits=lambda outputs, grouped: outputs == 2,
            condition="two classes, with images of both",
        ),
        Metric("worst-class", "worst class", "The accuracy on the class that has the lowest.", _worst_class),
        Metric(
            "worst-group",
            "worst group",
            "The accuracy on the group of images that has the lowest.",
            _worst_group,
            fits=lambda outputs, grouped: grouped,
            condition="images in groups",
        ),
    )
}  # in the order in which they are offered


def metric_of(key: str) -> Metric:
    """The metric of a key. Raises SoupError for one that is none."""
    for metric in METRICS.values():
        if metric.key == key:
            return metric
    raise SoupError(f"The metric is one of {', '.join(METRICS)}; found {key!r}.")
