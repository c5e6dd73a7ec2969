"""Adapters as peft saves them, written without it: folders of a configuration and factors."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

PREFIX = "base_model.model."


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
