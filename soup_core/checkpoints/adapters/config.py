"""adapter_config.json of peft, and what it must say for an adapter's merged weights to be known exactly.

LoRA is Hu et al. 2021 (arXiv 2106.09685), rsLoRA Kalajdzievski 2023 (arXiv 2312.03732), DoRA Liu et al. 2024
(arXiv 2402.09353). Fields: https://huggingface.co/docs/peft/package_reference/lora
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic

from soup_core.checkpoints.identity import opened, refusal
from soup_core.checkpoints.safetensors import without_repetition
from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")  # in the order in which peft looks for them
BYTES_AT_MOST = 1_000_000
PATTERN_AT_MOST = 250  # characters
REPETITIONS_AT_MOST = 2  # in a pattern: its time grows with the name's length to their power
MERGE = "Load it with peft, save what merge_and_unload() gives, and name that file in zoo.toml instead of the adapter."
# Starts that leave the base as it is. The others take from the base what they put into the adapter, so that the file's
# product belongs to weights that lie nowhere.
STARTS = ("gaussian", "orthogonal", "eva")
# Fields that say how it was trained or found its layers, which the file's tensors show, or nothing at all.
WITHOUT_EFFECT = frozenset((
    "task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "target_modules",
    "exclude_modules", "lora_dropout", "layers_to_transform", "layers_pattern", "megatron_core",
    "loftq_config", "eva_config", "qalora_group_size", "runtime_config", "fan_in_fan_out", "bias",
    "lora_bias", "modules_to_save",
))  # fmt: skip


class AdapterConfig(pydantic.BaseModel):
    """What scales an adapter's products, and the base that it names; `digest` is the SHA-256 of the file's content."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    peft_type: str
    r: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 8
    lora_alpha: Annotated[float, pydantic.Field(allow_inf_nan=False)] = 8
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: bool | str | None = True
    rank_pattern: dict[str, Annotated[int, pydantic.Field(ge=1, le=1_000_000)]] | None = None
    alpha_pattern: dict[str, Annotated[float, pydantic.Field(allow_inf_nan=False)]] | None = None
    base_model_name_or_path: str | None = None
    digest: str = ""

    def rank(self, module: str) -> int:
        """The rank that it says for a module by its name in the network that was trained."""
        patterns = self.rank_pattern or {}
        return patterns.get(_matching(patterns, module), self.r)

    def scale(self, module: str) -> float:
        """What B · A is multiplied by for a module: alpha over the rank, or over its root."""
        patterns, rank = self.alpha_pattern or {}, self.rank(module)
        alpha = patterns.get(_matching(patterns, module), self.lora_alpha)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank


def _matching(patterns: Mapping[str, Any], module: str) -> str:
    """The first of the patterns that a module's name ends in, as peft finds it; else the name itself."""
    return next((pattern for pattern in patterns if re.match(rf"(.*\.)?({pattern})$", module)), module)


def is_adapter(path: Path) -> bool:
    """Whether a file, or a folder, is an adapter of peft: its configuration lies beside its weights."""
    folder = folder_of(path)
    return (folder / CONFIG).is_file() and (path.name in WEIGHTS or path == folder)


def folder_of(path: Path) -> Path:
    """The folder that peft saved, of a path to it or to its weights."""
    return path if path.is_dir() else path.parent


def weights_file(path: Path) -> Path:
    """The file of an adapter's weights, as peft chooses it where a folder is named. Raises CheckpointError without one."""
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{shown(path)} holds {CONFIG} and no {WEIGHTS[0]}; save the adapter again.")


def read_config(path: Path, *, roots: Sequence[Path] = ()) -> AdapterConfig:
    """The configuration of an adapter, by its folder or its weights' file.

    Raises CheckpointError where it cannot be read, and where what it says has no merged weights that are known exactly:
    the methods beside LoRA, and of LoRA what is not linear in its product or has changed the base.
    """
    file = folder_of(path) / CONFIG
    where = f"{shown(file.parent)}/{CONFIG}"
    try:
        real = Path(os.path.realpath(file, strict=True))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{where} {refusal(error)}") from error
    if roots and not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        raise CheckpointError(f"{where} lies outside the zoo's folder and those of SOUP_ZOOS; put the file inside.")
    with opened(real, where, expected="the configuration of an adapter", follow_links=False) as source:
        if source.identity.size > BYTES_AT_MOST:
            raise CheckpointError(f"{where} is larger than {BYTES_AT_MOST:,} bytes, which no configuration is.")
        content = os.pread(source.descriptor, BYTES_AT_MOST, 0)
    return parsed(content, where)


def parsed(content: bytes, where: str) -> AdapterConfig:
    """The configuration in a file's content; `where` names it. Raises CheckpointError as `read_config` does."""
    try:
        table = json.loads(content, object_pairs_hook=without_repetition)
        if not isinstance(table, dict):
            raise ValueError("it is no table")
        kind = str(table.get("peft_type"))
        if kind != "LORA":
            raise CheckpointError(f"{where} is of the kind {shown(kind)}, and only LORA is known here. {MERGE}")
        config = AdapterConfig.model_validate({**table, "digest": hashlib.sha256(content).hexdigest()})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{where}, key {shown(key)}: {first['msg']}; found {first['input']!r:.80}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{where} cannot be read as a table in JSON ({str(error)[:80]}); save it again."
        ) from error
    _check_exact(config, where)
    return config


def _check_exact(config: AdapterConfig, where: str) -> None:
    start = config.init_lora_weights
    if isinstance(start, str) and start not in STARTS:
        raise CheckpointError(
            f"{where} says init_lora_weights = {shown(start)!r}, which changes the base's own weights as training begins, "
            f"so that base and adapter do not add up to what was trained. {MERGE}"
        )
    for key, value in (config.model_extra or {}).items():
        if value and key not in WITHOUT_EFFECT:
            raise CheckpointError(
                f"{where} says {shown(key)} = {shown(json.dumps(value), 80)}, and what that makes of the weights is not "
                f"known here. {MERGE}"
            )
    for pattern in (*(config.rank_pattern or {}), *(config.alpha_pattern or {})):
        repetitions = len(re.findall(r"[*+{]", pattern)) + len(re.findall(r"\)[*+{]", pattern)) * REPETITIONS_AT_MOST
        try:
            intricate = len(pattern) > PATTERN_AT_MOST or repetitions > REPETITIONS_AT_MOST
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            intricate = True
        if intricate:
            raise CheckpointError(
                f"{where} has the pattern {shown(pattern)!r}, which is no regular expression with at most "
                f"{REPETITIONS_AT_MOST} repetitions and none of a group; name the modules there, each with its rank or alpha."
            )
