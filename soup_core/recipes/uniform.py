"""Uniform soup: the plain average of all ingredients (Wortsman et al. 2022, arXiv 2203.05482, section 2).

It costs nothing to choose, and fails when an ingredient lies outside the region that the others share.
"""

from collections.abc import Iterable

from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo


def uniform_soup(zoo: Zoo, names: Iterable[str] | None = None) -> Soup:
    """The average of the named ingredients, of all where none are named; the base is not among them.

    Raises CoefficientError for an unknown name, or where no name is left.
    """
    chosen = zoo.names if names is None else tuple(names)
    zoo.check_names(chosen)
    return uniform(chosen)
