"""Angles and distances of checkpoints and soups, from the inner products of their differences from the base.

One pass over the files gives a Gram matrix a tensor; all else is arithmetic on small matrices, with no weights touched.
Only parameters count, not buffers.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.errors import CoefficientError
from soup_core.runtime.store import Store
from soup_core.soup import Soup
from soup_core.weight_space.streaming import stream
from soup_core.zoo import BASE, Zoo

SLICE_BYTES = 64_000_000
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products of K differences from an origin, and of the origin itself, for each parameter.

    `tensors` maps each parameter to a (K+1)×(K+1) matrix: the ingredients' rows in the order of `names`, then the
    origin's own. The origin is the base, or without one the ingredients' mean (`has_base` False).
    """

    names: tuple[str, ...]
    has_base: bool
    tensors: Mapping[str, Matrix]

    def whole(self, tensors: Iterable[str] | None = None) -> Matrix:
        """The matrix of several parameters taken together, of all where none are named: the sum of theirs."""
        chosen = self.tensors if tensors is None else tensors
        return np.asarray(sum(self.tensors[name] for name in chosen), np.float64)

    def differences(self, tensors: Iterable[str] | None = None) -> Matrix:
        """K×K inner products of the differences from the origin."""
        return self.whole(tensors)[:-1, :-1]

    def raw(self, tensors: Iterable[str] | None = None) -> Matrix:
        """K×K inner products of the weights themselves: <o + d_i, o + d_j>."""
        whole = self.whole(tensors)
        across = whole[:-1, -1]
        matrix: Matrix = whole[:-1, :-1] + across[:, None] + across[None, :] + whole[-1, -1]
        return matrix

    def index(self, name: str) -> int:
        """The row of an ingredient. Raises CoefficientError for any other name, the base's too."""
        if name not in self.names:
            raise CoefficientError(f"{name!r} is no ingredient; expected one of {', '.join(self.names)}.")
        return self.names.index(name)

    def shares(self, soup: Soup, tensor: str) -> NDArray[np.float64]:
        """A soup's place in this tensor: how much of the K differences, then of the origin, it holds: (K+1,)."""
        coefficients = soup.coefficients_for(tensor)
        origin = coefficients.get(BASE, 0.0) if self.has_base else 0.0
        rows = np.array([coefficients.get(name, 0.0) for name in self.names])
        return np.append(rows, rows.sum() + origin)

    def along(self, soup_a: Soup, soup_b: Soup) -> NDArray[np.float64]:
        """<b - a, d_i>, the inner products of the step between two soups with the K differences: (K,)."""
        total = np.zeros(len(self.names))
        for tensor, matrix in self.tensors.items():
            total += matrix[:-1] @ (self.shares(soup_b, tensor) - self.shares(soup_a, tensor))
        return total

    def inner(self, soup_a: Soup, soup_b: Soup, soup_c: Soup, soup_d: Soup) -> float:
        """<b - a, d - c>, the inner product of two steps between soups, over all parameters."""
        total = 0.0
        for tensor, matrix in self.tensors.items():
            first = self.shares(soup_b, tensor) - self.shares(soup_a, tensor)
            second = self.shares(soup_d, tensor) - self.shares(soup_c, tensor)
            total += float(first @ matrix @ second)
        return total


def cosines(matrix: Matrix) -> Matrix:
    """Cosines of the angles between vectors, from their inner products; 0 where a vector has no length."""
    lengths = np.sqrt(np.clip(np.diag(matrix), 0, None))
    scale = np.outer(lengths, lengths)
    cosine = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale > 0)
    return np.asarray(np.clip(cosine, -1, 1), np.float64)


def angles(gram: Gram, tensors: Iterable[str] | None = None) -> Matrix:
    """K×K angles in degrees between the differences from the origin; NaN beside one that has not moved from it."""
    matrix = gram.differences(tensors)
    degrees = np.degrees(np.arccos(cosines(matrix)))
    unmoved = np.diag(matrix) <= 0
    degrees[unmoved] = degrees[:, unmoved] = np.nan
    np.fill_diagonal(degrees, 0.0)
    return degrees


def distances(gram: Gram, tensors: Iterable[str] | None = None) -> Matrix:
    """K×K Euclidean distances between the ingredients' weights."""
    return euclidean_distances(gram.differences(tensors))


def euclidean_distances(products: Matrix) -> Matrix:
    """Distances (K×K) between K points from their inner products (K×K)."""
    squares = np.diag(products)
    lengths: Matrix = np.sqrt(np.clip(squares[:, None] + squares[None, :] - 2 * products, 0, None))
    np.fill_diagonal(lengths, 0.0)
    return lengths


def gram(zoo: Zoo, store: Store) -> Gram:
    """The Gram matrices of a zoo, from the store, or made in one pass over the files and kept there.

    Blocks are as small as SLICE_BYTES asks, so memory is bounded whatever the number of checkpoints and their size.
    """
    key = _key(zoo.digest)
    if zoo.earlier_digest:
        store.carry_over(_key(zoo.earlier_digest), key)
    kept = store.tensors(key)
    if kept is None:
        kept = _computed(zoo)
        store.keep_tensors(key, kept)
    # In one order always: sums over tensors end in the same last bit then, and so do the coefficients of a plane's points,
    # by which the store knows them again.
    return Gram(zoo.names, zoo.base is not None, {name: kept[name].numpy() for name in sorted(kept)})


def _key(digest: str) -> str:
    return hashlib.sha256(f"gram {digest}".encode()).hexdigest()


def _computed(zoo: Zoo) -> dict[str, Tensor]:
    members = [*zoo.ingredients, *([zoo.base] if zoo.base else [])]
    size = len(zoo.ingredients) + 1
    parameters = [name for name in zoo.floating if name not in zoo.buffers]
    matrices = {name: torch.zeros(size, size, dtype=torch.float64) for name in parameters}
    lock = threading.Lock()

    def add(name: str, begin: int, end: int, read: Callable[[int], Tensor]) -> None:
        rows = torch.empty(size, end - begin, dtype=torch.float64)
        for index in range(len(members)):
            rows[index] = read(index)
        if not zoo.base:
            rows[-1] = rows[:-1].mean(0)
        rows[:-1] -= rows[-1]
        found = rows @ rows.T
        with lock:
            matrices[name] += found

    block = max(1024, SLICE_BYTES // (8 * size))
    stream(members, {name: zoo.tensors[name].numel() for name in parameters}, add, block=block)
    return matrices
