"""The whole way from a trainer's folder to a soup that its own library loads, by the command line and by the library."""

import importlib
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import safetensors.torch

from soup_core import cli
from tests.trainers.pictures import make_pictures
from tests.trainers.trainer import Trainer, correct

MODULES = (
    "timm", "torchvision", "transformers", "lightning", "accelerate", "fastai", "ultralytics", "mmengine", "mlflow", "peft", "skorch",
    "ignite",
)  # fmt: skip


@dataclass(frozen=True)
class Walked:
    """What came of three runs: which files were taken, what was read of them, and images right, ours beside the library's."""

    trainer: Trainer
    taken: tuple[str, ...]
    hyperparameters: tuple[dict[str, Any], ...]
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    soup: tuple[str, ...]
    ours_of_soup: dict[str, int]
    theirs_of_soup: dict[str, int]
    notices: str


def trainer_of(module: str) -> Trainer:
    """A trainer by its module's name. Raises ImportError where its library is not installed."""
    found: Trainer = importlib.import_module(f"tests.trainers.of_{module}").TRAINER
    return found


def version_of(trainer: Trainer) -> str:
    """The installed release."""
    try:
        return version(trainer.package)
    except PackageNotFoundError:
        return ""


def command(*arguments: object) -> tuple[list[dict[str, Any]], str]:
    """The rows that a command prints, and what it says beside them, in this process."""
    out, beside = StringIO(), StringIO()
    given = patch.object(sys, "argv", ["soup_core", *map(str, arguments), "--json"])
    with given, redirect_stdout(out), redirect_stderr(beside):
        try:
            cli.main()
        except SystemExit as end:
            if end.code:
                raise AssertionError(f"{arguments} ended with {end.code}: {beside.getvalue()}") from end
    return [json.loads(line) for line in out.getvalue().splitlines()], beside.getvalue()


def walk(trainer: Trainer, folder: Path) -> Walked:
    """Train, propose, evaluate each run, search greedily, export, and count all again by the library alone."""
    make_pictures(folder / "images")
    trainer.train(folder)
    with patch.dict(os.environ, {"SOUP_TRUST": str(folder)}):  # where a factory makes the network
        return _judged(trainer, folder)


def _judged(trainer: Trainer, folder: Path) -> Walked:
    _, notices = command("init", folder, *trainer.options)
    ingredients = tomllib.loads((folder / "zoo.toml").read_text())["ingredients"]
    files = [folder / each["file"] for each in ingredients]
    ours = [
        command("evaluate", folder, "--soup", each["name"], "--split", "held_out")[0][-1]["held_out"]["correct"]
        for each in ingredients
    ]
    found, _ = command("greedy", folder)
    command("export", folder, "--soup", "greedy", "-o", folder / "soup.safetensors")
    fresh = trainer.fresh(folder)
    fresh.load_state_dict(safetensors.torch.load_file(folder / "soup.safetensors"))
    return Walked(
        trainer,
        tuple(str(file.relative_to(folder)) for file in files),
        tuple(each.get("hyperparameters", {}) for each in ingredients),
        tuple(ours),
        tuple(correct(trainer.load(file), folder, "val", trainer.transform) for file in files),
        tuple(found[-1]["soup"]),
        {split: found[-1][split]["correct"] for split in ("held_out", "test")},
        {
            split: correct(fresh, folder, part, trainer.transform)
            for split, part in (("held_out", "val"), ("test", "test"))
        },
        notices,
    )


def installed() -> Iterator[tuple[str, Trainer]]:
    """The trainers whose libraries are here."""
    for module in MODULES:
        try:
            yield module, trainer_of(module)
        except ImportError:
            continue
