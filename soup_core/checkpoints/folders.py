"""Folders that are one checkpoint: those of torch.distributed.checkpoint, and DeepSpeed's ZeRO, which is only recognised.

https://docs.pytorch.org/docs/stable/distributed.checkpoint.html, https://deepspeed.readthedocs.io/en/latest/model-checkpointing.html
"""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

METADATA, CHUNKS = ".metadata", ".distcp"
ZERO = re.compile(r"(?:bf16_|fp16_)?zero_pp_rank_\d+_mp_rank_\d+_(?:model|optim)_states\.pt")
CONSOLIDATED = "python -m torch.distributed.checkpoint.format_utils dcp_to_torch"


def folder_kind(names: Collection[str]) -> Literal["distributed", "zero"] | None:
    """What a folder of files of these names is, if it is one checkpoint."""
    if METADATA in names and any(name.endswith(CHUNKS) for name in names):
        return "distributed"
    return "zero" if any(map(ZERO.fullmatch, names)) else None


def checkpoint_folder(path: Path) -> Literal["distributed", "zero"] | None:
    """The same of a folder by its path, or of one that holds DeepSpeed's; None where it is none, or cannot be read."""
    with suppress(OSError, ValueError):
        if path.is_dir():
            names = os.listdir(path)
            below = [name for name in names if name.startswith("global_step") and (path / name).is_dir()]
            return folder_kind(names) or next(
                (k for name in below if (k := folder_kind(os.listdir(path / name)))), None
            )
    return None


def is_optimizer(folder: str) -> bool:
    """Whether a folder's name says that an optimizer's state lies there, as accelerate calls it: "optimizer_0"."""
    return re.fullmatch(r"optim(?:izer)?(?:_\d+)?", folder) is not None


def check_not_zero(path: Path) -> None:
    """Raise CheckpointError for a folder of DeepSpeed's ZeRO, or a file in one, with what its own script makes of it."""
    folder = path if path.is_dir() else path.parent
    if not (ZERO.fullmatch(path.name) or checkpoint_folder(path) == "zero"):
        return
    script = next((each for each in (folder, folder.parent) if (each / "zero_to_fp32.py").exists()), None)
    where = f"in {shown(script)} run" if script else "in the folder that holds DeepSpeed's zero_to_fp32.py run"
    raise CheckpointError(
        f"{shown(path)} is of DeepSpeed's ZeRO, whose files hold a part of each tensor; {where} `python zero_to_fp32.py . "
        "whole --safe_serialization` and name the file in `whole`."
    )


def folder_files(path: Path) -> list[Path]:
    """The files of a folder of torch.distributed.checkpoint, for whoever watches them for a change; else none."""
    folder = path.parent if path.name == METADATA else path
    if checkpoint_folder(folder) != "distributed":
        return []
    return [folder / name for name in sorted(os.listdir(folder)) if name == METADATA or name.endswith(CHUNKS)]
