"""The bundled zoos, built from seeds: what each run trains on, from where it starts, and with which hyperparameters.

Real data: Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747, MIT licence). Its 60,000 training images are
parted once: 30,000 to pretrain on, 10,000 to fine-tune on, 5,000 held out; its 10,000 test images only report.
"""

import gzip
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soup_core import architectures, checkpoints
from soup_core.data import FASHION_MNIST, FASHION_NORMALIZATION
from soup_core.data.packed_images import write_packed
from soup_core.errors import CheckpointError, DataError, ZooError
from soup_core.finetune import Hyperparameters, Space, random_search, tensor_source, train
from soup_core.zoo import BASE
from soup_core.zoo.toml import FORMAT, ZooFile, checked, write_zoo_file

SPACE = Space(learning_rates=(1e-3, 4e-3), epochs=(8, 12, 16), augmentations=("flip", "shift", "flip+shift"))
PARTITION_SEED = 2203
BUNDLED_SPLITS = ("held_out", "test", "train")
PARTITION = {"pretrain": (0, 30_000), "train": (30_000, 40_000), "held_out": (40_000, 45_000)}


@dataclass(frozen=True)
class PlannedRun:
    """One training run; `start` names the run whose weights it begins with, None for random ones.

    It gives one checkpoint under its own name, or one after each of the epochs in `snapshots`, named for the epoch.
    """

    name: str
    images: str
    hyperparameters: Hyperparameters
    start: str | None = None
    snapshots: tuple[int, ...] = ()

    def checkpoints(self) -> dict[str, int]:
        """The name of each checkpoint that this run gives, and the epoch after which it is taken."""
        if self.snapshots:
            return {f"epoch-{epoch:02d}": epoch for epoch in self.snapshots}
        return {self.name: self.hyperparameters.epochs}


@dataclass(frozen=True)
class Plan:
    """A bundled zoo: its title, its network, and its runs in order, the base's first where it has one."""

    title: str
    options: Mapping[str, Any]
    runs: tuple[PlannedRun, ...]
    recorded: tuple[str, ...] = field(
        default=("learning_rate", "weight_decay", "epochs", "label_smoothing", "mixup", "augmentation", "seed")
    )


@dataclass(frozen=True)
class BuildStep:
    """Progress of a build: `done` of `total` runs, and the one that has just ended."""

    done: int
    total: int
    name: str


def fashion(seed: int) -> Plan:
    """24 fine-tunings of one base: a random search, all in the region where averaging pays."""
    base = PlannedRun("base", "pretrain", Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed))
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", hyperparameters, start="base")
        for index, hyperparameters in enumerate(random_search(24, seed=1000 * seed, space=SPACE), 1)
    ]
    return Plan("Fashion-MNIST: 24 fine-tunings of one base", {"hidden": 128}, (base, *runs))


def fashion_scratch(seed: int) -> Plan:
    """The same recipe from six random starts: each good alone, useless in the middle."""
    runs = tuple(
        PlannedRun(
            f"start-{index}",
            "pretrain",
            Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed + index),
        )
        for index in range(1, 7)
    )
    return Plan("Fashion-MNIST: six networks from different random starts", {}, runs)


def fashion_trajectory(seed: int) -> Plan:
    """Twelve checkpoints along one run whose learning rate stays high, so that the weights wander around a minimum."""
    hyperparameters = Hyperparameters(3e-3, 0.01, 16, augmentation="flip+shift", seed=1000 * seed, schedule="constant")
    run = PlannedRun("run", "pretrain", hyperparameters, snapshots=tuple(range(5, 17)))
    return Plan("Fashion-MNIST: twelve checkpoints along one run", {}, (run,), recorded=("learning_rate", "epochs"))


def fashion_batchnorm(seed: int) -> Plan:
    """Eight fine-tunings of a base with BatchNorm, whose running statistics need a choice when averaged."""
    base = PlannedRun("base", "pretrain", Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed))
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", hyperparameters, start="base")
        for index, hyperparameters in enumerate(random_search(8, seed=1000 * seed, space=SPACE), 1)
    ]
    return Plan("Fashion-MNIST: eight fine-tunings with BatchNorm", {"normalization": "batch"}, (base, *runs))


PLANS: dict[str, Callable[[int], Plan]] = {
    "fashion": fashion,
    "fashion-scratch": fashion_scratch,
    "fashion-trajectory": fashion_trajectory,
    "fashion-batchnorm": fashion_batchnorm,
}


# Of builds 0, 1 and 2 of `fashion`, the one with the median gain of greedy on the held-out images is bundled; the other
# zoos have one build.
BUNDLED_SEEDS = {"fashion": 2}


def build(name: str, images: Path, folder: Path, *, seed: int, device: str = "cpu") -> Iterator[BuildStep]:
    """Train the zoo `name` into `folder`, yielding at the start and after each run; runs that are there already are not made again.

    On the CPU each run has one thread of its own, so that the same seed gives the same files on any number of cores.
    Raises ZooError for an unknown name, DataError where `images` does not hold Fashion-MNIST's IDX files.
    """
    if name not in PLANS:
        raise ZooError(f"There is no plan for a zoo {name!r}; expected one of {', '.join(PLANS)}.")
    plan = PLANS[name](seed)
    find_idx_file(images, "train-images")
    waiting = [run for run in plan.runs if not _is_built(folder, plan, run)]
    done = len(plan.runs) - len(waiting)
    yield BuildStep(done, len(plan.runs), "earlier runs")
    workers = (os.cpu_count() or 1) if device == "cpu" else 1
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[None], PlannedRun] = {}
        while waiting or running:
            unfinished = {run.name for run in (*waiting, *running.values())}
            for run in [run for run in waiting if run.start not in unfinished]:
                running[pool.submit(_train, plan, run, images, folder, device)] = run
                waiting.remove(run)
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                done += 1
                yield BuildStep(done, len(plan.runs), running.pop(future).name)
    write_zoo_file(folder / "zoo.toml", _zoo_file(plan))


def _is_built(folder: Path, plan: Plan, run: PlannedRun) -> bool:
    recipe = _recipe(plan, run)
    try:
        return all(
            checkpoints.Checkpoint(folder / f"{name}.safetensors").metadata.get("soup_core") == recipe
            for name in run.checkpoints()
        )
    except CheckpointError:
        return False


def _recipe(plan: Plan, run: PlannedRun) -> str:
    return json.dumps({"network": dict(plan.options), "run": asdict(run)}, sort_keys=True)


def _train(plan: Plan, run: PlannedRun, images: Path, folder: Path, device: str) -> None:
    if device == "cpu":
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    torch.manual_seed(run.hyperparameters.seed)
    module = architectures.build("fashion_cnn", 10, plan.options)
    if run.start:
        start = checkpoints.Checkpoint(folder / f"{run.start}.safetensors")
        module.load_state_dict(dict(start.read_all()), strict=True)
    tensors = partition(images)[run.images]
    names = {epoch: name for name, epoch in run.checkpoints().items()}
    source = tensor_source(*tensors, device)
    for epoch in train(module, source, run.hyperparameters, normalization=FASHION_NORMALIZATION, device=device):
        if epoch.index in names:
            file = folder / f"{names[epoch.index]}.safetensors"
            checkpoints.save(file, module.state_dict(), _recipe(plan, run))


def _zoo_file(plan: Plan) -> ZooFile:
    ingredients = [run for run in plan.runs if run.name != BASE]
    entries = []
    for run in ingredients:
        for name, epoch in run.checkpoints().items():
            values = {**asdict(run.hyperparameters), "epochs": epoch}
            recorded = {key: values[key] for key in plan.recorded}
            entries.append({"name": name, "file": f"{name}.safetensors", "hyperparameters": recorded})
    table = {
        "format": FORMAT,
        "title": plan.title,
        "architecture": {"name": "fashion_cnn", "num_classes": 10, **plan.options},
        "base": "base.safetensors" if len(ingredients) < len(plan.runs) else None,
        "data": {"source": "fashion_mnist"},
        "ingredients": entries,
    }
    return checked(ZooFile, table, f"the plan of {plan.title}")


def fetch_images(folder: Path) -> None:
    """Fetch Fashion-MNIST's files into `folder` by torchvision. Raises DataError where that fails."""
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST could not be fetched into {folder} ({error}); see to the connection, or give the folder of "
            "Debian's package dataset-fashion-mnist without --download."
        ) from error


def find_idx_file(folder: Path, prefix: str) -> Path:
    """Find Fashion-MNIST's file "train-images", "train-labels", "t10k-images" or "t10k-labels" below `folder`.

    Raises DataError where there is none.
    """
    for parent in (folder, folder / "fashion-mnist", folder / "FashionMNIST" / "raw"):
        for path in sorted(parent.glob(f"{prefix}-idx?-ubyte*")):
            return path
    raise DataError(
        f"{folder} holds no {prefix}-idx*-ubyte file of Fashion-MNIST; give the folder of Debian's package "
        "dataset-fashion-mnist, or add --download to fetch the files into this folder."
    )


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not, as a uint8 tensor of the shape that its header gives.

    Raises DataError where it is none, or is damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:3] != b"\0\0\x08":
            raise ValueError("it does not begin as an IDX file of unsigned bytes does")
        shape = np.frombuffer(content, ">u4", content[3], offset=4)
        array = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}. Fetch it again.") from error
    return torch.from_numpy(array.copy())


def partition(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Part Fashion-MNIST into "pretrain", "train", "held_out" and "test": uint8 images N×1×28×28, int64 labels N."""
    images = read_idx(find_idx_file(folder, "train-images")).unsqueeze(1)
    labels = read_idx(find_idx_file(folder, "train-labels")).long()
    order = torch.from_numpy(np.random.default_rng(PARTITION_SEED).permutation(len(images)))
    parts = {part: (images[order[a:b]], labels[order[a:b]]) for part, (a, b) in PARTITION.items()}
    test = (read_idx(find_idx_file(folder, "t10k-images")).unsqueeze(1), read_idx(find_idx_file(folder, "t10k-labels")))
    return {**parts, "test": (test[0], test[1].long())}


def bundle_images(source: Path, folder: Path = FASHION_MNIST) -> None:
    """Write the held-out, test and fine-tuning images, compressed, to where the app reads them."""
    parts = partition(source)
    write_packed(folder, {name: parts[name] for name in BUNDLED_SPLITS})
