"""The one evaluator: a soup and a split become counts, loss and calibration error.

Data stay on the device, normalised once where that is small, else as uint8; float32 with TF32 off unless another
precision is chosen; every result goes through the store.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from soup_core import architectures
from soup_core.data import Split
from soup_core.errors import OutOfMemory, SoupError
from soup_core.evaluation.choosing import in_doubt
from soup_core.evaluation.deciding import Decided, Work
from soup_core.evaluation.evaluation import Evaluation, ImageOrder, Judge, Trial, measure, measure_parts
from soup_core.evaluation.inputs import Inputs
from soup_core.evaluation.kept import KeptEvaluations, KeptLogits
from soup_core.evaluation.limits import ErrorLimit, ValueLimit, limit_of
from soup_core.evaluation.metrics import ACCURACY, Metric, Truth, metric_of
from soup_core.evaluation.shipped import read_shipped
from soup_core.evaluation.side_by_side import replicas, side_by_side
from soup_core.runtime.devices import available_precisions, exactly, is_out_of_memory, resolve_device, room_for
from soup_core.runtime.interruption import in_front, yield_point
from soup_core.runtime.store import Store, default_store
from soup_core.soup import Soup
from soup_core.weight_space.averaging import state_dict
from soup_core.weight_space.bank import Bank, memory_budget, resident_bank
from soup_core.zoo import Zoo

# On the CPU, where larger batches leave the cache, and of texts, which are filled up to the longest of a batch; on CUDA all
# images of a split are one.
BATCH_SIZE = 250
REJECTION_BATCHES = 40  # a candidate that may be rejected early is stopped after some of so many batches
SOUPS_IN_FLIGHT = 32
Result = TypeVar("Result")
Limit = ErrorLimit | ValueLimit


class _Asked(NamedTuple):
    """A soup to evaluate, and its key, which takes a digest of all that the evaluation rests on."""

    soup: Soup
    key: str


class Evaluator:
    """Evaluates soups of one zoo on one split: "held_out", "test", "train" or "test:SHIFT".

    Calling it gives an Evaluation; what the store knows is not computed again. `precision` is one of PRECISIONS;
    `images` takes so many of the split's images, drawn with a fixed seed; `memory` is the budget in gigabytes of a bank
    of all checkpoints (see averaging.py) and, apart from that, of the logits that are kept, which are those of
    "held_out" and "test". Evaluations are also `measured` by the zoo's metric. A batch that does not fit into memory is halved, and so are those after it; where not even one image
    fits, OutOfMemory is raised. Raises SoupError for a device, precision or number that is none, and for labels beyond
    the architecture's classes, DataError where the split is not there. Where the split is judged over some of the
    network's outputs alone, logits are those of these, and labels places among them. Sessions may share an evaluator: the model that
    is being evaluated is locked.
    """

    def __init__(
        self,
        zoo: Zoo,
        split: str = "held_out",
        device: str = "auto",
        *,
        batch_size: int | None = None,
        precision: str = "float32",
        images: int | None = None,
        memory: float | None = None,
        store: Store | None = None,
    ) -> None:
        self.zoo, self.split, self.device, self.precision = zoo, split, resolve_device(device), precision
        if precision not in available_precisions(self.device):
            known = ", ".join(available_precisions(self.device))
            raise SoupError(f"The precision on {self.device} is one of {known}; found {precision!r}.")
        self.memory = memory_budget(memory)
        self.store = store or default_store()
        self._lock = threading.RLock()  # held over yield points: work of the background has an evaluator of its own
        # Found while others may have their turn, so no cached properties: in Python 3.11 these hold one lock of the class.
        self._has_no_room = False
        self._looked_up: set[str] = set()  # keys under which the store has been asked for what older ones hold
        self._fine_tuning_digest: str | None = None
        self._decided: Decided | None = None
        for _ in zoo.data.decode(split):
            yield_point()
        self._data = _drawn(zoo.data.split(split), images)
        self._check_labels()
        self._data = self._data.narrowed
        is_in_batches = self.device == "cpu" or self._data.tokens is not None
        default = BATCH_SIZE if is_in_batches else self.total
        self._given_size = batch_size
        self.batch_size = default if batch_size is None else batch_size
        if self.batch_size < 1:
            raise SoupError(f"The batch size must be at least 1; found {batch_size}.")
        self.inputs = Inputs(self._data, zoo.data.normalization, self.device)
        self.judge = self._judge(drawn=images is not None)
        self._evaluations = KeptEvaluations(self.store, read_shipped(zoo.evaluations_file), self.judge, precision)
        self._kept_logits = KeptLogits(self.store, split, len(zoo.by_name), self.total, len(self.outputs), self.memory)

    def on(self, split: str, images: int | None = None) -> "Evaluator":
        """An evaluator that computes as this one does, on another split or on some of its images."""
        return Evaluator(
            self.zoo,
            split,
            self.device,
            batch_size=self._given_size and self.batch_size,
            precision=self.precision,
            images=images,
            memory=self.memory,
            store=self.store,
        )

    def __call__(self, soup: Soup) -> Evaluation:
        """Evaluate a soup on every image of the split.

        Raises CoefficientError for a name that the zoo has not, CheckpointError where a file of it has changed,
        OutOfMemory where the model, or one image beside it, does not fit.
        """
        evaluation = self.trial(soup).evaluation
        assert evaluation is not None, "a trial without a limit runs to its end"
        return evaluation

    def singles(self) -> dict[str, Evaluation]:
        """Each ingredient alone, by name, in the zoo's order; without the base."""
        names = self.zoo.names
        return dict(zip(names, self.many(map(Soup.single, names)), strict=True))

    def many(self, soups: Iterable[Soup]) -> Iterator[Evaluation]:
        """Evaluate soups one after the other, in their order; on CUDA the host does not wait between them."""
        if self.device == "cpu":
            yield from map(self, soups)
            return
        waiting: list[tuple[_Asked, Evaluation | Tensor]] = []
        for soup in soups:
            asked = self._asked(soup)
            waiting.append((asked, self.recall(asked.key) or self._all_logits(soup)))
            if len(waiting) == SOUPS_IN_FLIGHT:
                yield from self._arrived(waiting)
                waiting = []
        yield from self._arrived(waiting)

    @property
    def total(self) -> int:
        """How many images are evaluated."""
        return len(self._data)

    @property
    def data(self) -> Split:
        """The images and labels, on the CPU; labels are places among `outputs`."""
        return self._data

    @property
    def outputs(self) -> tuple[int, ...]:
        """The network's outputs that images are judged over, in their order: all, or those the split is restricted to."""
        every = range(int(self.zoo.architecture["num_classes"]))
        return tuple(every) if self._data.outputs is None else self._data.outputs

    def judged(self, logits: Tensor) -> Tensor:
        """Of a network's logits (N×num_classes) those that images are judged over, N×outputs."""
        if self._data.outputs is None:
            return logits
        return logits[:, torch.tensor(self._data.outputs, device=logits.device)]

    @property
    def bank(self) -> Bank | None:
        """All checkpoints in the device's memory, or None where they do not fit it or the budget and are streamed."""
        if self._has_no_room:
            return None
        try:
            return resident_bank(self.zoo, self.device, self.memory)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._has_no_room = True
            return None

    def replicas(self) -> tuple[torch.nn.Module, ...]:
        """New modules of the network on the device that share their weights, for `side_by_side`; one on CUDA."""
        return self._replicated(self.zoo.module().to(self.device))

    def load(self, module: torch.nn.Module, soup: Soup) -> None:
        """Give a module on the device a soup's weights. Raises OutOfMemory where they do not fit."""
        with room_for("the model", self.device):
            module.load_state_dict(state_dict(self.zoo, soup, self.device, self.bank), strict=True)

    def halving(self, indices: Tensor, size: int, run: Callable[[Tensor], Result]) -> Iterator[tuple[Tensor, Result]]:
        """`run` on one batch after the other; one that does not fit into memory is halved, and so are those after it.

        `indices` (N,) are split into batches (n,) of at most `size`. Raises OutOfMemory where not even one image fits.
        """
        done = 0
        while done < len(indices):
            batch = indices[done : done + size]
            try:
                with room_for("even one image beside the model", self.device):
                    result = run(batch)
            except OutOfMemory:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                self.batch_size = self._given_size = min(self.batch_size, size)
            else:
                done += len(batch)
                yield batch, result

    def trial(self, soup: Soup, *, errors_below: int | None = None, order: ImageOrder | None = None) -> Trial:
        """Evaluate a soup, but stop once its errors reach `errors_below`, taking the images in `order`."""
        if errors_below is None or order is None:
            return self._trial(soup)
        return self._trial(soup, ErrorLimit(self.judge, errors_below, order))

    def candidate(self, soup: Soup, best: Evaluation, *, ties: bool = False, order: ImageOrder | None = None) -> Trial:
        """Evaluate a soup that has to surpass an evaluation by the metric, but stop once it cannot, taking images in `order`.

        Without an order, and by a metric that is not bounded, all images are run.
        """
        if order is None or not self.metric.is_bounded:
            return self._trial(soup)
        return self._trial(soup, limit_of(self.judge, best, order, ties=ties))

    def _trial(self, soup: Soup, limit: Limit | None = None) -> Trial:
        asked = self._asked(soup)
        if (known := self._known_trial(asked.key, limit)) is not None:
            return known
        with self._alone(asked.key):
            # another session may have been at it meanwhile
            if (known := self._known_trial(asked.key, limit)) is not None:
                return known
            if limit is None:
                return self._run(asked)
            self._decide(soup)
            limit.recall(self._evaluations, self._way_key(asked.key))
            if limit.is_reached:  # known of the way that was decided on just now
                return limit.stopped(0)
            return self._run(asked, limit)

    def _known_trial(self, key: str, limit: Limit | None) -> Trial | None:
        """The trial of a soup of which enough is known, without running an image, or None."""
        if (known := self.recall(key)) is not None:
            return Trial.whole(known, 0)
        if limit is None:
            return None
        limit.recall(self._evaluations, self._way_key(key))
        return limit.stopped(0) if limit.is_reached else None

    def known(self, soup: Soup) -> Evaluation | None:
        """What is known of a soup, without running an image; see `recall`."""
        return self.recall(self.key(soup))

    def recall(self, key: str) -> Evaluation | None:
        """The evaluation on this split that the store holds under a key, or that came with the zoo; a damaged one is none."""
        return self._evaluations.find(*self._keys(key))

    def key(self, soup: Soup) -> str:
        """Digest of all that an evaluation rests on; the same key means the same result.

        What the store holds under the key that older digests of the same files give is from then on found under this one.
        """
        members = self.zoo.members(soup)
        key = self._over(soup, {member.name: member.digest for member in members})
        earlier = {member.name: member.checkpoint.earlier_digest for member in members}
        if key not in self._looked_up and all(earlier.values()):
            self._looked_up.add(key)
            self.store.carry_over(self._over(soup, earlier), key)
        return key

    def _over(self, soup: Soup, digests: Mapping[str, str | None]) -> str:
        content = {
            "coefficients": [[digest, soup.coefficients.get(name, 0.0).hex()] for name, digest in digests.items()],
            "tensors": {
                tensor: [[digests[name], value.hex()] for name, value in coefficients.items()]
                for tensor, coefficients in soup.tensors.items()
            },
            "batch_norm": soup.batch_norm,
            "fine_tuning": self._train_digest() if soup.batch_norm == "re-estimated" else None,
            "architecture": dict(self.zoo.network),
            "normalization": asdict(self.zoo.data.normalization),
            "split": self._data.digest,
            "precision": self.precision,
            "device": self.device.partition(":")[0],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _asked(self, soup: Soup) -> _Asked:
        return _Asked(soup, self.key(soup))

    def logits(self, soup: Soup) -> Tensor:
        """The logits of every image, in the split's order: float32, N×outputs, on the CPU.

        Those of a single ingredient are kept on "held_out" and "test", half of the budget each, in half precision where
        `logits_are_approximate`: of as many of the zoo's first as fit; those of the others are rounded as if they had been
        kept, and made anew each time. The evaluation that they make is kept always.
        """
        asked = self._asked(soup)
        if (kept := self._kept_logits.find(self._keys(asked.key))) is None:
            with self._alone(asked.key):
                if (kept := self._kept_logits.find(self._keys(asked.key))) is None:
                    logits = self._all_logits(soup).float().cpu()
                    self._keep(asked, logits)
                    kept = self._kept_logits.rounded(logits).float() if len(soup.names) == 1 else logits
        return kept

    @property
    def logits_are_approximate(self) -> bool:
        """Whether kept logits are in half precision, since in float32 those of all ingredients exceed the budget."""
        return self._kept_logits.are_approximate

    def _keep(self, asked: _Asked, logits: Tensor) -> Evaluation:
        evaluation = replace(measure(logits, self._data.labels, self.judge), precision=self.precision)
        # Another way of running gives other logits within the tolerance, and with these the same answer for every image
        # but those in doubt: only where there are such is the evaluation one of this way alone.
        key = self._way_key(asked.key)
        key = key if key != asked.key and in_doubt(logits) else asked.key
        names = asked.soup.names
        kept = self._kept_logits.to_keep(key, self.zoo.position[names[0]], logits) if len(names) == 1 else {}
        self._evaluations.keep(key, evaluation, kept)
        return evaluation

    def measured(self, parts: Iterable[Tensor]) -> Evaluation:
        """The evaluation of logits that come in parts (n×outputs), in the split's order; see `measure_parts`."""
        return measure_parts(parts, self._data.labels, self.judge)

    def record(self, key: str, evaluation: Evaluation) -> None:
        """Keep an evaluation on this split under a key."""
        self._evaluations.keep(key, evaluation)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Hold this evaluator's model, and the soup against other processes that would evaluate it now."""
        with self._lock, self.store.claim(f"evaluation-{key}"), in_front():
            yield

    def _run(self, asked: _Asked, limit: Limit | None = None) -> Trial:
        if limit is None:
            # By a metric for which the bits are not enough an evaluation may be unknown though its logits are kept.
            kept = None if self.logits_are_approximate else self._kept_logits.find(self._keys(asked.key))
            if kept is not None:
                return Trial.whole(self._keep(asked, kept), 0)
            return Trial.whole(self._keep(asked, self._all_logits(asked.soup).float().cpu()), self.total)
        seen, order, collected = limit.seen, limit.order, []
        size = self._decide(asked.soup).running.fixed_size or -(-self.total // REJECTION_BATCHES)
        size = min(self._size, size)
        for batch, outputs in self._batches(asked.soup, order.indices[seen:], size):
            logits = outputs.float().cpu()
            collected.append(logits)
            limit.see(batch, logits)
            if limit.seen < self.total and limit.is_reached:
                limit.keep(self._evaluations, self._way_key(asked.key))
                return limit.stopped(limit.seen - seen)
        if seen:  # the bound that was kept no longer decides, and the first images' logits are not kept
            whole = self._run(asked)
            return replace(whole, images_evaluated=limit.seen - seen + whole.images_evaluated)
        logits = torch.empty(self.total, collected[0].shape[1])
        logits[order.indices] = torch.cat(collected)
        return Trial.whole(self._keep(asked, logits), self.total)

    def _all_logits(self, soup: Soup) -> Tensor:
        """The logits of every image, in the split's order, on the device; the host has not waited for them."""
        with self._lock:
            self._decide(soup)
            tokens = self._data.tokens
            if tokens is None:
                return torch.cat([logits for _, logits in self._batches(soup, torch.arange(self.total), self._size)])
            batches = list(self._batches(soup, tokens.by_length, self._size))
            return torch.cat([logits for _, logits in batches])[tokens.by_length.argsort().to(self.device)]

    def _arrived(self, waiting: list[tuple[_Asked, Evaluation | Tensor]]) -> Iterator[Evaluation]:
        for asked, result in waiting:
            yield result if isinstance(result, Evaluation) else self._keep(asked, result.float().cpu())

    def _batches(self, soup: Soup, indices: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        running = self._decide(soup).running
        self.load(self._module, soup)
        running.refresh()

        def run(batch: Tensor) -> Tensor:
            if running.way == "plain":
                return torch.cat(side_by_side(self._replicas, self._outputs, batch))
            return self._outputs(running, batch)

        for batch, logits in self.halving(indices, size, run):
            yield batch, logits
            yield_point()

    def _outputs(self, network: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        inputs = self.inputs(batch)
        with self._computing(inputs):
            return self.judged(network(inputs))

    @contextmanager
    def _computing(self, inputs: Tensor) -> Iterator[None]:
        failures = architectures.failures_in_words(self.zoo.architecture, self._module, inputs)
        with torch.inference_mode(), exactly(self.precision, self.device), failures:
            yield

    def _decide(self, soup: Soup) -> Decided:
        """How the network is run from now on, under every soup; the first time a trial with this one may say it."""
        if self._decided is None:
            work = self._work
            if work.is_tried:
                self.load(self._module, soup)
            self._decided = work.decide(self._module, self._first, self._computing)
        return self._decided

    def _first(self, count: int) -> Tensor:
        return self.inputs(torch.arange(min(count, self.total)))

    @property
    def _work(self) -> Work:
        shape = self._data.shape[1:]
        return Work(self.zoo, self.total, shape, self.device, self.precision, self._given_size, self.store)

    @property
    def _size(self) -> int:
        """Of batches: what suits the way of running, unless that was too much for the memory."""
        chosen = self._decided and self._decided.batch_size
        return min(self.batch_size, chosen or self.batch_size)

    @property
    def way(self) -> str:
        """How the network is run: "plain", as it is, or one of WAYS; decided with the first evaluation, if not before."""
        if self._decided is not None:
            return self._decided.running.way
        return next(iter(self._work.kept_ways()), "plain")

    @property
    def way_in_words(self) -> str | None:
        """A sentence on the way, where the network is not run as it is."""
        return self._work.in_words(self.way)

    def _way_key(self, key: str) -> str:
        """A key of what may differ from one way of running to another."""
        return key if self.way == "plain" else f"{key} {self.way}"

    def _keys(self, key: str) -> tuple[str, str]:
        """Under which something may be kept: of any way of running, and of this one."""
        return key, self._way_key(key)

    @cached_property
    def _module(self) -> torch.nn.Module:
        return self.zoo.module().to(self.device)

    @cached_property
    def _replicas(self) -> tuple[torch.nn.Module, ...]:
        return self._replicated(self._module)

    def _replicated(self, module: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
        return replicas(module) if self.device == "cpu" else (module,)

    def _train_digest(self) -> str:
        if self._fine_tuning_digest is None:
            self._fine_tuning_digest = self.zoo.data.split("train").digest
        return self._fine_tuning_digest

    @property
    def metric(self) -> Metric:
        """By which soups are selected: the zoo's, or, of images that do not choose alone, accuracy where it does not suit them."""
        return self.judge.metric

    def _judge(self, *, drawn: bool) -> Judge:
        groups = None if self._data.groups is None else self._data.groups.numpy()
        metric, truth = metric_of(self.zoo.metric), Truth(self._data.labels.numpy(), len(self.outputs), groups)
        if metric.suits(truth):
            return Judge(metric, truth)
        if self.split == "held_out" and not drawn:
            raise SoupError(
                f"The metric {metric.key} is for {metric.condition}, which the zoo {self.zoo.name} has not; choose another, "
                "or say it as metric in zoo.toml."
            )
        return Judge(ACCURACY, truth)

    def _check_labels(self) -> None:
        highest, classes = int(self._data.labels.max()), int(self.zoo.architecture["num_classes"])
        if highest >= classes or int(self._data.labels.min()) < 0:
            raise SoupError(
                f"The split {self.split} has labels from {int(self._data.labels.min())} to {highest}, and the "
                f"architecture has {classes} classes, numbered from 0; correct num_classes in zoo.toml, or the labels."
            )


def _drawn(split: Split, images: int | None) -> Split:
    if images is None or images >= len(split):
        return split
    if images < 1:
        raise SoupError(f"At least one image must be evaluated; found {images}.")
    return split.chosen(torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:images].sort().values)
