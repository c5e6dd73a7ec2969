"""When a candidate can no longer win, so that it is rejected before all its images are run: exactly, whatever the metric.

The images that were not seen yet are taken to be right. The metric's value of that bounds its value in the end, since each
image that turns out wrong can only lower it; so the decisions are those of the full search.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.evaluation.evaluation import Evaluation, ImageOrder, Judge, Trial, is_correct
from soup_core.evaluation.kept import KeptEvaluations
from soup_core.evaluation.metrics import ACCURACY, Numbers


def surpasses(ours: Evaluation, best: Evaluation, *, ties: bool) -> bool:
    """Whether one evaluation is better than another by the metric, with `ties` also where it is as good."""
    return ours.standing > best.standing or (ties and ours.standing == best.standing)


def limit_of(judge: Judge, best: Evaluation, order: ImageOrder, *, ties: bool) -> "ErrorLimit | ValueLimit":
    """What a candidate has to surpass, whose images are run in an order; the judge's metric is bounded."""
    if judge.metric is ACCURACY:
        return ErrorLimit(judge, best.total - best.correct + (1 if ties else 0), order)
    return ValueLimit(judge, best.standing, ties, order)


@dataclass
class ErrorLimit:
    """A candidate loses once its errors reach a number: how many of an order's first images were seen, and errors of them."""

    judge: Judge
    errors_below: int
    order: ImageOrder
    seen: int = 0
    errors: int = 0

    def recall(self, kept: KeptEvaluations, key: str) -> None:
        """Begin with what is kept under a key."""
        self.seen, self.errors = kept.bound(key, self.order.digest)

    def keep(self, kept: KeptEvaluations, key: str) -> None:
        """Keep what was seen under a key."""
        kept.store.keep_bound(key, self.order.digest, self.seen, self.errors)

    def see(self, batch: Tensor, logits: Tensor) -> None:
        """Take in the order's next images (indices n) with their logits (n×outputs)."""
        labels = torch.from_numpy(self.judge.truth.labels)[batch]
        self.seen += len(batch)
        self.errors += int((~is_correct(logits, labels)).sum())

    @property
    def is_reached(self) -> bool:
        """Whether the candidate has lost."""
        return self.errors >= self.errors_below

    def stopped(self, images_evaluated: int) -> Trial:
        """The trial of a candidate that has lost."""
        return Trial(None, len(self.judge.truth.labels) - self.errors, images_evaluated)


@dataclass
class ValueLimit:
    """A candidate loses once the metric's value, all unseen images taken to be right, is below what it has to surpass.

    `bits` says which of the seen images are right, `answers` what the metric asks of them, both in the split's order.
    """

    judge: Judge
    standing: float
    ties: bool
    order: ImageOrder
    seen: int = 0
    bits: NDArray[np.bool_] = field(init=False)
    answers: Numbers = field(init=False)

    def __post_init__(self) -> None:
        truth = self.judge.truth
        self.bits, self.answers = np.ones(len(truth.labels), bool), self.judge.metric.best_answers(truth)

    def recall(self, kept: KeptEvaluations, key: str) -> None:
        """Begin with what is kept under a key; what does not fit counts as nothing."""
        found = kept.store.tensors(self._key(key)) or {}
        bits, answers = (found[name].numpy() if name in found else np.empty(0) for name in ("bits", "answers"))
        if 0 < len(bits) == len(answers) < len(self.bits) and bits.ndim == answers.ndim == 1:
            rows = self.order.indices[: len(bits)].numpy()
            self.seen, self.bits[rows], self.answers[rows] = len(bits), bits, answers

    def keep(self, kept: KeptEvaluations, key: str) -> None:
        """Keep what was seen under a key."""
        rows = self.order.indices[: self.seen].numpy()
        found = {"bits": torch.from_numpy(self.bits[rows]), "answers": torch.from_numpy(self.answers[rows])}
        kept.store.keep_tensors(self._key(key), found)

    def see(self, batch: Tensor, logits: Tensor) -> None:
        """Take in the order's next images (indices n) with their logits (n×outputs)."""
        labels, rows = torch.from_numpy(self.judge.truth.labels)[batch], batch.numpy()
        self.seen += len(batch)
        self.bits[rows] = is_correct(logits, labels).numpy()
        answers = self.judge.metric.answers
        self.answers[rows] = answers(logits, labels).numpy() if answers else self.bits[rows]

    @property
    def value_at_most(self) -> float:
        """The metric's value, all unseen images taken to be right."""
        return self.judge.metric.value(self.judge.truth, self.answers)

    @property
    def is_reached(self) -> bool:
        """Whether the candidate has lost."""
        standing = self.judge.metric.standing(self.value_at_most)
        return standing < self.standing or (standing == self.standing and not self.ties)

    def stopped(self, images_evaluated: int) -> Trial:
        """The trial of a candidate that has lost."""
        return Trial(None, int(self.bits.sum()), images_evaluated, self.value_at_most)

    def _key(self, key: str) -> str:
        return f"{key} {self.judge.metric.key} in {self.order.digest}"
