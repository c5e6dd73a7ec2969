"""The files in which trainers keep the settings of a run, and what else of a run stands beside its checkpoints.

Each is read as data: a tag of YAML that would make an object counts as no value.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

BYTES_AT_MOST = 5_000_000
PARAMETERS_AT_MOST = 1000  # files of mlflow's, one a parameter
Table = Mapping[Any, Any]


class _AsData(yaml.SafeLoader):
    """YAML without objects."""


_AsData.add_multi_constructor("", lambda loader, suffix, node: None)


def read_text(file: Path) -> str | None:
    """The text of a small regular file, which is no link; None where there is none, or it cannot be read."""
    try:  # a FIFO would wait for a writer, a link may lead anywhere
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > BYTES_AT_MOST:
                return None
            return opened.read(BYTES_AT_MOST).decode("utf-8-sig")
    except (OSError, ValueError):
        return None


def read_json(file: Path) -> Any:
    """What a small file of JSON says; None where there is none, or it cannot be read."""
    try:
        return json.loads(read_text(file) or "null")
    except (ValueError, RecursionError):
        return None


def read_yaml(file: Path) -> Any:
    """What a small file of YAML says, without objects; None where there is none, or it cannot be read."""
    try:
        return yaml.load(read_text(file) or "", _AsData)
    except (ValueError, yaml.YAMLError, RecursionError):
        return None


def _wandb(file: Path) -> Any:
    """Of `key: {value: …}` the values."""
    content = read_yaml(file)
    if not isinstance(content, dict):
        return None
    return {
        key: value["value"] if isinstance(value, dict) and "value" in value else value
        for key, value in content.items()
        if not str(key).startswith("_")
    }


def _trainer_state(file: Path) -> Any:
    """What transformers' Trainer notes of its arguments; all of them lie in a pickle beside."""
    state = read_json(file)
    if not isinstance(state, dict):
        return None
    searched = state.get("trial_params")
    known = {key: state.get(key) for key in ("num_train_epochs", "train_batch_size")}
    return {**known, **(searched if isinstance(searched, dict) else {})}


def _mlflow(folder: Path) -> Any:
    """A file a parameter."""
    try:
        if folder.is_symlink():
            return None
        with os.scandir(folder) as scanned:
            names = sorted(entry.name for entry, _ in zip(scanned, range(PARAMETERS_AT_MOST), strict=False))
    except OSError:
        return None
    return {name: text for name in names if (text := read_text(folder / name)) is not None}


# By the path below a folder that is the run's, or lies within it.
SETTINGS_FILES: Mapping[str, Callable[[Path], Any]] = {
    "trainer_state.json": _trainer_state,  # transformers
    "params": _mlflow,
    "params.json": read_json,  # Ray Tune
    "config.yaml": _wandb,
    "files/config.yaml": _wandb,
    "hparams.yaml": read_yaml,  # Lightning
    ".hydra/config.yaml": read_yaml,
    "args.yaml": read_yaml,  # timm, ultralytics
    **dict.fromkeys(("training_args.json", "args.json", "hparams.json", "hyperparameters.json"), read_json),
}


def run_settings(folder: Path, file: Path) -> Iterator[Table]:
    """What stands in the files of settings above a checkpoint, up to `folder`, the nearest last."""
    for parent in reversed([parent for parent in file.parents if parent.is_relative_to(folder)]):
        for path, read in SETTINGS_FILES.items():
            if not (parent / path).parent.is_symlink() and isinstance(content := read(parent / path), dict):
                yield content
    runs = {} if (folder / "wandb").is_symlink() else _wandb_runs(folder / "wandb")
    for part in file.relative_to(folder).parts:  # the checkpoints may lie elsewhere, below the run's identifier
        if part in runs and isinstance(content := _wandb(runs[part] / "files" / "config.yaml"), dict):
            yield content


def _wandb_runs(folder: Path) -> dict[str, Path]:
    """The folders run-DATE_TIME-IDENTIFIER of wandb by identifier."""
    try:
        with os.scandir(folder) as scanned:
            runs = [entry.name for entry in scanned if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return {}
    return {name.rpartition("-")[2]: folder / name for name in sorted(runs) if name.startswith("run-")}


def run_name(folder: Path, file: Path) -> tuple[str, Path] | None:
    """The name that mlflow gave to the run of a checkpoint, and the folder of that run or of a model of it."""
    for parent in file.parents:
        if not parent.is_relative_to(folder):
            break
        of_run, model = read_yaml(parent / "meta.yaml"), read_yaml(parent / "artifacts" / "MLmodel")
        for content in (of_run, model):
            run = content.get("source_run_id", content.get("run_id")) if isinstance(content, dict) else None
            if isinstance(run, str) and run == Path(run).name:
                experiment = parent.parent.parent if content is model or "source_run_id" in content else parent.parent
                named = read_yaml(experiment / run / "meta.yaml")
                if isinstance(named, dict) and isinstance(named.get("run_name"), str):
                    return named["run_name"], parent
    return None
