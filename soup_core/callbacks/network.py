"""Which of a model's tensors are the network's, and under which names a zoo's architecture knows them.

What trains may hold the network as one attribute among others, and wrappers may stand around it and within its names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core import architectures
from soup_core.architectures.recognition import recognised
from soup_core.checkpoints.names import WITHIN
from soup_core.errors import SoupError, ZooError
from soup_core.runtime.files import listed, shown
from soup_core.zoo.toml import ArchitectureEntry, checked

Shapes = Mapping[str, tuple[int, ...]]
WEIGHT_DIMENSIONS = 2  # of a classifier's last matrix
CLASSES_TRIED = 8


@dataclass(frozen=True)
class Network:
    """An architecture as zoo.toml has it, and by the names of its tensors those that the model gives them."""

    architecture: Mapping[str, Any]
    names: Mapping[str, str]

    def tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's tensors out of the model's state_dict, in their shapes and dtypes, on the CPU.

        Those that share memory get memory of their own, since a safetensors file keeps each by itself.
        """
        tensors: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, own in self.names.items():
            tensor = state[own].detach().cpu().contiguous()
            place = tensor.untyped_storage().data_ptr()
            tensors[name] = tensor.clone() if place in seen else tensor
            seen.add(place)
        return tensors


def network_of(
    state: Mapping[str, Tensor], architecture: str | Mapping[str, Any] | None, folder: Path, part: str | None = None
) -> Network:
    """The network within a model's state_dict: by its architecture, or without one recognised.

    An architecture is zoo.toml's table, or a name, whose number of classes is then read off the model. `part` is the
    attribute that holds the network, where several fit. Raises SoupError where none fits, or several do, and for tensors
    that are sharded or quantised.
    """
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            raise SoupError(
                f"The tensor {shown(name)} is a {type(tensor).__name__}, sharded or quantised, and not plain weights; "
                "save the whole weights when the run is over, and record them with record_run."
            )
    shapes = {
        ".".join(each for each in name.split(".") if each not in WITHIN): tuple(tensor.shape)
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }
    own = dict(zip(shapes, (name for name, tensor in state.items() if isinstance(tensor, Tensor)), strict=True))
    if part is not None:
        shapes = {name: shape for name, shape in shapes.items() if name.startswith(f"{part}.")}
        if not shapes:
            raise SoupError(f"The model has no part {part!r} with weights; name the attribute that holds the network.")
    if architecture is None:
        return _recognised(shapes, own, folder, part)
    problems: list[str] = []
    for table in _tables(architecture, shapes):
        expected = _expected(table, folder)
        fits = [prefix for prefix in _prefixes(expected, shapes) if not _differences(table, expected, shapes, prefix)]
        if "" in fits or len(fits) == 1:
            prefix = "" if "" in fits else fits[0]
            return Network(table, {name: own[prefix + name] for name in expected})
        if fits:
            parts = listed(sorted(prefix.removesuffix(".") for prefix in fits))
            raise SoupError(
                f"Several parts of the model are such a network: {parts}; say which is meant with `network`."
            )
        nearest = min((_differences(table, expected, shapes, each) for each in _prefixes(expected, shapes)), key=len)
        problems.append(
            f"The model is not {table['name']} with {table['num_classes']:,} classes: {listed(nearest, 3)}."
        )
    adapter = (
        " It holds adapters: merge them first (merge_and_unload)." if any("lora_" in name for name in shapes) else ""
    )
    raise SoupError(f"{problems[0]}{adapter} Correct `architecture`, or name a factory of your own.")


def _recognised(shapes: Shapes, own: Mapping[str, str], folder: Path, part: str | None) -> Network:
    parts = (
        [f"{part}."] if part else ["", *dict.fromkeys(f"{name.partition('.')[0]}." for name in shapes if "." in name)]
    )
    for prefix in parts:
        within = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        for guess in recognised(within, folder):
            expected = _expected(guess.architecture, folder)
            for each in _prefixes(expected, shapes):
                if not _differences(guess.architecture, expected, shapes, each):
                    return Network(dict(guess.architecture), {name: own[each + name] for name in expected})
    raise SoupError(
        "Which network is it? Its tensors fit none that is known; say it with `architecture`, for instance "
        '"torchvision:resnet18", or {"factory": "my_model.py:build", "num_classes": 10} for one of your own.'
    )


def _tables(architecture: str | Mapping[str, Any], shapes: Shapes) -> Iterator[dict[str, Any]]:
    """The architecture's table; where only its name is given, with each number of classes that the model may have."""
    if not isinstance(architecture, str):
        yield checked(ArchitectureEntry, architecture, "architecture").named()
        return
    last = [shape[0] for shape in reversed([*shapes.values()]) if len(shape) == WEIGHT_DIMENSIONS]
    for classes in list(dict.fromkeys(last))[:CLASSES_TRIED]:
        yield {"name": architecture, "num_classes": classes}
    if not last:
        raise ZooError(
            "The number of classes cannot be read off the model; give `architecture` as a table with num_classes."
        )


def _expected(table: Mapping[str, Any], folder: Path) -> Shapes:
    module = architectures.meta_module(**architectures.arguments(table, folder))
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _prefixes(expected: Shapes, shapes: Shapes) -> list[str]:
    """What may stand before the network's names, best first; at least nothing."""
    longest = max(expected, key=len, default="")
    found = [name.removesuffix(longest) for name in shapes if name == longest or name.endswith(f".{longest}")]
    first = [f"{name.partition('.')[0]}." for name in shapes if "." in name]
    return sorted({"", *found, *(first if not found else ())}, key=lambda prefix: (len(prefix), prefix))


def _differences(table: Mapping[str, Any], expected: Shapes, shapes: Shapes, prefix: str) -> list[str]:
    """In words, which tensors below a prefix are not those of the architecture; empty where all are, and no other."""
    within = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    lacking = [f"it lacks {shown(name)}" for name in expected if name not in within]
    other = [
        f"{shown(name)} has shape {within[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in within and within[name] != shape
    ]
    beyond = [
        f"it has {shown(name)} beyond it"
        for name in within
        if name not in expected and not architectures.ignored(table, name)
    ]
    return [*other, *lacking, *beyond]


def state_of(model: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state_dict of a model, or the one that is given."""
    with torch.no_grad():
        return model.state_dict() if isinstance(model, nn.Module) else model
