"""A zoo: a folder with zoo.toml, its checkpoints, one architecture and one source of images.

What does not fit is left out with the reason; the rest of the zoo stays usable.
"""

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pydantic
from torch import Tensor, nn

from soup_core import added, architectures
from soup_core.checkpoints import Checkpoint
from soup_core.data import ASSETS, FASHION_NORMALIZATION, UNNORMALIZED, UNNORMALIZED_COLOUR, Data
from soup_core.errors import CheckpointError, CoefficientError, ZooError
from soup_core.files import shown
from soup_core.loader import fitting, open_checkpoint, open_likeliest
from soup_core.preprocessing import Interpolation, Normalization, Preprocessing
from soup_core.soup import Soup
from soup_core.sources import HeldOut, operator_folders

BASE = "base"
RESERVED = (BASE, "tensors", "batch_norm")  # they have a meaning of their own in a soup
GRANULARITIES = ("model", "layer", "tensor")
Value = bool | int | float | str


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Architecture(_Entry):
    model_config = pydantic.ConfigDict(extra="allow", strict=True)
    name: str | None = None
    factory: Annotated[str, pydantic.Field(pattern=r"^.+\.py:[^:/]+$")] | None = None
    num_classes: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> "_Architecture":
        if (self.name is None) == (self.factory is None):
            raise ValueError('it must have either a name, or a factory of your own such as "my_model.py:build"')
        return self

    def named(self) -> dict[str, Any]:
        """As a table whose `name` says all: that of a factory begins with "factory:"."""
        table = self.model_dump(exclude_none=True)
        factory = table.pop("factory", None)
        return {"name": f"factory:{factory}", **table} if factory else table


class _Normalize(_Entry):
    mean: list[float]
    std: list[Annotated[float, pydantic.Field(gt=0)]]

    @pydantic.model_validator(mode="after")
    def _same_length(self) -> "_Normalize":
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError("mean and std must have one value for each channel, as many of one as of the other")
        return self


class _Preprocessing(_Entry):
    resize: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    crop: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    interpolation: Interpolation = "bilinear"
    stretch: bool = False


class _HeldOut(_Entry):
    share: Annotated[float, pydantic.Field(gt=0, lt=1)] = HeldOut.share
    seed: int = HeldOut.seed


class _Data(_Entry):
    source: Annotated[str, pydantic.Field(pattern=r"^(fashion_mnist|(tensors|imagefolder|torchvision):.+)$")]
    root: str | None = None
    normalize: _Normalize | None = None
    preprocessing: _Preprocessing | None = None
    held_out: _HeldOut | None = None
    shifts: dict[Annotated[str, pydantic.Field(min_length=1)], str] = {}

    @pydantic.model_validator(mode="after")
    def _meant_for_the_source(self) -> "_Data":
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        if self.held_out and not decoded:
            raise ValueError("held_out divides an imagefolder or a set of torchvision; other sources have their splits")
        if self.preprocessing and not (decoded or self.shifts):
            raise ValueError("preprocessing is for image files, of which this source has none")
        if (self.root is not None) != self.source.startswith("torchvision:"):
            raise ValueError(
                "root says where a set of torchvision lies; torchvision:CLASS needs it, no other source has it"
            )
        return self

    def opened(self, folder: Path) -> Data:
        """The images that this describes, in a zoo's folder."""
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        normalization = UNNORMALIZED_COLOUR if decoded else UNNORMALIZED
        if self.source == "fashion_mnist":
            normalization = FASHION_NORMALIZATION
        if self.normalize:
            normalization = Normalization(tuple(self.normalize.mean), tuple(self.normalize.std))
        return Data(
            self.source,
            folder,
            normalization,
            preprocessing=Preprocessing(**self.preprocessing.model_dump()) if self.preprocessing else None,
            held_out=HeldOut(**self.held_out.model_dump()) if self.held_out else HeldOut(),
            root=self.root or ".",
            shift_folders=self.shifts,
        )


class _File(_Entry):
    file: Annotated[str, pydantic.Field(min_length=1)]
    weights: str | None = None  # which part of the file, where several could be meant


class _Ingredient(_File):
    name: Annotated[str, pydantic.Field(min_length=1)]
    hyperparameters: dict[str, Value] = {}


class _ZooFile(_Entry):
    format: Annotated[int, pydantic.Field(ge=1, le=1)]
    title: str
    architecture: _Architecture
    base: str | _File | None = None
    data: _Data
    ingredients: Annotated[list[_Ingredient], pydantic.Field(min_length=1)]

    @pydantic.field_validator("ingredients")
    @classmethod
    def _distinct(cls, ingredients: list[_Ingredient]) -> list[_Ingredient]:
        names = [ingredient.name for ingredient in ingredients]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"every ingredient needs a name of its own; {repeated[0]!r} stands twice")
        if reserved := sorted(set(RESERVED).intersection(names)):
            raise ValueError(f'no ingredient may be named "{reserved[0]}", which has a meaning of its own in a soup')
        return ingredients


@dataclass(frozen=True, eq=False)
class Ingredient:
    """One checkpoint of a zoo, checked against its architecture, and the hyperparameters that made it."""

    name: str
    file: Path
    hyperparameters: Mapping[str, Value]
    checkpoint: Checkpoint

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return self.checkpoint.digest


@dataclass(frozen=True)
class Excluded:
    """An ingredient of zoo.toml that cannot be used, and why, in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Zoo:
    """Checkpoints of one architecture and the images that judge them; `ingredients` keeps zoo.toml's order.

    `architecture` is zoo.toml's, as a name, classes and options; `network` is the same with the digest of the file that it
    rests on, if it rests on one.
    """

    name: str
    title: str
    folder: Path
    architecture: Mapping[str, Any]
    network: Mapping[str, Any]
    data: Data
    ingredients: tuple[Ingredient, ...]
    base: Ingredient | None
    excluded: tuple[Excluded, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Ingredient]:
        """Ingredients by name, in the zoo's order, the base last under "base"."""
        named = {ingredient.name: ingredient for ingredient in self.ingredients}
        return {**named, BASE: self.base} if self.base else named

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ingredients' names in the zoo's order, without the base."""
        return tuple(ingredient.name for ingredient in self.ingredients)

    @cached_property
    def reference(self) -> nn.Module:
        """The architecture without memory for its weights: names, shapes, and which of them are buffers."""
        return architectures.meta_module(**architectures.arguments(self.architecture, self.folder))

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether the network holds running statistics of BatchNorm, for which a soup has a choice."""
        return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.reference.modules())

    @property
    def is_trajectory(self) -> bool:
        """Whether the ingredients are checkpoints along one run: only the number of epochs differs, and it rises."""
        kinds = [dict(ingredient.hyperparameters) for ingredient in self.ingredients]
        epochs = [kind.pop("epochs", None) for kind in kinds]
        numbers = [epoch for epoch in epochs if isinstance(epoch, (int, float))]
        rises = len(numbers) == len(epochs) > 1 and all(a < b for a, b in pairwise(numbers))
        return rises and all(kind == kinds[0] for kind in kinds)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The architecture's state_dict without memory: names, shapes and dtypes."""
        return dict(self.reference.state_dict())

    @cached_property
    def buffers(self) -> frozenset[str]:
        """The names of the tensors that are not trained, BatchNorm's running statistics among them."""
        named = {name for name, _ in self.reference.named_buffers(remove_duplicate=False)}
        return frozenset(named.intersection(self.tensors))  # those that no file holds are tables of the network

    @cached_property
    def floating(self) -> tuple[str, ...]:
        """The names of the tensors that are averaged: the parameters, then the buffers, integers left out."""
        names = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        return tuple(sorted(names, key=lambda name: name in self.buffers))

    def groups(self, granularity: str) -> dict[str, str]:
        """Which group each floating tensor belongs to, where a recipe has one coefficient a "model", "layer" or "tensor".

        A layer is the module that holds the tensor; a buffer goes with the first parameter of its layer. Raises
        CoefficientError for another granularity.
        """
        if granularity not in GRANULARITIES:
            raise CoefficientError(f"Coefficients are one a {', '.join(GRANULARITIES)}; found {granularity!r}.")
        if granularity == "model":
            return dict.fromkeys(self.floating, "model")
        layers = {name: name.rpartition(".")[0] or name for name in self.floating}
        if granularity == "layer":
            return layers
        first: dict[str, str] = {}
        for name in self.floating:
            first.setdefault(layers[name], name)
        return {name: first[layers[name]] if name in self.buffers else name for name in self.floating}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that numbers on this zoo rest on, but for the images: network, data's settings, files, order."""
        content = [
            dict(self.network),
            asdict(self.data) | {"folder": None},
            [[i.name, i.digest] for i in self.by_name.values()],
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def evaluations_file(self) -> Path:
        """Where evaluations that come with the zoo are kept, one JSON object a line."""
        return self.folder / "evaluations.jsonl"

    def module(self) -> nn.Module:
        """A new module of the zoo's architecture, in evaluation mode, with random weights.

        Raises ZooError where the file that makes the network has changed since the zoo was opened.
        """
        module = architectures.build(**architectures.arguments(self.architecture, self.folder)).eval()
        if self.network != architectures.network(self.architecture, self.folder):
            raise ZooError(
                f"The file that makes the network of {self.name} has changed since the zoo was opened; reload."
            )
        return module

    def members(self, soup: Soup) -> tuple[Ingredient, ...]:
        """The ingredients of a soup in the zoo's order. Raises CoefficientError for a name the zoo has not."""
        self.check_names(soup.names)
        if unknown := sorted(set(soup.tensors) - set(self.tensors)):
            raise CoefficientError(
                f"The zoo {self.name} has no tensor {unknown[0]!r}; coefficients of single tensors take the names of the "
                "architecture's."
            )
        return tuple(ingredient for name, ingredient in self.by_name.items() if name in soup.names)

    def check_names(self, names: Iterator[str] | tuple[str, ...] | list[str]) -> None:
        """Raise CoefficientError where a name is not an ingredient of this zoo, with the reason if it is known."""
        reasons = {excluded.name: excluded.reason for excluded in self.excluded}
        for name in names:
            if name in reasons:
                raise CoefficientError(f"The ingredient {name} cannot be used: {reasons[name]}")
            if name not in self.by_name:
                known = ", ".join(self.by_name)
                raise CoefficientError(f"There is no ingredient {name!r} in the zoo {self.name}; it has {known}.")


def zoo_folders(marker: str = "zoo.toml") -> dict[str, Path]:
    """Every zoo's folder by name: the bundled ones, then those below the folders of SOUP_ZOOS that hold the marker."""
    found: dict[str, Path] = {}
    for place in _places():
        for folder in [place, *sorted(place.iterdir())] if place.is_dir() else []:
            if (folder / marker).is_file():
                found.setdefault(folder.name, folder)
    first = [
        name for name in ("fashion", "fashion-scratch", "fashion-trajectory", "fashion-batchnorm") if name in found
    ]
    return {name: found[name] for name in [*first, *(name for name in found if name not in first)]}


def _places() -> list[Path]:
    """The folders below which zoos and their files may lie: the bundled one and those that the operator names."""
    return [ASSETS / "zoos", *operator_folders()]


def files_of(folder: Path) -> list[Path]:
    """The files that a folder's zoo.toml names: checkpoints, and what the network is made from. Raises ZooError."""
    content = _parse(folder / "zoo.toml")
    base = content.base.file if isinstance(content.base, _File) else content.base
    made_from = architectures.file_of(content.architecture.named(), folder)
    named = [*([base] if base else []), *(each.file for each in content.ingredients)]
    return [*(_found(folder / name) for name in named), *([made_from] if made_from else [])]


def _found(file: Path) -> Path:
    """The file itself, or that whose name is no UTF-8, which zoo.toml can only say with replacement characters."""
    if "\ufffd" not in file.name or file.exists() or not file.parent.is_dir():
        return file
    alike = [path for path in file.parent.iterdir() if os.fsencode(path.name).decode("utf-8", "replace") == file.name]
    return alike[0] if len(alike) == 1 else file


def open_zoo(name: str | Path) -> Zoo:
    """Open a zoo by its name, with what a user has added to it, or by the folder that holds its zoo.toml, without.

    Raises ZooError for an unknown name or a zoo.toml that does not fit the format, and where no ingredient is usable.
    """
    folders = zoo_folders()
    folder = folders.get(str(name), Path(name))
    file = folder / "zoo.toml"
    if not file.is_file():
        raise ZooError(
            f"There is no zoo {str(name)!r}; expected one of {', '.join(folders)}, or a folder that holds zoo.toml."
        )
    content = _parse(file)
    architecture = content.architecture.named()
    network = architectures.network(architecture, folder)
    module = architectures.meta_module(**architectures.arguments(architecture, folder))
    usable: dict[str, Ingredient] = {}
    excluded: list[Excluded] = []
    listed: list[tuple[str, _File, Mapping[str, Value]]] = [(i.name, i, i.hyperparameters) for i in content.ingredients]
    if content.base:
        listed.append((BASE, _File(file=content.base) if isinstance(content.base, str) else content.base, {}))
    roots = [folder, *_places()]
    for entry_name, entry, hyperparameters in listed:
        path = _found(folder / entry.file)
        try:
            checkpoint = _fitted(open_checkpoint(path, entry.weights, roots=roots), architecture, module)
        except CheckpointError as error:
            excluded.append(Excluded(entry_name, str(error)))
        else:
            usable[entry_name] = Ingredient(entry_name, path, hyperparameters, checkpoint)
    base = usable.pop(BASE, None)
    if not usable:
        raise ZooError(f"The zoo {folder.name} has no usable ingredient. {excluded[0].reason}")
    if str(name) in folders:
        _add_users_own(str(name), module.state_dict(), usable, base, excluded)
    return Zoo(
        name=str(name) if str(name) in folders else folder.resolve().name,
        title=content.title,
        folder=folder,
        architecture=architecture,
        network=network,
        data=content.data.opened(folder),
        ingredients=tuple(usable.values()),
        base=base,
        excluded=tuple(excluded),
    )


def _add_users_own(
    name: str,
    expected: Mapping[str, Tensor],
    usable: dict[str, Ingredient],
    base: Ingredient | None,
    excluded: list[Excluded],
) -> None:
    """Put what a user has added after the zoo's own, as far as it started from weights that the zoo still has."""
    own = {**usable, **({BASE: base} if base else {})}
    for path in added.files_of(name):
        try:
            checkpoint = open_checkpoint(path)
            _check_fit(checkpoint, expected)
            origin = added.origin_of(checkpoint)
            start = own.get(origin.start)
            if start is None or start.digest != origin.start_digest:
                raise CheckpointError(
                    f"{path.name} was trained from other weights than the zoo now has as {origin.start}, so it would "
                    "not soup with the rest; remove it on the Train page."
                )
            if path.stem in (*own, *RESERVED):
                raise CheckpointError(f"{path.name} was added under a name that the zoo has itself; rename the file.")
        except CheckpointError as error:
            excluded.append(Excluded(f"{path.stem} (added)", str(error)))
        else:
            usable[path.stem] = Ingredient(path.stem, path, origin.hyperparameters, checkpoint)


def with_uploads(zoo: Zoo, uploads: Mapping[str, Path]) -> Zoo:
    """The zoo with further checkpoints by name, checked as its own are; what does not fit is among the excluded."""
    usable, excluded = {each.name: each for each in zoo.ingredients}, list(zoo.excluded)
    for name, path in uploads.items():
        try:
            usable[name] = fitting_ingredient(zoo, name, path)
        except CheckpointError as error:
            excluded.append(Excluded(name, str(error)))
    return replace(zoo, ingredients=tuple(usable.values()), excluded=tuple(excluded))


def fitting_ingredient(zoo: Zoo, name: str, path: Path) -> Ingredient:
    """A checkpoint from outside the zoo as an ingredient of it.

    Raises CheckpointError for a name that the zoo has, and for whatever `open_zoo` would leave out.
    """
    if name in (*zoo.by_name, *RESERVED):
        raise CheckpointError(f"{shown(name)} is a name that the zoo has itself; rename the file.")
    checkpoint = _fitted(open_likeliest(path)[0], zoo.architecture, zoo.reference)
    return Ingredient(name, path, {}, checkpoint)


def _fitted(checkpoint: Checkpoint, architecture: Mapping[str, Any], module: nn.Module) -> Checkpoint:
    """The checkpoint under the architecture's names, without what is no part of it. Raises CheckpointError otherwise."""
    expected = module.state_dict()
    checkpoint = fitting(checkpoint, expected)
    if set(checkpoint.tensors) != set(expected):
        checkpoint = _under_module_names(checkpoint, architectures.stored_names(architecture, module))
        checkpoint = _without_foreign(checkpoint, expected, architecture)
    _check_fit(checkpoint, expected)
    return checkpoint


def _parse(file: Path) -> _ZooFile:
    where = f"{file.parent.name}/{file.name}"
    try:
        return _ZooFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        found = f"; found {first['input']!r:.80}" if first["type"] not in ("missing", "value_error") else ""
        raise ZooError(f"{where}, key {key}: {first['msg']}{found}. Correct it there.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ZooError(f"{where} cannot be read as TOML: {error}. Correct it there.") from error


def _under_module_names(checkpoint: Checkpoint, stored: Mapping[str, str]) -> Checkpoint:
    """The checkpoint with the names that its library gives to the tensors of its files."""
    names = {name: stored.get(name, name) for name in checkpoint.tensors}
    return checkpoint.renamed(names) if len(set(names.values())) == len(names) else checkpoint


def _without_foreign(
    checkpoint: Checkpoint, expected: Mapping[str, Any], architecture: Mapping[str, Any]
) -> Checkpoint:
    """The checkpoint without what its architecture's files are known to hold beside the network."""
    foreign = [
        name for name in checkpoint.tensors if name not in expected and architectures.ignored(architecture, name)
    ]
    if not foreign:
        return checkpoint
    more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
    return checkpoint.renamed(
        {name: name for name in checkpoint.tensors if name not in foreign},
        f"what is no part of the network was left out: {', '.join(map(shown, foreign[:5]))}{more}",
    )


def _check_fit(checkpoint: Checkpoint, expected: Mapping[str, Any]) -> None:
    file = checkpoint.name
    for what, names in (
        ("lacks", [name for name in expected if name not in checkpoint.tensors]),
        ("has, beyond the architecture,", [name for name in checkpoint.tensors if name not in expected]),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise CheckpointError(
                f"{file} {what} {', '.join(map(shown, names[:5]))}{more}; every tensor of the architecture must be there, and no "
                "other. Check the architecture in zoo.toml."
            )
    for name, tensor in expected.items():
        found = checkpoint.tensors[name]
        if found.shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{file}: the tensor {shown(name)} has shape {found.shape}, and the architecture expects "
                f"{tuple(tensor.shape)}. Check the architecture in zoo.toml, or leave this file out."
            )
        if found.dtype.is_floating_point != tensor.is_floating_point():
            raise CheckpointError(
                f"{file}: the tensor {shown(name)} is of type {found.dtype}, and the architecture expects {tensor.dtype}."
            )
