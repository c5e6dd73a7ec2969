"""The hyperparameters of a sweep's checkpoints, read from what stands beside them and within them.

Trainers write them into the run's folder or into the checkpoint; others keep a table of runs, as CSV or JSON Lines, or write
into safetensors metadata; the model-soups paper's repository has hparam_info.json (Wortsman et al. 2022, arXiv 2203.05482).
"""

import csv
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from soup_core.zoo.settings_files import read_yaml, run_settings
from soup_core.zoo.zoo import Value

BYTES_AT_MOST = 5_000_000
# What others call these, in lower case; a zoo has one word for each.
STANDARD: Mapping[str, str] = {
    "lr": "learning_rate",
    "base_lr": "learning_rate",
    "wd": "weight_decay",
    "smoothing": "label_smoothing",
    "mix": "mixup",
    "mixup_alpha": "mixup",
    "aa": "augmentation",
    "aug": "augmentation",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "max_epochs": "epochs",
    "lr0": "learning_rate",
    "opt": "optimizer",
    "optim": "optimizer",
    "batch": "batch_size",
    "train_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "random_seed": "seed",
}
KEPT = frozenset({*STANDARD.values(), "augmentation", "optimizer"})  # told even where every run has the same
NAMING = ("file", "filename", "path", "checkpoint", "name", "model_name", "model", "run", "run_name", "id")
WITHIN_FILES = ("args", "hyper_parameters", "hparams", "config", "cfg", "train_args", "opt", "epoch", "arch")
# Where a run was and what it was called, which is no hyperparameter of it.
OF_THE_PLACE = re.compile(
    r"(?!drop_path$)(.*[_.])?(dir|path|folder|root|file|project|experiment|hostname|pid|date|timestamp|time|uuid|id)"
    r"|((run|exp|experiment|trial)_?)?name|output"
)
LEAVES_AT_MOST, DEPTH = 1000, 6
TABLES = (".csv", ".jsonl", ".json")
Settings = dict[str, Value]


def found_hyperparameters(
    folder: Path, files: Sequence[Path], beside: Mapping[Path, Mapping[str, Any]] | None = None
) -> dict[Path, Settings]:
    """The hyperparameters of each file, under their usual names; those that never vary are left out, but for the usual.

    `beside` is what the files themselves hold beside their weights. A table's row wins over the run's own files, those over
    it; what cannot be read counts as absent. Rows are matched by the file's name, its path, its stem, or its folder's name.
    """
    rows = _rows(folder)
    by_file: dict[Path, Settings] = {}
    for file in files:
        settings: Settings = {}
        for content in (_within(beside.get(file, {}) if beside else {}), *run_settings(folder, file)):
            settings |= _settings(_flat(content))
        for name in reversed(_names(folder, file)):  # the most exact last, so that it wins
            settings |= rows.get(name, {})
        by_file[file] = settings
    varying = {key for settings in by_file.values() for key in settings if _varies(key, by_file)}
    return {
        file: {key: value for key, value in settings.items() if key in varying or key in KEPT}
        for file, settings in by_file.items()
    }


def usual_settings(row: Mapping[Any, Any]) -> Settings:
    """The plain values of a table of settings under their usual names; lists, tables and what is not there are left out."""
    return _settings(row)


def _within(beside: Mapping[str, Any]) -> dict[Any, Any]:
    """What is of the settings in a file: tables of them, texts that its metadata has, and JSON in these."""
    found: dict[Any, Any] = {}
    for key, value in beside.items():
        if key in WITHIN_FILES and isinstance(value, Mapping):
            found |= value
        elif key in WITHIN_FILES or isinstance(value, str):
            found[key] = value
    return found


def _flat(table: Mapping[Any, Any]) -> dict[str, Any]:
    """A table of tables as one: under the last part of a key where it is a usual word and stands there once, else under all.

    optimizer = {name = adam, lr = 0.1} becomes optimizer = adam and lr = 0.1.
    """
    leaves = list(itertools.islice(_leaves(table, ()), LEAVES_AT_MOST))
    words = Counter(_word(path[-1]) for path, _ in leaves)
    flat: dict[str, Any] = {}
    for path, value in leaves:
        kind = len(path) > 1 and path[-1] in ("name", "type", "_target_", "class_path")
        usual = words[_word(path[-1])] == 1 and _word(path[-1]) in KEPT
        key = path[-1] if usual else ".".join(path[:-1] if kind else path)
        if not OF_THE_PLACE.fullmatch(key.lower()) and not (isinstance(value, str) and value.startswith(("/", "~"))):
            flat.setdefault(key, value)
    return flat


def _leaves(table: Mapping[Any, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if not isinstance(key, str) or (key.startswith("_") and key != "_target_"):
            continue
        if isinstance(value, Mapping):
            if len(above) < DEPTH:
                yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _varies(key: str, by_file: Mapping[Path, Settings]) -> bool:
    return len({repr(settings.get(key)) for settings in by_file.values()}) > 1


def _names(folder: Path, file: Path) -> list[str]:
    inside = file.relative_to(folder)
    return [str(inside), file.name, file.name.partition(".")[0], *(str(part) for part in inside.parents[:-1])]


def run_file(folder: Path, file: Path) -> Mapping[Any, Any]:
    """What the args.yaml nearest above a checkpoint says, up to `folder`; empty where there is none that can be read."""
    for parent in (parent for parent in file.parents if parent.is_relative_to(folder)):
        if (parent / "args.yaml").exists():
            content = read_yaml(parent / "args.yaml")
            return content if isinstance(content, dict) else {}
    return {}


def _rows(folder: Path) -> dict[str, Settings]:
    """Every row of every table in the folder, by the texts that may name its file."""
    by_name: dict[str, Settings] = {}
    for table in sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES and path.is_file()):
        try:
            rows = list(_table(table))
        except (OSError, ValueError, csv.Error, RecursionError):
            continue
        for row in rows:
            keys = {key.lower(): key for key in row if isinstance(key, str)}
            naming = [keys[key] for key in NAMING if key in keys]
            settings = _settings({key: value for key, value in row.items() if key not in naming})
            for key in naming:
                if isinstance(row[key], (str, int)) and row[key] != "":
                    by_name.setdefault(str(row[key]), {}).update(settings)
    return by_name


def _table(path: Path) -> Iterator[Mapping[Any, Any]]:
    text = _text(path)
    if path.suffix.lower() == ".csv":
        yield from csv.DictReader(io.StringIO(text))
        return
    content = (
        [json.loads(line) for line in text.splitlines() if line.strip()]
        if path.suffix.lower() == ".jsonl"
        else (json.loads(text))
    )
    if isinstance(content, dict):  # a run's name, then its settings
        content = [{"name": name, **settings} for name, settings in content.items() if isinstance(settings, dict)]
    yield from (row for row in content if isinstance(row, dict))


def _text(path: Path) -> str:
    if path.stat().st_size > BYTES_AT_MOST:
        raise ValueError(f"{path.name} is too large for a table of hyperparameters")
    return path.read_text(encoding="utf-8-sig")


def _settings(row: Mapping[Any, Any]) -> Settings:
    """The plain values of a row under their usual names; lists, tables and what is not there are left out."""
    settings: Settings = {}
    for key, value in row.items():
        plain = _value(value)
        if isinstance(key, str) and key and plain is not None:
            settings[_whole(_word(key))] = _whole(plain) if isinstance(plain, str) else plain
    return settings


def _word(key: str) -> str:
    """A key as a zoo says it."""
    word = key.strip().lower().replace("-", "_").replace(" ", "_")
    return STANDARD.get(word, word)


def _whole(text: str) -> str:
    """The text with U+FFFD for each half of a character, which JSON can say and no file in UTF-8 can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _value(value: object) -> Value | None:
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("", "none", "null", "nan"):
            return None
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        for number in (int, float):
            try:
                return _value(number(text))
            except ValueError:
                continue
        return text if len(text) <= 200 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int):
        return value if abs(value) < 2**63 else None
    return None
