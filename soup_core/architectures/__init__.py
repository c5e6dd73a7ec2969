"""An architecture of zoo.toml becomes a module: the bundled network, a library's, or one that the user's own code builds.

The module is the reference for every checkpoint: its state_dict says which tensors, of which shapes, a file must hold.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from soup_core.architectures import (
    factories,
    fastai_models,
    open_clip_models,
    timm_models,
    torchvision_models,
    transformers_models,
    transformers_processors,
)
from soup_core.architectures.fashion_cnn import FashionCNN
from soup_core.architectures.forward import failures_in_words, logits_of
from soup_core.architectures.mobilenet_v2_blocks import MobileNetV2Blocks
from soup_core.architectures.optional import inside
from soup_core.architectures.plain_weights import FOLDED, without_parametrizations
from soup_core.data import Normalization, Preprocessing, Processor
from soup_core.errors import ZooError

__all__ = [
    "FOLDED",
    "FashionCNN",
    "MobileNetV2Blocks",
    "arguments",
    "build",
    "failures_in_words",
    "heads",
    "ignored",
    "meta_module",
    "network",
    "proposed_preprocessing",
    "stored_names",
    "takes_texts",
]

Proposed = tuple[Preprocessing | Processor, Normalization] | None


@dataclass(frozen=True)
class Family:
    """Networks of one origin.

    `build` takes what follows the colon in a name, the number of classes, and options; `preprocessing` the same without
    the classes, then the zoo's folder and a run's own settings; `left_out` are patterns of names of tensors that files hold and the networks do not; `stored_names` gives
    a network's names by those in files, where these differ.
    """

    build: Callable[..., nn.Module]
    preprocessing: Callable[[str, Mapping[str, Any], Path, Mapping[str, Any]], Proposed] = lambda *given: None
    left_out: tuple[str, ...] = ()
    stored_names: Callable[[nn.Module], Mapping[str, str]] = lambda module: {}


FAMILIES: Mapping[str, Family] = {
    "fashion_cnn": Family(lambda name, num_classes, **options: FashionCNN(num_classes, **options)),
    "mobilenet_v2_blocks": Family(lambda name, num_classes, **options: MobileNetV2Blocks(num_classes, **options)),
    "torchvision": Family(
        torchvision_models.build, lambda name, options, *beside: torchvision_models.preprocessing(name, options)
    ),
    "timm": Family(
        timm_models.build,
        lambda name, options, folder, settings: timm_models.preprocessing(name, options, settings),
        timm_models.LEFT_OUT,
    ),
    "transformers": Family(
        transformers_models.build,
        lambda name, options, folder, settings: transformers_processors.preprocessing(name, folder),
        transformers_models.LEFT_OUT,
        transformers_models.stored_names,
    ),
    "open_clip": Family(
        open_clip_models.build,
        lambda name, options, *beside: open_clip_models.preprocessing(name, options),
        open_clip_models.TEXT_TOWER,
    ),
    "model_soups": Family(
        open_clip_models.build_openai,
        lambda name, options, *beside: open_clip_models.preprocessing_openai(name, options),
        open_clip_models.TEXT_TOWER,
    ),
    "fastai": Family(fastai_models.build, lambda name, options, *beside: fastai_models.preprocessing(name, options)),
    "factory": Family(factories.build),
}
OWN = ("fashion_cnn", "mobilenet_v2_blocks")  # the bundled zoos' networks, whose names stand alone


def arguments(architecture: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What `build` takes for an architecture of a zoo.toml in `folder`; a path in it becomes a whole one.

    Raises ZooError for a path out of the folder.
    """
    options = dict(architecture)
    name, num_classes = options.pop("name"), options.pop("num_classes")
    family, _, rest = name.partition(":")
    if family == "transformers":
        name = f"{family}:{inside(folder, rest)}"
    elif family == "factory":
        file, _, function = rest.rpartition(":")
        name = f"{family}:{inside(folder, file)}:{function}"
    return {"name": name, "num_classes": num_classes, "options": options}


def build(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Make the module that a name stands for, with random weights: N×C×H×W normalised images to N×num_classes logits.

    Names are "fashion_cnn", "mobilenet_v2_blocks", "torchvision:NAME", "timm:NAME", "transformers:FOLDER",
    "model_soups:NAME", "open_clip:NAME", "fastai:NAME" and "factory:FILE:FUNCTION". The option "fold_parametrizations"
    suits all: the network then holds plain weights where it was made with parametrised ones. Raises ZooError for one that
    does not exist, options that it does not take, and where a library is missing.
    """
    kind, _, rest = name.partition(":")
    if kind not in FAMILIES or (kind in OWN) == bool(rest):
        raise ZooError(
            f"The architecture {name!r} is unknown; expected {', '.join(OWN)}, or one of "
            f"{', '.join(f'{family}:NAME' for family in FAMILIES if family not in (*OWN, 'factory'))}, for "
            'instance "torchvision:resnet18".'
        )
    given = dict(options or {})
    is_folded = given.pop(FOLDED, False)
    try:
        module = FAMILIES[kind].build(rest, num_classes, **given)
        module = without_parametrizations(module) if is_folded else module
    except (TypeError, ValueError) as error:
        raise _unbuildable(name, error) from error
    module.register_forward_hook(logits_of)  # a hook leaves the names of the tensors as they are in the files
    return module


def meta_module(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The same module without memory for its weights: names, shapes and dtypes alone. Raises as `build` does."""
    try:
        # The user's own code may do anything with its tensors, and so gets real ones.
        with nullcontext() if name.startswith("factory:") else _WithoutMemory():
            module = build(name, num_classes, options)
        return module.to("meta")
    except ZooError:
        raise
    except Exception as error:  # whatever a library says of an option
        raise _unbuildable(name, error) from error


def heads(architecture: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The tensors whose shapes follow from the number of classes. Raises as `build` does."""
    more = {**architecture, "num_classes": architecture["num_classes"] + 1}
    given, other = (meta_module(**arguments(each, folder)).state_dict() for each in (architecture, more))
    return tuple(name for name, tensor in given.items() if tensor.shape != other[name].shape)


class _WithoutMemory(TorchFunctionMode):
    """Within it, tensors that are made empty or of one value have no memory.

    torch.device("meta") would take it from all, also from those that some networks compute their widths with.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones) and given.get("device") is None:
            given = {**given, "device": "meta"}
        return func(*args, **given)


def _unbuildable(name: str, error: Exception) -> ZooError:
    return ZooError(f"The architecture {name!r} cannot be built: {type(error).__name__}: {error}.")


def ignored(architecture: Mapping[str, Any], name: str) -> bool:
    """Whether a tensor that a checkpoint holds and the network does not is known to be no part of it."""
    family = str(architecture.get("name")).partition(":")[0]
    return family in FAMILIES and any(fnmatchcase(name, pattern) for pattern in FAMILIES[family].left_out)


def stored_names(architecture: Mapping[str, Any], module: nn.Module) -> Mapping[str, str]:
    """The names of a module's tensors by those under which its family's files hold them, where these differ."""
    family = str(architecture["name"]).partition(":")[0]
    return FAMILIES[family].stored_names(module) if family in FAMILIES else {}


def takes_texts(architecture: Mapping[str, Any], folder: Path) -> bool:
    """Whether an architecture of a zoo in `folder` is known to classify texts. Raises ZooError for a path out of the folder."""
    file = file_of(architecture, folder)
    of_transformers = str(architecture["name"]).startswith("transformers:")
    return of_transformers and file is not None and transformers_models.classifies_texts(file)


def file_of(architecture: Mapping[str, Any], folder: Path) -> Path | None:
    """The file of a zoo in `folder` that an architecture is made from; None where a library alone makes it.

    Raises ZooError for a path out of the folder.
    """
    family, _, rest = arguments(architecture, folder)["name"].partition(":")
    if family == "transformers":
        return Path(rest) / "config.json"
    return Path(rest.rpartition(":")[0]) if family == "factory" else None


def network(architecture: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """All that says what an architecture computes: its name and options, and the SHA-256 of the file it rests on, if any.

    Raises ZooError where the file is missing.
    """
    file = file_of(architecture, folder)
    if file is None:
        return dict(architecture)
    if not file.is_file():
        raise ZooError(f"There is no file {file.name}, which the architecture is made from; put it into {file.parent}.")
    return {**architecture, "SHA-256 of its file": hashlib.sha256(file.read_bytes()).hexdigest()}


def proposed_preprocessing(
    architecture: Mapping[str, Any], folder: Path, *, settings: Mapping[str, Any] | None = None
) -> Proposed:
    """What is known of the images that an architecture of a zoo in `folder` expects; None if nothing.

    A run's own `settings`, as timm's args.yaml has them, come first; then what is saved with the weights, then what the
    library's own weights expect. Raises ZooError where the library is missing or does not have the name, and for what no
    zoo.toml can say, by its name.
    """
    given = arguments(architecture, folder)
    kind, _, rest = given["name"].partition(":")
    options = {key: value for key, value in given["options"].items() if key != FOLDED}
    return FAMILIES[kind].preprocessing(rest, options, folder, settings or {}) if kind in FAMILIES else None
