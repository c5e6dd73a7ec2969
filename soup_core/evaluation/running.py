"""Ways of running a network on images: as it is, with channels last, with its convolutions fused, or compiled.

All give the same logits, to what rounding leaves; which is fastest depends on the network and the machine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.architectures.forward import logits_of
from soup_core.evaluation.compiling import compiled
from soup_core.evaluation.fusing import FusedNetwork
from soup_core.runtime.devices import is_out_of_memory

WAYS = ("plain", "channels_last", "fused", "compiled")


class Running:
    """One way of running a network, whose weights stay in `module`.

    `refresh` after weights are loaded, or after another way was used on the module; then call it with a batch, N×C×H×W,
    for the logits. Raises what torch raises where the network cannot be run so.
    """

    def __init__(self, module: nn.Module, way: str = "plain") -> None:
        self.module, self.way = module, way
        self._format = torch.contiguous_format if way == "plain" else torch.channels_last
        self._run: Callable[[Tensor], Any] = module
        self._size: int | None = None  # of the batches that it is compiled for
        self._fused: FusedNetwork | None = None
        if way == "fused":
            self._run = self._fused = FusedNetwork(module)

    def prepare(self, inputs: Tensor, context: Callable[[], AbstractContextManager[Any]]) -> bool:
        """Compile, where that is the way, for batches of the size of these; smaller ones are then filled up.

        The work that waits for it can be ended. False where the network cannot be compiled.
        """
        if self.way != "compiled":
            return True
        self.refresh()
        found = compiled(self.module, inputs.contiguous(memory_format=self._format), context)
        if found is None:
            return False
        self._run, self._size = found, len(inputs)
        return True

    @property
    def fixed_size(self) -> int | None:
        """The one size of batches that it is made for, or None where any will do."""
        return self._size

    def refresh(self) -> None:
        """Take over the weights that the module holds now."""
        self.module.to(memory_format=self._format)
        if self._fused is not None:
            with torch.inference_mode():
                self._fused.refresh()

    def __call__(self, inputs: Tensor) -> Tensor:
        """The logits of a batch, N×num_classes."""
        size = self._size
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=self._format)
        if size is None:
            return logits_of(self.module, inputs, self._run(inputs))
        if len(inputs) > size:
            return logits_of(self.module, inputs, self.module(inputs))
        filling = inputs[-1:].expand(size - len(inputs), *inputs.shape[1:])
        whole = torch.cat([inputs, filling]) if len(filling) else inputs
        try:
            return logits_of(self.module, whole, self._run(whole.contiguous(memory_format=self._format)))[: len(inputs)]
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):  # from now on batches are smaller, and filling them up would not help
                self._run, self._size = self.module, None
            raise
