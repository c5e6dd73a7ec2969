"""One training run: AdamW, cosine or constant learning rate, optional mixup, label smoothing and augmentation.

Everything random comes from the run's own seed, so that the same run on the same machine gives the same weights, whether
it was interrupted or not.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soup_core.data import Normalization, Tokens
from soup_core.errors import OutOfMemory
from soup_core.finetune.augmentation import augment
from soup_core.finetune.hyperparameters import Hyperparameters
from soup_core.runtime.devices import HALF, is_out_of_memory
from soup_core.runtime.interruption import yield_point

BATCH_SIZE = 128
WARMUP_SHARE = 0.05
State = dict[str, Tensor]


@dataclass(frozen=True)
class Epoch:
    """The end of one pass over the images: which (from 1), the mean training loss in it, and what goes on from here.

    `state` gives copies, and only until the next epoch begins.
    """

    index: int
    loss: float
    state: Callable[[], State] = field(repr=False, compare=False)


@dataclass(frozen=True)
class ImageSource:
    """Labelled images or texts to train on: how many there are, and batches of them for tensors of their indices.

    A batch is uint8 images (N×C×H×W), or texts as int64 (N×3×L), and int64 labels (N) on the device. Images that do not fit into memory need no more
    than another function here.
    """

    total: int
    batches: Callable[[Iterable[Tensor]], Iterator[tuple[Tensor, Tensor]]]


def tensor_source(images: Tensor, labels: Tensor, device: str) -> ImageSource:
    """A source of uint8 images (N×C×H×W) and labels (N) that are tensors.

    They are kept on the device where they take less than half of what is free there.
    """
    resident = device == "cpu" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    if resident:
        images, labels = images.to(device), labels.to(device)

    def batches(order: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in order:
            if resident:
                there = batch.to(device)
                yield images[there], labels[there]
            else:
                pair = (images[batch].pin_memory(), labels[batch].pin_memory())
                yield pair[0].to(device, non_blocking=True), pair[1].to(device, non_blocking=True)

    return ImageSource(len(labels), batches)


def token_source(tokens: Tokens, labels: Tensor, device: str) -> ImageSource:
    """A source of texts and labels (N), each batch filled up to its longest text."""

    def batches(order: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in order:
            yield tokens[batch].to(device), labels[batch].to(device)

    return ImageSource(len(labels), batches)


def training_precision(device: str) -> str:
    """How a device trains: float32 on the CPU; half precision on CUDA, bf16 where the device has it."""
    if device == "cpu":
        return "float32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def train(
    module: nn.Module,
    source: ImageSource,
    hyperparameters: Hyperparameters,
    *,
    normalization: Normalization,
    device: str = "cpu",
    precision: str = "float32",
    state: Mapping[str, Tensor] | None = None,
    only: Collection[str] | None = None,
) -> Iterator[Epoch]:
    """Train `module` in place, yielding after each epoch; with the `state` of an epoch, go on after that one.

    The module takes normalised images (N×C×H×W), or texts (int64, N×3×L), which are neither augmented nor mixed, and gives
    logits (N×num_classes). `only` names the parameters that are
    trained where the others, and BatchNorm's statistics, stay as they are. The last images of an epoch that fill no
    batch are left out of it. A batch that does not fit into memory is taken in parts; where not even one image fits,
    OutOfMemory is raised.
    """
    rng = np.random.default_rng(hyperparameters.seed)
    module.to(device).to(memory_format=torch.channels_last).train(only is None)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(only is None or name in only)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    scaler = torch.amp.GradScaler(device.partition(":")[0], enabled=precision == "fp16")
    done = 0 if state is None else _restore(state, module, optimizer, scaler, rng)
    size = min(BATCH_SIZE, source.total)
    batches = source.total // size
    steps = batches * hyperparameters.epochs
    room = size
    for epoch in range(done + 1, hyperparameters.epochs + 1):
        order = torch.from_numpy(rng.permutation(source.total))[: batches * size]
        total = torch.zeros((), dtype=torch.float64, device=device)
        for index, (images, labels) in enumerate(source.batches(order.split(size)), (epoch - 1) * batches):
            _seed(hyperparameters.seed, index, device)
            are_texts = images.dtype == torch.int64
            inputs = images if are_texts else normalization(augment(images, hyperparameters.augmentation, rng))
            mixed, other, share = inputs, labels, 1.0
            if hyperparameters.mixup and not are_texts:
                share = float(rng.beta(hyperparameters.mixup, hyperparameters.mixup))
                mixed, other = share * inputs + (1 - share) * inputs.flip(0), labels.flip(0)
            for group in optimizer.param_groups:
                rate = learning_rate_share(index, steps, hyperparameters.schedule)
                group["lr"] = hyperparameters.learning_rate * rate
            loss, room = _gradients(
                module, scaler, mixed, (labels, other, share), hyperparameters.label_smoothing, precision, room
            )
            scaler.step(optimizer)
            scaler.update()
            total += loss
            yield_point()
        yield Epoch(epoch, float(total) / batches, partial(_state, epoch, module, optimizer, scaler, rng))


def learning_rate_share(step: int, steps: int, schedule: str) -> float:
    """The share of the peak learning rate at `step` of `steps`: a short linear rise, then a cosine or a plateau."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _seed(seed: int, step: int, device: str) -> None:
    """Seed what dropout and torchvision's augmentations draw from, for one batch, since other threads draw from it too."""
    mixed = int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
    torch.default_generator.manual_seed(mixed)
    if device != "cpu":
        torch.cuda.manual_seed(mixed)


def _gradients(
    module: nn.Module,
    scaler: torch.amp.GradScaler,
    inputs: Tensor,
    targets: tuple[Tensor, Tensor, float],
    smoothing: float,
    precision: str,
    room: int,
) -> tuple[Tensor, int]:
    """Give the parameters the gradients of a batch's loss, in parts of at most `room` images; the loss, and the room found.

    `targets` are the labels, those mixed in, and the share of the first.
    """
    labels, other, share = targets
    while True:
        module.zero_grad()
        summed = torch.zeros((), dtype=torch.float64, device=inputs.device)
        try:
            for part in torch.arange(len(inputs)).split(room):
                here = slice(int(part[0]), int(part[-1]) + 1)
                with torch.autocast(
                    inputs.device.type, dtype=HALF.get(precision, torch.bfloat16), enabled=precision in HALF
                ):
                    logits = module(inputs[here])
                logits = logits.float()
                loss = share * F.cross_entropy(logits, labels[here], label_smoothing=smoothing)
                if share < 1:
                    loss = loss + (1 - share) * F.cross_entropy(logits, other[here], label_smoothing=smoothing)
                loss = loss * (len(part) / len(inputs))
                scaler.scale(loss).backward()
                summed += loss.detach()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if room == 1:
                raise OutOfMemory(
                    f"There is no room to train on even one image in the memory of {inputs.device}; free some, or "
                    "choose another device."
                ) from error
        else:
            return summed, room
        room = -(-room // 2)


def _state(
    epoch: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rng: np.random.Generator,
) -> State:
    drawn = json.dumps(rng.bit_generator.state).encode()
    state = {"epoch": torch.tensor(epoch), "rng": torch.frombuffer(bytearray(drawn), dtype=torch.uint8)}
    for name, tensor in module.state_dict().items():
        state[f"module.{name}"] = tensor.detach().clone()
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            state[f"optimizer.{index}.{name}"] = value.detach().clone()
    if scaler.is_enabled():
        kept = scaler.state_dict()
        state["scaler"] = torch.tensor([kept["scale"], kept["_growth_tracker"]], dtype=torch.float64)
    return state


def module_state(state: Mapping[str, Tensor]) -> State:
    """The module's own state_dict within the state of an epoch."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items() if name.startswith("module.")}


def _restore(
    state: Mapping[str, Tensor],
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rng: np.random.Generator,
) -> int:
    module.load_state_dict(module_state(state))
    rng.bit_generator.state = json.loads(state["rng"].numpy().tobytes())
    empty = optimizer.state_dict()
    kept: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith("optimizer."):
            _, number, what = name.split(".")
            kept.setdefault(int(number), {})[what] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in kept.items():
        for what, tensor in values.items():
            if tensor.ndim:  # in the parameter's layout, in which the sums of an uninterrupted run are
                values[what] = torch.empty_like(parameters[index]).copy_(tensor)
    optimizer.load_state_dict({"state": kept, "param_groups": empty["param_groups"]})
    if scaler.is_enabled() and "scaler" in state:
        scale, growth = state["scaler"].tolist()
        scaler.load_state_dict({**scaler.state_dict(), "scale": scale, "_growth_tracker": int(growth)})
    return int(state["epoch"])
