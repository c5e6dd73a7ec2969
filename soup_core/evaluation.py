"""The one evaluator: a soup and a split become counts, loss and calibration error.

Data stay on the device as uint8 and are normalised there; float32 with TF32 off; every result goes through the store.
"""

import base64
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from soup_core.averaging import state_dict
from soup_core.errors import SoupError
from soup_core.soup import Soup
from soup_core.store import Row, Store, default_store
from soup_core.zoo import Zoo

BATCH_SIZE = 250
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """A model on a split: integer counts, mean cross-entropy in nats, expected calibration error, a bit an image.

    `ece` has 15 bins of equal mass (Nixon et al. 2019, arXiv 1904.01685). `not_finite` counts images whose logits held
    NaN or infinity; they count as wrong, and loss and ece are then NaN.
    """

    correct: int
    total: int
    loss: float
    ece: float
    correctness: bytes
    not_finite: int = 0

    @property
    def accuracy(self) -> float:
        """correct / total."""
        return self.correct / self.total

    def bits(self) -> NDArray[np.bool_]:
        """Whether each image is right, in the split's order."""
        return np.unpackbits(np.frombuffer(self.correctness, np.uint8), count=self.total).astype(bool)


@dataclass(frozen=True)
class Trial:
    """What is known of a soup after its images were run: the whole evaluation, or a bound where it was stopped."""

    evaluation: Evaluation | None
    correct_at_most: int
    images_evaluated: int


@dataclass(frozen=True)
class ImageOrder:
    """A permutation of a split's images, and its digest."""

    indices: Tensor

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the permutation."""
        return hashlib.sha256(self.indices.numpy().tobytes()).hexdigest()


def hardest_first(evaluations: Iterable[Evaluation]) -> ImageOrder:
    """The images that most of these evaluations miss come first; ties in the split's order."""
    misses = sum((~evaluation.bits()).astype(np.int64) for evaluation in evaluations)
    return ImageOrder(torch.from_numpy(np.argsort(-np.asarray(misses), kind="stable")))


def resolve_device(name: str = "auto") -> str:
    """ "auto" becomes SOUP_DEVICE, or CUDA where there is one, or the CPU. Raises SoupError for what is not there."""
    if name == "auto":
        name = os.environ.get("SOUP_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name not in available_devices():
        raise SoupError(f"The device {name!r} is not available here; expected one of {', '.join(available_devices())}.")
    return name


def available_devices() -> tuple[str, ...]:
    """The names of the devices that this machine has, the CPU first."""
    count = torch.cuda.device_count()
    return ("cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count if count > 1 else 0)))


class Evaluator:
    """Evaluates soups of one zoo on one split: "held_out", "test", "train" or "test:SHIFT".

    Calling it gives an Evaluation; what the store knows is not computed again. Sessions may share one: the model that
    is being evaluated is locked.
    """

    def __init__(
        self,
        zoo: Zoo,
        split: str = "held_out",
        device: str = "auto",
        *,
        batch_size: int = BATCH_SIZE,
        store: Store | None = None,
    ) -> None:
        if batch_size < 1:
            raise SoupError(f"The batch size must be at least 1; found {batch_size}.")
        self.zoo, self.split, self.device, self.batch_size = zoo, split, resolve_device(device), batch_size
        self.store = store or default_store()
        self._lock = threading.RLock()
        self._data = zoo.data.split(split)
        self._check_labels()
        self.store.keep_evaluations(shipped_rows(zoo.evaluations_file))

    def __call__(self, soup: Soup) -> Evaluation:
        """Evaluate a soup on every image of the split."""
        evaluation = self.trial(soup).evaluation
        assert evaluation is not None, "a trial without a limit runs to its end"
        return evaluation

    @property
    def total(self) -> int:
        """How many images the split has."""
        return len(self._data)

    def trial(
        self,
        soup: Soup,
        *,
        errors_below: int | None = None,
        order: ImageOrder | None = None,
        after_batch: Callable[[], object] | None = None,
    ) -> Trial:
        """Evaluate a soup, but stop once its errors reach `errors_below`, taking the images in `order`.

        Without a limit, `after_batch` is called after each batch; an exception from it ends the trial with no result.
        """
        with self._lock:
            key = self.key(soup)
            if (known := self.known(soup)) is not None:
                return Trial(known, known.correct, 0)
            if errors_below is None or order is None:
                return self._run(soup, key, after_batch=after_batch)
            seen, errors = self.store.bound(key, order.digest) or (0, 0)
            if errors >= errors_below:
                return Trial(None, self.total - errors, 0)
            return self._run(soup, key, errors_below, order, seen, errors)

    def known(self, soup: Soup) -> Evaluation | None:
        """What the store holds of a soup, without running an image; a damaged record counts as none."""
        row = self.store.evaluation(self.key(soup))
        if row is None:
            return None
        _, correct, total, loss, ece, not_finite, correctness = row
        nan = math.nan
        known = Evaluation(
            correct, total, nan if loss is None else loss, nan if ece is None else ece, correctness, not_finite
        )
        sound = total == self.total and len(correctness) == -(-total // 8) and int(known.bits().sum()) == correct
        return known if sound else None

    def key(self, soup: Soup) -> str:
        """Digest of all that an evaluation rests on; the same key means the same result."""
        members = self.zoo.members(soup)
        digests = {member.name: member.digest for member in members}
        content = {
            "coefficients": [[digests[m.name], soup.coefficients.get(m.name, 0.0).hex()] for m in members],
            "tensors": {
                tensor: [[digests[name], value.hex()] for name, value in coefficients.items()]
                for tensor, coefficients in soup.tensors.items()
            },
            "batch_norm": soup.batch_norm,
            "fine_tuning": self._train_digest if soup.batch_norm == "re-estimated" else None,
            "architecture": dict(self.zoo.architecture),
            "normalization": asdict(self.zoo.data.normalization),
            "split": self._data.digest,
            "precision": "float32",
            "device": self.device.partition(":")[0],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def logits(self, soup: Soup) -> Tensor:
        """The logits of every image, in the split's order: float32, N×num_classes, on the CPU."""
        with self._lock:
            natural = torch.arange(self.total)
            return torch.cat([logits for _, logits in self._batches(soup, natural)])

    def _run(
        self,
        soup: Soup,
        key: str,
        errors_below: int | None = None,
        order: ImageOrder | None = None,
        seen: int = 0,
        errors: int = 0,
        after_batch: Callable[[], object] | None = None,
    ) -> Trial:
        indices = order.indices if order else torch.arange(self.total)
        collected, run = [], 0
        for batch, logits in self._batches(soup, indices[seen:]):
            collected.append(logits)
            run += len(batch)
            if after_batch is not None:
                after_batch()
            if errors_below is not None and order is not None:
                errors += int((~_is_correct(logits, self._data.labels[batch])).sum())
                if errors >= errors_below and seen + run < self.total:
                    self.store.keep_bound(key, order.digest, seen + run, errors)
                    return Trial(None, self.total - errors, run)
        if seen:  # the bound that was kept no longer decides, and the first images' logits are not kept
            whole = self._run(soup, key)
            return replace(whole, images_evaluated=run + whole.images_evaluated)
        logits = torch.empty(self.total, collected[0].shape[1])
        logits[indices] = torch.cat(collected)
        evaluation = measure(logits, self._data.labels)
        self.store.keep_evaluations([_row(key, evaluation)])
        return Trial(evaluation, evaluation.correct, run)

    def _batches(self, soup: Soup, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        self._module.load_state_dict(state_dict(self.zoo, soup, self.device), strict=True)
        for batch in indices.split(self.batch_size):
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                inputs = self.zoo.data.normalization(self._images[batch.to(self.device)])
                logits = self._module(inputs).float().cpu()
            yield batch, logits

    @cached_property
    def _images(self) -> Tensor:
        return self._data.images.to(self.device)

    @cached_property
    def _module(self) -> torch.nn.Module:
        return self.zoo.module().to(self.device)

    @cached_property
    def _train_digest(self) -> str:
        return self.zoo.data.split("train").digest

    def _check_labels(self) -> None:
        highest, classes = int(self._data.labels.max()), int(self.zoo.architecture["num_classes"])
        if highest >= classes or int(self._data.labels.min()) < 0:
            raise SoupError(
                f"The split {self.split} has labels from {int(self._data.labels.min())} to {highest}, and the "
                f"architecture has {classes} classes, numbered from 0; correct num_classes in zoo.toml, or the labels."
            )


def measure(logits: Tensor, labels: Tensor) -> Evaluation:
    """Counts, loss and calibration error of logits (N×C) against labels (N)."""
    correct = _is_correct(logits, labels)
    not_finite = int((~torch.isfinite(logits).all(1)).sum())
    loss = ece = math.nan
    if not not_finite:
        loss = float(F.cross_entropy(logits.double(), labels))
        confidence = logits.double().softmax(1).amax(1)
        order = confidence.argsort(stable=True)
        gaps = [
            float(abs(correct[part].double().mean() - confidence[part].mean())) * len(part)
            for part in order.tensor_split(min(CALIBRATION_BINS, len(order)))
        ]
        ece = sum(gaps) / len(labels)
    bits = np.packbits(correct.numpy()).tobytes()
    return Evaluation(int(correct.sum()), len(labels), loss, ece, bits, not_finite)


def _is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels) & torch.isfinite(logits).all(1)


def _row(key: str, evaluation: Evaluation) -> Row:
    loss, ece = (None if math.isnan(value) else value for value in (evaluation.loss, evaluation.ece))
    return (key, evaluation.correct, evaluation.total, loss, ece, evaluation.not_finite, evaluation.correctness)


def shipped_rows(file: Path) -> list[Row]:
    """Read the evaluations that come with a zoo; none where the file is missing or not readable."""
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        return [(*line[:6], base64.b64decode(line[6])) for line in lines]
    except (OSError, ValueError, TypeError, IndexError):
        return []


def shipped_line(evaluator: Evaluator, soup: Soup) -> str:
    """One line of a zoo's evaluations file."""
    row = _row(evaluator.key(soup), evaluator(soup))
    return json.dumps([*row[:6], base64.b64encode(row[6]).decode()])
