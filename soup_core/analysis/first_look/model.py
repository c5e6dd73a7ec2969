"""One ingredient's network on images that are prepared in several ways: loaded once, and run within a time."""

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from soup_core import architectures
from soup_core.analysis.first_look.preparations import Preparation
from soup_core.data.sample import Sample
from soup_core.errors import OutOfMemory
from soup_core.runtime.devices import exactly, room_for
from soup_core.runtime.interruption import yield_point
from soup_core.soup import Soup
from soup_core.weight_space.averaging import state_dict
from soup_core.zoo import Zoo

BATCH = 16
TIMED = 4  # images, by which the time of one is told


@dataclass(frozen=True, eq=False)
class Model:
    """An ingredient's network in evaluation mode on a device."""

    zoo: Zoo
    name: str
    device: str
    module: nn.Module

    def logits(self, images: Sample, *preparations: Preparation) -> list[Tensor]:
        """The logits of a sample by each preparation: float32, N×outputs, on the CPU. The files are decoded once.

        Raises DataError where images are of several sizes, or the network does not take them, OutOfMemory where not even
        one image fits.
        """
        ways = list(dict.fromkeys((each.preprocessing, len(each.normalization.mean)) for each in preparations))
        prepared = dict(zip(ways, images.images(ways), strict=True))
        every = [self._run(prepared[each.preprocessing, len(each.normalization.mean)], each) for each in preparations]
        return every if images.outputs is None else [logits[:, list(images.outputs)] for logits in every]

    def images_within(self, seconds: float, images: Sample, preparation: Preparation) -> int:
        """How many images are run within a time, told by a few of the sample. Raises as `logits` does."""
        few = images.first(TIMED)
        self.logits(few, preparation)  # the first pass takes longer
        begin = time.perf_counter()
        self.logits(few, preparation)
        taken = time.perf_counter() - begin
        return math.floor(min(1e9, len(few) * seconds / taken)) if taken > 0 else 10**9

    def _run(self, images: Tensor, preparation: Preparation) -> Tensor:
        size, collected = BATCH, []
        while images.shape[0]:
            inputs = images[:size].to(self.device)
            inputs = inputs if inputs.dtype == torch.int64 else preparation.normalization(inputs)  # else texts
            try:
                with (
                    torch.inference_mode(),
                    exactly("float32", self.device),
                    room_for("even one image beside the model", self.device),
                    architectures.failures_in_words(self.zoo.architecture, self.module, inputs),
                ):
                    logits: Tensor = self.module(inputs)
            except OutOfMemory:
                if size == 1:
                    raise
                size //= 2
            else:
                collected.append(logits.float().cpu())
                images = images[size:]
                yield_point()
        return torch.cat(collected)


def loaded(zoo: Zoo, name: str, device: str) -> Model:
    """An ingredient's network. Raises CheckpointError where its file has changed, OutOfMemory where it does not fit."""
    with room_for("the model", device):
        module = zoo.module().to(device)
        module.load_state_dict(state_dict(zoo, Soup.single(name), device), strict=True)
    return Model(zoo, name, device, module)


def with_weights(model: Model, zoo: Zoo) -> Model:
    """The same network with the weights that another opening of the zoo has under the ingredient's name."""
    model.module.load_state_dict(state_dict(zoo, Soup.single(model.name), model.device), strict=True)
    return replace(model, zoo=zoo)
