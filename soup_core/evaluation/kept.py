"""What is kept of evaluations on one split: counts and bounds, in the store or with the zoo, and single models' logits."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from soup_core.evaluation.evaluation import Evaluation, Judge, row_of
from soup_core.evaluation.shipped import Shipped
from soup_core.runtime.store import BoundRow, EvaluationRow, Store

KEPT_SPLITS = ("held_out", "test")  # whose logits are kept: those of every shift would take many times the zoo's size
FOUND_AT_MOST = 4096  # evaluations that a split remembers without asking the store: of 5,000 images, 3 megabytes
NOTHING_SEEN = BoundRow(images=0, errors=0)


@dataclass(frozen=True)
class KeptEvaluations:
    """The evaluations and bounds on a split's images: what was computed here goes before what came with the zoo.

    By a metric for which the bits are not enough, an evaluation is known where the images' answers are kept beside it.
    """

    store: Store
    shipped: Shipped
    judge: Judge
    precision: str
    _found: OrderedDict[str, Evaluation] = field(default_factory=OrderedDict, compare=False, repr=False)

    def find(self, key: str, own: str) -> Evaluation | None:
        """What is kept under a key, or under `own`, the key of this way of running the network; a damaged row is none."""
        if (known := self._found.get(own)) is None:
            rows = (
                self.store.evaluation(key),
                self.shipped.evaluations.get(key),
                own != key and self.store.evaluation(own),
            )
            known = next((whole for row in rows if row and (whole := self._whole(row)) is not None), None)
            if known is not None:
                self._found[own] = known
                if len(self._found) > (FOUND_AT_MOST if self.judge.metric.answers is None else FOUND_AT_MOST // 16):
                    self._found.popitem(last=False)
        return known

    def keep(self, key: str, evaluation: Evaluation, tensors: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
        """Keep an evaluation on this split, its answers where the metric needs them, and tensors beside it."""
        answers = {}
        if evaluation.measured and evaluation.metric.answers:
            answers[self._answers_key(key)] = {"answers": torch.from_numpy(evaluation.measured.answers)}
        self.store.keep_evaluations([row_of(key, evaluation)], {**answers, **(tensors or {})})

    def bound(self, own: str, order_digest: str) -> BoundRow:
        """How many of an order's first images are known to be errors."""
        bound = self.store.bound(own, order_digest) or self.shipped.bounds.get((own, order_digest), NOTHING_SEEN)
        return bound if 0 <= bound.errors <= bound.images < self._total else NOTHING_SEEN

    def _whole(self, row: EvaluationRow) -> Evaluation | None:
        """What a row says, or None where it is damaged."""
        loss, ece = (math.nan if value is None else value for value in (row.loss, row.ece))
        known = Evaluation(row.correct, row.total, loss, ece, row.correctness, row.not_finite, self.precision)
        whole = row.total == self._total and len(row.correctness) == -(-row.total // 8)
        if not whole or int(known.bits().sum()) != row.correct:
            return None
        if self.judge.metric.answers is None:
            return self.judge.judged(known)
        answers = (self.store.tensors(self._answers_key(row.key)) or {}).get("answers")
        return None if answers is None or len(answers) != self._total else self.judge.judged(known, answers.numpy())

    @property
    def _total(self) -> int:
        return len(self.judge.truth.labels)

    def _answers_key(self, key: str) -> str:
        return f"{key} {self.judge.metric.key}"


@dataclass(frozen=True)
class KeptLogits:
    """The logits of a zoo's `models` on a split, `images`×`outputs` each, within its part of a budget in gigabytes.

    Where in float32 those of all models exceed it, they are in half precision, of as many of the zoo's first as fit.
    """

    store: Store
    split: str
    models: int
    images: int
    outputs: int
    memory: float

    @property
    def are_approximate(self) -> bool:
        """Whether they are in half precision."""
        return self.split in KEPT_SPLITS and self._models_that_fit(4) < self.models

    def find(self, keys: Iterable[str]) -> Tensor | None:
        """What is kept under the first of these keys that there is something of: float32, N×outputs."""
        kept = next(filter(None, (self.store.tensors(self._key(key)) for key in dict.fromkeys(keys))), None)
        return kept["logits"].float() if kept else None

    def rounded(self, logits: Tensor) -> Tensor:
        """Logits as they are kept: in half precision where the budget asks for it, unless they are too large for it."""
        if not self.are_approximate:
            return logits
        half = logits.half()
        return half if half.isfinite().all() else logits

    def to_keep(self, key: str, position: int, logits: Tensor) -> dict[str, dict[str, Tensor]]:
        """What the store should keep of the model at a position of the zoo: nothing where there is no room for it."""
        if self.split not in KEPT_SPLITS or (self.are_approximate and position >= self._models_that_fit(2)):
            return {}
        rounded = self.rounded(logits)
        fits = rounded.dtype == torch.half or not self.are_approximate
        return {self._key(key): {"logits": rounded}} if fits else {}

    def _models_that_fit(self, bytes_a_number: int) -> int:
        return int(1e9 * self.memory / len(KEPT_SPLITS) // (bytes_a_number * self.images * self.outputs))

    def _key(self, key: str) -> str:
        return f"{key} half" if self.are_approximate else key
