"""Names of ingredients: short, distinct, what zoo.toml can hold, and which of them says that it is the base."""

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path

from soup_core.checkpoints import INDEX_ENDINGS
from soup_core.zoo.settings_files import run_name
from soup_core.zoo.zoo import RESERVED

ENDINGS = (".pt", ".pt2", ".pth", ".pth.tar", ".bin", ".ckpt", ".safetensors", *INDEX_ENDINGS)
NAME_AT_MOST = 24  # characters, where all begin alike
# Folders within a run's that say nothing: Lightning's, ultralytics', fastai's, wandb's, mlflow's.
WITHIN = ("checkpoints", "ckpts", "ckpt", "weights", "models", "files", "artifacts", "data", "model", "state_dict")
BASES = ("base", "pretrained", "init", "initial", "zeroshot", "zero_shot", "lp_init", "pretrain")


def ingredient_names(folder: Path, runs: Mapping[Path, tuple[str, ...]]) -> dict[Path, str]:
    """A short name for each file: the last parts of its run, or of its path, that tell it from the others.

    `runs` has the run of each file that alone stands for it, and nothing for others. mlflow's runs have names of their own.
    """
    inside = {file: file.relative_to(folder) for file in runs}
    whole = {file: (*path.parent.parts, stem(path.name)) for file, path in inside.items()}
    within = {file: _called(folder, file, parts) for file, parts in whole.items()}
    by_run = {file: _of_run(folder, file, run, stem(file.name)) if run else within[file] for file, run in runs.items()}
    parts = next((each for each in (by_run, within) if len({*each.values()}) == len(each)), whole)
    names = _shortest(parts)
    if len({*names.values()}) < len(names):
        names = {file: str(path) for file, path in inside.items()}
    others = {file: name for file, name in names.items() if not is_base(name)}
    short = {file: name.rpartition("/")[0] for file, name in others.items()}  # run-1/model, run-2/model, …
    last = {name.rpartition("/")[2] for name in others.values()}
    if len(short) > 1 and len(last) == 1 and all(short.values()) and not {*short.values()} & {*names.values()}:
        names |= short
    free = (name if name not in RESERVED else f"{name}-1" for name in map(readable, names.values()))
    return dict(zip(names, free, strict=True))


def _called(folder: Path, file: Path, parts: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of a path that say something, from the run on as mlflow calls it, where it does."""
    if given := run_name(folder, file):
        parts = (given[0], *parts[len(given[1].relative_to(folder).parts) :])
    return (*(part for part in parts[:-1] if part.lower() not in WITHIN), parts[-1])


def _of_run(folder: Path, file: Path, run: tuple[str, ...], own: str) -> tuple[str, ...]:
    if given := run_name(folder, file):
        return (given[0],)
    last = re.sub(r"_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$", "", run[-1])  # Ray Tune ends a trial's name with the time
    return (*run[:-1], f"run-{last}" if last.isdigit() and last != own else last)  # hydra's jobs are numbers


def _shortest(parts: Mapping[Path, tuple[str, ...]]) -> dict[Path, str]:
    """The fewest last parts by which all differ; of long ones, without the words that all begin with."""
    for count in range(1, max(map(len, parts.values())) + 1):
        names = {file: "/".join(each[-count:]) for file, each in parts.items()}
        if len({*names.values()}) == len(names):
            break
    if len(names) > 1 and max(map(len, names.values())) > NAME_AT_MOST:
        words = {file: re.findall(r".*?[-_/ ]|.+$", name) for file, name in names.items()}
        columns = zip(*(each[:-1] for each in words.values()), strict=False)
        begin = sum(len(same[0]) for same in itertools.takewhile(lambda same: len({*same}) == 1, columns))
        names = {file: name[begin:] for file, name in names.items()}
    return names


def stem(name: str) -> str:
    """A file's name without the ending of a checkpoint."""
    return next(
        (name[: -len(ending)] for ending in sorted(ENDINGS, key=len, reverse=True) if name.lower().endswith(ending)),
        name,
    )


def natural_order(name: str) -> list[tuple[int, str]]:
    """Numbers in names in their own order: run-2 before run-10."""
    return [(int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", name)]


def is_base(name: str) -> bool:
    """Whether a name says that the checkpoint is what the runs started from."""
    last = name.rpartition("/")[2].removesuffix("-1").lower()
    return last in BASES or any(last.startswith((f"{word}_", f"{word}-", f"{word}.")) for word in BASES)


def readable(name: str) -> str:
    """The name as text that is UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")  # what TOML can hold; the loader finds the file by it


def written(path: Path, folder: Path) -> str:
    """A path below the folder as zoo.toml has it."""
    return readable(path.relative_to(folder).as_posix())
