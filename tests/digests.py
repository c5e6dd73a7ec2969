"""The digest of a checkpoint's content, written down a second time from its description."""

import json
from collections.abc import Mapping

import torch
from blake3 import blake3
from torch import Tensor


def digest_of(state: Mapping[str, Tensor]) -> str:
    """As `Content` describes it, of tensors on the CPU that are one run each."""
    table = []
    for name in sorted(state):
        numbers = state[name].contiguous()
        run = blake3(numbers.reshape(-1).view(torch.uint8).numpy().tobytes()).digest() if numbers.numel() else b""
        kind = str(numbers.dtype).removeprefix("torch.")
        table.append([name, kind, list(numbers.shape), blake3(run).hexdigest()])
    return "b3-" + blake3(json.dumps(table, separators=(",", ":")).encode()).hexdigest()
