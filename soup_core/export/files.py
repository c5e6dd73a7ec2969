"""Writing a soup where other libraries load it, with its card and script beside it, all of them or none."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from soup_core import checkpoints
from soup_core.errors import SoupError
from soup_core.export.card import model_card
from soup_core.export.export import Export
from soup_core.export.formats import suited
from soup_core.export.script import remaking_script
from soup_core.runtime.files import Writer, write_together
from soup_core.soup import Soup
from soup_core.weight_space.averaging import state_dict
from soup_core.zoo import Zoo


def export_soup(export: Export, path: Path) -> tuple[Path, ...]:
    """Write a soup to `path`, its card to `path`.md and its script to `path`.py, all of them or none; gives the paths.

    "safetensors" holds the recipe in its metadata. "torchvision" and "timm" are a state_dict by torch.save,
    "transformers" a folder with config.json and model.safetensors; each loads with strict=True where its format says. No
    more than one model is in memory. Raises SoupError for a format that does not suit the architecture, for a path
    where a file of the zoo lies, and where the disk is full; CheckpointError where a cast overflows. What stood there
    before is then intact.
    """
    config, prefix = suited(export)
    members = export.zoo.by_name.values()
    if path.resolve() in {file.resolve() for each in members for file in (each.file, each.checkpoint.path)}:
        raise SoupError(f"{path} is a checkpoint of the zoo {export.zoo.name}; export the soup under another name.")
    theta = {name.removeprefix(prefix): tensor for name, tensor in weights(export.zoo, export.soup).items()}
    texts = {
        path.with_name(f"{path.name}.md"): model_card(export, path.name),
        path.with_name(f"{path.name}.py"): remaking_script(export),
    }
    if export.format == "transformers":
        model, writer = (
            path / "model.safetensors",
            checkpoints.writer(_untied(theta), {"format": "pt"}),
        )  # what it asks for
        texts[path / "config.json"] = config
    elif export.format == "safetensors":
        model, writer = path, checkpoints.writer(_untied(theta), {"soup_core": export.recipe})
    else:
        model, writer = path, _torch_writer(theta)
    contents = {path: text.encode(errors="replace") for path, text in texts.items()}
    writers = {model: writer, **{path: _bytes_writer(content) for path, content in contents.items()}}
    write_together(writers, checkpoints.size_of(theta) + sum(map(len, contents.values())))
    return tuple(writers)


def safetensors_bytes(export: Export) -> bytes:
    """What `export_soup` writes as safetensors, for one who has no folder to write to."""
    return safetensors.torch.save(_untied(weights(export.zoo, export.soup)), {"soup_core": export.recipe})


def weights(zoo: Zoo, soup: Soup) -> dict[str, Tensor]:
    """The soup's state_dict on the CPU; tied tensors are one, with the values that a module has once it has loaded them.

    Of files that were not examined yet, the reading of them tells. Raises CheckpointError where one turns out to hold NaN or
    infinity, or to be damaged, and as `state_dict` does.
    """
    members = zoo.members(soup)
    theta = state_dict(zoo, soup)
    checkpoints.read_through(member.checkpoint for member in members)
    for member in members:
        for leaf in member.checkpoint.leaves:
            leaf.examined()
        member.checkpoint.check()
    parameters = dict(zoo.outline.named_parameters(remove_duplicate=False))
    loaded = {id(parameters[name]): name for name in theta if name in parameters}  # the last of those that are tied
    return {name: theta[loaded[id(parameters[name])]] if name in parameters else theta[name] for name in theta}


def _untied(theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tied tensors each with memory of its own, as a safetensors file needs them."""
    owner = {id(tensor): name for name, tensor in theta.items()}
    return {name: tensor if owner[id(tensor)] == name else tensor.clone() for name, tensor in theta.items()}


def _torch_writer(theta: Mapping[str, Tensor]) -> Writer:
    def write(path: Path) -> None:
        try:
            with path.open("wb") as file:  # given a path, torch would put its name into the bytes
                torch.save(dict(theta), file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise

    return write


def _bytes_writer(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)
