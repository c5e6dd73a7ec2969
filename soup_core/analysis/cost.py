"""What a model costs at inference: time an image and memory, measured, for one model or for several run one by one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch

from soup_core.evaluation import Evaluator
from soup_core.runtime.devices import exactly
from soup_core.runtime.interruption import yield_point
from soup_core.soup import Soup

IMAGES = 250
REPEATS = 7


@dataclass(frozen=True)
class Cost:
    """The bill of a forward pass: how many models are run, their parameters, megabytes of weights, seconds an image."""

    models: int
    parameters: int
    megabytes: float
    seconds_per_image: float

    def of(self, models: int) -> "Cost":
        """The bill of so many models of this kind, one run after the other: everything grows in proportion."""
        share = models / self.models
        return Cost(models, round(self.parameters * share), self.megabytes * share, self.seconds_per_image * share)


def measured_cost(evaluate: Evaluator, soups: Sequence[Soup]) -> Cost:
    """Run the soups' models over one batch, one after the other, all of them in memory; the median of seven repeats."""
    zoo, device = evaluate.zoo, evaluate.device
    modules = []
    for soup in soups:
        module = zoo.module().to(device)
        evaluate.load(module, soup)
        modules.append(module)
    inputs = evaluate.inputs(torch.arange(min(IMAGES, evaluate.total)))
    seconds = []
    for _ in range(REPEATS + 1):
        taken = 0.0
        for module in modules:
            with torch.inference_mode(), exactly(evaluate.precision, device):
                _finish(device)
                start = time.perf_counter()
                module(inputs)
                _finish(device)
                taken += time.perf_counter() - start
            yield_point()
        seconds.append(taken)
    tensors = [tensor for module in modules for tensor in module.state_dict().values()]
    return Cost(
        len(modules),
        sum(parameter.numel() for module in modules for parameter in module.parameters()),
        sum(tensor.nbytes for tensor in tensors) / 1e6,
        median(seconds[1:]) / len(inputs),
    )


def _finish(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)
