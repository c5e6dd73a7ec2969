"""Angles, distances and maps of checkpoints and soups, from the inner products of their differences from the base.

One pass over the files gives a Gram matrix a tensor; all else here is arithmetic on small matrices, with no weights
touched. Only parameters count, not buffers.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.averaging import stream
from soup_core.errors import CoefficientError
from soup_core.soup import Soup, uniform
from soup_core.store import Store
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
        coefficients = soup.of(tensor)
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
    return _distances(gram.differences(tensors))


def clustered_order(names: Sequence[str], dissimilarities: Matrix) -> tuple[str, ...]:
    """The names in an order that puts like beside like, for heatmaps; what is not finite counts as the largest known.

    Average linkage, then the order of the leaves with the least sum between neighbours (Bar-Joseph et al. 2001, doi
    10.1093/bioinformatics/17.suppl_1.S22). `dissimilarities` is K×K and symmetric.
    """
    if len(names) < 3:
        return tuple(names)
    from scipy.cluster import hierarchy  # both take long to import, and few pages need them
    from scipy.spatial.distance import squareform

    pairs = squareform(dissimilarities, checks=False)
    known = pairs[np.isfinite(pairs)]
    pairs = np.where(np.isfinite(pairs), pairs, known.max(initial=0.0))
    leaves = hierarchy.leaves_list(hierarchy.linkage(pairs, "average", optimal_ordering=True))
    return tuple(names[int(leaf)] for leaf in leaves)


@dataclass(frozen=True)
class Place:
    """Where a soup lies on a map or a plane, and how far off it, all in Euclidean units of the weights."""

    x: float
    y: float
    off: float


@dataclass(frozen=True, eq=False)
class Map:
    """Two orthonormal axes through the middle of some checkpoints, along which these spread most.

    `places` is N×2, a row a name, in Euclidean units of the weights; `shares` is every axis' share of the variance,
    largest first, of which the first two are drawn. `stress` says how much the distances on the map differ from those
    between the weights, 0 where not at all (Kruskal 1964, doi 10.1007/BF02289565, formula 1).
    """

    gram: Gram
    names: tuple[str, ...]
    places: Matrix
    shares: tuple[float, ...]
    stress: float

    def place(self, soup: Soup) -> Place:
        """Where a soup lies, from its coefficients alone: its projection on the two axes, and its distance off them.

        Projecting is what Gower's formula for further points (1968, doi 10.1093/biomet/55.3.582) comes to where
        distances are Euclidean, as here. Raises CoefficientError for a soup that has no place.
        """
        check_placed(self.gram, soup)
        along = self.gram.along(uniform(self.names), soup)
        x, y = (float(value) for value in along @ self._weights()[: len(along)])  # the base's difference is zero
        return Place(x, y, _length(self.gram, self.soup(x, y), soup))

    def soup(self, x: float, y: float) -> Soup:
        """The mix of the map's checkpoints that lies at a point of the map, on its plane."""
        shares = 1 / len(self.names) + self._weights() @ np.array([x, y])
        return Soup({name: float(share) for name, share in zip(self.names, shares, strict=True)})

    def _weights(self) -> Matrix:
        """N×2, how much of each checkpoint's step from the middle makes up an axis; none for an axis without extent."""
        squares = np.square(self.places).sum(0)
        weights: Matrix = np.divide(self.places, squares, out=np.zeros_like(self.places), where=squares > 0)
        return weights


def pca_map(gram: Gram) -> Map:
    """Principal components of the ingredients' weights, centred; the base and soups are placed on it afterwards."""
    return _map(gram, gram.names, gram.differences())


def mds_map(gram: Gram) -> Map:
    """Classical multidimensional scaling of the distances between the ingredients and the base (Torgerson 1952).

    On Euclidean distances it is PCA of the same points (Gower 1966, doi 10.1093/biomet/53.3-4.325), so what sets it
    apart is that the base counts as one of them; without a base both maps are the same.
    """
    if not gram.has_base:
        return pca_map(gram)
    return _map(gram, (*gram.names, BASE), np.pad(gram.differences(), (0, 1)))


def check_placed(gram: Gram, *soups: Soup) -> None:
    """Raise CoefficientError for a soup that has no place in the space of these weights, with the reason."""
    for soup in soups:
        if soup.batch_norm == "re-estimated":
            raise CoefficientError(
                "A soup with re-estimated BatchNorm statistics has no place on a map or a plane of weights; choose "
                "averaged ones."
            )
        for name in soup.names:
            if name != BASE or not gram.has_base:
                gram.index(name)


def _map(gram: Gram, names: tuple[str, ...], products: Matrix) -> Map:
    """Lay two axes through points of which these are the inner products, from any origin."""
    centred = products - products.mean(0) - products.mean(1)[:, None] + products.mean()
    variances, vectors = np.linalg.eigh((centred + centred.T) / 2)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    variances = np.where(variances > 1e-12 * np.trace(products), variances, 0.0)  # what is left is rounding
    vectors = vectors * np.where(vectors.max(0) < -vectors.min(0), -1, 1)  # an axis' sign is free: the same every time
    places = np.zeros((len(names), 2))
    places[:, : len(variances)] = (vectors * np.sqrt(variances))[:, :2]
    true, drawn = _distances(products), _distances(places @ places.T)
    size = float(np.linalg.norm(true))
    return Map(
        gram,
        names,
        places,
        tuple(float(share) for share in variances / (variances.sum() or 1.0)),
        float(np.linalg.norm(true - drawn)) / size if size else 0.0,
    )


def _distances(products: Matrix) -> Matrix:
    squares = np.diag(products)
    lengths: Matrix = np.sqrt(np.clip(squares[:, None] + squares[None, :] - 2 * products, 0, None))
    np.fill_diagonal(lengths, 0.0)
    return lengths


def _length(gram: Gram, soup_a: Soup, soup_b: Soup) -> float:
    return math.sqrt(max(0.0, gram.inner(soup_a, soup_b, soup_a, soup_b)))


def gram(zoo: Zoo, store: Store) -> Gram:
    """The Gram matrices of a zoo, from the store, or made in one pass over the files and kept there.

    Blocks are as small as SLICE_BYTES asks, so memory is bounded whatever the number of checkpoints and their size.
    """
    key = hashlib.sha256(f"gram {zoo.digest}".encode()).hexdigest()
    kept = store.tensors(key)
    if kept is None:
        kept = _computed(zoo)
        store.keep_tensors(key, kept)
    # In one order always: sums over tensors end in the same last bit then, and so do the coefficients of a plane's points,
    # by which the store knows them again.
    return Gram(zoo.names, zoo.base is not None, {name: kept[name].numpy() for name in sorted(kept)})


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
