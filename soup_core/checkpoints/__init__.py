"""Checkpoint files: opened whatever their format, checked, and read tensor by tensor."""

from soup_core.checkpoints.names import LEADING, WITHIN, fitting, unwrapped
from soup_core.checkpoints.opening import open_checkpoint, open_likeliest
from soup_core.checkpoints.safetensors import Checkpoint, Reader, memory_of, save, size_of, without_repetition, writer

__all__ = [
    "LEADING",
    "WITHIN",
    "Checkpoint",
    "Reader",
    "fitting",
    "memory_of",
    "open_checkpoint",
    "open_likeliest",
    "save",
    "size_of",
    "unwrapped",
    "without_repetition",
    "writer",
]
