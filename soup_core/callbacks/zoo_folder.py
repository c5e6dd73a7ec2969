"""A zoo's folder that several runs write into at once: its lock, its base, names that are free, an entry for a run."""

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from soup_core import checkpoints
from soup_core.checkpoints import Checkpoint
from soup_core.data import ASSETS
from soup_core.errors import SoupError, ZooError
from soup_core.runtime.files import home, listed, shown
from soup_core.zoo import RESERVED, open_zoo, user_ingredients
from soup_core.zoo.toml import IngredientEntry, ZooFile, ZooHeader, append_ingredient, read_zoo_file
from soup_core.zoo.user_ingredients import Origin

BASE_FILE = "base.safetensors"
LOCK_FILE = ".zoo.lock"
UNNAMED = ".part"
LOCK_SECONDS = 300  # a base of many gigabytes is written meanwhile


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against every other run that writes into it. Raises SoupError where another keeps it for long."""
    lock = FileLock(folder / LOCK_FILE, timeout=LOCK_SECONDS, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SoupError(
            f"Another process has held {folder / LOCK_FILE} for {LOCK_SECONDS} s; end it, or remove the file where none runs."
        ) from None
    except OSError as error:
        raise SoupError(
            f"{folder} cannot be written ({error.strerror}); name a folder that this user can write to."
        ) from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(
            missing_ok=True
        )  # while it is held still: a look at the folder shall find what was there
        lock.release()


def checked_folder(folder: Path) -> ZooFile | None:
    """The zoo.toml of a folder that runs may be written into, or None. Raises ZooError for a bundled zoo's folder."""
    if folder.resolve().is_relative_to(ASSETS.resolve()):
        raise ZooError(f"{folder} is a bundled zoo's folder, which is not written; name one of your own.")
    file = folder / "zoo.toml"
    return read_zoo_file(file) if file.is_file() else None


def base_digest(folder: Path, start: Mapping[str, Tensor]) -> str | None:
    """The digest of the base, from which a run starts with these tensors; None where the zoo has no base.

    The first run writes its start as the base. Raises SoupError where the run starts from other weights.
    """
    with locked(folder):
        if checked_folder(folder) is None and not (folder / BASE_FILE).exists():
            checkpoints.save(folder / BASE_FILE, start, "{}")
    base = _base(folder)
    if base is None:
        return None
    apart = [name for name, tensor in start.items() if name not in base.tensors or not _equal(base.read(name), tensor)]
    if apart or set(base.tensors) != set(start):
        new_head = (
            " If it is a head that each run draws anew, draw it with one seed." if len(apart) < len(start) else ""
        )
        raise SoupError(
            f"This run starts from other weights than {base.name} in {folder}, the base of its runs: {len(apart)} of "
            f"{len(start)} tensors differ ({listed(map(shown, apart), 3)}). Runs that start apart hardly soup.{new_head} Start "
            "from the base's file, write into another folder, or say base=False to have it not compared."
        )
    return base.digest


def check_base(folder: Path, digest: str) -> None:
    """Raise SoupError where the base of a folder's runs has not this digest."""
    base = _base(folder)
    if base is not None and not base.is_named_by(digest):
        raise SoupError(
            f"{base.name} in {folder} is not the base that this run began from; write it into another folder."
        )


def _base(folder: Path) -> Checkpoint | None:
    if checked_folder(folder) is None:
        return Checkpoint(folder / BASE_FILE) if (folder / BASE_FILE).exists() else None
    zoo = open_zoo(folder.resolve())
    return zoo.base.checkpoint if zoo.base else None


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


def taken_names(folder: Path, zoo: ZooFile | None) -> set[str]:
    """The names that no further run can have."""
    return {
        *RESERVED,
        *(entry.name for entry in (zoo.ingredients if zoo else ())),
        *(path.stem for path in user_ingredients.checkpoint_files(folder)),
    }


def free_name(wanted: str | None, taken: set[str]) -> str:
    """The name wanted, or with a number where another took it meanwhile; run-1, run-2 and so on where none is wanted."""
    if wanted is not None and wanted not in taken:
        return wanted
    first = 2 if wanted else 1
    return next(name for number in range(first, 10**6) if (name := f"{wanted or 'run'}-{number}") not in taken)


def keep(folder: Path, wanted: str | None, tensors: Mapping[str, Tensor], origin: Origin, header: ZooHeader) -> Path:
    """Write a run's weights and its entry in zoo.toml, which the first run begins with `header`; the weights' file.

    Weights that are not finite are written, and not listed, with a warning. Raises SoupError where something cannot be
    written, and says where the weights are: in the folder, or else below SOUP_HOME.
    """
    label = wanted or "run"
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    file = _written(folder, label, tensors, origin)
    try:
        with locked(folder):
            zoo = checked_folder(folder)
            name = free_name(wanted, taken_names(folder, zoo))
            file = file.rename(folder / f"{name}.safetensors")
            if broken:
                message = (
                    f"{file} is not listed in zoo.toml: it holds NaN or infinity in {listed(map(shown, broken), 3)}."
                )
                warnings.warn(message, stacklevel=3)
                return file
            check_agreement(folder, zoo, header)
            entry = IngredientEntry(name=name, file=file.name, hyperparameters=dict(origin.hyperparameters))
            append_ingredient(folder / "zoo.toml", entry, header)
    except (SoupError, OSError) as error:
        if file.suffix == UNNAMED:
            file = file.rename(folder / f"{label}-{origin.run[:8]}.safetensors")
        raise SoupError(f"The run's weights were written to {file}, but {error}") from error
    return file


def check_agreement(folder: Path, zoo: ZooFile | None, header: ZooHeader) -> None:
    """Raise SoupError where a zoo has another network, or judges by other images or other inputs, than a run would have."""
    if zoo is None:
        return
    if (theirs := zoo.architecture.named()) != (ours := header.architecture.named()):
        raise SoupError(
            f"{folder.name}/zoo.toml has the network {theirs}, and this run has {ours}; write it into another folder."
        )
    for key in ("source", "normalize", "preprocessing"):
        there, here = getattr(zoo.data, key), getattr(header.data, key)
        if there != here:
            raise SoupError(
                f"{folder.name}/zoo.toml, key data.{key}, says {there}, and this run {here}; all runs of a zoo are judged on "
                "the same inputs. Make them agree, or write into another folder."
            )


def _written(folder: Path, label: str, tensors: Mapping[str, Tensor], origin: Origin) -> Path:
    """A file of the weights that nothing lists yet. Where the folder takes none, an error, with the weights below SOUP_HOME."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, unnamed = tempfile.mkstemp(dir=folder, prefix=f".{label[:60]}.", suffix=UNNAMED)
        os.close(descriptor)
        user_ingredients.save(Path(unnamed), tensors, origin)
    except (SoupError, OSError) as error:
        aside = home() / "unlisted" / f"{folder.resolve().name}-{label[:60]}-{origin.run[:8]}.safetensors"
        user_ingredients.save(aside, tensors, origin)
        raise SoupError(f"The run's weights were written to {aside}, and not into its zoo: {error}") from error
    return Path(unnamed)
