"""Maps of checkpoints and soups in the plane along which the weights spread most, from Gram matrices alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from soup_core.errors import CoefficientError
from soup_core.soup import Soup, uniform
from soup_core.weight_space.gram import Gram, Matrix, euclidean_distances
from soup_core.zoo import BASE


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
class Position:
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

    def place(self, soup: Soup) -> Position:
        """Where a soup lies, from its coefficients alone: its projection on the two axes, and its distance off them.

        Projecting is what Gower's formula for further points (1968, doi 10.1093/biomet/55.3.582) comes to where
        distances are Euclidean, as here. Raises CoefficientError for a soup that has no place.
        """
        check_placed(self.gram, soup)
        along = self.gram.along(uniform(self.names), soup)
        x, y = (float(value) for value in along @ self._weights()[: len(along)])  # the base's difference is zero
        return Position(x, y, _length(self.gram, self.soup(x, y), soup))

    def checkpoint(self, name: str) -> Position:
        """Where one of the map's own checkpoints lies, which needs no projection; `place` gives the same."""
        row = self._rows[name]
        x, y = (float(value) for value in self.places[row])
        return Position(x, y, float(self._off[row]))

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def _off(self) -> NDArray[np.float64]:
        """How far from the plane each checkpoint lies: (N,), what its length from the middle has beyond its place."""
        products = self.gram.differences()
        products = np.pad(products, (0, len(self.names) - len(products)))  # the base's difference is zero
        squares = np.diag(products) - 2 * products.mean(0) + products.mean() - np.square(self.places).sum(1)
        off: NDArray[np.float64] = np.sqrt(np.clip(squares, 0, None))
        return off

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
    true, drawn = euclidean_distances(products), euclidean_distances(places @ places.T)
    size = float(np.linalg.norm(true))
    return Map(
        gram,
        names,
        places,
        tuple(float(share) for share in variances / (variances.sum() or 1.0)),
        float(np.linalg.norm(true - drawn)) / size if size else 0.0,
    )


def _length(gram: Gram, soup_a: Soup, soup_b: Soup) -> float:
    return math.sqrt(max(0.0, gram.inner(soup_a, soup_b, soup_a, soup_b)))
