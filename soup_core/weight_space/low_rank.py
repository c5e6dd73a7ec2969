"""Differences between weights as products of two narrow matrices: joined without loss, or cut to a rank.

The best approximation of a matrix by one of lower rank, in the Frobenius norm, keeps its largest singular values (Eckart
and Young 1936, https://doi.org/10.1007/BF02288367).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Product:
    """A matrix as left (rows × rank) times right (rank × columns), and how much of another one it stands for.

    `lost` and `whole` are squared Frobenius norms: of what was cut off, and of the matrix before.
    """

    left: Tensor
    right: Tensor
    lost: float = 0.0
    whole: float = 0.0

    @property
    def rank(self) -> int:
        """The number of columns of `left`."""
        return self.left.shape[1]


def joined(products: Sequence[tuple[float, Tensor, Tensor]]) -> Product:
    """The sum of coefficient · left · right, exactly: factors side by side, so that the rank is the sum of the ranks.

    >>> one, two = torch.ones(3, 1), torch.ones(1, 2)
    >>> both = joined([(0.5, one, two), (2.0, one, two)])
    >>> both.rank, (both.left @ both.right)[0, 0].item()
    (2, 2.5)
    """
    left = torch.cat([coefficient * left for coefficient, left, _ in products], dim=1)
    right = torch.cat([right for _, _, right in products])
    squared = float(torch.sum((left.T @ left) * (right @ right.T)))
    return Product(left, right, 0.0, max(squared, 0.0))


def cut(product: Product, rank: int) -> Product:
    """The nearest product of at most that rank: through the small matrix between the factors' orthogonal bases."""
    basis, small = torch.linalg.qr(product.left)
    other, beside = torch.linalg.qr(product.right.T)
    found = _cut(small @ beside.T, rank)
    return Product(basis @ found.left, found.right @ other.T, found.lost, found.whole)


def approximated(matrix: Tensor, rank: int) -> Product:
    """The nearest product of at most that rank to a matrix."""
    return _cut(matrix, rank)


def _cut(matrix: Tensor, rank: int) -> Product:
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    squares = values.square()
    kept = min(rank, len(values))
    return Product(left[:, :kept] * values[:kept], right[:kept], float(squares[kept:].sum()), float(squares.sum()))
