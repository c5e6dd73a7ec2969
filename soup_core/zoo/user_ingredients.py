"""Ingredients that a user has added to a zoo: in a folder of the user's own, one safetensors file each.

All that is known of one stands in its file, so that adding is one atomic write and taking away is one removal. The zoo's
own folder stays as it is; opened by its name, the zoo shows them beside its own ingredients.
"""

from collections.abc import Mapping
from pathlib import Path

import pydantic
from torch import Tensor

from soup_core import checkpoints
from soup_core.errors import CheckpointError, SoupError
from soup_core.runtime.files import home


class Origin(pydantic.BaseModel):
    """How a checkpoint was made: the digest of its run, the ingredient or base it started from, and with what."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)
    run: str
    start: str
    start_digest: str
    hyperparameters: dict[str, bool | int | float | str]


def folder_of(zoo: str) -> Path:
    """Where the ingredients lie that a user has added to the zoo of this name. Raises SoupError for what is no name."""
    if not _is_name(zoo):
        raise SoupError(f"Ingredients are added to a zoo by its name, and {zoo!r} is none; a folder holds its own.")
    return home() / "added" / zoo


def files_of(zoo: str) -> list[Path]:
    """The files of the ingredients that were added to a zoo, by name."""
    return checkpoint_files(folder_of(zoo)) if _is_name(zoo) else []


def _is_name(zoo: str) -> bool:
    """Whether a zoo's name is one part of a path: another would lead out of the user's own folder."""
    return zoo not in ("", ".", "..") and zoo == Path(zoo).name


def checkpoint_files(folder: Path) -> list[Path]:
    """The safetensors files in a folder, by name; links are none."""
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file() and not path.is_symlink())


def save(path: Path, tensors: Mapping[str, Tensor], origin: Origin) -> None:
    """Write a checkpoint, a state_dict, with its origin, atomically. Raises SoupError where the disk is full."""
    checkpoints.save(path, tensors, origin.model_dump_json())


def origin_of(checkpoint: checkpoints.Checkpoint) -> Origin:
    """What a checkpoint's file says of its origin. Raises CheckpointError where it does not say it."""
    try:
        return Origin.model_validate_json(checkpoint.metadata.get("soup_core", ""))
    except pydantic.ValidationError as error:
        raise CheckpointError(
            f"{checkpoint.path.name} does not say how it was made; only what this app has trained belongs beside a zoo. "
            "Put it into a zoo of your own."
        ) from error


def made_by(folder: Path, run: str) -> Path | None:
    """The file in a folder that a run has made, or None."""
    for path in checkpoint_files(folder):
        try:
            if origin_of(checkpoints.Checkpoint(path)).run == run:
                return path
        except CheckpointError:
            continue
    return None


def remove(zoo: str, name: str) -> None:
    """Take an ingredient away that was added to a zoo. Raises SoupError where there is none of that name."""
    for path in checkpoint_files(folder_of(zoo)):
        if path.stem == name:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise SoupError(f"{path} could not be removed ({error.strerror}); remove it by hand.") from error
            return
    raise SoupError(f"No ingredient {name!r} has been added to the zoo {zoo}; those of its own folder stay.")
