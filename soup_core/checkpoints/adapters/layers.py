"""Which tensors of a network an adapter changes, and how: its names, and the kinds of layers that it can be merged into.

A layer of peft gives base(x) + scale · B(A(x)). That is one layer with the weight W + scale · B A only where the layer is
linear in its weight and both see the same inputs in the same way, which is looked at for each.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from soup_core.checkpoints.adapters.config import MERGE, AdapterConfig
from soup_core.checkpoints.names import unwrappings
from soup_core.checkpoints.safetensors import TensorInfo
from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

PREFIX = "base_model.model."
PARTS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "A",
    ".lora_embedding_B": "B",
    ".lora_B.bias": "bias",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
}
Tensors = Mapping[str, TensorInfo]
Known = Callable[[str], str | None]  # the network's name of a tensor, by one of its names


@dataclass(frozen=True)
class LowRank:
    """What is added to a weight that is seen as a matrix of its first dimension by all others: scale · B A.

    `a` and `b` name the factors in the adapter's file; `transposed` where the weight holds inputs first, so that it is
    scale · (B A)ᵀ; without `a` it is scale · b, for a bias. `magnitude` names DoRA's, the length that each output's
    weights then get.
    """

    b: str
    a: str | None
    scale: float
    transposed: bool = False
    magnitude: str | None = None


@dataclass(frozen=True)
class Changes:
    """What an adapter makes of a network's tensors, by their names there: those that it replaces and those that it adds to."""

    replaced: Mapping[str, str]
    added: Mapping[str, LowRank]


def is_of_adapter(names: Collection[str]) -> bool:
    """Whether tensors of these names are an adapter's."""
    return any(part in f".{name}" for name in names for part in (".lora_A.", ".lora_embedding_A"))


def changes(
    tensors: Tensors, config: AdapterConfig, network: nn.Module, stored: Mapping[str, str], where: str
) -> Changes:
    """What the tensors of an adapter's file change in a network; `stored` are its names by those in its library's files.

    An adapter may say either name of a layer. Raises CheckpointError for a layer that the network has not, for one whose
    merged weights would compute something else, and where shapes disagree; `where` names the file.
    """
    expected = network.state_dict()

    def known(name: str) -> str | None:
        return name if name in expected else stored.get(name)

    inside = {name: name.removeprefix(PREFIX) for name in tensors}
    readings = [dict(zip(inside, names, strict=True)) for names in _unwrapped(tuple(inside.values()))]
    names = next((each for each in readings if any(known(_target(name)) for name in each.values())), readings[0])
    factors: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    for stands, name in names.items():
        ending = next((ending for ending in PARTS if name.endswith(ending)), None)
        if ending:
            factors.setdefault(name.removesuffix(ending), {})[PARTS[ending]] = stands
            continue
        if ".original_module." in name or (".modules_to_save." in name and PREFIX + _target(name) in tensors):
            continue  # what stood there before, or the same again
        if (target := known(_target(name))) is None:
            raise CheckpointError(f"{where} holds {shown(name)}, which the network has not. {MERGE}")
        replaced[target] = stands
    added: dict[str, LowRank] = {}
    for module, parts in factors.items():
        added |= _added(module, parts, tensors, config, network, known, where)
    return Changes(replaced, added)


def _unwrapped(names: tuple[str, ...]) -> Iterator[list[str]]:
    """The names without what wrappers put around them, fewest first."""
    for unwrapping in unwrappings(names):
        yield [unwrapping.names.get(name, name) for name in names]


def _target(name: str) -> str:
    """The tensor of the network that a tensor of the adapter belongs to, if it belongs to a layer's own weight."""
    for ending in PARTS:
        if name.endswith(ending):
            name = f"{name.removesuffix(ending)}.weight"
    return name.replace(".base_layer.", ".").replace(".modules_to_save.", ".")


def _added(
    module: str,
    parts: Mapping[str, str],
    tensors: Tensors,
    config: AdapterConfig,
    network: nn.Module,
    known: Known,
    where: str,
) -> dict[str, LowRank]:
    path = module.replace(".base_layer.", ".")
    attention = known(f"{path}.in_proj_weight")
    weight = attention or known(f"{path}.weight")
    if weight is None:
        raise CheckpointError(
            f"{where} adapts {shown(path)}, which the network has not; check the architecture in zoo.toml."
        )
    if not {"A", "B"} <= parts.keys() or ("magnitude" in parts) != config.use_dora:
        needed = "lora_A, lora_B" + " and lora_magnitude_vector" * config.use_dora
        raise CheckpointError(f"{where}: {shown(path)} must have {needed} and no more; save the adapter again.")
    layer = network.get_submodule(weight.rpartition(".")[0])
    transposed = is_transposed(layer, path, where)
    expected = tuple(network.state_dict()[weight].shape)
    inputs, outputs = (expected[:1], expected[1:]) if transposed else (expected[1:], expected[:1])
    a, b = tensors[parts["A"]].shape, tensors[parts["B"]].shape
    rank, trained = (
        a[:1],
        module.partition(".base_layer.")[0],
    )  # torch's attention gives its rank to the layer within it
    lengths = math.prod(tensors[parts["magnitude"]].shape) if "magnitude" in parts else outputs[0]
    if (a[1:], b[:2], math.prod(b[2:]), lengths) != (inputs, outputs + rank, 1, outputs[0]):
        raise CheckpointError(
            f"{where}: the factors of {shown(path)} have shapes {a} and {b}, which do not multiply to the weight's "
            f"{expected}. Check the architecture in zoo.toml, or leave this file out."
        )
    if rank != (config.rank(trained),):
        raise CheckpointError(
            f"{where}: {shown(path)} has rank {rank[0]}, and its configuration says {config.rank(trained)}; they are not of "
            "one run. Copy both again."
        )
    scale = config.scale(trained)
    found = {weight: LowRank(parts["B"], parts["A"], scale, transposed, parts.get("magnitude"))}
    if "bias" in parts:
        bias = known(f"{path}.{'in_proj_bias' if attention else 'bias'}")
        if bias is None:
            raise CheckpointError(f"{where}: {shown(path)} has a bias in the adapter and none in the network.")
        found[bias] = LowRank(parts["bias"], None, scale)
    return found


def is_transposed(layer: nn.Module, path: str, where: str) -> bool:
    """Whether a layer's weight holds inputs first. Raises CheckpointError where merged weights would compute something else."""
    kind = type(layer)
    reason = f"is a {kind.__name__}, whose output is not known to be linear in its weight"
    if isinstance(layer, nn.Linear) and kind.forward is nn.Linear.forward:
        return False
    if isinstance(layer, nn.MultiheadAttention) and kind.forward is nn.MultiheadAttention.forward:
        return False
    if kind is nn.Embedding or kind.__name__ == "Conv1D":  # transformers' own, a linear layer of inputs by outputs
        return True
    if kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
        wide = any(length > 1 for length in layer.kernel_size)
        if layer.groups > 1:
            reason = (
                f"is a convolution of {layer.groups} groups, and its adapter mixes them, which no merged weight can"
            )
        elif wide and any(step > 1 for step in layer.dilation):
            reason = "is a dilated convolution, and its adapter is not dilated, so that no merged weight is both"
        elif layer.padding_mode != "zeros":
            reason = (
                f"pads its images by {layer.padding_mode!r}, and its adapter by zeros, so that no merged weight is both"
            )
        else:
            return False
    raise CheckpointError(
        f"{where}: {shown(path)} {reason}. Train the adapter with that layer left out of target_modules, or in "
        "modules_to_save."
    )
