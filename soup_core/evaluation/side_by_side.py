"""Parts of a batch side by side on the CPU: each thread takes its part through the whole network, by itself.

Whoever shares a layer's work waits at its end, and in small networks that costs more than the sharing brings.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from soup_core.runtime.parallel import in_parallel

MOST = 4  # parts, whatever the number of threads: between layers the interpreter lets only one go on
LEAST = 16  # images of a part, below which a layer takes as long for half of them
Result = TypeVar("Result")


def replicas(module: nn.Module) -> tuple[nn.Module, ...]:
    """The module and others like it, one for each part that may run at a time.

    They share all tensors of its state_dict, so that weights loaded into one are in all, and nothing else: whatever a
    network keeps on itself while it runs stays its own. One that cannot be copied is alone.
    """
    shared = {id(tensor): tensor for tensor in module.state_dict(keep_vars=True).values()}
    try:
        others = [copy.deepcopy(module, dict(shared)) for _ in range(min(MOST, torch.get_num_threads()) - 1)]
    except Exception:  # a network may hold anything, and say in any way that it is not to be copied
        others = []
    return (module, *others)


def side_by_side(
    modules: Sequence[nn.Module], run: Callable[[nn.Module, Tensor], Result], batch: Tensor
) -> list[Result]:
    """`run(module, part)` of each part of a batch (N,…), in their order, each with one of the replicas.

    There are as many parts as replicas and threads of torch, of at least LEAST images each. See `in_parallel`.
    """
    count = max(1, min(len(modules), torch.get_num_threads(), len(batch) // LEAST))
    return in_parallel([partial(run, module, part) for module, part in zip(modules, batch.chunk(count), strict=False)])
