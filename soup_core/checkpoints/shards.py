"""Shards: a checkpoint cut into several files, and the index that says which tensor lies in which of them.

`model.safetensors.index.json` and `pytorch_model.bin.index.json`, as transformers, accelerate and DeepSpeed write them:
{"metadata": {…}, "weight_map": {tensor: file}}, https://huggingface.co/docs/transformers/big_models#sharded-checkpoints
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from soup_core.checkpoints.identity import OpenedFile, opened
from soup_core.checkpoints.safetensors import TENSORS_AT_MOST, without_repetition
from soup_core.errors import CheckpointError
from soup_core.runtime.files import listed, shown

INDEX_ENDINGS = (".safetensors.index.json", ".bin.index.json")
INDEX_BYTES_AT_MOST = 25_000_000
SHARDS_AT_MOST = 500  # that are open at once, of the 1,024 files that a process may usually have
SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})(?P<ending>\.safetensors|\.bin)")


def index_of(shard: str) -> tuple[str, int] | None:
    """What the index is called that a file of this name is a shard of, and of how many; None where it is no shard's name.

    "model-00001-of-00003.safetensors" gives "model.safetensors.index.json" and 3.
    """
    match = SHARD.fullmatch(shard)
    if match is None or int(match["count"]) < 2:
        return None
    return f"{match['stem']}{match['ending']}.index.json", int(match["count"])


def check_no_shard(path: Path) -> None:
    """Raise CheckpointError for a shard's name: alone it holds a part of a model."""
    if found := index_of(path.name):
        index, count = found
        there = (path.parent / index).exists()
        remedy = f"name {shown(index)}" if there else f"put {shown(index)} and the others beside it, and name that file"
        raise CheckpointError(f"{shown(path)} is one of {count} shards of a checkpoint; {remedy}.")


def is_index(start: bytes) -> bool:
    """Whether a file that begins so may be an index: JSON holds no NUL, and the length before a safetensors header does."""
    return start.lstrip()[:1] == b"{" and b"\0" not in start


def tensors_by_shard(index: OpenedFile) -> dict[str, list[str]]:
    """The names of the tensors that an index lists for each of its shards, these in the order of their names.

    Raises CheckpointError where it cannot be read, names no file or too many, or one out of its folder.
    """
    weight_map = _weight_map(index)
    shards: dict[str, list[str]] = {}
    for tensor, shard in weight_map.items():
        shards.setdefault(shard, []).append(tensor)
    for shard in shards:
        place = PurePosixPath(shard)
        if place.is_absolute() or ".." in place.parts or "\0" in shard or not place.parts:
            raise CheckpointError(
                f"{index.name} lists the shard {shown(shard)!r}, which is no file of its own folder; put the shards beside "
                "the index and name them there."
            )
    if len(shards) > SHARDS_AT_MOST:
        raise CheckpointError(
            f"{index.name} lists {len(shards):,} shards, and at most {SHARDS_AT_MOST} are read; save the model in larger ones."
        )
    return {shard: shards[shard] for shard in sorted(shards)}


def check_listed(index: str, shard: str, its: Mapping[str, object], expected: list[str], count: int) -> None:
    """Raise CheckpointError where a shard holds other tensors than the index lists for it."""
    for said, names in (
        ("holds, beyond what the index lists for it,", [name for name in its if name not in set(expected)]),
        ("lacks", [name for name in expected if name not in its]),
    ):
        if names:
            raise CheckpointError(
                f"{index} and its shard {shown(shard)} disagree: the shard {said} {listed(map(shown, names), 3)}. Copy the "
                f"index and all {count} shards again, from one saving."
            )


def _weight_map(index: OpenedFile) -> dict[str, str]:
    if index.identity.size > INDEX_BYTES_AT_MOST:
        raise CheckpointError(
            f"{index.name} has {index.identity.size:,} bytes, and at most {INDEX_BYTES_AT_MOST:,} of an index are read."
        )
    try:
        table: Any = json.loads(
            os.pread(index.descriptor, index.identity.size, 0), object_pairs_hook=without_repetition
        )
    except (ValueError, RecursionError) as error:
        raise _unsound(index, f"it cannot be read as JSON ({error})") from error
    found = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(found, dict) or not found:
        raise _unsound(index, "it has no table weight_map, tensors' names with the file of each")
    if not all(isinstance(file, str) for file in found.values()):
        raise _unsound(index, "its weight_map gives a tensor something else than a file's name")
    if len(found) > TENSORS_AT_MOST:
        raise _unsound(index, f"it lists {len(found):,} tensors, and at most {TENSORS_AT_MOST:,} are read")
    return found


def _unsound(index: OpenedFile, what: str) -> CheckpointError:
    return CheckpointError(f"{index.name} is no sound index of shards: {what}. Copy or save it again.")


def shard_files(index: Path) -> list[Path]:
    """The files that an index by its name lists, for whoever watches them for a change; none where it cannot be read."""
    if not index.name.endswith(INDEX_ENDINGS):
        return []
    try:
        with opened(index, shown(index), expected="an index of shards") as file:
            return [index.parent / shard for shard in tensors_by_shard(file)]
    except CheckpointError:
        return []
