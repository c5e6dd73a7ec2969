"""A sweep in seconds: photographs of three kinds as files, a small network of torchvision's, and the plain library's count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets, transforms
from torchvision.models import shufflenet_v2_x0_5

CLASSES = ("dark", "light", "striped")
TRANSFORM = transforms.Compose(
    [
        transforms.Resize(40),
        transforms.CenterCrop(32),
        transforms.ToTensor(),
        transforms.Normalize([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]),
    ]
)


def image_folder(folder: Path, *, each: int = 6) -> None:
    """Noisy photographs of several sizes, hard enough that a short run gets some of them wrong."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for index in range(each):
                height, width = rng.integers(36, 60, 2)
                pixels = rng.integers(0, 150, (height, width, 3)) + 30 * number
                if name == "striped":
                    pixels[::8] += 20
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{index}.png")


def batches(images: Path, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    yield from torch.utils.data.DataLoader(datasets.ImageFolder(str(images / split), TRANSFORM), batch_size=6)


def new_network(classes: int = len(CLASSES)) -> nn.Module:
    """The same weights each time, as a sweep's base."""
    torch.manual_seed(0)
    return shufflenet_v2_x0_5(num_classes=classes)


def train(module: nn.Module, images: Path, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9)
    module.train()
    for pixels, labels in batches(images, "train"):
        optimizer.zero_grad()
        F.cross_entropy(module(pixels), labels).backward()
        optimizer.step()


@torch.inference_mode()
def correct(module: nn.Module, images: Path, split: str = "val") -> int:
    """How many images the plain module gets right with its library's own preprocessing."""
    module.eval()
    found: list[Any] = [(module(pixels), labels) for pixels, labels in batches(images, split)]
    return sum(int((getattr(each, "logits", each).argmax(1) == labels).sum()) for each, labels in found)
