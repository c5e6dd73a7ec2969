"""Opening a zoo: a folder with zoo.toml, its checkpoints, one architecture and one source of images or texts.

What does not fit is left out with the reason; the rest of the zoo stays usable.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from soup_core import architectures
from soup_core.architectures.outlines import outline
from soup_core.architectures.own_heads import said, under_library_names
from soup_core.checkpoints import (
    Checkpoint,
    Completed,
    SeveralWeights,
    adapters,
    fitting,
    folded,
    folder_files,
    lacks_only,
    networks_within,
    open_checkpoint,
    parametrized,
    read_through,
    shard_files,
)
from soup_core.data import ASSETS, operator_folders
from soup_core.errors import CheckpointError, ZooError
from soup_core.runtime.files import listed, shown
from soup_core.zoo import user_ingredients
from soup_core.zoo.toml import FileEntry, IngredientEntry, ZooFile, read_zoo_file
from soup_core.zoo.zoo import BASE, RESERVED, Excluded, Ingredient, Value, Zoo

ZOO_FILE = "zoo.toml"
BUNDLED = (
    "fashion",
    "fashion-scratch",
    "fashion-trajectory",
    "fashion-batchnorm",
    "icons",
)  # in the order to show them


def zoo_folders() -> dict[str, Path]:
    """Every zoo's folder by name: the bundled ones, then those below the folders of SOUP_ZOOS and of pages."""
    return scan_folders(ZOO_FILE)[ZOO_FILE]


def scan_folders(*markers: str) -> dict[str, dict[str, Path]]:
    """Of each marker, the folders that hold a file of that name, by their own name, in one look at where zoos may lie."""
    by_marker: dict[str, dict[str, Path]] = {marker: {} for marker in markers}
    for root in _roots():
        for folder in [root, *sorted(root.iterdir())] if root.is_dir() else []:
            for marker in markers:
                if (folder / marker).is_file():
                    by_marker[marker].setdefault(folder.name, folder)
    return {marker: _bundled_first(folders) for marker, folders in by_marker.items()}


def _bundled_first(folders: Mapping[str, Path]) -> dict[str, Path]:
    first = [name for name in BUNDLED if name in folders]
    return {name: folders[name] for name in [*first, *(name for name in folders if name not in first)]}


def find_zoo(name: str) -> Path | None:
    """The folder of the zoo of a name, as `zoo_folders` has it, without listing any; None where there is none."""
    if name in ("", ".", "..") or name != Path(name).name:
        return None
    candidates = (folder for root in _roots() for folder in (*([root] if root.name == name else []), root / name))
    try:
        return next((folder for folder in candidates if (folder / ZOO_FILE).is_file()), None)
    except OSError:  # a name longer than any file's
        return None


def _roots() -> list[Path]:
    """The folders below which zoos and their files may lie: the bundled one and those that the operator names."""
    return [ASSETS / "zoos", *operator_folders()]


def files_of(folder: Path) -> list[Path]:
    """The files that a folder's zoo.toml names: checkpoints with all their parts, and what the network is made from."""
    content = _read_once(folder / ZOO_FILE)
    base = content.base.file if isinstance(content.base, FileEntry) else content.base
    made_from = architectures.file_of(content.architecture.named(), folder)
    named = [*([base] if base else []), *(each.file for each in content.ingredients)]
    files = [file for name in named for file in _of_adapter(_found(folder / name))]
    parts = [part for file in files for part in (*shard_files(file), *folder_files(file))]
    return [*files, *parts, *([made_from] if made_from else [])]


def _read_once(file: Path) -> ZooFile:
    """The content of a zoo.toml, read and checked once for as long as the file stays the same."""
    try:
        status = file.stat()
    except OSError:
        return read_zoo_file(file)  # which says what is wrong with it
    return _read_as_it_is(file, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=32)
def _read_as_it_is(file: Path, *_identity: int) -> ZooFile:
    return read_zoo_file(file)


def _of_adapter(path: Path) -> tuple[Path, ...]:
    """The files that an entry rests on: for an adapter its weights and its configuration, else the file itself."""
    if not adapters.is_adapter(path):
        return (path,)
    try:
        return adapters.weights_file(path), adapters.folder_of(path) / adapters.CONFIG
    except CheckpointError:  # said when it is opened
        return (path,)


def _found(file: Path) -> Path:
    """The file itself, or that whose name is no UTF-8, which zoo.toml can only say with replacement characters."""
    if "\ufffd" not in file.name or file.exists() or not file.parent.is_dir():
        return file
    alike = [path for path in file.parent.iterdir() if os.fsencode(path.name).decode("utf-8", "replace") == file.name]
    return alike[0] if len(alike) == 1 else file


def open_zoo(name: str | Path, *, examine: bool = True) -> Zoo:
    """Open a zoo by its name, with what a user has added to it, or by the folder that holds its zoo.toml, without.

    Files that were never read through are so now, on two threads, and what is broken is left out. Without `examine`
    nothing is read but what says which tensors a file holds; that it is broken then shows when its digest is asked for, and
    is known to the next opening. Raises ZooError for an unknown name or a zoo.toml that does not fit the format, and
    where no ingredient is usable.
    """
    named = find_zoo(str(name))
    folder = named or Path(name)
    file = folder / ZOO_FILE
    if not file.is_file():
        raise ZooError(
            f"There is no zoo {str(name)!r}; expected one of {', '.join(zoo_folders())}, or a folder that holds zoo.toml."
        )
    return zoo_from(read_zoo_file(file), folder, str(name) if named else None, examine=examine)


def zoo_from(content: ZooFile, folder: Path, name: str | None = None, *, examine: bool = True) -> Zoo:
    """The zoo that a zoo.toml of this content makes of a folder, whether it is written there or not.

    With the `name` of a zoo that `find_zoo` finds, it has what a user has added to that. `examine` as for `open_zoo`.
    Raises ZooError where the architecture cannot be built, and where no ingredient is usable.
    """
    architecture = content.architecture.named()
    network = architectures.network(architecture, folder)
    module = outline(architecture, folder)
    usable: dict[str, Ingredient] = {}
    excluded: list[Excluded] = []
    listed: list[tuple[str, FileEntry | IngredientEntry, Mapping[str, Value]]] = [
        (entry.name, entry, entry.hyperparameters) for entry in content.ingredients
    ]
    base_entry = FileEntry(file=content.base) if isinstance(content.base, str) else content.base
    if base_entry:
        listed.append((BASE, base_entry, {}))
    roots = [folder, *_roots()]
    opened: dict[str, Checkpoint | CheckpointError] = {}
    for entry_name, entry, _ in listed:
        path = _found(folder / entry.file)
        try:
            if adapters.is_adapter(path):
                whole = architectures.meta_module(**architectures.arguments(architecture, folder))
                opened[entry_name] = _adapted(path, base_entry, folder, architecture, whole, roots)
            else:
                opened[entry_name] = _opened(path, entry.weights, roots, architecture, module)
        except CheckpointError as error:
            opened[entry_name] = error
    if examine:
        read_through(each for each in opened.values() if isinstance(each, Checkpoint))
    for entry_name, entry, hyperparameters in listed:
        path = _found(folder / entry.file)
        try:
            checkpoint = _usable(opened[entry_name], examine=examine)
        except CheckpointError as error:
            models = [each.checkpoint for each in usable.values()] if entry_name == BASE else []
            completed = _with_anothers_head(path, entry.weights, roots, architecture, folder, module, models)
            if completed is None:
                excluded.append(Excluded(entry_name, str(error)))
            else:
                usable[entry_name] = Ingredient(entry_name, path, hyperparameters, completed)
        else:
            usable[entry_name] = Ingredient(entry_name, path, hyperparameters, checkpoint)
    base = usable.pop(BASE, None)
    if not usable:
        raise ZooError(f"The zoo {folder.name} has no usable ingredient. {excluded[0].reason}")
    if name:
        _add_users_own(name, module.state_dict(), usable, base, excluded)
    return Zoo(
        name=name or folder.resolve().name,
        title=content.title,
        folder=folder,
        architecture=architecture,
        network=network,
        data=content.data.opened(folder, content.architecture.num_classes, architecture["name"]),
        ingredients=tuple(usable.values()),
        base=base,
        excluded=tuple(excluded),
        metric=content.metric or "accuracy",
    )


def _usable(opened: Checkpoint | CheckpointError, *, examine: bool) -> Checkpoint:
    """An opened checkpoint, as far as nothing is known against it. Raises CheckpointError otherwise."""
    if isinstance(opened, CheckpointError):
        raise opened
    opened.check(examine=examine)
    return opened


def _adapted(
    path: Path,
    base: FileEntry | None,
    folder: Path,
    architecture: Mapping[str, Any],
    module: nn.Module,
    roots: Sequence[Path],
) -> Checkpoint:
    """An adapter of peft over the zoo's base, which needs no head of the same classes where the adapter brings one.

    Raises CheckpointError where there is no base, and for an adapter that cannot be merged into it exactly.
    """
    where = f"{shown(adapters.folder_of(path))}/{shown(adapters.weights_file(path))}"
    if base is None:
        raise CheckpointError(
            f"{where} is an adapter of peft, and zoo.toml names no base; say there which file the adapters were trained "
            'on, as in base = "base/model.safetensors".'
        )
    config = adapters.read_config(path, roots=roots)
    adapter = open_checkpoint(adapters.weights_file(path), roots=roots, examine=False)
    adapter = adapter.renamed({name: name for name in adapter.tensors})
    adapter.name = where
    start = open_checkpoint(_found(folder / base.file), base.weights, roots=roots, examine=False)
    if adapters.is_of_adapter(start.tensors):
        raise CheckpointError(f"{start.name} is an adapter itself, and a base is a whole model; name that in zoo.toml.")
    expected, stored = module.state_dict(), architectures.stored_names(architecture, module)
    start = _under_module_names(fitting(_with_prefix(start, {*expected, *stored}), expected), stored)
    checkpoint = adapters.merged(start, adapter, config, module, stored)
    _check_fit(checkpoint, expected)
    return checkpoint


def _with_prefix(checkpoint: Checkpoint, known: Collection[str]) -> Checkpoint:
    """The checkpoint of a network's body under the names that the whole has for it, as transformers reads it too."""
    names = checkpoint.tensors
    parts = {name.partition(".")[0] for name in known}
    prefix = max(sorted(parts), key=lambda part: sum(f"{part}.{name}" in known for name in names), default="")
    if any(name in known for name in names) or not any(f"{prefix}.{name}" in known for name in names):
        return checkpoint
    return checkpoint.renamed({name: f"{prefix}.{name}" for name in names})


def _add_users_own(
    name: str,
    expected: Mapping[str, Tensor],
    usable: dict[str, Ingredient],
    base: Ingredient | None,
    excluded: list[Excluded],
) -> None:
    """Put what a user has added after the zoo's own, as far as it started from weights that the zoo still has."""
    own = {**usable, **({BASE: base} if base else {})}
    for path in user_ingredients.files_of(name):
        try:
            checkpoint = open_checkpoint(path)
            _check_fit(checkpoint, expected)
            origin = user_ingredients.origin_of(checkpoint)
            start = own.get(origin.start)
            if start is None or not start.checkpoint.is_named_by(origin.start_digest):
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
    try:
        checkpoint = _fitted(open_checkpoint(path), zoo.architecture, zoo.outline)
    except SeveralWeights as several:
        likeliest = next(_fitting_parts(path, several, (), zoo.architecture, zoo.outline), None)
        if likeliest is None:
            raise
        checkpoint = likeliest
    return Ingredient(name, path, {}, checkpoint)


def _opened(
    path: Path, weights: str | None, roots: Sequence[Path], architecture: Mapping[str, Any], module: nn.Module
) -> Checkpoint:
    """A file's weights as the architecture has them; of several sets the only one that fits, where none is named.

    Raises CheckpointError where none does, and where several do.
    """
    try:
        return _fitted(open_checkpoint(path, weights, roots=roots, examine=False), architecture, module)
    except SeveralWeights as several:
        fitting_parts = list(_fitting_parts(path, several, roots, architecture, module))
        if len(fitting_parts) != 1:
            raise
        return fitting_parts[0]


def _fitting_parts(
    path: Path, several: SeveralWeights, roots: Sequence[Path], architecture: Mapping[str, Any], module: nn.Module
) -> Iterator[Checkpoint]:
    """The sets of weights in a file that fit the architecture, first the one that a run is judged by."""
    for part in several.places:
        with suppress(CheckpointError):
            checkpoint = _fitted(open_checkpoint(path, part, roots=roots), architecture, module)
            others = listed(shown(place) for place in several.places if place != part)
            yield checkpoint.noted(f"those under {others} were passed over")


def other_weights(zoo: Zoo, name: str) -> Iterator[tuple[str, Zoo]]:
    """Where an ingredient's file holds weights in several places, each place but the one taken that fits, and the zoo with it.

    The zoo has that ingredient alone.
    """
    ingredient = zoo.by_name[name]
    try:
        open_checkpoint(ingredient.file)
    except SeveralWeights as several:
        for place in several.places:
            with suppress(CheckpointError):
                checkpoint = _fitted(open_checkpoint(ingredient.file, place), zoo.architecture, zoo.outline)
                if checkpoint.digest != ingredient.digest:
                    yield place, replace(zoo, ingredients=(replace(ingredient, checkpoint=checkpoint),), base=None)
    except CheckpointError:
        return


@lru_cache(maxsize=8)
def _expected(module: nn.Module) -> Mapping[str, Tensor]:
    """A network's state_dict, made once for all files of a zoo: that takes as long as opening one."""
    return dict(module.state_dict())


def _fitted(checkpoint: Checkpoint, architecture: Mapping[str, Any], module: nn.Module) -> Checkpoint:
    """The checkpoint under the architecture's names, without what is no part of it. Raises CheckpointError otherwise."""
    expected = _expected(module)
    if adapters.is_of_adapter(checkpoint.tensors):
        raise CheckpointError(
            f"{checkpoint.name} is an adapter of peft, and its {adapters.CONFIG} does not lie beside it under the name "
            f"{adapters.WEIGHTS[0]}; name the folder that peft saved, in a zoo whose base it was trained on."
        )
    if architecture.get(architectures.FOLDED):
        checkpoint = folded(checkpoint)
    fitted = _under_expected_names(checkpoint, expected, architecture, module)
    if set(fitted.tensors) != set(expected):
        fitted = _network_within(checkpoint, expected, architecture, module) or _with_head_renamed(fitted, expected)
    _check_parts(fitted, expected)
    _check_fit(fitted, expected)
    return fitted


def _check_parts(checkpoint: Checkpoint, expected: Mapping[str, Any]) -> None:
    """Raise CheckpointError where weights are kept in parts, and the architecture has them plain."""
    found = parametrized({name: info.shape for name, info in checkpoint.tensors.items()})
    if found and found[0].weight in expected:
        parts = " and ".join(map(shown, found[0].parts.values()))
        raise CheckpointError(
            f"{checkpoint.name} keeps {shown(found[0].weight)} in parts, {parts} ({found[0].kind}), and the architecture has "
            "it plain; set fold_parametrizations = true in architecture in zoo.toml."
        )


def _under_expected_names(
    checkpoint: Checkpoint, expected: Mapping[str, Any], architecture: Mapping[str, Any], module: nn.Module
) -> Checkpoint:
    """The checkpoint without wrappers, under its library's names, as far as these lead to what is expected."""
    checkpoint = fitting(checkpoint, expected)
    if set(checkpoint.tensors) != set(expected):
        checkpoint = _under_module_names(checkpoint, architectures.stored_names(architecture, module))
        tables = {name for name, _ in module.named_buffers()}.difference(
            expected
        )  # which programs hold, and no state_dict
        checkpoint = _without_foreign(checkpoint, expected, architecture, tables)
    return checkpoint


def _with_anothers_head(
    path: Path,
    weights: str | None,
    roots: Sequence[Path],
    architecture: Mapping[str, Any],
    folder: Path,
    module: nn.Module,
    models: Sequence[Checkpoint],
) -> Checkpoint | None:
    """A base that has another head than its models, or none, with the mean of theirs; None where it differs otherwise."""
    if not models:
        return None
    expected = module.state_dict()
    try:
        base = _under_expected_names(open_checkpoint(path, weights, roots=roots), expected, architecture, module)
        heads = architectures.heads(architecture, folder)
    except (CheckpointError, ZooError):  # a factory may be for these classes alone
        return None
    return Completed(base, models) if lacks_only(base.tensors, expected, heads) else None


def _network_within(
    checkpoint: Checkpoint, expected: Mapping[str, Any], architecture: Mapping[str, Any], module: nn.Module
) -> Checkpoint | None:
    """The network that a trainer's module holds under a name, without its loss and metrics; None where none fits."""
    for names, wrappers in networks_within({name: info.shape for name, info in checkpoint.tensors.items()}):
        left_out = [name for name in checkpoint.tensors if name not in names]
        notes = [f"{' and '.join(wrappers)} was taken off the names of its tensors"]
        notes += [f"what is no part of the network was left out: {listed(map(shown, left_out))}"] if left_out else []
        within = _under_expected_names(checkpoint.renamed(names, *notes), expected, architecture, module)
        if set(within.tensors) == set(expected):
            return within
    return None


def _under_module_names(checkpoint: Checkpoint, stored: Mapping[str, str]) -> Checkpoint:
    """The checkpoint with the names that its library gives to the tensors of its files."""
    names = {name: stored.get(name, name) for name in checkpoint.tensors}
    return checkpoint.renamed(names) if len(set(names.values())) == len(names) else checkpoint


def _with_head_renamed(checkpoint: Checkpoint, expected: Mapping[str, Tensor]) -> Checkpoint:
    """The checkpoint under the architecture's names, where its last layer alone stands under another."""
    names = under_library_names(
        {name: info.shape for name, info in checkpoint.tensors.items()},
        {name: tuple(tensor.shape) for name, tensor in expected.items()},
    )
    return checkpoint.renamed(names, said(names)) if names else checkpoint


def _without_foreign(
    checkpoint: Checkpoint, expected: Mapping[str, Any], architecture: Mapping[str, Any], tables: Collection[str]
) -> Checkpoint:
    """The checkpoint without what its architecture's files are known to hold beside the network, and without its tables."""
    beside = [name for name in checkpoint.tensors if name not in expected]
    foreign = [name for name in beside if name in tables or architectures.ignored(architecture, name)]
    if not foreign:
        return checkpoint
    return checkpoint.renamed(
        {name: name for name in checkpoint.tensors if name not in foreign},
        f"what is no part of the network was left out: {listed(map(shown, foreign))}",
    )


def _check_fit(checkpoint: Checkpoint, expected: Mapping[str, Any]) -> None:
    file = checkpoint.name
    for what, names in (
        ("lacks", [name for name in expected if name not in checkpoint.tensors]),
        ("has, beyond the architecture,", [name for name in checkpoint.tensors if name not in expected]),
    ):
        if names:
            raise CheckpointError(
                f"{file} {what} {listed(map(shown, names))}; every tensor of the architecture must be there, and no "
                "other. Check the architecture in zoo.toml."
            )
    for name, tensor in expected.items():
        info = checkpoint.tensors[name]
        if info.shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{file}: the tensor {shown(name)} has shape {info.shape}, and the architecture expects "
                f"{tuple(tensor.shape)}. Check the architecture in zoo.toml, or leave this file out."
            )
        if info.dtype.is_floating_point != tensor.is_floating_point():
            raise CheckpointError(
                f"{file}: the tensor {shown(name)} is of type {info.dtype}, and the architecture expects {tensor.dtype}."
            )
