"""Adapters of peft over a base: an adapter's file read as the merged weights that it stands for."""

from soup_core.checkpoints.adapters.config import (
    CONFIG,
    WEIGHTS,
    AdapterConfig,
    folder_of,
    is_adapter,
    read_config,
    weights_file,
)
from soup_core.checkpoints.adapters.layers import PREFIX, is_of_adapter, is_transposed
from soup_core.checkpoints.adapters.merging import Merged, MergedTensor, merged

__all__ = [
    "CONFIG",
    "PREFIX",
    "WEIGHTS",
    "AdapterConfig",
    "Merged",
    "MergedTensor",
    "folder_of",
    "is_adapter",
    "is_of_adapter",
    "is_transposed",
    "merged",
    "read_config",
    "weights_file",
]
