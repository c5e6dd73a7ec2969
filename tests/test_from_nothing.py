"""From a folder of checkpoints as sweeps leave them to a file that the plain library loads: the whole way, and nothing mocked."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets
from torchvision.models import ResNet18_Weights, resnet18

CLASSES = ("dark", "light", "striped")
ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command line in a process of its own, as a user starts it; rows of its JSON."""

    def call(*arguments: object) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "soup_core", *map(str, arguments), "--json"],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return call


def image_folder(folder: Path, each: int = 10) -> None:
    """Photographs of three kinds, of several sizes, that a network can learn to tell apart in seconds."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for index in range(each):
                height, width = rng.integers(230, 290, 2)
                pixels = rng.integers(0, 100, (height, width, 3)) + 70 * number
                if name == "striped":
                    pixels[::8] = 250
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{index}.png")


def batches(folder: Path, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    weights = ResNet18_Weights.DEFAULT.transforms()
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(str(folder / split), weights), batch_size=6)
    yield from loader


def fine_tuned(base: nn.Module, images: Path, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    module = copy.deepcopy(base).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    for pixels, labels in batches(images, "train"):
        optimizer.zero_grad()
        F.cross_entropy(module(pixels), labels).backward()
        optimizer.step()
    return module.eval()


@torch.no_grad()
def correct(module: nn.Module, images: Path, split: str) -> int:
    return sum(int((module(pixels).argmax(1) == labels).sum()) for pixels, labels in batches(images, split))


def test_three_resnets_become_a_soup_that_torchvision_loads(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "sweep"
    images = folder / "photos"
    image_folder(images)
    torch.manual_seed(0)
    base = resnet18(num_classes=len(CLASSES))
    for seed in (1, 2, 3):
        module = fine_tuned(base, images, seed)
        state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
        averaged = {name: tensor.clone() for name, tensor in state.items()}
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9).state_dict()
        place = folder / f"run-{seed}"
        place.mkdir(parents=True)
        content: dict[str, Any] = {"epoch": 1, "arch": "resnet18", "state_dict": state, "optimizer": optimizer}
        if seed == 3:
            content["state_dict_ema"] = averaged
        torch.save(content, place / "model_best.pth.tar")
        (place / "args.yaml").write_text(f"model: resnet18\nlr: 0.01\nseed: {seed}\n")
    (made,) = run("init", folder)
    assert made["architecture"] == {"name": "torchvision:resnet18", "num_classes": 3}
    assert made["data"] == "imagefolder:photos"
    *steps, last = run("greedy", folder)
    assert {step["candidate"] for step in steps} == {"run-1", "run-2", "run-3"}
    exported = tmp_path / "soup.safetensors"
    run("export", folder, "--soup", "greedy", "-o", exported)
    plain = resnet18(num_classes=len(CLASSES)).eval()
    plain.load_state_dict(safetensors.torch.load_file(exported), strict=True)
    assert correct(plain, images, "val") == last["held_out"]["correct"]
    assert last["held_out"]["total"] == 30
