"""Builds a bundled zoo from a seed: each run in a process of its own, none a second time."""

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soup_core import architectures, checkpoints
from soup_core.data import bundled_set
from soup_core.errors import CheckpointError, ZooError
from soup_core.finetune import Epoch, Hyperparameters, tensor_source, train
from soup_core.finetune.bundled.plans import Parts, Plan, PlannedRun, Pretraining
from soup_core.finetune.bundled.registry import PLANS
from soup_core.zoo import BASE
from soup_core.zoo.toml import FORMAT, ZooFile, checked, write_zoo_file


@dataclass(frozen=True)
class BuildStep:
    """Progress of a build: `done` of `total` runs, and the one that has just ended."""

    done: int
    total: int
    name: str


def build(
    name: str, images: Path, folder: Path, *, seed: int, device: str = "cpu", workers: int | None = None
) -> Iterator[BuildStep]:
    """Train the zoo `name` into `folder`, yielding at the start and after each run; runs that are there already are not made again.

    On the CPU each run has one thread of its own, so that the same seed gives the same files on any number of cores; of
    these, `workers` are used at a time, without it all.
    Raises ZooError for an unknown name, DataError where `images` does not hold what the plan trains on.
    """
    if name not in PLANS:
        raise ZooError(f"There is no plan for a zoo {name!r}; expected one of {', '.join(PLANS)}.")
    plan = PLANS[name](seed)
    plan.trains_on.check(images)
    waiting = [run for run in plan.runs if not _is_built(folder, plan, run)]
    done = len(plan.runs) - len(waiting)
    yield BuildStep(done, len(plan.runs), "earlier runs")
    if workers is None:
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
    said = asdict(run)
    if run.pretraining is None:
        del said["pretraining"]
    named = {} if plan.network == Plan.network else {"name": plan.network}  # which earlier files do not say
    probed = {"probe": asdict(plan.starts_from.probe)} if plan.starts_from and not run.start else {}
    return json.dumps({"network": {**named, **plan.options}, "run": said, **probed}, sort_keys=True)


def _train(plan: Plan, run: PlannedRun, images: Path, folder: Path, device: str) -> None:
    if device == "cpu":
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    torch.manual_seed(run.hyperparameters.seed)
    parts = plan.trains_on.parts(images)
    module = _network(plan, plan.trains_on.classes)
    head: frozenset[str] | None = None
    if run.pretraining:
        head = _given(module, _pretrained(plan, run.pretraining, parts, device))
    elif plan.starts_from and not run.start:
        last = _given(module, plan.starts_from.weights(images))
        for _ in _epochs(plan, module, parts[run.images], plan.starts_from.probe, device, last):
            pass
    if run.start:
        start = checkpoints.Checkpoint(folder / f"{run.start}.safetensors")
        module.load_state_dict(dict(start.read_all()), strict=True)
    names = {epoch: name for name, epoch in run.checkpoints().items()}
    for epoch in _epochs(plan, module, parts[run.images], run.hyperparameters, device, head):
        if epoch.index in names:
            file = folder / f"{names[epoch.index]}.safetensors"
            checkpoints.save(file, _in_precision(module.state_dict(), plan.precision), _recipe(plan, run))


def _pretrained(plan: Plan, pretraining: Pretraining, parts: Parts, device: str) -> Mapping[str, Tensor]:
    """The weights that training on other classes gives."""
    images, labels = parts[pretraining.images]
    module = _network(plan, int(labels.max()) + 1)
    for _ in _epochs(plan, module, (images, labels), pretraining.hyperparameters, device):
        pass
    return module.state_dict()


def _given(module: nn.Module, learnt: Mapping[str, Tensor]) -> frozenset[str]:
    """Give the module what was learnt for other classes, all but the last layer, whose parameters' names it returns."""
    own = module.state_dict()
    fitting = {name: tensor.cpu() for name, tensor in learnt.items() if tensor.shape == own[name].shape}
    module.load_state_dict({**own, **fitting})
    return frozenset(own) - frozenset(fitting)


def _network(plan: Plan, classes: int) -> nn.Module:
    return architectures.build(plan.network, classes, plan.options)


def _epochs(
    plan: Plan,
    module: nn.Module,
    images: tuple[Tensor, Tensor],
    hyperparameters: Hyperparameters,
    device: str,
    only: frozenset[str] | None = None,
) -> Iterator[Epoch]:
    bundled = bundled_set(plan.trains_on.source)
    assert bundled is not None, "a plan trains on what is bundled"
    source = tensor_source(*images, device)
    return train(module, source, hyperparameters, normalization=bundled.normalization, device=device, only=only)


def _in_precision(tensors: Mapping[str, Tensor], precision: str) -> dict[str, Tensor]:
    dtype = getattr(torch, precision)
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


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
        "architecture": {"name": plan.network, "num_classes": plan.trains_on.classes, **plan.options},
        "base": "base.safetensors" if len(ingredients) < len(plan.runs) else None,
        "data": {"source": plan.trains_on.source},
        "ingredients": entries,
    }
    return checked(ZooFile, table, f"the plan of {plan.title}")
