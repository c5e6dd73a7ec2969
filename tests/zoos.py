"""Made zoos: small models whose soups have closed forms, checkpoints of them, and images as tensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

CLASSES, SIDE = 3, 2


class Linear(nn.Module):
    """Flattened pixels times a matrix: the logits of a soup are the soup of the logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE * SIDE, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(images.flatten(1))
        return logits


class WithBuffers(nn.Module):
    """A BatchNorm before the matrix: float buffers, and an integer one."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.head = nn.Linear(SIDE * SIDE, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(images).flatten(1))
        return logits


class Deep(nn.Module):
    """Convolution, BatchNorm, a hidden layer: layers of several tensors, a smooth loss, one tensor above 1024 numbers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 5, 2, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.hidden = nn.Linear(45, 32)
        self.head = nn.Linear(32, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.stem(images)).tanh().flatten(1)
        logits: Tensor = self.head(self.hidden(features).tanh())
        return logits


def made_data(folder: Path, images: int = 120, seed: int = 0, side: int = SIDE) -> None:
    """Images whose labels a linear model can nearly learn."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for split in ("held_out", "test", "train"):
        pixels = torch.randint(0, 256, (images, 1, side, side), generator=generator, dtype=torch.uint8)
        tensors[f"{split}.images"] = pixels
        tensors[f"{split}.labels"] = pixels.flatten(1)[:, :CLASSES].float().argmax(1)
    safetensors.torch.save_file(tensors, folder / "data.safetensors")


def write_zoo(
    folder: Path,
    files: Mapping[str, Mapping[str, Tensor]],
    *,
    architecture: str = "test_linear",
    extra: str = "",
    trajectory: bool = False,
) -> Path:
    """Write a zoo of these state_dicts; one named "base" is its base. In a trajectory the epochs rise."""
    folder.mkdir(parents=True, exist_ok=True)
    made_data(folder)
    lines = [
        "format = 1",
        'title = "A made zoo"',
        f'architecture = {{ name = "{architecture}", num_classes = {CLASSES} }}',
    ]
    if "base" in files:
        lines.append('base = "base.safetensors"')
    lines += ["[data]", 'source = "tensors:data.safetensors"', extra]
    for epoch, (name, tensors) in enumerate(files.items(), 1):
        epochs = f", epochs = {epoch}" if trajectory else ""
        safetensors.torch.save_file(
            {key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors"
        )
        if name != "base":
            lines += [
                "[[ingredients]]",
                f'name = "{name}"',
                f'file = "{name}.safetensors"',
                f"hyperparameters = {{ learning_rate = 0.1{epochs} }}",
            ]
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder


def linears_around_zero(count: int) -> dict[str, dict[str, Tensor]]:
    """Random linear models, and a base whose weights are zero."""
    models = random_linears(count)
    return {**models, "base": {key: torch.zeros_like(value) for key, value in models["m0"].items()}}


def random_linears(count: int, seed: int = 0, spread: float = 0.6) -> dict[str, dict[str, Tensor]]:
    """Noisy copies of the right matrix: averaging them takes noise away."""
    generator = torch.Generator().manual_seed(seed)
    right = torch.eye(CLASSES, SIDE * SIDE)
    return {
        f"m{index}": {
            "head.weight": right + spread * torch.randn(right.shape, generator=generator),
            "head.bias": 0.1 * torch.randn(CLASSES, generator=generator),
        }
        for index in range(count)
    }


def random_deeps(count: int, seed: int = 0, spread: float = 0.3) -> dict[str, dict[str, Tensor]]:
    """A random `Deep`, the base, and noisy copies of it, each with BatchNorm statistics of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Deep(CLASSES).named_parameters()}

    def drawn(scale: float) -> dict[str, Tensor]:
        return {name: scale * torch.randn(shape, generator=generator) for name, shape in shapes.items()}

    def statistics(batches: int) -> dict[str, Tensor]:
        return {
            "norm.running_mean": torch.randn(5, generator=generator),
            "norm.running_var": 0.5 + torch.rand(5, generator=generator),
            "norm.num_batches_tracked": torch.tensor(batches),
        }

    base = drawn(0.5)
    files = {
        f"m{index}": {name: base[name] + noise for name, noise in drawn(spread).items()} | statistics(index + 3)
        for index in range(count)
    }
    return {**files, "base": base | statistics(1)}


def vector(tensors: Mapping[str, Tensor], names: Sequence[str] | None = None) -> Tensor:
    """The named tensors end to end in float64; by default all parameters of the made models, buffers left out."""
    parameters = sorted(name for name in tensors if name.rpartition(".")[2] in ("weight", "bias"))
    return torch.cat([tensors[name].double().flatten() for name in (parameters if names is None else names)])
