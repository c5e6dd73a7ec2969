"""A split's images or texts as a network takes them, on a device."""

from functools import cached_property

import torch
from torch import Tensor

from soup_core.data import Normalization, Split

NORMALIZED_AT_MOST = 128_000_000  # bytes of a split's images in float32 that are kept


class Inputs:
    """A split's images on a device, normalised once where that is small, else when they are asked for.

    On CUDA those that would take more than half of what is free there stay on the host, and travel when asked for. Texts
    are filled up to the longest of a batch when they are asked for.
    """

    def __init__(self, data: Split, normalization: Normalization, device: str) -> None:
        self._data, self._normalization, self._device = data, normalization, device

    def __call__(self, batch: Tensor) -> Tensor:
        """The inputs of these indices (n,) on the device: images normalised, float32, n×C×H×W; texts int64, n×3×L."""
        if self._data.tokens is not None:
            return self._data.tokens[batch.cpu()].to(self._device)
        if self._normalized is not None:
            return self._normalized.index_select(0, batch.to(self._device))
        if self._resident is not None:
            return self._normalization(self._resident[batch.to(self._device)])
        images = self._data.images[batch].pin_memory().to(self._device, non_blocking=True)
        return self._normalization(images)

    @cached_property
    def _resident(self) -> Tensor | None:
        """The images on the device, or None where they would take more than half of what is free there."""
        if self._device == "cpu":
            return self._data.images
        free, _ = torch.cuda.mem_get_info(self._device)
        return self._data.images.to(self._device) if self._data.images.nbytes < free / 2 else None

    @cached_property
    def _normalized(self) -> Tensor | None:
        """The images on the device in float32, or None where that is too much to keep."""
        if self._resident is None or 4 * self._resident.nbytes > NORMALIZED_AT_MOST:
            return None
        with torch.inference_mode(False):  # a learned soup takes gradients through them
            return self._normalization(self._resident)
