"""Networks changed as tutorials change them; the oracle is the changed network itself, its names, shapes and logits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torchvision import models

import soup_core as sc
from soup_core import architectures
from soup_core.architectures.resemblance import resembling
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import made_data

from .test_architectures import seeded


def sequential_fc() -> nn.Module:
    network: nn.Module = models.resnet18(num_classes=4)
    network.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 4))
    return network


def layer_within_the_last() -> nn.Module:
    network: nn.Module = models.mobilenet_v3_small(num_classes=4)
    network.get_submodule("classifier")[3] = nn.Sequential(nn.Linear(1024, 4))
    return network


class Wrapped(nn.Module):
    """A backbone without a head under a name, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0)
        self.head = nn.Linear(96, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images))
        return logits


def two_layers() -> nn.Module:
    network: nn.Module = models.resnet18(num_classes=4)
    network.fc = nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 4))
    return network


def made(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}


@pytest.mark.parametrize(
    ("build", "architecture", "message"),
    [
        (
            sequential_fc,
            {"name": "torchvision:resnet18"},
            "120 of 122 tensors are torchvision:resnet18's; fc.1 is taken for fc",
        ),
        (layer_within_the_last, {"name": "torchvision:mobilenet_v3_small"}, "classifier.3.0 is taken for classifier.3"),
        (Wrapped, {"name": "timm:test_resnet"}, "head is taken for fc and backbone. was taken off the other names"),
        (
            lambda: timm.create_model("test_vit", num_classes=4, img_size=64, in_chans=1),
            {"name": "timm:test_vit", "in_chans": 1, "img_size": 64},
            "with in_chans = 1, img_size = 64",
        ),
        (
            lambda: timm.create_model("resnet18", num_classes=4, in_chans=1),
            {"name": "timm:resnet18", "in_chans": 1},
            "with in_chans = 1",
        ),
    ],
)
def test_an_architecture_is_proposed_where_one_takes_the_tensors(
    tmp_path: Path, build: Callable[[], nn.Module], architecture: dict[str, Any], message: str
) -> None:
    found = resembling({f"model.{name}": shape for name, shape in made(build).items()}, tmp_path)
    assert found
    assert found.architecture == {**architecture, "num_classes": 4}
    assert message in found.message


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            two_layers,
            "120 of 122 tensors are torchvision:resnet18's; these differ: fc.weight, fc.bias are missing; fc.0.weight (8, 512)",
        ),
        (
            lambda: timm.create_model("test_vit", num_classes=0),
            "It has no classification head: all 78 other tensors are timm:test_vit's",
        ),
    ],
)
def test_else_the_difference_is_told(tmp_path: Path, build: Callable[[], nn.Module], message: str) -> None:
    found = resembling(made(build), tmp_path)
    assert found
    assert found.architecture is None
    assert message in found.message


def test_a_pair_of_towers_is_said_to_have_no_head(tmp_path: Path) -> None:
    tower = made(lambda: architectures.meta_module("open_clip:ViT-B-32", 4))
    pair = {name.removeprefix("model."): shape for name, shape in tower.items() if name.startswith("model.")}
    pair |= {"logit_scale": (), "positional_embedding": (77, 512), "token_embedding.weight": (49408, 512)}
    found = resembling(pair, tmp_path)
    assert found
    assert found.architecture is None
    assert found.message.startswith("It has no classification head: ")
    assert "classification_head.weight" in found.message


def test_what_resembles_nothing_is_not_said_to(tmp_path: Path) -> None:
    assert resembling({"strange.weight": (3, 4), "strange.bias": (3,)}, tmp_path) is None


@pytest.mark.parametrize("build", [Wrapped, sequential_fc])
def test_under_the_librarys_names_it_computes_the_same(tmp_path: Path, build: Callable[[], nn.Module]) -> None:
    made_data(tmp_path)
    (tmp_path / "data.safetensors").rename(tmp_path / "images.safetensors")
    modules = [seeded(build(), seed) for seed in (1, 2)]
    for number, module in enumerate(modules):
        safetensors.torch.save_file(dict(module.state_dict()), tmp_path / f"run-{number}.safetensors")
    proposal = propose(tmp_path, list(inspect_folder(tmp_path)))
    assert not proposal.questions
    proposal.write()
    zoo = sc.open_zoo(tmp_path)
    assert "taken for fc" in zoo.ingredients[0].checkpoint.notes[-1]
    soup = architectures.build(**architectures.arguments(zoo.architecture, tmp_path)).eval()
    soup.load_state_dict(sc.state_dict(zoo, sc.uniform_soup(zoo)))
    first, second = (module.state_dict() for module in modules)
    averaged = build().eval()
    averaged.load_state_dict(
        {name: (tensor + second[name]) / 2 if tensor.is_floating_point() else tensor for name, tensor in first.items()}
    )
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(soup(images), averaged(images), rtol=1e-4, atol=1e-4)
