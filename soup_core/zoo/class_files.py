"""Names of a network's outputs, read from what trainers leave beside and in checkpoints.

transformers writes id2label into config.json and timm label_names; others keep a list of classes as text, JSON or YAML; and
within checkpoints ultralytics has names, fastai a vocab, Lightning whatever the hyperparameters say.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

BYTES_AT_MOST = 5_000_000
KEYS = (
    "id2label", "label2id", "label_names", "class_names", "classes", "names", "class_to_idx", "idx_to_class", "vocab",
)  # fmt: skip
LISTS = re.compile(r"(class|label|categor|synset|^names$|^vocab$).*\.(txt|json|ya?ml)$", re.IGNORECASE)
CONFIGS = ("config.json", "data.yaml", "dataset_info.json")
RUN_FILE = "args.yaml"
DEPTH = 3  # of tables within tables
Names = tuple[str, ...]


def names_in(content: object, num_classes: int, depth: int = DEPTH) -> Iterator[Names]:
    """Every list of as many names as the network has outputs that plain values hold under the usual keys, in their order.

    A list of names is one, as is a mapping either way round; of the pairs that Keras keeps a number, each half is one.

    >>> list(names_in({"model": {"id2label": {"1": "cat", "0": "dog"}}}, 2))
    [('dog', 'cat')]
    """
    if not isinstance(content, Mapping) or not depth:
        return
    for key in KEYS:
        if key in content:
            yield from _as_names(content[key], num_classes)
    for inner in content.values():
        if isinstance(inner, Mapping):
            yield from names_in(inner, num_classes, depth - 1)


def _as_names(value: object, num_classes: int) -> Iterator[Names]:
    if isinstance(value, Mapping):
        value = _in_order(value)
    if not isinstance(value, list | tuple) or len(value) != num_classes:
        return
    if all(isinstance(each, list | tuple) and len(each) == 2 for each in value):
        for half in zip(*value, strict=True):
            yield from _as_names(half, num_classes)
    elif all(isinstance(each, str) and each for each in value):
        names = tuple(value)
        if not all(
            re.fullmatch(r"(LABEL|class)[_ ]?\d+", name) for name in names
        ):  # what transformers calls the nameless
            yield names


def _in_order(table: Mapping[Any, Any]) -> list[Any]:
    """The names of a mapping from or to the numbers 0, 1, …, in the order of these; none where it is neither."""
    for pairs in (table.items(), [(value, key) for key, value in table.items()]):
        numbered = {number: name for each, name in pairs if (number := _number(each)) is not None}
        if len(numbered) == len(table) and sorted(numbered) == list(range(len(table))):
            return [numbered[number] for number in range(len(table))]
    return []


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 8 else None


def names_in_text(text: str, num_classes: int) -> Iterator[Names]:
    """The names of a list of classes, a line each, with or without numbers before or after; a line may hold several words.

    >>> list(names_in_text("1: cat\\n0: dog\\n", 2))
    [('dog', 'cat')]
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != num_classes:
        return
    for pattern in (r"(?P<number>\d+)[\s,:;=]+(?P<name>.+)", r"(?P<name>.+?)[\s,:;=]+(?P<number>\d+)"):
        found = [re.fullmatch(pattern, line, re.ASCII) for line in lines]
        numbered = {int(match["number"]): match["name"].strip("\"' ") for match in found if match}
        for first in (0, 1):
            if sorted(numbered) == list(range(first, first + num_classes)):
                yield tuple(numbered[number] for number in sorted(numbered))
                return
    yield tuple(lines)
    if all(len(line.split(None, 1)) == 2 for line in lines):  # "n01440764 tench, Tinca tinca"
        yield tuple(line.split(None, 1)[0] for line in lines)


def lists_in(folder: Path) -> list[Path]:
    """The files of a folder that may name a network's outputs: configurations first, then what a run says it was given."""
    named = _class_map(folder / RUN_FILE)
    with os.scandir(folder) as scanned:
        names = sorted(entry.name for entry in scanned if entry.is_file(follow_symlinks=False))
    lists = sorted((name for name in names if LISTS.search(name)), key=lambda name: name != named)
    return [folder / name for name in [*(name for name in CONFIGS if name in names), *lists]]


def above(file: Path, folder: Path) -> list[Path]:
    """The folders of a file within a folder, the nearest first and that folder last."""
    return [parent for parent in file.parents if parent.is_relative_to(folder)]


def _class_map(run_file: Path) -> str:
    """The name of the class map that a run of timm's train.py says it was given."""
    content = _content(run_file)
    given = content.get("class_map") if isinstance(content, dict) else None
    return Path(given).name if isinstance(given, str) else ""


def read_names(file: Path, num_classes: int) -> list[Names]:
    """The lists of so many names that a file holds, none where it cannot be read."""
    content = _content(file)
    if isinstance(content, str):
        return list(dict.fromkeys(names_in_text(content, num_classes)))
    whole = _as_names(content, num_classes) if LISTS.search(file.name) else ()
    return list(dict.fromkeys((*whole, *names_in(content, num_classes))))


def _content(file: Path) -> object:
    """What a file of text, JSON or YAML holds; None for what is none, too large, or no regular file."""
    try:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > BYTES_AT_MOST:
            return None
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            return json.loads(text)
        return yaml.safe_load(text) if file.suffix.lower() in (".yaml", ".yml") else text
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def written_by_timm(folder: Path, files: Sequence[Path], beside: Mapping[Path, object]) -> bool:
    """Whether timm's own train.py has written checkpoints, which orders class folders naturally.

    Told by what it keeps beside the weights, or by a run's args.yaml.
    """
    for values in beside.values():
        if isinstance(values, Mapping) and {"arch", "version", "epoch"} <= values.keys():
            return True
    for parent in dict.fromkeys(parent for file in files for parent in above(file, folder)):
        content = _content(parent / RUN_FILE)
        if isinstance(content, dict):
            return "model" in content and bool({"crop_pct", "class_map", "reprob", "data_dir"} & content.keys())
    return False
