"""What a library's network looks like from outside, kept, so that a file is compared with it without the library.

Importing torchvision takes as long as averaging a dozen large models; names, shapes and dtypes of a network follow from
its name, its options and the library's version.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core import architectures
from soup_core.errors import SoupError
from soup_core.runtime.store import default_store

FORMAT = 1  # of what is kept; a higher number has every network built again
LIBRARIES = ("torchvision", "timm")  # whose networks follow from name, options and version alone
BatchNorm = nn.modules.batchnorm._BatchNorm


def outline(architecture: Mapping[str, Any], folder: Path) -> nn.Module:
    """A module with the tensors of an architecture of a zoo in `folder`, without memory, ties and BatchNorm layers kept.

    It is no network: of its layers only the names and the tensors are there. Raises ZooError as `meta_module` does.
    """
    arguments = architectures.arguments(architecture, folder)
    library = str(arguments["name"]).partition(":")[0]
    try:
        key = (
            f"outline {FORMAT} {library} {version(library)} {torch.__version__} {json.dumps(arguments, sort_keys=True)}"
        )
    except (PackageNotFoundError, TypeError):
        key = ""
    if library not in LIBRARIES or not key:
        return architectures.meta_module(**arguments)
    with suppress(SoupError, KeyError, TypeError, ValueError, AttributeError):  # a damaged record counts as none
        if known := default_store().file(key):
            return _module_of(known["modules"])
    module = architectures.meta_module(**arguments)
    described = _described(module)
    if _looks(_module_of(described)) == _looks(module):
        with suppress(SoupError):
            default_store().keep_file(key, {"modules": described})
    return module


def _described(network: nn.Module) -> list[list[Any]]:
    """Of each module its name, whether it is BatchNorm, its parameters and its buffers; one number for tied tensors."""
    numbers: dict[int, int] = {}

    def told(name: str, tensor: Tensor) -> list[Any]:
        dtype = str(tensor.dtype).removeprefix("torch.")
        return [name, list(tensor.shape), dtype, numbers.setdefault(id(tensor), len(numbers))]

    return [
        [
            path,
            isinstance(module, BatchNorm),
            [told(name, each) for name, each in module._parameters.items() if each is not None],
            [
                [*told(name, each), name not in module._non_persistent_buffers_set]
                for name, each in module._buffers.items()
                if each is not None
            ],
        ]
        for path, module in network.named_modules()
    ]


def _module_of(described: list[list[Any]]) -> nn.Module:
    """The module that a description is of."""
    made: dict[int, Tensor] = {}

    def tensor(shape: list[int], dtype: str, number: int) -> Tensor:
        if number not in made:
            made[number] = torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        return made[number]

    parameters: dict[int, nn.Parameter] = {}
    root = nn.Module()
    for path, is_batch_norm, own, buffers in described:
        part = root
        if path:
            parent, _, name = path.rpartition(".")
            part = BatchNorm.__new__(BatchNorm) if is_batch_norm else nn.Module()
            nn.Module.__init__(part)
            root.get_submodule(parent).add_module(name, part)
        for name, shape, dtype, number in own:
            empty = tensor(shape, dtype, number)
            parameter = parameters.setdefault(number, nn.Parameter(empty, requires_grad=empty.is_floating_point()))
            part.register_parameter(name, parameter)
        for name, shape, dtype, number, persistent in buffers:
            part.register_buffer(name, tensor(shape, dtype, number), persistent=persistent)
    return root


def _looks(network: nn.Module) -> list[Any]:
    """All that may be asked of an outline."""
    state = [(name, tuple(each.shape), each.dtype) for name, each in network.state_dict().items()]
    numbers: dict[int, int] = {}
    tensors = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
    tied = [(name, numbers.setdefault(id(each), len(numbers))) for name, each in tensors]
    return [state, tied, [name for name, each in network.named_modules() if isinstance(each, BatchNorm)]]
