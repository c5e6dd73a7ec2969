"""Checkpoint files: opened whatever their format, checked, and read tensor by tensor."""

from soup_core.checkpoints.completed import Completed, lacks_only
from soup_core.checkpoints.examining import read_through
from soup_core.checkpoints.folders import METADATA, folder_files, folder_kind, is_optimizer
from soup_core.checkpoints.folding import folded
from soup_core.checkpoints.names import fitting, networks_within, unwrapped, unwrappings
from soup_core.checkpoints.opening import SeveralWeights, open_checkpoint, open_likeliest
from soup_core.checkpoints.parametrized import Parametrized, folded_shapes, folded_weight, parametrized
from soup_core.checkpoints.safetensors import Checkpoint, Reader, memory_of, save, size_of, without_repetition, writer
from soup_core.checkpoints.shards import INDEX_ENDINGS, index_of, shard_files

__all__ = [
    "INDEX_ENDINGS",
    "METADATA",
    "Checkpoint",
    "Completed",
    "Parametrized",
    "Reader",
    "SeveralWeights",
    "fitting",
    "folded",
    "folded_shapes",
    "folded_weight",
    "folder_files",
    "folder_kind",
    "index_of",
    "is_optimizer",
    "lacks_only",
    "memory_of",
    "networks_within",
    "open_checkpoint",
    "open_likeliest",
    "parametrized",
    "read_through",
    "save",
    "shard_files",
    "size_of",
    "unwrapped",
    "unwrappings",
    "without_repetition",
    "writer",
]
