"""Class folders of tiny grey images, linear models of them in any order of classes, and the plain count of torchvision."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets, transforms

from tests.zoos import SIDE

READ = transforms.Compose([transforms.Grayscale(), transforms.ToTensor()])


def make_images(folder: Path, names: Sequence[str], order: Sequence[str], *, each: int = 4, seed: int = 0) -> None:
    """So many images of each named class; what a class looks like is its place in `order`."""
    rng = np.random.default_rng(seed)
    looks = np.random.default_rng(99).integers(30, 220, (len(order), SIDE, SIDE))
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            pixels = looks[order.index(name)] + rng.integers(-30, 31, (SIDE, SIDE))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{seed}-{index}.png")


def read(folder: Path, order: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The images (N×1×H×W) and the places of their classes in `order`, as torchvision reads them; others are left out."""
    found = datasets.ImageFolder(str(folder), READ)
    kept = [(image, order.index(found.classes[label])) for image, label in found if found.classes[label] in order]
    return torch.stack([image for image, _ in kept]), torch.tensor([label for _, label in kept])


def fitted(folder: Path, order: Sequence[str], seed: int) -> dict[str, Tensor]:
    """A linear model fitted to the images, whose outputs are `order`, with noise of its own."""
    images, labels = read(folder, order)
    inputs = torch.cat([images.flatten(1).double(), torch.ones(len(images), 1)], 1)
    targets = 2 * torch.nn.functional.one_hot(labels, len(order)).double() - 1
    weights = torch.linalg.lstsq(inputs, targets).solution.float()
    noise = 0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed))
    weights = (weights + noise).T.contiguous()
    return {"head.weight": weights[:, :-1].contiguous(), "head.bias": weights[:, -1].contiguous()}


def logits(model: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """What the linear model says of images (N×1×H×W)."""
    return images.flatten(1) @ model["head.weight"].T + model["head.bias"]


def correct(model: Mapping[str, Tensor], folder: Path, order: Sequence[str], among: Sequence[str] = ()) -> int:
    """How many images the model has right by the names of their classes, over all outputs or some."""
    images, labels = read(folder, order)
    outputs = [order.index(name) for name in among or order]
    found = torch.tensor(outputs)[logits(model, images)[:, outputs].argmax(1)]
    return int((found == labels).sum())


def write_sweep(
    folder: Path, order: Sequence[str], splits: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Tensor]]:
    """Two models whose outputs are `order`, in a folder with images of some of the classes in `splits`."""
    folder.mkdir()
    trained_on = folder.parent / f"{folder.name}-trained-on"
    make_images(trained_on, order, order, each=6, seed=1)
    for seed, (split, names) in enumerate(splits.items(), 2):
        make_images(
            folder / "images" / split, names, [*order, *(name for name in names if name not in order)], seed=seed
        )
    models = {f"run-{seed}": fitted(trained_on, order, seed) for seed in (1, 2)}
    for name, model in models.items():
        safetensors.torch.save_file(model, folder / f"{name}.safetensors")
    return models


def zoo_toml(order: Sequence[str], data: str) -> str:
    """A zoo.toml of the sweep with these further lines of [data]."""
    return f"""
format = 1
title = "A sweep"
architecture = {{ name = "test_linear", num_classes = {len(order)} }}
[data]
source = "imagefolder:images"
normalize = {{ mean = [0.0], std = [1.0] }}
{data}
[[ingredients]]
name = "run-1"
file = "run-1.safetensors"
[[ingredients]]
name = "run-2"
file = "run-2.safetensors"
"""
