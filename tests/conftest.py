"""Small made zoos: a linear model whose soups have closed forms, tensors as data, and a store of each test's own."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from soup_core import architectures

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


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SOUP_ZOOS", str(tmp_path))
    built = architectures.build
    made = {"test_linear": Linear, "test_buffers": WithBuffers}
    monkeypatch.setattr(
        architectures, "build",
        lambda name, num_classes, options=None: (
            made[name](num_classes) if name in made else built(name, num_classes, options)
        ),
    )  # fmt: skip


def made_data(folder: Path, images: int = 120, seed: int = 0) -> None:
    """Images whose labels a linear model can nearly learn."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for split in ("held_out", "test", "train"):
        pixels = torch.randint(0, 256, (images, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
        tensors[f"{split}.images"] = pixels
        tensors[f"{split}.labels"] = pixels.flatten(1)[:, :CLASSES].float().argmax(1)
    safetensors.torch.save_file(tensors, folder / "data.safetensors")


def write_zoo(
    folder: Path, files: Mapping[str, Mapping[str, Tensor]], *, architecture: str = "test_linear", extra: str = ""
) -> Path:
    """Write a zoo of these state_dicts; one named "base" is its base."""
    folder.mkdir(parents=True, exist_ok=True)
    made_data(folder)
    lines = ["format = 1", 'title = "A made zoo"',
             f'architecture = {{ name = "{architecture}", num_classes = {CLASSES} }}']  # fmt: skip
    if "base" in files:
        lines.append('base = "base.safetensors"')
    lines += ["[data]", 'source = "tensors:data.safetensors"', extra]
    for name, tensors in files.items():
        safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()},
                                    folder / f"{name}.safetensors")  # fmt: skip
        if name != "base":
            lines += ["[[ingredients]]", f'name = "{name}"', f'file = "{name}.safetensors"',
                      "hyperparameters = { learning_rate = 0.1 }"]  # fmt: skip
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder


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


@pytest.fixture
def linear_zoo(tmp_path: Path) -> Callable[..., Path]:
    def make(count: int = 6, seed: int = 0) -> Path:
        return write_zoo(tmp_path / f"linear-{count}-{seed}", random_linears(count, seed))

    return make
