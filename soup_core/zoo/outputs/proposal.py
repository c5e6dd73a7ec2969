"""A zoo.toml proposed from a folder of outputs: which files hold labels, which hold what models say, what made them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from soup_core.errors import SoupError, ZooError
from soup_core.runtime.files import listed, shown, write_atomically
from soup_core.zoo.class_files import lists_in, read_names
from soup_core.zoo.hyperparameters import found_hyperparameters
from soup_core.zoo.naming import ingredient_names, natural_order, readable, written
from soup_core.zoo.outputs.files import Arrays, Place
from soup_core.zoo.outputs.opening import CLASSES, most_frequent_width
from soup_core.zoo.outputs.toml import OutputsFile, as_toml
from soup_core.zoo.toml import FORMAT, OUTPUTS, checked

ENDINGS = (".npz", ".safetensors")
FILES_AT_MOST = 2000
ENTRIES_AT_MOST = 200_000
DEPTH = 3  # of sub-folders
LABELS = Place("held_out", "labels")
LOGITS = (Place("held_out", "logits"), Place("held_out", "probabilities"))


@dataclass(frozen=True)
class OutputsProposal:
    """What zoo.toml of a folder of outputs will say, and what was left out and why."""

    folder: Path
    content: OutputsFile
    notices: tuple[str, ...]

    def toml(self) -> str:
        """The text of zoo.toml. Raises ZooError for a text that no file in UTF-8 can hold."""
        return as_toml(self.content)

    def with_title(self, title: str) -> "OutputsProposal":
        """The proposal with another title."""
        return OutputsProposal(self.folder, self.content.model_copy(update={"title": title}), self.notices)

    def write(self, *, replace_old: bool = False) -> Path:
        """Write zoo.toml into the folder. Raises ZooError where one is there already."""
        file = self.folder / "zoo.toml"
        if file.exists() and not replace_old:
            raise ZooError(f"{shown(file)} is there already; edit it, or say that it is to be replaced (--force).")
        write_atomically(file, self.toml().encode())
        return file


def holds_outputs(folder: Path) -> bool:
    """Whether a folder, or one of its sub-folders, has a file of numpy, which may hold outputs."""
    return any(path.is_dir() or path.name.endswith(".npz") for path in _candidates(folder))


def propose_outputs(folder: Path) -> OutputsProposal | None:
    """A proposal for a folder that holds outputs of models by the names of their arrays; None for any other folder.

    Raises ZooError where there are outputs and no labels, or labels in several files.
    """
    found: dict[Path, Arrays] = {}
    notices: list[str] = []
    for path in _candidates(folder):
        try:
            arrays = Arrays(path, [folder.resolve()])
            if arrays.places:
                found[path] = arrays
        except SoupError as error:
            if path.suffix != ".safetensors":  # which may well be a checkpoint
                notices.append(str(error))
    models = [path for path, arrays in found.items() if any(place in arrays.places for place in LOGITS)]
    labels = [path for path, arrays in found.items() if LABELS in arrays.places]
    if not models:
        return None
    if len(labels) != 1:
        several = listed(shown(written(path, folder)) for path in labels)
        raise ZooError(
            f"{shown(folder)} holds outputs of {len(models)} models and "
            f"{f'labels in {several}' if labels else 'no labels'}; expected held_out.labels and test.labels in one file or "
            "folder."
        )
    models = [path for path in models if path != labels[0]] or models
    names = ingredient_names(folder, {path.with_name(_stem(path)): () for path in models})
    settings = found_hyperparameters(folder, models, {path: {} for path in models})
    table = {
        "format": FORMAT,
        "kind": OUTPUTS,
        "title": readable(folder.resolve().name),
        "labels": written(labels[0], folder),
        **_classes(folder, found[labels[0]], [found[path] for path in models]),
        "models": [
            {
                "name": names[path.with_name(_stem(path))],
                "file": written(path, folder),
                "hyperparameters": dict(settings[path]),
            }
            for path in models
        ],
    }
    return OutputsProposal(folder, checked(OutputsFile, table, f"{shown(folder)}/zoo.toml"), tuple(notices))


def _stem(path: Path) -> str:
    return next((path.name.removesuffix(ending) for ending in ENDINGS if path.name.endswith(ending)), path.name)


def _classes(folder: Path, labels: Arrays, models: list[Arrays]) -> Mapping[str, list[str]]:
    """The names of the classes from a list beside the outputs, where the labels' file does not have them itself."""
    if CLASSES in labels.shapes:
        return {}
    lists = (names for file in lists_in(folder) for names in read_names(file, most_frequent_width(models)))
    names = next(lists, None)
    return {"classes": list(names)} if names else {}


def _candidates(folder: Path) -> Iterator[Path]:
    """Files and folders of .npy that may hold outputs, in natural order, those of sub-folders after those of the folder.

    Folders of images may hold millions of files, so that no more than ENTRIES_AT_MOST names are looked at.
    """
    waiting, looked, yielded = [(folder, DEPTH)], 0, 0
    while waiting and looked < ENTRIES_AT_MOST and yielded < FILES_AT_MOST:
        current, left = waiting.pop(0)
        try:
            with os.scandir(current) as scanned:
                entries = list(islice(scanned, ENTRIES_AT_MOST - looked))
        except OSError:  # whoever looks at the folder for checkpoints says so
            continue
        looked += len(entries)
        if current != folder and any(entry.name.endswith(".npy") for entry in entries):
            yielded += 1
            yield current
            continue
        for entry in sorted(entries, key=lambda entry: natural_order(entry.name)):
            if entry.is_dir(follow_symlinks=False):
                if left and not entry.name.startswith("."):
                    waiting.append((current / entry.name, left - 1))
            elif entry.name.endswith(ENDINGS):
                yielded += 1
                yield current / entry.name
