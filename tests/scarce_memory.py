"""A machine whose memory does not suffice."""

import pytest
from torch import Tensor

from soup_core.evaluation import side_by_side
from tests.zoos import Linear

NO_ROOM = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


def with_room_for(images: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the linear model's forward pass fail on larger batches; the sizes that were tried, whole batches at a time."""
    tried: list[int] = []
    monkeypatch.setattr(side_by_side, "MOST", 1)
    original = Linear.forward

    def forward(self: Linear, inputs: Tensor) -> Tensor:
        tried.append(len(inputs))
        if len(inputs) > images:
            raise RuntimeError(NO_ROOM)
        return original(self, inputs)

    monkeypatch.setattr(Linear, "forward", forward)
    return tried
