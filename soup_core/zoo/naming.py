"""Names of ingredients: short, distinct, what zoo.toml can hold, and which of them says that it is the base."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from soup_core.checkpoints import INDEX_ENDINGS
from soup_core.zoo.zoo import RESERVED

ENDINGS = (".pt", ".pt2", ".pth", ".pth.tar", ".bin", ".ckpt", ".safetensors", *INDEX_ENDINGS)
BASES = ("base", "pretrained", "init", "initial", "zeroshot", "zero_shot", "lp_init", "pretrain")


def ingredient_names(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """A short name for each file: its stem, where these differ, else its folders' too, without what all have in common."""
    inside = {file: file.relative_to(folder) for file in files}
    for parts in range(1, max(len(path.parts) for path in inside.values()) + 1):
        names = {file: "/".join((*path.parent.parts, stem(path.name))[-parts:]) for file, path in inside.items()}
        if len(set(names.values())) == len(files):
            break
    else:
        names = {file: str(path) for file, path in inside.items()}
    runs = {file: name for file, name in names.items() if not is_base(name)}
    short = {file: name.rpartition("/")[0] for file, name in runs.items()}  # run-1/model_best, run-2/model_best, …
    last = {name.rpartition("/")[2] for name in runs.values()}
    if len(runs) > 1 and len(last) == 1 and all(short.values()) and not {*short.values()} & {*names.values()}:
        names |= short
    free = (name if name not in RESERVED else f"{name}-1" for name in map(readable, names.values()))
    return dict(zip(names, free, strict=True))


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
