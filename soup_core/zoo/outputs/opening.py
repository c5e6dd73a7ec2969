"""Opening a zoo of outputs: the labels, then each model, whose outputs are read through once and checked against them.

What does not fit is left out with the reason; the rest of the zoo stays usable.
"""

import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from torch import Tensor

from soup_core.checkpoints.content import SCHEME
from soup_core.checkpoints.identity import Identity
from soup_core.data import operator_folders
from soup_core.errors import DataError, SoupError, ZooError
from soup_core.runtime.files import listed, shown
from soup_core.zoo.opening import ZOO_FILE, find_zoo, zoo_folders
from soup_core.zoo.outputs.files import Arrays, Place
from soup_core.zoo.outputs.outputs import LabelledSplit, OutputsModel, OutputsZoo, are_probabilities
from soup_core.zoo.outputs.toml import ModelEntry, OutputsFile
from soup_core.zoo.toml import OUTPUTS, checked, read_table
from soup_core.zoo.zoo import Excluded

IMAGES_AT_MOST = 50_000_000
CLASSES_AT_MOST = 1_000_000
CLASSES = "classes"


def outputs_zoo_folder(name: str | Path) -> Path | None:
    """The folder of the zoo of outputs of this name, or in this folder; None where it is another zoo, or none."""
    folder = find_zoo(str(name)) or Path(name)
    return folder if _content(folder).get("kind") == OUTPUTS else None


def files_of_outputs(folder: Path) -> list[Path]:
    """The files that the zoo.toml of a zoo of outputs names, those in folders of .npy too; none of another folder."""
    content = _content(folder)
    try:
        named = [content["labels"], *(model["file"] for model in content["models"])]
        paths = [folder / each for each in named] if content["kind"] == OUTPUTS else []
        inside = (file for path in paths if path.is_dir() for file in path.iterdir() if file.name.endswith(".npy"))
        return [*paths, *sorted(inside)]
    except (KeyError, TypeError, OSError, ValueError):  # said by whoever opens it
        return []


def _content(folder: Path) -> Mapping[str, Any]:
    """The table of a folder's zoo.toml, read once for as long as the file stays the same; empty where there is none."""
    file = folder / ZOO_FILE
    try:
        status = file.stat()
        return _read_once(file, Identity.of(status)) if stat.S_ISREG(status.st_mode) else {}
    except (OSError, ValueError, ZooError):  # said by whoever opens it
        return {}


@lru_cache(maxsize=32)
def _read_once(file: Path, _identity: Identity) -> Mapping[str, Any]:
    return read_table(file)


def open_outputs(name: str | Path) -> OutputsZoo:
    """Open a zoo of outputs by its name, or by the folder that holds its zoo.toml.

    Raises ZooError for an unknown name, a zoo.toml that does not fit the format, and where no model is usable, DataError
    where the labels are not.
    """
    folder = find_zoo(str(name)) or Path(name)
    if not (folder / ZOO_FILE).is_file():
        raise ZooError(
            f"There is no zoo {str(name)!r}; expected one of {', '.join(zoo_folders())}, or a folder of one."
        )
    where = f"{shown(folder.resolve())}/{ZOO_FILE}"
    return outputs_from(checked(OutputsFile, read_table(folder / ZOO_FILE), where), folder)


def outputs_from(content: OutputsFile, folder: Path) -> OutputsZoo:
    """The zoo that a zoo.toml of this content makes of a folder, whether it is written there or not; raises as `open_outputs`."""
    roots = tuple(root.resolve() for root in (folder, *operator_folders()))
    file = Arrays(folder / content.labels, roots)
    splits = read_labels(file)
    opened: list[tuple[ModelEntry, Arrays]] = []
    excluded: list[Excluded] = []
    for entry in content.models:
        try:
            opened.append((entry, Arrays(folder / entry.file, roots)))
        except SoupError as error:
            excluded.append(Excluded(entry.name, str(error)))
    named = tuple(content.classes or (file.texts(CLASSES) if CLASSES in file.shapes else ()))
    num_classes = len(named) or most_frequent_width([arrays for _, arrays in opened])
    models: list[OutputsModel] = []
    for entry, arrays in opened:
        try:
            models.append(_checked(entry, arrays, splits, num_classes, folder))
        except SoupError as error:
            excluded.append(Excluded(entry.name, str(error)))
    if not models:
        raise ZooError(f"The zoo {shown(folder.resolve())} has no usable model. {excluded[0].reason}")
    highest = max(int(split.labels.max()) for split in splits.values())
    if highest >= num_classes:
        raise DataError(
            f"{file.name} has labels up to {highest}, and the outputs are of {num_classes} classes, numbered from 0; correct "
            "the labels, or say the classes in zoo.toml."
        )
    return OutputsZoo(
        name=shown(folder.resolve()),
        title=content.title,
        folder=folder,
        num_classes=num_classes,
        classes=named,
        splits=splits,
        models=tuple(models),
        excluded=tuple(excluded),
        notices=tuple(_notices(models)),
        metric=content.metric or "accuracy",
    )


def read_labels(file: Arrays) -> dict[str, LabelledSplit]:
    """The labels of every split that a file has, the held-out and the test images first. Raises DataError where they do not fit."""
    places = file.places
    for split in ("held_out", "test"):
        if Place(split, "labels") not in places:
            found = listed(map(shown, file.shapes)) or "nothing"
            raise DataError(
                f"{file.name} has no {split}.labels, and holds {found}; expected held_out.labels and test.labels, and "
                "shift.NAME.labels for each shift."
            )
    order = sorted((place.split for place in places if place.kind == "labels"), key=lambda name: (":" in name, name))
    return {split: _labels(file, split) for split in order}


def most_frequent_width(files: Sequence[Arrays]) -> int:
    """The number of classes that most models have outputs for, by the shapes of their held-out outputs; 0 without any."""
    widths = Counter(
        file.shapes[name][1]
        for file in files
        for place, name in _places(file).items()
        if place.split == "held_out" and place.kind in ("logits", "probabilities") and len(file.shapes[name]) == 2
    )
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _places(file: Arrays) -> Mapping[Place, str]:
    try:
        return file.places
    except DataError:  # said when the model is checked
        return {}


def _labels(file: Arrays, split: str) -> LabelledSplit:
    labels = _whole_numbers(file, Place(split, "labels"))
    if not 0 < len(labels) <= IMAGES_AT_MOST:
        raise DataError(f"{file.name} has {len(labels):,} labels of {split}; expected 1 to {IMAGES_AT_MOST:,}.")
    if int(labels.min()) < 0:
        raise DataError(
            f"{file.name} has the label {int(labels.min())} in {split}; expected the classes' numbers, from 0. Leave images "
            "without a label out, here and in the outputs."
        )
    if Place(split, "groups") not in file.places:
        return LabelledSplit(split, labels)
    groups = _whole_numbers(file, Place(split, "groups"))
    if groups.shape != labels.shape:
        raise DataError(
            f"{file.name} has {len(labels):,} labels of {split} and {len(groups):,} groups; expected as many."
        )
    return LabelledSplit(split, labels, groups)


def _whole_numbers(file: Arrays, place: Place) -> Tensor:
    name = file.places[place]
    if len(shape := file.shapes[name]) != 1:
        raise DataError(f"{file.name} has {shown(name)} of shape {shape}; expected one whole number an image, (N,).")
    numbers = file.numbers(name)
    if numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise DataError(
            f"{file.name} has {shown(name)} in {str(numbers.dtype)[6:]}; expected whole numbers, an int64 each."
        )
    return numbers.long()


def _checked(
    entry: ModelEntry, arrays: Arrays, splits: Mapping[str, LabelledSplit], num_classes: int, folder: Path
) -> OutputsModel:
    """A model whose outputs fit the labels. Raises SoupError where they do not, with both shapes."""
    if not 2 <= num_classes <= CLASSES_AT_MOST:
        raise DataError(f"{arrays.name} has outputs of {num_classes:,} classes; expected 2 to {CLASSES_AT_MOST:,}.")
    places = {split: _outputs_place(arrays, split) for split in splits}
    for split, place in places.items():
        expected, found = (len(splits[split]), num_classes), arrays.shapes[arrays.places[place]]
        if found != expected:
            raise DataError(
                f"{arrays.name} has {place.kind} of {split} of shape {found}; expected {expected}, a row an image as labelled and "
                "a column a class. Save them in the labels' order."
            )
    judged, digests = {}, {}
    for split, place in places.items():
        outputs = arrays.numbers(arrays.places[place])
        if not outputs.is_floating_point():
            raise DataError(
                f"{arrays.name} has {place.kind} of {split} in {str(outputs.dtype)[6:]}; expected floating-point numbers, the "
                "network's outputs and not its decisions."
            )
        judged[split] = are_probabilities(outputs)
        if place.kind == "probabilities" and not judged[split]:
            raise DataError(
                f"{arrays.name} has probabilities of {split} whose rows do not sum to 1, or that lie below 0; save them after "
                f"the softmax, or call them {split.replace('test:', 'shift.')}.logits."
            )
        digests[split] = SCHEME + blake3(outputs.reshape(-1).view(torch.uint8).numpy().data).hexdigest()
    probable = all(judged.values())
    digests = {split: f"{digest} probabilities" if probable else digest for split, digest in digests.items()}
    return OutputsModel(entry.name, folder / entry.file, entry.hyperparameters, arrays, places, probable, digests)


def _outputs_place(arrays: Arrays, split: str) -> Place:
    """Where a model's outputs of a split are. Raises DataError where there are none, or both kinds."""
    found = [place for kind in ("logits", "probabilities") if (place := Place(split, kind)) in arrays.places]
    if len(found) != 1:
        name = split.replace("test:", "shift.")
        holds = "both" if found else listed(map(shown, arrays.shapes)) or "nothing"
        raise DataError(
            f"{arrays.name} should hold either {name}.logits or {name}.probabilities, since there are labels of that split, "
            f"and holds {holds}. Save the outputs of all splits in one file."
        )
    return found[0]


def _notices(models: Sequence[OutputsModel]) -> Iterator[str]:
    """What is taken otherwise than it is called, and which models are the same."""
    noticed = [
        model.name
        for model in models
        if model.are_probabilities and any(place.kind == "logits" for place in model.places.values())
    ]
    if noticed:
        yield (
            f"The outputs of {listed(map(shown, noticed))} are probabilities, since every row sums to 1: their logarithms are "
            "taken as the logits."
        )
    alike: dict[tuple[str, ...], list[str]] = {}
    for model in models:
        alike.setdefault(tuple(model.digests.values()), []).append(model.name)
    for names in alike.values():
        if len(names) > 1:
            yield f"{listed(map(shown, names))} have the same outputs throughout: they are one model that counts more than once."
