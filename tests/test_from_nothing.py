"""From a folder of checkpoints as sweeps leave them to a file that the plain library loads: the whole way, and nothing mocked."""

import copy
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets, transforms
from torchvision.models import ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5

from soup_core import cli
from tests import ROOT

CLASSES = ("dark", "light", "striped")
Transform = Callable[[Image.Image], Tensor]
Command = Callable[..., subprocess.CompletedProcess[str]]


def as_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "soup_core", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, which has torch and the architecture's library loaded already."""

    def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["soup_core", *map(str, arguments)])
            with pytest.raises(SystemExit) as end:
                cli.main()
        return subprocess.CompletedProcess(arguments, int(end.value.code or 0), *capsys.readouterr())

    return command


def rows(command: Command, *arguments: object, **environment: str) -> list[dict[str, Any]]:
    """Rows of what it prints as JSON."""
    done = command(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def image_folder(folder: Path, sides: tuple[int, int] = (230, 290), *, each: int = 10) -> None:
    """Photographs of three kinds, of several sizes, that a network can learn to tell apart in seconds."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for index in range(each):
                height, width = rng.integers(*sides, 2)
                pixels = rng.integers(0, 100, (height, width, 3)) + 70 * number
                if name == "striped":
                    pixels[::8] = 250
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{index}.png")


def batches(images: Path, transform: Transform) -> Iterator[tuple[Tensor, Tensor]]:
    yield from torch.utils.data.DataLoader(datasets.ImageFolder(str(images), transform), batch_size=6)


def logits(module: nn.Module, pixels: Tensor) -> Tensor:
    found = module(pixels)
    return found if isinstance(found, Tensor) else found.logits


def fine_tuned(base: nn.Module, images: Path, transform: Transform, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    module = copy.deepcopy(base).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    for pixels, labels in batches(images / "train", transform):
        optimizer.zero_grad()
        F.cross_entropy(logits(module, pixels), labels).backward()
        optimizer.step()
    return module.eval()


@torch.inference_mode()
def correct(module: nn.Module, images: Path, transform: Transform) -> int:
    """How many held-out images the plain module gets right with its library's own preprocessing."""
    found = ((logits(module, pixels), labels) for pixels, labels in batches(images / "val", transform))
    return sum(int((each.argmax(1) == labels).sum()) for each, labels in found)


def souped(
    command: Command, folder: Path, exported: Path, names: Sequence[str], *options: object, **environment: str
) -> int:
    """Greedy over the zoo, exported; how many of the held-out images the search counts as right."""
    *steps, last = rows(command, "greedy", folder, **environment)
    assert {step["candidate"] for step in steps} == set(names)
    rows(command, "export", folder, "--soup", "greedy", "-o", exported, *options, **environment)
    assert last["held_out"]["total"] == len(list(folder.glob("photos/val/*/*.png")))
    return int(last["held_out"]["correct"])


def saved_as_timm(module: nn.Module, place: Path, seed: int, name: str) -> None:
    """A run's folder: names of a distributed run, the optimizer's state, the last one with an average too."""
    place.mkdir(parents=True)
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9).state_dict()
    content: dict[str, Any] = {"epoch": 1, "arch": name, "state_dict": state, "optimizer": optimizer}
    if seed == 3:
        content["state_dict_ema"] = {name: tensor.clone() for name, tensor in state.items()}
    torch.save(content, place / "model_best.pth.tar")
    (place / "args.yaml").write_text(f"model: {name}\nlr: 0.01\nseed: {seed}\n")


def test_three_networks_of_torchvision_become_a_soup_that_it_loads(tmp_path: Path) -> None:
    """Every command in a process of its own."""
    folder, images = tmp_path / "sweep", tmp_path / "sweep/photos"
    transform = ShuffleNet_V2_X0_5_Weights.DEFAULT.transforms()
    image_folder(images)
    torch.manual_seed(0)
    base = shufflenet_v2_x0_5(num_classes=len(CLASSES))
    for seed in (1, 2, 3):
        saved_as_timm(fine_tuned(base, images, transform, seed), folder / f"run-{seed}", seed, "shufflenet_v2_x0_5")
    (made,) = rows(as_process, "init", folder)
    assert made["architecture"] == {"name": "torchvision:shufflenet_v2_x0_5", "num_classes": 3}
    assert made["data"] == "imagefolder:photos"
    exported = tmp_path / "soup.safetensors"
    counted = souped(as_process, folder, exported, ("run-1", "run-2", "run-3"))
    plain = shufflenet_v2_x0_5(num_classes=len(CLASSES)).eval()
    plain.load_state_dict(safetensors.torch.load_file(exported), strict=True)
    assert correct(plain, images, transform) == counted


def test_a_sweep_of_timm_becomes_a_soup_that_timm_loads(tmp_path: Path, in_process: Command) -> None:
    timm = pytest.importorskip("timm")
    folder, images = tmp_path / "sweep", tmp_path / "sweep/photos"
    image_folder(images)
    torch.manual_seed(0)
    base = timm.create_model("test_resnet", num_classes=len(CLASSES))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(base))
    torch.save(base.state_dict(), (folder / "base.pth"))
    for seed in (1, 2, 3):
        saved_as_timm(fine_tuned(base, images, transform, seed), folder / f"run-{seed}", seed, "test_resnet")
    (made,) = rows(in_process, "init", folder)
    assert made["architecture"] == {"name": "timm:test_resnet", "num_classes": 3}
    assert made["base"]
    exported = tmp_path / "soup.pth"
    counted = souped(in_process, folder, exported, ("run-1", "run-2", "run-3"), "--format", "timm")
    plain = timm.create_model("test_resnet", num_classes=len(CLASSES), checkpoint_path=str(exported)).eval()
    assert correct(plain, images, transform) == counted


def test_folders_of_transformers_become_one_that_transformers_loads(tmp_path: Path, in_process: Command) -> None:
    transformers = pytest.importorskip("transformers")
    folder, images = tmp_path / "sweep", tmp_path / "sweep/photos"
    image_folder(images, (40, 60))
    side = {"height": 32, "width": 32}
    processor = transformers.ViTImageProcessor(size=side)

    def transform(image: Image.Image) -> Tensor:
        pixels: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
        return pixels

    torch.manual_seed(0)
    base = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            image_size=32,
            patch_size=8,
            num_labels=len(CLASSES),
        )
    )
    for seed in (1, 2, 3):
        fine_tuned(base, images, transform, seed).save_pretrained(folder / f"run-{seed}")
        processor.save_pretrained(folder / f"run-{seed}")
    (made,) = rows(in_process, "init", folder)
    assert made["architecture"] == {"name": "transformers:run-1", "num_classes": 3}
    exported = tmp_path / "soup"
    counted = souped(in_process, folder, exported, ("run-1", "run-2", "run-3"), "--format", "transformers")
    plain = transformers.AutoModelForImageClassification.from_pretrained(exported).eval()
    assert correct(plain, images, transform) == counted


class Released(nn.Module):
    """ViT-B/32 as the model-soups release keeps it: a whole CLIP without its text transformer, and a head."""

    def __init__(self) -> None:
        super().__init__()
        import open_clip

        self.model = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None)
        del self.model.transformer
        self.classification_head = nn.Linear(512, len(CLASSES))

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.model.visual(images)
        return found / found.norm(dim=-1, keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classification_head(self.features(images))
        return logits


def test_files_of_the_releases_shape_become_a_soup_that_open_clip_loads(tmp_path: Path, in_process: Command) -> None:
    open_clip = pytest.importorskip("open_clip")
    folder, images = tmp_path / "sweep", tmp_path / "sweep/photos"
    image_folder(images, each=4)
    torch.manual_seed(0)
    module = Released().eval()
    transform = open_clip.image_transform(224, is_train=False)
    with torch.inference_mode():
        drawn = [(module.features(pixels), labels) for pixels, labels in batches(images / "train", transform)]
        features, labels = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        head = torch.linalg.lstsq(features, F.one_hot(labels).float(), driver="gelsd").solution.T
        for seed in (1, 2):
            module.classification_head.weight.copy_(head + 0.1 * torch.randn(head.shape))
            torch.save(module.state_dict(), folder / f"model_{seed}.pt")
    (made,) = rows(in_process, "init", folder)
    assert made["architecture"] == {"name": "model_soups:ViT-B-32", "num_classes": 3}
    exported = tmp_path / "soup.safetensors"
    counted = souped(in_process, folder, exported, ("model_1", "model_2"))
    found = module.load_state_dict(safetensors.torch.load_file(exported), strict=False)
    assert not found.unexpected_keys
    assert not [name for name in found.missing_keys if name.startswith(("model.visual.", "classification_head."))]
    assert correct(module, images, transform) == counted
    shutil.rmtree(folder)  # over a gigabyte, which pytest would keep


OWN = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("has-run").touch()

def build(num_classes):
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, num_classes))
"""


def test_a_factory_of_ones_own_runs_only_where_the_operator_allows_it(tmp_path: Path, in_process: Command) -> None:
    folder, images, transform = tmp_path / "sweep", tmp_path / "sweep/photos", transforms.ToTensor()
    image_folder(images, (32, 33))
    (folder / "my_model.py").write_text(OWN)
    spec = importlib.util.spec_from_file_location("my_model", folder / "my_model.py")
    assert spec
    assert spec.loader
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    (folder / "has-run").unlink()
    torch.manual_seed(0)
    base = own.build(len(CLASSES))
    for seed in (1, 2, 3):
        torch.save(fine_tuned(base, images, transform, seed).state_dict(), folder / f"run-{seed}.pt")
    asked = in_process("init", folder)
    assert asked.returncode
    assert "Which network is it?" in asked.stderr
    wanted = ("--architecture", "factory:my_model.py:build", "--num-classes", "3")
    refused = in_process("init", folder, *wanted)
    assert "SOUP_TRUST" in refused.stderr + in_process("greedy", folder).stderr
    assert not (folder / "has-run").exists()
    rows(in_process, "init", folder, *wanted, "--force", SOUP_TRUST=str(folder))
    exported = tmp_path / "soup.safetensors"
    counted = souped(in_process, folder, exported, ("run-1", "run-2", "run-3"), SOUP_TRUST=str(folder))
    plain = own.build(len(CLASSES)).eval()
    plain.load_state_dict(safetensors.torch.load_file(exported), strict=True)
    assert correct(plain, images, transform) == counted
