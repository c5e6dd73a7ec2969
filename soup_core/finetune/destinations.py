"""Where a new ingredient is kept: beside a zoo, in the user's own folder, or in the folder of a zoo that is the user's own."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from soup_core.data import ASSETS
from soup_core.errors import ZooError
from soup_core.runtime.store import Store
from soup_core.zoo import RESERVED, Zoo, user_ingredients
from soup_core.zoo.toml import IngredientEntry, ZooHeader, append_ingredient, read_zoo_file
from soup_core.zoo.user_ingredients import Origin


class Destination(Protocol):
    """Somewhere to keep ingredients."""

    def find(self, run: str) -> str | None:
        """The name of the ingredient that a run has made and that is here, or None."""

    def keep(self, tensors: Mapping[str, Tensor], origin: Origin) -> str:
        """Keep a state_dict as a new ingredient, and give its name; the same run's again is the one that is here.

        Raises SoupError where it cannot be written.
        """


class Beside:
    """Beside the zoo of a name: what is kept is shown with the zoo, and its folder is not touched."""

    def __init__(self, zoo: Zoo, name: str, store: Store) -> None:
        self.zoo, self.name, self.store = zoo, name, store
        self.folder = user_ingredients.folder_of(name)

    def find(self, run: str) -> str | None:
        """The name of the ingredient that a run has made and that was not removed since, or None."""
        path = user_ingredients.made_by(self.folder, run)
        return path.stem if path else None

    def keep(self, tensors: Mapping[str, Tensor], origin: Origin) -> str:
        """Keep a state_dict under the next name of own-01, own-02 and so on. Raises SoupError where it cannot be."""
        with self.store.claim(f"added-{_digest(self.folder)}"):
            name = self.find(origin.run)
            if name is None:
                name = _free_name(
                    "own", {*self.zoo.by_name, *(path.stem for path in user_ingredients.files_of(self.name))}
                )
                user_ingredients.save(self.folder / f"{name}.safetensors", tensors, origin)
            return name


class Inside:
    """Inside the folder of a zoo: the checkpoint is put there, and an entry appended to its zoo.toml.

    A zoo that is being made has no zoo.toml before its first ingredient; `header` is what then stands before its entry.
    Raises ZooError for a bundled zoo's folder, which is not the user's.
    """

    def __init__(self, folder: Path, store: Store, header: ZooHeader | None = None) -> None:
        if folder.resolve().is_relative_to(ASSETS.resolve()):
            raise ZooError(
                f"{folder} is a bundled zoo's folder, which is not written; name the zoo {folder.resolve().name} alone, "
                "without --output, and the ingredient is kept in your own folder beside it."
            )
        self.folder, self.store, self.header = folder, store, header
        self.file = folder / "zoo.toml"

    def find(self, run: str) -> str | None:
        """The name of the ingredient that a run has made and that zoo.toml lists, or None."""
        path = user_ingredients.made_by(self.folder, run)
        return path.stem if path and path.name in self._listed() else None

    def keep(self, tensors: Mapping[str, Tensor], origin: Origin) -> str:
        """Keep a state_dict under the next name of ft-01, ft-02 and so on.

        Raises SoupError where it cannot be written, ZooError where no entry can be appended to zoo.toml.
        """
        with self.store.claim(f"added-{_digest(self.folder)}"):
            listed = self._listed()
            path = user_ingredients.made_by(self.folder, origin.run)
            if path is None:
                taken = {*listed.values(), *(each.stem for each in user_ingredients.checkpoint_files(self.folder))}
                path = self.folder / f"{_free_name('ft', taken)}.safetensors"
                user_ingredients.save(path, tensors, origin)
            if path.name not in listed:
                self._append(path, origin)
            return path.stem

    def _listed(self) -> dict[str, str]:
        """The files of zoo.toml's entries, and the entries' names. Raises ZooError where it does not fit the format."""
        entries = read_zoo_file(self.file).ingredients if self.file.is_file() else []
        return {entry.file: entry.name for entry in entries}

    def _append(self, path: Path, origin: Origin) -> None:
        entry = IngredientEntry(name=path.stem, file=path.name, hyperparameters=origin.hyperparameters)
        try:
            append_ingredient(self.file, entry, self.header)
        except ZooError as error:
            raise ZooError(f"{path.name} was written, but {error}") from error


def _free_name(prefix: str, taken: Collection[str]) -> str:
    return next(name for number in range(1, 10**6) if (name := f"{prefix}-{number:02d}") not in {*taken, *RESERVED})


def _digest(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
