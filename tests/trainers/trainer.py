"""What a trainer of image classifiers is to these tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets, transforms

from tests.trainers.pictures import CLASSES

Transform = Callable[[Image.Image], Tensor]
RUNS = 3
LEARNING_RATES = (1e-3, 1.5e-3, 2e-3)
BATCH = 8
EPOCHS = 5


@dataclass(frozen=True)
class Trainer:
    """A tool, how it trains and saves by default, and how it loads what it saved.

    `train` writes three runs into a folder that holds `images`; `load` gives the network of a checkpoint as the tool loads it,
    `fresh` one that takes a soup's state_dict; `files` are those that must be proposed, and `options` what `init` is told.
    Some keep no hyperparameters on disk.
    """

    name: str
    package: str
    leaves: str
    files: tuple[str, ...]
    train: Callable[[Path], None]
    load: Callable[[Path], nn.Module]
    fresh: Callable[[Path], nn.Module]
    transform: Transform
    options: tuple[str, ...] = ()
    tells_hyperparameters: bool = True


def normalized(mean: float = 0.5, std: float = 0.5) -> Transform:
    """Pictures as they are, on a scale around zero."""
    transform: Transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([mean] * 3, [std] * 3)])
    return transform


def images(folder: Path, split: str, transform: Transform) -> torch.utils.data.DataLoader[tuple[Tensor, Tensor]]:
    """Batches of a split, in an order drawn by torch's generator for training."""
    dataset = datasets.ImageFolder(str(folder / "images" / split), transform)
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=split == "train")


def small_network(num_classes: int) -> nn.Module:
    """The network of most of these sweeps."""
    return timm.create_model("test_resnet", num_classes=num_classes)


def started(make: Callable[..., nn.Module] = small_network) -> nn.Module:
    """The network that all runs of a sweep begin with."""
    torch.manual_seed(0)
    module = make(num_classes=len(CLASSES))
    follow_quickly(module)
    return module


def follow_quickly(module: nn.Module) -> None:
    """Have running statistics follow the weights in the few steps of these runs."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.5


def fit(
    module: nn.Module, folder: Path, transform: Transform, run: int, *, epochs: int = EPOCHS, times: float = 1.0
) -> Iterator[torch.optim.Optimizer]:
    """The plain loop, an epoch at a time; gives the optimizer, whose state some tools save."""
    torch.manual_seed(run)
    optimizer = torch.optim.AdamW(module.parameters(), times * LEARNING_RATES[run])
    for _ in range(epochs):
        module.train()
        for pixels, labels in images(folder, "train", transform):
            optimizer.zero_grad()
            F.cross_entropy(module(pixels), labels).backward()
            optimizer.step()
        yield optimizer


@torch.inference_mode()
def correct(module: nn.Module, folder: Path, split: str, transform: Transform) -> int:
    """How many images of a split the plain module gets right."""
    module.eval()
    counted = 0
    for pixels, labels in images(folder, split, transform):
        found = module(pixels)
        found = found[0] if isinstance(found, tuple) else getattr(found, "logits", found)
        counted += int((found.argmax(1) == labels).sum())
    return counted
