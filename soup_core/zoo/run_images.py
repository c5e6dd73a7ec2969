"""What the runs of a sweep did to their images, by their own words: one for all, since a zoo judges all on the same.

timm's train.py keeps its arguments in args.yaml and in its checkpoints, its models' own config.json what they expect;
transformers keeps a processor beside the weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core.architectures import Proposed, proposed_preprocessing
from soup_core.architectures.timm_models import DATA_SETTINGS
from soup_core.data import Processor
from soup_core.data.processors import configured
from soup_core.errors import SoupError
from soup_core.runtime.files import listed, shown
from soup_core.zoo.hyperparameters import run_file

CONFIGURATION_AT_MOST = 1_000_000  # bytes
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class RunImages:
    """What images went through, None where nothing is known; `is_told` where runs say it, and no library's usual alone.

    `notices` tell what cannot be said in zoo.toml, and runs that differ.
    """

    proposed: Proposed
    is_told: bool
    notices: tuple[str, ...]


def image_settings(folder: Path, file: Path, beside: Mapping[str, Any]) -> dict[str, Any]:
    """What stands within a checkpoint, and in files beside it, of how its run prepared images; the run's arguments win."""
    arguments = beside.get("args")
    config = _json(file.parent / "config.json").get("pretrained_cfg")
    told = [each for each in (config, arguments, run_file(folder, file)) if isinstance(each, Mapping)]
    return {key: each[key] for each in told for key in DATA_SETTINGS if each.get(key) not in (None, "")}


def images_of_runs(architecture: Mapping[str, Any], folder: Path, runs: Mapping[Path, Settings]) -> RunImages:
    """What most runs, by their checkpoint and its `image_settings`, did to images."""
    by_images: dict[Proposed, list[Path]] = {}
    failures: list[str] = []
    told = _told(architecture, folder, runs)
    for file, (named, settings) in (told or {folder: (architecture, {})}).items():
        try:
            by_images.setdefault(proposed_preprocessing(named, folder, settings=settings), []).append(file)
        except SoupError as error:
            failures.append(str(error))
    notices = tuple(dict.fromkeys(failures))
    if not by_images:
        return RunImages(None, False, notices)
    most = max(by_images, key=lambda images: len(by_images[images]))
    others = [file for images, files in by_images.items() if images != most for file in files]
    if others:
        notices += (
            f"{listed((shown(str(each.relative_to(folder))) for each in others), 3)} had images prepared otherwise than the "
            f"{len(by_images[most])} whose way is taken; judge them in a zoo of their own.",
        )
    # A processor is saved by whoever trained; what other libraries know of a network is how their own weights were.
    saved = str(architecture["name"]).startswith("transformers:")
    return RunImages(most, most is not None and (bool(told) or saved), notices)


def _told(
    architecture: Mapping[str, Any], folder: Path, runs: Mapping[Path, Settings]
) -> dict[Path, tuple[Mapping[str, Any], Settings]]:
    """Of each run that says anything: the network, under its own folder's name, and its settings."""
    if str(architecture["name"]).startswith("transformers:"):
        own: dict[Path, tuple[Mapping[str, Any], Settings]] = {}
        for file in runs:
            place = file.parent.relative_to(folder).as_posix()
            if _has_processor(file.parent):
                own[file] = {**architecture, "name": f"transformers:{place}"}, {}
        return own
    return {file: (architecture, settings) for file, settings in runs.items() if settings}


def _has_processor(folder: Path) -> bool:
    try:
        return isinstance(configured(folder), Processor)
    except SoupError:
        return True  # which is told when it is asked for


def _json(file: Path) -> Mapping[str, Any]:
    try:
        if not file.is_file() or file.stat().st_size > CONFIGURATION_AT_MOST:
            return {}
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
