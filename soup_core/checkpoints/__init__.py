"""Checkpoint files: opened whatever their format, checked, and read tensor by tensor."""

from soup_core.checkpoints.completed import Completed, lacks_only
from soup_core.checkpoints.names import fitting, networks_within, unwrapped, unwrappings
from soup_core.checkpoints.opening import SeveralWeights, open_checkpoint, open_likeliest
from soup_core.checkpoints.safetensors import Checkpoint, Reader, memory_of, save, size_of, without_repetition, writer

__all__ = [
    "Checkpoint",
    "Completed",
    "Reader",
    "SeveralWeights",
    "fitting",
    "lacks_only",
    "memory_of",
    "networks_within",
    "open_checkpoint",
    "open_likeliest",
    "save",
    "size_of",
    "unwrapped",
    "unwrappings",
    "without_repetition",
    "writer",
]
