"""What an evaluation is: integer counts, loss, calibration error and a bit an image, measured from logits."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.evaluation.metrics import ACCURACY, Metric, Numbers, Truth
from soup_core.runtime.store import EvaluationRow

CALIBRATION_BINS = 15
BLOCK_NUMBERS = 2**21  # 16 megabytes in float64


@dataclass(frozen=True)
class Measured:
    """A model by a metric other than accuracy: its value, and what that is made of, an answer an image."""

    metric: Metric
    value: float
    truth: Truth = field(compare=False, repr=False)
    answers: Numbers = field(compare=False, repr=False)


@dataclass(frozen=True)
class Evaluation:
    """A model on a split: integer counts, mean cross-entropy in nats, expected calibration error, a bit an image.

    `ece` has 15 bins of equal mass (Nixon et al. 2019, arXiv 1904.01685). `not_finite` counts images whose logits held
    NaN or infinity; they count as wrong, and loss and ece are then NaN. `precision` says how it was computed. `measured` is
    what the zoo's metric says, where that is not accuracy.

    >>> found = Evaluation(correct=2, total=3, loss=0.4, ece=0.1, correctness=bytes([0b1010_0000]))
    >>> round(found.accuracy, 4), found.bits().tolist()
    (0.6667, [True, False, True])
    """

    correct: int
    total: int
    loss: float
    ece: float
    correctness: bytes
    not_finite: int = 0
    precision: str = "float32"
    measured: Measured | None = None

    @property
    def accuracy(self) -> float:
        """correct / total."""
        return self.correct / self.total

    @property
    def metric(self) -> Metric:
        """The metric that it is judged by."""
        return self.measured.metric if self.measured else ACCURACY

    @property
    def value(self) -> float:
        """What the metric says: a share of 1, or nats."""
        return self.measured.value if self.measured else self.accuracy

    @property
    def standing(self) -> float:
        """What evaluations on one split are ranked by, higher is better: the count, or the metric's `standing`."""
        return self.correct if self.measured is None else self.metric.standing(self.value)

    def bits(self) -> NDArray[np.bool_]:
        """Whether each image is right: a boolean array (N,), in the split's order."""
        return np.unpackbits(np.frombuffer(self.correctness, np.uint8), count=self.total).astype(bool)

    def to_tensors(self) -> dict[str, Tensor]:
        """The evaluation but for its precision: `figures` (5, float64) and `correctness` (uint8, eight images each)."""
        figures = [self.correct, self.total, self.loss, self.ece, self.not_finite]
        correctness = np.frombuffer(self.correctness, np.uint8).copy()
        return {"figures": torch.tensor(figures, dtype=torch.float64), "correctness": torch.from_numpy(correctness)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], precision: str = "float32") -> "Evaluation":
        """Read what `to_tensors` gave; counts are exact, since float64 holds whole numbers up to 2**53."""
        correct, total, loss, ece, not_finite = tensors["figures"].tolist()
        correctness = tensors["correctness"].numpy().tobytes()
        return cls(int(correct), int(total), loss, ece, correctness, int(not_finite), precision)


@dataclass(frozen=True)
class Trial:
    """What is known of a soup after its images were run: the whole evaluation, or a bound where it was stopped.

    `value_at_most` bounds the metric's value, where that is not accuracy.
    """

    evaluation: Evaluation | None
    correct_at_most: int
    images_evaluated: int
    value_at_most: float | None = None

    @classmethod
    def whole(cls, evaluation: Evaluation, images_evaluated: int) -> "Trial":
        """One that ran to its end."""
        value = evaluation.value if evaluation.measured else None
        return cls(evaluation, evaluation.correct, images_evaluated, value)


@dataclass(frozen=True)
class Judge:
    """How a split's images judge: by which metric, and what is true of them."""

    metric: Metric
    truth: Truth

    def judged(self, evaluation: Evaluation, answers: Numbers | None = None) -> Evaluation:
        """The evaluation with what the metric says, whose answers are given where the bits are not enough."""
        if self.metric is ACCURACY:
            return evaluation
        found = evaluation.bits() if answers is None else answers
        return replace(
            evaluation, measured=Measured(self.metric, self.metric.value(self.truth, found), self.truth, found)
        )

    def of(self, rows: NDArray[np.int64]) -> "Judge":
        """The same on some of the images."""
        return Judge(self.metric, self.truth.of(rows))


@dataclass(frozen=True)
class ImageOrder:
    """A permutation of a split's images, and its digest."""

    indices: Tensor

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the permutation."""
        return hashlib.sha256(self.indices.numpy().tobytes()).hexdigest()


def best_first(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """The names by their evaluations on one split, the best by the metric first; ties by name."""
    return sorted(evaluations, key=lambda name: (-evaluations[name].standing, name))


def hardest_first(evaluations: Iterable[Evaluation]) -> ImageOrder:
    """The images that most of these evaluations miss come first; ties in the split's order.

    >>> one = Evaluation(2, 4, 0.5, 0.0, bytes([0b1010_0000]))
    >>> other = Evaluation(3, 4, 0.5, 0.0, bytes([0b1110_0000]))
    >>> hardest_first([one, other]).indices.tolist()
    [3, 1, 0, 2]
    """
    misses = sum((~evaluation.bits()).astype(np.int64) for evaluation in evaluations)
    return ImageOrder(torch.from_numpy(np.argsort(-np.asarray(misses), kind="stable")))


def measure(logits: Tensor, labels: Tensor, judge: Judge | None = None) -> Evaluation:
    """Counts, loss and calibration error of logits (N×C) against labels (N), and what a judge's metric says of them.

    >>> found = measure(torch.tensor([[2.0, 0.0], [0.0, 1.0], [math.nan, 0.0]]), torch.tensor([0, 0, 0]))
    >>> found.correct, found.total, found.not_finite, found.loss
    (1, 3, 1, nan)
    """
    return measure_parts((logits[rows] for rows in row_blocks(*logits.shape)), labels, judge)


def measure_parts(parts: Iterable[Tensor], labels: Tensor, judge: Judge | None = None) -> Evaluation:
    """What `measure` gives, of logits that come in parts (n×C, in the split's order), a few of which are held at a time."""
    finite, correct, confidences, true, answers, start = [], [], [], [], [], 0
    for logits in parts:
        wanted = labels[start : start + len(logits)]
        start += len(logits)
        finite.append(torch.isfinite(logits).all(1))
        correct.append((logits.argmax(1) == wanted) & finite[-1])
        log_probabilities = logits.double().log_softmax(1)
        true.append(log_probabilities.gather(1, wanted[:, None])[:, 0])
        confidences.append(log_probabilities.amax(1).exp())
        if judge and judge.metric.answers:
            answers.append(judge.metric.answers(logits, wanted))
    right, usable = torch.cat(correct), torch.cat(finite)
    loss = ece = math.nan
    if bool(usable.all()):
        loss = -float(torch.cat(true).mean())
        confidence = torch.cat(confidences).numpy()
        excess = (confidence - right.numpy())[np.argsort(confidence, kind="stable")]
        bins = np.array_split(excess, min(CALIBRATION_BINS, len(excess)))
        ece = sum(abs(float(part.sum())) for part in bins) / len(labels)
    bits = np.packbits(right.numpy()).tobytes()
    evaluation = Evaluation(int(right.sum()), len(labels), loss, ece, bits, int((~usable).sum()))
    return judge.judged(evaluation, torch.cat(answers).numpy() if answers else None) if judge else evaluation


def row_blocks(images: int, outputs: int) -> Iterator[slice]:
    """The rows of N×C numbers in blocks of at most BLOCK_NUMBERS, a row at least."""
    size = max(1, BLOCK_NUMBERS // max(1, outputs))
    return (slice(start, min(start + size, images)) for start in range(0, images, size))


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is right (N booleans) by its logits (N×C); one whose logits are not finite is wrong."""
    return (logits.argmax(1) == labels) & torch.isfinite(logits).all(1)


def row_of(key: str, evaluation: Evaluation) -> EvaluationRow:
    """An evaluation as the store keeps it under a key."""
    loss, ece = (None if math.isnan(value) else value for value in (evaluation.loss, evaluation.ece))
    return EvaluationRow(
        key, evaluation.correct, evaluation.total, loss, ece, evaluation.not_finite, evaluation.correctness
    )
