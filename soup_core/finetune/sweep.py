"""Fine-tuning from a zoo's base: runs that go on where they were stopped, each of which ends as a new ingredient.

An epoch's figures are in the store; the state from which a run goes on, network, optimizer and generator, is one file
beside it, replaced after each epoch and gone when the ingredient is kept.
"""

import hashlib
import json
import math
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soup_core import checkpoints
from soup_core.checkpoints import Checkpoint
from soup_core.data import Split
from soup_core.errors import CheckpointError, DataError, ZooError
from soup_core.evaluation import Evaluation, Evaluator, measure
from soup_core.finetune.destinations import Beside, Destination
from soup_core.finetune.hyperparameters import Hyperparameters, checked
from soup_core.finetune.training import (
    Epoch,
    ImageSource,
    State,
    module_state,
    tensor_source,
    token_source,
    train,
    training_precision,
)
from soup_core.runtime.devices import exactly
from soup_core.runtime.interruption import yield_point
from soup_core.zoo import BASE, Ingredient, Zoo
from soup_core.zoo.user_ingredients import Origin

SMALL_WEIGHTS = 2_000_000  # a network of fewer is trained on one thread of the CPU, which is as fast
ABANDONED_SECONDS = 30 * 24 * 3600.0
FIGURES = ("figures", "correctness")


@dataclass(frozen=True)
class FinetuneStep:
    """The end of an epoch of a run, both counted from 1: mean training loss in nats, and the held-out evaluation.

    `start` evaluates what the run began with. `name` is that of the new ingredient, with the last epoch of its run; a
    run whose numbers are no longer finite ends there, and adds none.
    """

    run: int
    runs: int
    hyperparameters: Hyperparameters
    epoch: int
    loss: float
    held_out: Evaluation
    start: Evaluation
    name: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether the run has ended because its numbers are no longer finite."""
        return not _is_sound(self.loss, self.held_out)


def finetune(
    zoo: Zoo,
    evaluate: Evaluator,
    *,
    hyperparameters: Sequence[Hyperparameters | Mapping[str, Any]],
    start: str = BASE,
    beside: str | None = None,
    place: Destination | None = None,
) -> Iterator[FinetuneStep]:
    """Train one model a set of hyperparameters on the zoo's fine-tuning images, yielding after each epoch.

    Each run starts from the base, or the ingredient named by `start`, and is kept in `place`, by default beside the zoo
    of the name `beside`. Run again, it goes on from the last epoch; on the CPU with the same result. Raises ZooError
    where there is nothing to start from, DataError without fine-tuning images, SoupError for hyperparameters out of range.
    """
    runs = [checked(each if isinstance(each, Hyperparameters) else Hyperparameters(**each)) for each in hyperparameters]
    origin = start_of(zoo, start)
    place = place or Beside(zoo, beside or zoo.name, evaluate.store)
    images = training_images(zoo)
    start_state = dict(origin.checkpoint.read_all())
    run = FinetuneRun(zoo, evaluate, images, start_state, origin.digest)
    if earlier_digest := origin.checkpoint.earlier_digest:  # under which older records know the runs
        earlier = FinetuneRun(zoo, evaluate, images, start_state, earlier_digest)
        if any(place.find(key) or evaluate.store.step(key, 0) for key in map(earlier.key, runs)):
            run = earlier
    for number, wanted in enumerate(runs, 1):
        key = run.key(wanted)
        recorded = Origin(run=key, start=start, start_digest=origin.digest, hyperparameters=wanted.recorded())
        with evaluate.store.claim(f"finetune-{key}"):
            name = place.find(key)
            for step in run.steps(wanted, number, len(runs), ended=name is not None):
                if step.epoch < wanted.epochs and not step.diverged:
                    yield step
            if not step.diverged:
                step = replace(step, name=name or place.keep(run.weights(wanted), recorded))
            run.forget(wanted)
        yield step


def start_of(zoo: Zoo, name: str) -> Ingredient:
    """What runs start from: the base, or an ingredient. Raises ZooError where the zoo has no base and none is named."""
    if name == BASE and zoo.base is None and not any(excluded.name == BASE for excluded in zoo.excluded):
        raise ZooError(
            f"The zoo {zoo.name} has no base to fine-tune, and a model from a random start of its own would not soup with "
            "the others. Name an ingredient to start from: the new one will soup with that one."
        )
    zoo.check_names([name])
    return zoo.by_name[name]


def training_images(zoo: Zoo) -> Split:
    """The fine-tuning images. Raises DataError where there are none, or where their labels do not fit the network."""
    images = zoo.data.split("train")
    lowest, highest = (int(bound) for bound in images.labels.aminmax())
    classes = int(zoo.architecture["num_classes"])
    if lowest < 0 or highest >= classes:
        raise DataError(
            f"The fine-tuning images have labels from {lowest} to {highest}, and the architecture has {classes} classes, "
            "numbered from 0; correct num_classes in zoo.toml, or the labels."
        )
    return images


class FinetuneRun:
    """Training from one start on one set of images: what is kept of each run, and going on from it."""

    def __init__(
        self,
        zoo: Zoo,
        evaluate: Evaluator,
        images: Split,
        start: State,
        start_digest: str,
        *,
        only: Collection[str] | None = None,
    ) -> None:
        self.zoo, self.evaluate, self.start, self.only = zoo, evaluate, start, only
        self.store, self.device = evaluate.store, evaluate.device
        self.precision = training_precision(self.device)
        self._images = images
        self._threads = 1 if sum(p.numel() for p in zoo.reference.parameters()) < SMALL_WEIGHTS else None
        self._content = [
            "finetune",
            dict(zoo.network),
            asdict(zoo.data.normalization),
            start_digest,
            images.digest,
            sorted(only) if only else None,
            self.precision,
            self.device.partition(":")[0],
            None if self.device != "cpu" else self._threads or torch.get_num_threads(),
            evaluate.data.digest,
            evaluate.precision,
        ]

    def key(self, hyperparameters: Hyperparameters) -> str:
        """Digest of all that a run's weights and figures rest on."""
        return hashlib.sha256(json.dumps([*self._content, asdict(hyperparameters)]).encode()).hexdigest()

    def epochs(self, wanted: Hyperparameters, *, ended: bool = False) -> Iterator[tuple[int, float, Evaluation]]:
        """The run's epochs from 0, the start: its number, the training loss, the held-out evaluation.

        Those that are kept are not computed again, as far as the run can go on from them; all of one that has `ended`.
        """
        key = self.key(wanted)
        state = None if ended else self._kept_state(key)
        reached = wanted.epochs if ended else int(state["epoch"]) if state else 0
        if state:  # whoever was killed may have kept this, and not the figures
            self.store.keep_step(key, reached, {name: state[name] for name in FIGURES})
        known = [kept for epoch in range(reached + 1) if (kept := self._figures(key, epoch))]
        if len(known) <= reached:
            known, state = [(math.nan, self._judged(self.start))], None
            self.store.keep_step(key, 0, _figures_of(*known[0]))
        for epoch, (loss, evaluation) in enumerate(known):
            yield epoch, loss, evaluation
        if epoch == wanted.epochs or (epoch and not _is_sound(loss, evaluation)):
            return
        module = self.zoo.module()
        module.load_state_dict(self.start)
        running = train(
            module,
            self._source,
            wanted,
            normalization=self.zoo.data.normalization,
            device=self.device,
            precision=self.precision,
            state=state,
            only=self.only,
        )
        for _ in range(epoch, wanted.epochs):
            with _threads(self._threads):
                ended_epoch = next(running)
            evaluation = self._keep(key, ended_epoch)
            yield ended_epoch.index, ended_epoch.loss, evaluation
            if not _is_sound(ended_epoch.loss, evaluation):
                return

    def steps(
        self, wanted: Hyperparameters, number: int = 0, runs: int = 0, *, ended: bool = False
    ) -> Iterator[FinetuneStep]:
        """The same from the first epoch on, as steps of the run of this number."""
        every = self.epochs(wanted, ended=ended)
        _, _, start = next(every)
        for epoch, loss, held_out in every:
            yield FinetuneStep(number, runs, wanted, epoch, loss, held_out, start)

    def weights(self, wanted: Hyperparameters) -> State:
        """The weights after the last epoch."""
        state = self._kept_state(self.key(wanted))
        assert state is not None, "the last epoch has kept its state"
        return module_state(state)

    def forget(self, wanted: Hyperparameters) -> None:
        """Remove the state of a run that has ended, and those of runs that nobody went on with for a month."""
        ended = self._state_file(self.key(wanted))
        for path in ended.parent.glob("*.safetensors"):
            with suppress(OSError):
                if path == ended or time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    def _keep(self, key: str, epoch: Epoch) -> Evaluation:
        """Evaluate an epoch's weights and keep what there is to know of it: first what goes on, then its figures."""
        state = epoch.state()
        evaluation = self._judged(module_state(state))
        figures = _figures_of(epoch.loss, evaluation)
        content = {**state, **figures}
        checkpoints.save(self._state_file(key), content, tensors_digest(content))
        self.store.keep_step(key, epoch.index, figures)
        return evaluation

    def _judged(self, weights: State) -> Evaluation:
        """The held-out evaluation of weights, by the path that the evaluator takes."""
        module = self._judge
        module.load_state_dict(weights)

        def run(batch: Tensor) -> Tensor:
            with torch.inference_mode(), exactly(self.evaluate.precision, self.device):
                logits: Tensor = self.evaluate.judged(module(self.evaluate.inputs(batch))).float().cpu()
                return logits

        collected = []
        every = torch.arange(self.evaluate.total)
        for _, logits in self.evaluate.halving(every, self.evaluate.batch_size, run):
            collected.append(logits)
            yield_point()
        evaluation = measure(torch.cat(collected), self.evaluate.data.labels)
        return replace(evaluation, precision=self.evaluate.precision)

    @cached_property
    def _judge(self) -> nn.Module:
        return self.zoo.module().to(self.device)

    @cached_property
    def _source(self) -> ImageSource:
        if self._images.tokens is not None:
            return token_source(self._images.tokens, self._images.labels, self.device)
        return tensor_source(self._images.images, self._images.labels, self.device)

    def _state_file(self, key: str) -> Path:
        return self.store.path.parent / "training" / f"{key}.safetensors"

    def _kept_state(self, key: str) -> State | None:
        """The state of the last epoch that was kept, or None where there is none that is sound."""
        try:
            checkpoint = Checkpoint(self._state_file(key))
            state = dict(checkpoint.read_all())
        except CheckpointError:
            return None
        return state if checkpoint.metadata.get("soup_core") == tensors_digest(state) else None

    def _figures(self, key: str, epoch: int) -> tuple[float, Evaluation] | None:
        step = self.store.step(key, epoch)
        if step is None:
            return None
        loss, correct, total, held_out_loss, ece, not_finite = step["figures"].tolist()
        bits = step["correctness"].numpy().tobytes()
        evaluation = Evaluation(
            int(correct), int(total), held_out_loss, ece, bits, int(not_finite), self.evaluate.precision
        )
        return loss, evaluation


def _is_sound(loss: float, held_out: Evaluation) -> bool:
    return math.isfinite(loss) and not held_out.not_finite


def _figures_of(loss: float, held_out: Evaluation) -> State:
    figures = [loss, held_out.correct, held_out.total, held_out.loss, held_out.ece, held_out.not_finite]
    return {
        "figures": torch.tensor(figures, dtype=torch.float64),
        "correctness": torch.from_numpy(np.frombuffer(held_out.correctness, np.uint8).copy()),
    }


def tensors_digest(tensors: State) -> str:
    """SHA-256 of tensors with their names."""
    content = hashlib.sha256()
    for name in sorted(tensors):
        content.update(name.encode())
        content.update(checkpoints.memory_of(tensors[name].detach().cpu().contiguous()))
    return content.hexdigest()


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Within it, torch computes on so many threads for this thread, and on as many as before for every other.

    Sums in another number of parts differ in their last bits; on one thread a run is the same on any number of cores.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    _set_threads_here(count, before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _set_threads_here(count: int, elsewhere: int) -> None:
    torch.set_num_threads(count)  # here and in threads that begin from now on,
    other = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))  # so one of these takes that back
    other.start()
    other.join()
