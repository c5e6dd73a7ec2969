"""Checkpoint files: opened whatever their format, checked, and read tensor by tensor."""

from soup_core.checkpoints.names import fitting, networks_within, unwrapped, unwrappings
from soup_core.checkpoints.opening import SeveralWeights, open_checkpoint, open_likeliest
from soup_core.checkpoints.safetensors import Checkpoint, Reader, memory_of, save, size_of, without_repetition, writer
from soup_core.checkpoints.shards import INDEX_ENDINGS, index_of, shard_files

__all__ = [
    "INDEX_ENDINGS",
    "Checkpoint",
    "Reader",
    "SeveralWeights",
    "fitting",
    "index_of",
    "memory_of",
    "networks_within",
    "open_checkpoint",
    "open_likeliest",
    "save",
    "shard_files",
    "size_of",
    "unwrapped",
    "unwrappings",
    "without_repetition",
    "writer",
]
