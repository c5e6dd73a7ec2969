"""Weights that files keep in parts, g and v or W and its singular vectors: averaging the parts averages something else.

See soup_core/checkpoints/parametrized.py for the formulas.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from soup_core.analysis.preflight.finding import Finding, names_of
from soup_core.checkpoints import Parametrized, Reader, folded_weight, parametrized
from soup_core.errors import CheckpointError
from soup_core.zoo import Zoo

SLIGHT = 0.05  # of the ingredients' own distance from their average: below it the two averages are all but one
ROUNDED = 1e-6  # of the weights' length: what float32 leaves of no distance


def parts_check(zoo: Zoo, names: Sequence[str]) -> Finding | None:
    """How far the average of parts lies from the average of the weights that they make; None where no weight is in parts.

    Distances are over all such weights together; of one weight all ingredients are held at a time.
    """
    found = parametrized({name: tuple(tensor.shape) for name, tensor in zoo.tensors.items()})
    if not found:
        return None
    first = names_of(found[0].parts.values())
    kept = f"{len(found)} weight{'s are' if len(found) > 1 else ' is'} kept in parts ({found[0].kind}: {first})"
    unknown = [each.weight for each in found if each.kind == "another parametrization"]
    if unknown:
        return Finding(
            "parts",
            "notice",
            f"{kept}: averaging the parts is not averaging the weights, and how far off it is only the network's own code "
            f"tells for {names_of(unknown)}; see what the average gets, or save the weights without parametrizations.",
        )
    try:
        with ExitStack() as stack:
            readers = [stack.enter_context(zoo.by_name[name].checkpoint.reader()) for name in names]
            squares = [_squares(one, readers) for one in found]
    except CheckpointError as error:
        return Finding("parts", "notice", f"{kept}: averaging the parts is not averaging the weights. {error}")
    off, apart, length = (math.sqrt(math.fsum(each)) for each in zip(*squares, strict=True))
    measured = f"off by {off:.2g} where the ingredients lie {apart:.2g} from their average"
    if off <= SLIGHT * apart + ROUNDED * length:
        return Finding("parts", "good", f"{kept}: averaging the parts is nearly averaging the weights, {measured}.")
    return Finding(
        "parts",
        "notice",
        f"{kept}: averaging the parts is not averaging the weights, {measured}; set fold_parametrizations = true in "
        "architecture in zoo.toml, which makes the weights first.",
    )


def _squares(found: Parametrized, readers: Sequence[Reader]) -> tuple[float, float, float]:
    """Of one weight, squared: how far what averaged parts make, and in the mean each, lie from the average; its length."""
    parts = {name: sum((read(name).double() for read in readers), torch.zeros(())) for name in found.parts.values()}
    weights = [folded_weight(found, read).double() for read in readers]
    average = torch.stack(weights).mean(0)
    off = folded_weight(found, lambda name: parts[name] / len(readers)) - average

    def square(difference: Tensor) -> float:
        return float(difference.square().sum())

    return square(off), math.fsum(square(each - average) for each in weights) / len(readers), square(average)
