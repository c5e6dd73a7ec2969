"""Sweeps whose runs say how they prepared images: what init proposes gives the plain library's own counts."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import transformers
import yaml
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn
from torchvision.datasets import ImageFolder

import soup_core as sc
from soup_core.architectures.fingerprints import drawn
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import Proposal, propose

CLASSES = ("ant", "bee", "cat")
Prepare = Callable[[Image.Image], Tensor]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A folder that holds nothing yet, not even what is kept for a session."""
    (tmp_path / "sweep").mkdir()
    return tmp_path / "sweep"


def photos(folder: Path) -> Path:
    """Wide and tall images of noise in a colour that is near the class's, brighter towards one side."""
    generator = np.random.default_rng(3)
    for split, each in (("train", 14), ("val", 16), ("test", 3)):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for index in range(each):
                height, width = generator.integers(36, 70, 2)
                colour = 100 + 30 * np.eye(3)[label] + generator.normal(0, 14, 3)
                bright = np.linspace(0.6, 1.4, width)[None, :, None]
                pixels = colour * bright + generator.normal(0, 25, (height, width, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / split / name / f"{index}.png")
    return folder


def read(folder: Path, split: str, prepare: Prepare) -> tuple[Tensor, Tensor]:
    images = ImageFolder(str(folder / "images" / split))
    return torch.stack([prepare(image) for image, _ in images]), torch.tensor(images.targets)


def logits(module: nn.Module, images: Tensor) -> Tensor:
    found = module(images)
    return found if isinstance(found, Tensor) else found.logits


@torch.no_grad()
def fitted(module: nn.Module, head: nn.Linear, images: Tensor, labels: Tensor) -> nn.Module:
    """The module with statistics of the training images, and a head that solves for their labels."""
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = 1.0
    logits(module.train(), images)
    features: list[Tensor] = []
    taken = head.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    logits(module.eval(), images)
    taken.remove()
    found = features[0].double()
    centred = found - found.mean(0)
    targets = nn.functional.one_hot(labels, len(CLASSES)).double()
    scale = 1e-2 * centred.square().sum() / len(found)
    weight = torch.linalg.solve(centred.T @ centred + scale * torch.eye(found.shape[1]), centred.T @ targets)
    head.weight.copy_(weight.T)
    head.bias.copy_(targets.mean(0) - found.mean(0) @ weight)
    return module


@torch.no_grad()
def correct(module: nn.Module, images: Tensor, labels: Tensor) -> int:
    return int((logits(module, images).argmax(1) == labels).sum())


def proposed(folder: Path) -> Proposal:
    return propose(folder, list(inspect_folder(folder)))


def counts(folder: Path) -> list[int]:
    """How many held-out images each ingredient of the proposed zoo gets right."""
    proposed(folder).write()
    zoo = sc.open_zoo(folder)
    assert not zoo.excluded
    evaluate = sc.Evaluator(zoo, split="held_out")
    return [evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names]


def saved_as_timm(place: Path, module: nn.Module, given: Mapping[str, Any]) -> None:
    """A run's folder with the arguments of timm's train.py."""
    place.mkdir()
    safetensors.torch.save_file(module.state_dict(), place / "model_best.safetensors")
    told = {"model": "test_resnet", "num_classes": len(CLASSES), **given}
    (place / "args.yaml").write_text(yaml.safe_dump(told))


def timm_runs(folder: Path, given: Mapping[str, Any]) -> list[int]:
    """Runs as timm's train.py leaves them, and their counts by timm itself."""
    photos(folder / "images")
    found = []
    for run in (1, 2):
        torch.manual_seed(run)
        module = timm.create_model("test_resnet", num_classes=len(CLASSES))
        prepare = create_transform(**resolve_data_config(dict(given), model=module), is_training=False)
        fitted(module, module.get_classifier(), *read(folder, "train", prepare))
        found.append(correct(module, *read(folder, "val", prepare)))
        saved_as_timm(folder / f"run-{run}", module, given)
    return found


def untrained_runs(folder: Path, *given: Mapping[str, Any]) -> None:
    for split in ("train", "val"):
        (folder / "images" / split / "ant").mkdir(parents=True)
    for run, settings in enumerate(given, 1):
        torch.manual_seed(run)
        saved_as_timm(folder / f"run-{run}", timm.create_model("test_resnet", num_classes=len(CLASSES)), settings)


OWN = {"img_size": 32, "crop_pct": 0.8, "interpolation": "bilinear", "mean": [0.4, 0.4, 0.5], "std": [0.3, 0.2, 0.2]}


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_timms_own_settings_come_first(sweep: Path, mode: str) -> None:
    expected = timm_runs(sweep, {**OWN, "crop_mode": mode})
    assert not proposed(sweep).image_notices
    assert counts(sweep) == expected
    assert sc.open_zoo(sweep).data.split("test").images.shape[1:] == (3, 32, 32)


def test_runs_of_other_settings_are_told_and_most_win(sweep: Path) -> None:
    untrained_runs(sweep, OWN, {**OWN, "img_size": 48}, OWN)
    found = proposed(sweep)
    assert found.data["preprocessing"]["crop"] == 32
    (notice,) = found.image_notices
    assert notice.startswith("run-2/model_best.safetensors had images prepared otherwise than the 2")


def test_arguments_within_a_checkpoint_count(sweep: Path) -> None:
    untrained_runs(sweep, {}, {})
    for run in (1, 2):
        file = sweep / f"run-{run}/model_best.safetensors"
        content = {"state_dict": safetensors.torch.load_file(file), "args": argparse.Namespace(**OWN)}
        torch.save(content, file.with_suffix(".pth.tar"))
        file.unlink()
    data = proposed(sweep).data
    assert (data["preprocessing"]["resize"], data["preprocessing"]["crop"]) == (40, 32)
    assert data["normalize"] == {"mean": OWN["mean"], "std": OWN["std"]}


def test_settings_that_timm_cannot_use_are_told(sweep: Path) -> None:
    untrained_runs(sweep, {"img_size": "large"}, {"img_size": "large"})
    found = proposed(sweep)
    assert "preprocessing" not in found.data
    assert "img_size = 'large'" in found.image_notices[0]


def test_grey_networks_get_grey_images(sweep: Path) -> None:
    from soup_core.architectures import proposed_preprocessing

    architecture = {"name": "timm:resnet18", "num_classes": 3, "in_chans": 1}
    for settings, mean in (({}, (0.485 + 0.456 + 0.406) / 3), ({"in_chans": 1, "mean": [0.25]}, 0.25)):
        found = proposed_preprocessing(architecture, sweep, settings=settings)
        assert found is not None
        assert found[1].mean == pytest.approx((mean,))


def test_what_timms_own_config_json_expects_is_taken(sweep: Path) -> None:
    untrained_runs(sweep, {}, {})
    for run in (1, 2):
        (sweep / f"run-{run}/args.yaml").unlink()
        config = {
            "architecture": "test_resnet",
            "pretrained_cfg": {"input_size": [3, 40, 40], "crop_pct": 1.0, "mean": [0.1] * 3},
        }
        (sweep / f"run-{run}/config.json").write_text(json.dumps(config))
    data = proposed(sweep).data
    assert (data["preprocessing"]["resize"], data["preprocessing"]["crop"]) == (40, 40)
    assert data["normalize"]["mean"] == [0.1] * 3


Otherwise = Callable[[Tensor], Tensor]


def transformers_runs(
    folder: Path, family: str, settings: Mapping[str, Any], processor: Any, otherwise: Otherwise
) -> tuple[list[int], list[int]]:
    """Runs as transformers saves them; their counts by the family's own processor and model, and on other images."""
    photos(folder / "images")
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: index for index, name in enumerate(CLASSES)}}
    config = getattr(transformers, f"{family}Config")(**settings, **labels)

    def prepare(image: Image.Image) -> Tensor:
        prepared: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
        return prepared

    right, wrong = [], []
    for run in (1, 2):
        module = getattr(transformers, f"{family}ForImageClassification")(config)
        module.load_state_dict(drawn(module.state_dict(), run))
        fitted(module, module.classifier, *read(folder, "train", prepare))
        held_out, targets = read(folder, "val", prepare)
        right.append(correct(module, held_out, targets))
        wrong.append(correct(module, otherwise(held_out), targets))
        for saved in (module, processor):
            saved.save_pretrained(folder / f"run-{run}")
    return right, wrong


@pytest.mark.parametrize(
    ("family", "settings", "processor", "otherwise", "said"),
    [
        (
            "EfficientNet",
            {"image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
            transformers.EfficientNetImageProcessor(size={"height": 32, "width": 32}),
            lambda images: images / 2,  # normalised once
            "stretch",
        ),
        (
            "MobileViT",
            {"image_size": 32, "hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 32]},
            transformers.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size=32),
            lambda images: images.flip(1),  # red, green and blue in the files' order
            "processor",
        ),
    ],
)
def test_a_processors_own_images_are_judged(
    sweep: Path, family: str, settings: Mapping[str, Any], processor: Any, otherwise: Otherwise, said: str
) -> None:
    right, wrong = transformers_runs(sweep, family, settings, processor, otherwise)
    assert counts(sweep) == right != wrong
    assert said in proposed(sweep).data["preprocessing"]
