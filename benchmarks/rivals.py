"""The usual ways, as plain loops over whole models: what the engine is measured against.

Averaging and greedy as in the code of Wortsman et al. 2022 (arXiv 2203.05482); learned soup through autograd.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from soup_core.data import Normalization, Split

Batches = Iterable[tuple[Tensor, Tensor]]


def averaged(files: Sequence[Path]) -> dict[str, Tensor]:
    """The uniform soup of PyTorch files: one loaded after the other, and a dict comprehension for each."""
    share = 1 / len(files)
    soup: dict[str, Tensor] = {}
    for file in files:
        theta = torch.load(file, map_location="cpu")
        soup = {name: value * share + soup[name] if soup else value * share for name, value in theta.items()}
    return soup


def averaged_model(files: Sequence[Path], module: nn.Module) -> nn.Module:
    """The same by torch's AveragedModel."""
    average = AveragedModel(module)
    for file in files:
        module.load_state_dict(torch.load(file, map_location="cpu"))
        average.update_parameters(module)
    return average.module


def count_correct(theta: Mapping[str, Tensor], build: Callable[[], nn.Module], batches: Batches) -> int:
    """Build the model, load the weights, run all images."""
    module = build()
    module.load_state_dict(theta)
    module.eval()
    with torch.no_grad():
        return sum(int((module(images).argmax(1) == labels).sum()) for images, labels in batches)


def soup_correct(files: Sequence[Path], build: Callable[[], nn.Module], batches: Batches) -> int:
    """How many images the uniform soup of safetensors files gets right, all files loaded for it."""
    thetas = [safetensors.torch.load_file(file) for file in files]
    mean = {name: sum(theta[name] for theta in thetas) / torch.tensor(len(thetas)) for name in thetas[0]}
    return count_correct(mean, build, batches)


def greedy(
    files: Sequence[Path], build: Callable[[], nn.Module], batches: Batches, correct: Sequence[int] | None = None
) -> dict[str, bool]:
    """Greedy soup with every candidate evaluated in whole: which were accepted, in the order in which they were tried.

    `correct` are the files' own counts where they are known.
    """
    own = correct or [soup_correct([file], build, batches) for file in files]
    (best, first), *others = sorted(zip(own, files, strict=True), key=lambda pair: (-pair[0], pair[1].stem))
    chosen, accepted = [first], {first.stem: True}
    for _, file in others:
        found = soup_correct([*chosen, file], build, batches)
        accepted[file.stem] = found > best
        if found > best:
            best, chosen = found, [*chosen, file]
    return accepted


def write_images(split: Split, folder: Path) -> None:
    """Grey images as PNG files, a folder a class."""
    for label in split.labels.unique().tolist():
        (folder / str(label)).mkdir(parents=True)
    for index, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        Image.fromarray(image[0].numpy()).save(folder / str(label) / f"{index:05}.png")


def image_loader(folder: Path, normalization: Normalization, batch_size: int) -> "DataLoader[Any]":
    """The usual loader of image files, with the usual transforms and two workers."""
    steps = [
        transforms.Grayscale(1),
        transforms.ToTensor(),
        transforms.Normalize(normalization.mean, normalization.std),
    ]
    dataset = ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(dataset, batch_size=batch_size, num_workers=2)


def mixed_loss(
    module: nn.Module,
    models: Sequence[Mapping[str, Tensor]],
    raw: Tensor,
    scale: Tensor,
    images: Tensor,
    labels: Tensor,
) -> Tensor:
    """The learned soup's loss, differentiable in `raw` (one row for all tensors, or one each) through the mixed weights.

    `models` are in memory; each tensor is the sum over them of alpha times its values there.
    """
    rows = raw.softmax(1)
    names = list(models[0])
    alphas = rows if len(rows) > 1 else rows.expand(len(names), -1)
    mixed = {
        name: sum(alpha * model[name] for alpha, model in zip(row, models, strict=True))
        for name, row in zip(names, alphas, strict=True)
    }
    logits: Tensor = torch.func.functional_call(module, mixed, (images,))
    return F.cross_entropy(logits * scale, labels)
