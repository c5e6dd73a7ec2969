"""Which way of running a network is the fastest here: a short trial on real images, whose outcome is kept.

A way is considered only where its logits agree with those of the network as it is; a compile has to pay for itself.
"""

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.evaluation.compiling import has_compiler
from soup_core.evaluation.running import WAYS, Running
from soup_core.runtime.interruption import yield_point
from soup_core.runtime.store import Store

# Weights times pixels times images, some tenths of a second of one core: a smaller evaluation is run as it is, without a trial.
WORTH_A_TRIAL = 4e12
TOLERANCE = 1e-5  # between two ways' logits, times the largest of them where that is above 1
GAIN = 1.05  # how much faster than plain a way must be
COMPILED_GAIN = 1.25  # how much faster than the best other way a compiled network may be hoped to be,
COMPILE_SECONDS = 120.0  # and what that must save at least: it is known after a minute of compiling, or two
BATCH_SIZES = (16, 64, 250)
BATCH_SECONDS = 0.25  # that a batch of the trial may take
PROBE = 8
ROUNDS = 3
Context = Callable[[Tensor], AbstractContextManager[Any]]  # within it a network is run on these images


@dataclass(frozen=True)
class Choice:
    """What a trial found: seconds an image by way, infinite for one that cannot be used, and the size of batches.

    `compile_seconds` is what compiling took, the first time.
    """

    seconds: Mapping[str, float]
    batch_size: int
    compile_seconds: float = 0.0

    def ranked(self, images: int) -> list[str]:
        """The ways that are worth it for so many images, the fastest first, "plain" last."""
        plain = self.seconds["plain"] * images
        cost = {way: each * images for way, each in self.seconds.items() if way != "plain"}
        if "compiled" in cost:
            cost["compiled"] += self.compile_seconds
        return [*sorted((way for way in cost if cost[way] * GAIN <= plain), key=lambda way: cost[way]), "plain"]

    def may_gain_by_compiling(self, images: int) -> bool:
        """Whether so many images may repay a compile that was not tried yet."""
        best = min(self.seconds.values()) * images
        return "compiled" not in self.seconds and best * (1 - 1 / COMPILED_GAIN) > COMPILE_SECONDS

    def to_json(self) -> str:
        """As the store keeps it."""
        seconds = {way: each if math.isfinite(each) else None for way, each in self.seconds.items()}
        return json.dumps({**asdict(self), "seconds": seconds})

    @staticmethod
    def from_json(text: str) -> "Choice | None":
        """What `to_json` gave; None for anything else."""
        try:
            given = json.loads(text)
            seconds = {str(way): math.inf if each is None else float(each) for way, each in given["seconds"].items()}
            choice = Choice(seconds, int(given["batch_size"]), float(given["compile_seconds"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        known = set(seconds) <= set(WAYS) and math.isfinite(seconds.get("plain", math.inf))
        return choice if known and choice.batch_size >= 1 else None


def key_of(
    network: Mapping[str, Any], shape: Collection[int], device: str, setting: str, batch_size: int | None
) -> str:
    """Digest of all that a choice rests on: what is run, on images of which shape, on what, by which torch, and how asked."""
    content = {
        "network": dict(network),
        "shape": list(shape),
        "device": device.partition(":")[0],
        "machine": torch.cuda.get_device_name(device) if device != "cpu" else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "setting": setting,
        "batch_size": batch_size,
    }
    return "running " + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name and what it can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "model\t", "flags", "Features")
    return " ".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def kept_choice(store: Store, key: str) -> Choice | None:
    """The choice that the store holds; a damaged record counts as none."""
    text = store.choice(key)
    return Choice.from_json(text) if text else None


def made_choice(
    module: nn.Module,
    first: Callable[[int], Tensor],
    device: str,
    context: Context,
    *,
    ways: Collection[str] = ("channels_last", "fused"),
    batch_size: int | None = None,
) -> Choice:
    """Try the ways on the first images of a split, which `first` gives (n to n×C×H×W), by turns with the network as it is.

    The module holds a soup's weights. Takes about as long as 2,000 images do, and no more than some seconds; between two
    batches the work can be ended. Raises what the network raises as it is.
    """
    trial = _Trial(module, device, context)
    plain = Running(module)
    few = first(PROBE)
    probed = trial.seconds(plain, few) / len(few)
    size = batch_size or _size(probed)
    images = first(size)
    rounds = ROUNDS if size * probed <= BATCH_SECONDS else ROUNDS - 1
    reference = trial.logits(plain, images)
    runnings = [plain, *(each for way in ways if (each := trial.usable(way, images, reference)))]
    found = {each.way: taken for each, taken in zip(runnings, trial.by_turns(rounds, runnings, images), strict=True)}
    fastest = min(runnings, key=lambda each: found[each.way])
    for other in BATCH_SIZES if batch_size is None else ():
        if other != size and other * found[fastest.way] <= BATCH_SECONDS:
            (taken,) = trial.by_turns(rounds, [fastest], first(other))
            if taken * GAIN < found[fastest.way]:
                found[fastest.way], size = taken, other
    return Choice({way: found.get(way, math.inf) for way in ("plain", *ways)}, size)


def with_compiling(
    choice: Choice, module: nn.Module, first: Callable[[int], Tensor], device: str, context: Context
) -> Choice:
    """The choice with a compiled network tried too, which takes up to a minute; that may be ended."""
    trial = _Trial(module, device, context)
    images = first(choice.batch_size)
    start = time.perf_counter()
    found = trial.usable("compiled", images, trial.logits(Running(module), images)) if has_compiler(device) else None
    taken = time.perf_counter() - start
    each = math.inf if found is None else min(trial.seconds(found, images) for _ in range(ROUNDS)) / len(images)
    return Choice({**choice.seconds, "compiled": each}, choice.batch_size, taken)


def agree(logits: Tensor, reference: Tensor) -> bool:
    """Whether two ways' logits (N×K) are the same but for rounding, infinite or NaN at the same places."""
    finite = reference.isfinite()
    if not torch.equal(finite, logits.isfinite()):
        return False
    difference = (logits - reference)[finite].abs()
    return not len(difference) or float(difference.max()) <= tolerance(reference)


def tolerance(logits: Tensor) -> float:
    """How far two ways' logits may be apart."""
    finite = logits[logits.isfinite()]
    return TOLERANCE * max(1.0, float(finite.abs().max())) if len(finite) else TOLERANCE


def in_doubt(logits: Tensor) -> bool:
    """Whether another way might judge an image otherwise: its two best classes are closer than two ways may differ."""
    if logits.shape[1] < 2:
        return False
    best, second = logits.topk(2, dim=1).values.unbind(1)
    return bool((best - second <= 2 * tolerance(logits)).any())


class _Trial:
    """Runs of a module on a device, each in a context and timed with a look whether the work shall end."""

    def __init__(self, module: nn.Module, device: str, context: Context) -> None:
        self.module, self.device, self.context = module, device, context

    def logits(self, running: Running, images: Tensor) -> Tensor:
        yield_point()
        running.refresh()
        with self.context(images):
            return running(images).float()

    def seconds(self, running: Running, images: Tensor) -> float:
        """Of the second of two runs: the first lays out what the way needs.

        On the CPU seconds of processor over the threads, which other programs on a busy machine hardly change.
        """
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        self.logits(running, images)
        with self.context(images):
            self._finish()
            start = clock()
            running(images)
            self._finish()
            taken = clock() - start
        return taken / torch.get_num_threads() if self.device == "cpu" else taken

    def by_turns(self, rounds: int, runnings: Sequence[Running], images: Tensor) -> list[float]:
        """Each one's least seconds an image, where one follows the other in every round."""
        taken = [[self.seconds(each, images) / len(images) for each in runnings] for _ in range(rounds)]
        return [min(times) for times in zip(*taken, strict=True)]

    def usable(self, way: str, images: Tensor, reference: Tensor) -> Running | None:
        """The way, where the network can be run so and gives the same logits."""
        try:
            running = Running(self.module, way)
        except Exception:  # whatever torch says of a network that it cannot trace
            return None
        if not running.prepare(images, lambda: self.context(images)):
            return None
        yield_point()
        try:
            running.refresh()
            with self.context(images):
                found = running(images).float()
        except Exception:  # and of one that it cannot run so
            return None
        return running if agree(found, reference) else None

    def _finish(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)


def _size(seconds: float) -> int:
    """How many images make a batch, where one takes so long."""
    return max((size for size in BATCH_SIZES if size * seconds <= BATCH_SECONDS), default=BATCH_SIZES[0])
