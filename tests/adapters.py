"""Adapters as peft saves them, written without it: folders of a configuration and factors."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from tests.zoos import CLASSES, Deep, made_data, random_deeps

PREFIX = "base_model.model."
LAYERS = ("stem", "hidden", "head")
RUNS = 3
HEADER = f"""format = 1
title = "Adapters over one base"
architecture = {{ name = "test_deep", num_classes = {CLASSES} }}
base = "start/base.safetensors"
[data]
source = "tensors:data.safetensors"
"""


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], **config: object) -> Path:
    """A folder with these tensors under peft's prefix, and a configuration of LoRA with what is given."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(written, folder / "adapter_model.safetensors")
    table = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "base_model_name_or_path": None, **config}
    (folder / "adapter_config.json").write_text(json.dumps(table))
    return folder


def factors(module: nn.Module, layers: Iterable[str], generator: torch.Generator, rank: int = 2) -> dict[str, Tensor]:
    """Random factors for linear layers and convolutions, under the names that peft gives them."""
    made = {}
    for layer in layers:
        shape = module.get_submodule(layer).weight.shape
        made[f"{layer}.lora_A.weight"] = torch.randn(rank, *shape[1:], generator=generator)
        made[f"{layer}.lora_B.weight"] = torch.randn(shape[0], rank, *(1 for _ in shape[2:]), generator=generator)
    return made


def product(tensors: Mapping[str, Tensor], layer: str) -> Tensor:
    """B · A of a layer, in the shape of its weight, in float64."""
    a, b = (tensors[f"{layer}.lora_{part}.weight"].double() for part in "AB")
    return torch.einsum("or,r...->o...", b.flatten(1), a)


def adapter_zoo(folder: Path) -> Path:
    """Three runs' adapters over a base: one by its folder, one by its file, one as a Trainer's checkpoint."""
    (folder / "start").mkdir(parents=True)
    made_data(folder)
    safetensors.torch.save_file(random_deeps(0)["base"], folder / "start" / "base.safetensors")
    generator = torch.Generator().manual_seed(3)
    text = HEADER
    for run, file in enumerate(("run-0", "run-1/adapter_model.safetensors", "run-2/checkpoint-500")):
        place = folder / file if "." not in file else (folder / file).parent
        write_adapter(place, factors(Deep(CLASSES), LAYERS, generator), lora_alpha=0.1 * (run + 1))
        text += f'[[ingredients]]\nname = "run-{run}"\nfile = "{file}"\n'
    (folder / "zoo.toml").write_text(text)
    return folder


def by_hand(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The merged weights, in float32, and the base."""
    base = safetensors.torch.load_file(folder / "start" / "base.safetensors")
    files = {}
    for run, place in enumerate(("run-0", "run-1", "run-2/checkpoint-500")):
        stored = safetensors.torch.load_file(folder / place / "adapter_model.safetensors")
        tensors = {name.removeprefix("base_model.model."): tensor for name, tensor in stored.items()}
        scale = 0.1 * (run + 1) / 2
        added = {f"{layer}.weight": scale * product(tensors, layer) for layer in LAYERS}
        files[f"run-{run}"] = {
            name: (tensor.double() + added[name]).float() if name in added else tensor for name, tensor in base.items()
        }
    return {**files, "base": base}
