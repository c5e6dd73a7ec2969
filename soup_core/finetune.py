"""One training run: AdamW, cosine or constant learning rate, optional mixup, label smoothing and augmentation.

Everything random comes from the run's own seed, so that the same run on the same machine gives the same weights.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soup_core.preprocessing import Normalization

BATCH_SIZE = 128
WARMUP_SHARE = 0.05


@dataclass(frozen=True)
class Hyperparameters:
    """What varies between runs. `mixup` is the alpha of its beta distribution, 0 for none (arXiv 1710.09412)."""

    learning_rate: float
    weight_decay: float
    epochs: int
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augmentation: str = "none"
    seed: int = 0
    schedule: str = "cosine"


@dataclass(frozen=True)
class Epoch:
    """The end of one pass over the images: which (from 1), and the mean training loss in it."""

    index: int
    loss: float


def train(
    module: nn.Module,
    images: Tensor,
    labels: Tensor,
    hyperparameters: Hyperparameters,
    *,
    normalization: Normalization,
    device: str = "cpu",
) -> Iterator[Epoch]:
    """Train `module` in place on uint8 images (N×C×H×W) and int64 labels (N), yielding after each epoch."""
    rng = np.random.default_rng(hyperparameters.seed)
    module.to(device).to(memory_format=torch.channels_last).train()
    images, labels = images.to(device), labels.to(device)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    batches = len(images) // BATCH_SIZE
    steps = batches * hyperparameters.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_share(step, steps, hyperparameters.schedule)
    )
    for epoch in range(1, hyperparameters.epochs + 1):
        order = torch.from_numpy(rng.permutation(len(images))).to(device)
        total = 0.0
        for batch in order[: batches * BATCH_SIZE].split(BATCH_SIZE):
            inputs = normalization(augment(images[batch], hyperparameters.augmentation, rng))
            target = labels[batch]
            if hyperparameters.mixup:
                share = float(rng.beta(hyperparameters.mixup, hyperparameters.mixup))
                logits = module(share * inputs + (1 - share) * inputs.flip(0))
            else:
                share = 1.0
                logits = module(inputs)
            loss = share * F.cross_entropy(logits, target, label_smoothing=hyperparameters.label_smoothing)
            if share < 1:
                loss = loss + (1 - share) * F.cross_entropy(
                    logits, target.flip(0), label_smoothing=hyperparameters.label_smoothing
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        yield Epoch(epoch, total / batches)


def learning_rate_share(step: int, steps: int, schedule: str) -> float:
    """The share of the peak learning rate at `step` of `steps`: a short linear rise, then a cosine or a plateau."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def augment(images: Tensor, augmentation: str, rng: np.random.Generator, *, reach: int = 2) -> Tensor:
    """Flip each image left to right by chance ("flip"), move it by up to `reach` pixels ("shift"), or both."""
    count, _, height, width = images.shape
    if "flip" in augmentation:
        flipped = torch.from_numpy(rng.random(count) < 0.5).to(images.device)
        images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
    if "shift" in augmentation:
        down, right = torch.from_numpy(rng.integers(0, 2 * reach + 1, (2, count))).to(images.device)
        rows = (torch.arange(height, device=images.device) + down[:, None])[:, None, :, None]
        columns = (torch.arange(width, device=images.device) + right[:, None])[:, None, None, :]
        padded = F.pad(images, (reach,) * 4)
        channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        images = padded[torch.arange(count, device=images.device)[:, None, None, None], channel, rows, columns]
    return images
