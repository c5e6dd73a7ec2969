"""Permuted neurons: the same function with its hidden units in another order, which averaging ruins.

Matching weights layer by layer, one assignment each: Ainsworth et al. 2023, "Git Re-Basin", arXiv 2209.04836. Here only
to recognise such a network, not to put it in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from soup_core.zoo import Zoo

ROWS_AT_MOST = 4096  # an assignment of n rows takes n² numbers, and time that grows faster still
SAME_START_COSINE = 0.3  # as in preflight.py: below it, two checkpoints' tensors have nothing to do with each other


@dataclass(frozen=True)
class Alignment:
    """Cosine of two checkpoints' weights in the tensors where they disagree, before and after matching their neurons."""

    before: float
    after: float
    tensors: tuple[str, ...]


def alignment(zoo: Zoo, name: str, reference: str) -> Alignment:
    """Match the neurons of a checkpoint to those of a reference, tensor by tensor in the order of the architecture.

    Only weights of two or more dimensions are looked at; the cosines are of those where it is below 0.3. Rows are matched
    by one assignment; the order found is tried on the columns of the tensors after it. So a chain of layers is matched
    exactly, a network with residual sums only in part. One tensor of each checkpoint is held at a time.
    """
    ours, theirs = zoo.by_name[name].checkpoint, zoo.by_name[reference].checkpoint
    orders: dict[int, Tensor] = {}
    products = torch.zeros(4, dtype=torch.float64)
    disagreeing = []
    with ours.reader() as read, theirs.reader() as read_reference:
        for tensor in zoo.floating:
            shape = zoo.tensors[tensor].shape
            if len(shape) < 2 or tensor in zoo.buffers:
                continue
            right = read_reference(tensor).double().flatten(1)
            given = read(tensor).double().flatten(1)
            found = max(
                (_matched(columns, right) for columns in _with_columns(given, orders, shape[1])),
                key=lambda each: float((each[0] * right).sum()),
            )
            orders[len(right)] = found[1]
            lengths = given.norm() * right.norm()
            if not lengths or (given * right).sum() / lengths >= SAME_START_COSINE:
                continue
            disagreeing.append(tensor)
            products += torch.stack(
                [(given * right).sum(), (found[0] * right).sum(), given.square().sum(), right.square().sum()]
            )
    before, after, square, reference_square = products.tolist()
    scale = (square * reference_square) ** 0.5 or 1.0
    return Alignment(before / scale, after / scale, tuple(disagreeing))


def _with_columns(rows: Tensor, orders: dict[int, Tensor], columns: int) -> Iterator[Tensor]:
    """The rows as they are, and with columns in the orders found before; after flattening, a unit has several columns."""
    yield rows
    for size, order in orders.items():
        if columns % size == 0:
            yield rows.view(len(rows), size, -1)[:, order].flatten(1)


def _matched(rows: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """The rows in the order in which they are most like the reference's, and that order."""
    if len(rows) > ROWS_AT_MOST:
        return rows, torch.arange(len(rows))
    from scipy.optimize import linear_sum_assignment  # takes long to import

    order = torch.from_numpy(linear_sum_assignment((reference @ rows.T).numpy(), maximize=True)[1])
    return rows[order], order
