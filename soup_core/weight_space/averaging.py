"""The one averaging kernel: coefficients and checkpoints become a state_dict, streamed from the files or from a bank.

Sums run in float32 or wider and are cast once, at the end (Wortsman et al. 2022, arXiv 2203.05482, equation 1).
"""

import math
import threading
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from soup_core.checkpoints.content import RUN, is_finite
from soup_core.errors import CheckpointError, CoefficientError
from soup_core.soup import Soup
from soup_core.weight_space.bank import Bank
from soup_core.weight_space.batch_norm import reestimated
from soup_core.weight_space.result_types import agreed_dtypes, result_dtype
from soup_core.weight_space.streaming import BLOCK, Read, stream, sum_dtype
from soup_core.zoo import Ingredient, Zoo

DOT_AT_ONCE = 32_768  # products that are summed in float32, of which the sum is taken in float64


def state_dict(zoo: Zoo, soup: Soup, device: str = "cpu", bank: "Bank | None" = None) -> dict[str, Tensor]:
    """Average the zoo's checkpoints by a soup's coefficients: from the bank, or streamed block by block from the files.

    Gives the architecture's tensors by name, in their own shapes, each in the widest of its ingredients' dtypes. Streaming holds
    the average in these dtypes and some blocks a thread, however many ingredients there are. Integer and boolean tensors are the first
    ingredient's, in the zoo's order. Other buffers are averaged with coefficients scaled to sum to one; BatchNorm's
    running statistics follow the soup's choice. Raises CoefficientError for unknown names, CheckpointError where a file
    has changed or a cast overflows.
    """
    members = zoo.members(soup)
    weights = {name: _weights(zoo, soup, name, members) for name in zoo.floating}
    used = {
        name: [each for each in members if each.name in soup.coefficients_for(name)] if soup.tensors else members
        for name in zoo.tensors
    }
    agreed = agreed_dtypes(zoo)
    dtypes = {name: agreed.get(name) or result_dtype(used[name], name) for name in weights}
    if bank:
        totals = {name: _cast(total, dtypes[name], name) for name, total in bank.average(weights).items()}
    else:
        totals = _streamed(zoo, weights, members, dtypes, device)
    theta = {
        name: totals[name] if name in totals else used[name][0].checkpoint.read(name).to(device) for name in zoo.tensors
    }
    if soup.batch_norm == "re-estimated":
        theta = reestimated(zoo, theta, device)
    return theta


def inner_products(
    zoo: Zoo, names: Sequence[str], gradients: Mapping[str, Tensor], bank: "Bank | None" = None
) -> dict[str, Tensor]:
    """For each tensor, the inner products of its gradient with that tensor of each of the K names: float64, (K,).

    A gradient has its tensor's shape, and its device is where the blocks go. The gradient of a loss at the average, in
    the coefficient of ingredient k, is the sum of the k-th over all tensors. Blocks are streamed from the files, so
    that no second model is held, or taken from the bank. Raises CheckpointError where a file has changed.
    """
    if bank:
        return bank.inner_products(names, gradients)
    members = [zoo.by_name[name] for name in names]
    flat = {name: gradient.reshape(-1) for name, gradient in gradients.items()}
    products = {name: torch.zeros(len(members), dtype=torch.float64) for name in gradients}
    lock = threading.Lock()

    device = str(next(iter(flat.values())).device)
    piece = DOT_AT_ONCE if device == "cpu" else BLOCK

    def add(name: str, begin: int, end: int, read: Read) -> None:
        gradient = flat[name][begin:end].split(piece)

        def product(block: Tensor) -> Tensor:
            parts = [torch.dot(a, b.to(a.dtype)) for a, b in zip(gradient, block.split(piece), strict=True)]
            return torch.stack(parts).double().sum()

        found = torch.stack([product(read(k)) for k in range(len(members))]).cpu()
        with lock:
            products[name] += found

    stream(members, {name: len(gradient) for name, gradient in flat.items()}, add, device=device)
    return products


def _streamed(
    zoo: Zoo,
    weights: Mapping[str, Mapping[str, float]],
    members: Sequence[Ingredient],
    dtypes: Mapping[str, torch.dtype],
    device: str,
) -> dict[str, Tensor]:
    """The averages in these dtypes; a block is summed where it ends up, or beside that in a wider dtype and then cast."""
    theta = {name: torch.empty(zoo.tensors[name].shape, dtype=dtypes[name], device=device) for name in weights}
    flat = {name: tensor.view(-1) for name, tensor in theta.items()}
    used = {
        name: [(index, weights[name][each.name]) for index, each in enumerate(members) if each.name in weights[name]]
        for name in weights
    }
    wide = {name: sum_dtype(members, name) for name in weights}
    block_size = RUN if device == "cpu" else BLOCK
    beside = threading.local()
    overflows: dict[str, list[Tensor]] = {name: [] for name in weights}

    def scratch(purpose: str, dtype: torch.dtype, count: int) -> Tensor:
        """Memory of this thread, the same for one purpose again and again."""
        place = f"{purpose} {dtype}"
        if not hasattr(beside, place):
            setattr(beside, place, torch.empty(block_size, dtype=dtype, device=device))
        memory: Tensor = getattr(beside, place)
        return memory[:count]

    def add(name: str, begin: int, end: int, read: Read) -> None:
        result, dtype = flat[name][begin:end], wide[name]
        total = result if result.dtype == dtype else scratch("total", dtype, end - begin)
        (first, coefficient), *others = used[name]
        if (found := read(first, total)) is not total:
            total.copy_(found)
        total.mul_(coefficient)
        for index, coefficient in others:
            block = read(index)
            if block.dtype != dtype:  # a sum of two dtypes takes longer than a copy and a sum
                block = scratch("converted", dtype, end - begin).copy_(block)
            total.add_(block, alpha=coefficient)
        if total is not result:
            result.copy_(total)
            if device != "cpu" or not is_finite(result):
                overflows[name].append(_overflows(total, result))

    stream(members, {name: len(each) for name, each in flat.items()}, add, device=device, block=block_size)
    for name, found in overflows.items():
        if any(map(bool, found)):
            raise _too_large(name, dtypes[name])
    return theta


def _weights(zoo: Zoo, soup: Soup, name: str, members: Sequence[Ingredient]) -> Mapping[str, float]:
    coefficients = soup.coefficients_for(name)
    if name not in zoo.buffers:
        return coefficients
    if soup.batch_norm == "first":
        return {next(member.name for member in members if member.name in coefficients): 1.0}
    total = math.fsum(coefficients.values())
    if abs(total) < 1e-9:
        raise CoefficientError(
            f"The coefficients for the statistics in {name} sum to zero, and they must be scaled to sum to one; "
            "choose another soup, or the first ingredient's statistics."
        )
    return {member: coefficient / total for member, coefficient in coefficients.items()}


def _cast(total: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    result = total.to(dtype)
    if dtype.itemsize < total.dtype.itemsize and bool(_overflows(total, result)):
        raise _too_large(name, dtype)
    return result


def _overflows(total: Tensor, result: Tensor) -> Tensor:
    """Whether a number is finite in the sum and no longer so in the result: a boolean tensor of no dimension."""
    return (torch.isfinite(total) & ~torch.isfinite(result)).any()


def _too_large(name: str, dtype: torch.dtype) -> CheckpointError:
    return CheckpointError(
        f"The average of {name} is too large for {str(dtype).removeprefix('torch.')}; save the checkpoints in float32."
    )
