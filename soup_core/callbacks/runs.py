"""A run from its start to its place in a zoo, whatever trains it; all that can be wrong is looked at when it begins.

The base is what the run starts from (Wortsman et al. 2022, arXiv 2203.05482): soups need runs that share it.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.callbacks import zoo_folder
from soup_core.callbacks.images import data_table
from soup_core.callbacks.network import Network, network_of, state_of
from soup_core.checkpoints import Checkpoint
from soup_core.errors import SoupError
from soup_core.zoo.hyperparameters import usual_settings
from soup_core.zoo.toml import FORMAT, ZooHeader, checked
from soup_core.zoo.user_ingredients import Origin
from soup_core.zoo.zoo import BASE

Model = nn.Module | Mapping[str, Tensor]
Base = bool | Model | Path


@dataclass(frozen=True, eq=False)
class BegunRun:
    """A run that has begun: its zoo's folder, the network, what zoo.toml says before its ingredients, its base's digest."""

    folder: Path
    name: str | None
    network: Network
    header: ZooHeader
    start_digest: str | None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def end(self, model: Model, hyperparameters: Mapping[str, Any] | None = None) -> Path:
        """Write the weights of a module, or a state_dict, and the entry in zoo.toml; the weights' file.

        `hyperparameters` come before those known at the beginning; what is no plain value is left out. Raises SoupError
        where something cannot be written, and says where the weights are then.
        """
        settings = usual_settings({**self.hyperparameters, **(hyperparameters or {})})
        origin = Origin(
            run=uuid.uuid4().hex,
            start=BASE if self.start_digest else "",
            start_digest=self.start_digest or "",
            hyperparameters=settings,
        )
        return zoo_folder.keep(self.folder, self.name, self.network.tensors(state_of(model)), origin, self.header)


def begin_run(
    folder: str | Path,
    model: Model,
    *,
    data: str | Mapping[str, Any] | None = None,
    architecture: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    preprocessing: object = None,
    network: str | None = None,
    base: Base = True,
    start_digest: str | None = None,
    title: str | None = None,
) -> BegunRun:
    """Look at a model before it is trained: whether the zoo in `folder` can take it, and from which base it starts.

    `data` is zoo.toml's source of images, or its table [data]; `architecture` its network, as a name or a table,
    recognised where it is not given; both may be left out where zoo.toml is there. `preprocessing` is the transform that
    the model is judged with, or a table. `network` is the model's attribute that holds the network, where several could.
    `base` is True for the model as it is now, False for none, else a state_dict or its safetensors file; a run that is
    resumed has the `start_digest` of its beginning instead. Raises SoupError for whatever would keep it out of the zoo.
    """
    folder = Path(folder)
    zoo = zoo_folder.checked_folder(folder)
    if name is not None and (name != Path(name).name or name.startswith(".")):
        raise SoupError(f"A run's name becomes its file's, and {name!r} can be none; give it another.")
    if name is not None and name in zoo_folder.taken_names(folder, zoo):
        raise SoupError(f"{folder} has a {name!r} already; give the run another name, or remove that one.")
    if architecture is None and zoo is not None:
        architecture = zoo.architecture.model_dump(exclude_none=True)
    found = network_of(state_of(model), architecture, folder, network)
    if data is None and zoo is None:
        raise SoupError(
            "Which images judge the runs? Say it with `data`, for instance imagefolder:PATH or tensors:FILE."
        )
    known = zoo.data.model_dump(exclude_unset=True, exclude_none=True) if zoo else {}
    table = data_table(known if data is None else data, preprocessing, folder, known=known)
    if start_digest is not None:
        zoo_folder.check_base(folder, start_digest)
    elif base is not False:
        start_digest = zoo_folder.base_digest(folder, found.tensors(_start(model if base is True else base)))
    content = {
        "format": FORMAT,
        "title": title or folder.resolve().name,
        "architecture": _as_written(found.architecture),
        "base": zoo_folder.BASE_FILE if start_digest else None,
        "data": table,
    }
    header = checked(ZooHeader, content, f"{folder.name}/zoo.toml")
    zoo_folder.check_agreement(folder, zoo, header)
    return BegunRun(folder, name, found, header, start_digest, dict(hyperparameters or {}))


def record_run(folder: str | Path, model: Model, *, base: Model | Path | None = None, **options: Any) -> Path | None:
    """Write a finished run into the zoo in `folder`, which its first run makes; the weights' file, as `BegunRun.end`.

    `base` is what the run started from, a state_dict or its safetensors file, which is written once, and compared after
    that; without it nothing is compared. `options` are those of `begin_run`. Among several processes the first alone writes, and the others
    get None. Raises SoupError as both do.
    """
    if not is_first_process():
        return None
    return begin_run(folder, model, base=False if base is None else base, **options).end(model)


@contextmanager
def recorded_run(folder: str | Path, model: nn.Module, **options: Any) -> Iterator[dict[str, Any]]:
    """Around a training loop: the model before is the base, the model after it the run; an exception records nothing.

    Gives a table for hyperparameters that are known later. `options` are those of `begin_run`. Raises SoupError as it
    does before the loop begins, and as `BegunRun.end` after it.
    """
    later: dict[str, Any] = {}
    run = begin_run(folder, model, **options) if is_first_process() else None
    yield later
    if run is not None:
        run.end(model, later)


def is_first_process() -> bool:
    """Whether this is the process that writes, of those that train together."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def _start(base: Model | Path) -> Mapping[str, Tensor]:
    return dict(Checkpoint(base).read_all()) if isinstance(base, Path) else state_of(base)


def _as_written(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """An architecture of one name as zoo.toml writes it, where a factory has a key of its own."""
    table = dict(architecture)
    kind, _, rest = str(table["name"]).partition(":")
    if kind == "factory":
        del table["name"]
        return {"factory": rest, **table}
    return table
