"""The one averaging kernel: coefficients and checkpoints become a state_dict, streamed from the files or from a bank.

Sums run in float32 or wider and are cast once, at the end (Wortsman et al. 2022, arXiv 2203.05482, equation 1).
"""

import math
import threading
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from soup_core.errors import CheckpointError, CoefficientError
from soup_core.soup import Soup
from soup_core.weight_space.bank import Bank
from soup_core.weight_space.batch_norm import reestimated
from soup_core.weight_space.result_types import agreed_dtypes, result_dtype
from soup_core.weight_space.streaming import BLOCK, Read, stream, sum_dtype
from soup_core.zoo import Ingredient, Zoo

PIECE = 32_768  # up to so many elements torch adds on the calling thread alone


def state_dict(zoo: Zoo, soup: Soup, device: str = "cpu", bank: "Bank | None" = None) -> dict[str, Tensor]:
    """Average the zoo's checkpoints by a soup's coefficients: from the bank, or streamed block by block from the files.

    Gives the architecture's tensors by name, in their own shapes, each in the widest of its ingredients' dtypes. Streaming holds
    the average and a block a thread, however many ingredients there are. Integer and boolean tensors are the first
    ingredient's, in the zoo's order. Other buffers are averaged with coefficients scaled to sum to one; BatchNorm's
    running statistics follow the soup's choice. Raises CoefficientError for unknown names, CheckpointError where a file
    has changed or a cast overflows.
    """
    members = zoo.members(soup)
    weights = {name: _weights(zoo, soup, name, members) for name in zoo.floating}
    totals = bank.average(weights) if bank else _streamed(zoo, weights, members, device)
    theta: dict[str, Tensor] = {}
    for name in zoo.tensors:
        coefficients = soup.coefficients_for(name)
        used = members if not soup.tensors else [member for member in members if member.name in coefficients]
        if name in totals:
            theta[name] = _cast(totals[name], agreed_dtypes(zoo).get(name) or result_dtype(used, name), name)
        else:
            theta[name] = used[0].checkpoint.read(name).to(device)
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
    piece = PIECE if device == "cpu" else BLOCK

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
    zoo: Zoo, weights: Mapping[str, Mapping[str, float]], members: Sequence[Ingredient], device: str
) -> dict[str, Tensor]:
    totals = {
        name: torch.empty(zoo.tensors[name].shape, dtype=sum_dtype(members, name), device=device) for name in weights
    }
    flat = {name: total.view(-1) for name, total in totals.items()}

    def add(name: str, begin: int, end: int, read: Read) -> None:
        whole = flat[name][begin:end]
        total = whole.split(PIECE)
        used = [(index, weights[name][m.name]) for index, m in enumerate(members) if m.name in weights[name]]
        (first, coefficient), *others = used
        if (found := read(first, whole)) is not whole:
            whole.copy_(found)
        torch._foreach_mul_(total, coefficient)
        parts: tuple[Tensor, ...] = ()
        for index, coefficient in others:
            if (block := read(index)) is not found or not parts:  # files of one dtype are read into the same place
                found, parts = block, block.split(PIECE)
            torch._foreach_add_(total, parts, alpha=coefficient)

    stream(members, {name: len(total) for name, total in flat.items()}, add, device=device)
    return totals


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
    if dtype.itemsize < total.dtype.itemsize and not bool(torch.isfinite(result).all() | ~torch.isfinite(total).all()):
        raise CheckpointError(
            f"The average of {name} is too large for {str(dtype).removeprefix('torch.')}; save the checkpoints in "
            "float32."
        )
    return result
