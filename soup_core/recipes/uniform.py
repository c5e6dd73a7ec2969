"""Uniform soup: section 2 of Wortsman et al. 2022 (arXiv 2203.05482).

The plain average of all ingredients, or one by given weights.
"""

from collections.abc import Iterable, Mapping

from soup_core.errors import CoefficientError
from soup_core.recipes.recipe import About, Recipe
from soup_core.soup import BatchNorm, Soup, uniform
from soup_core.zoo import Zoo


def uniform_soup(
    zoo: Zoo,
    names: Iterable[str] | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    batch_norm: BatchNorm = "averaged",
) -> Soup:
    """The average of the named ingredients, of all where none are named; the base is not among them.

    With `weights`, their average in those proportions: each weight over the sum of all. Raises CoefficientError for an
    unknown name, where no name is left, or where the weights sum to zero.

    >>> from soup_core import open_zoo
    >>> zoo = open_zoo("fashion-scratch")
    >>> dict(uniform_soup(zoo, ["start-1", "start-2"]).coefficients)
    {'start-1': 0.5, 'start-2': 0.5}
    >>> dict(uniform_soup(zoo, weights={"start-1": 3, "start-2": 1}).coefficients)
    {'start-1': 0.75, 'start-2': 0.25}
    """
    if weights is not None:
        zoo.check_names(tuple(weights))
        total = sum(weights.values())
        if not total:
            raise CoefficientError("The weights of an average must not sum to zero; give at least one other than zero.")
        return Soup({name: weight / total for name, weight in weights.items()}, batch_norm=batch_norm)
    chosen = zoo.names if names is None else tuple(names)
    zoo.check_names(chosen)
    return uniform(chosen, batch_norm=batch_norm)


RECIPE = Recipe(
    "uniform",
    About(
        "Uniform soup",
        "Wortsman et al. 2022, section 2",
        "https://arxiv.org/abs/2203.05482",
        "Averages the weights of all models, or of any of them, in equal parts; nothing is evaluated to make it. It "
        "works where all models lie in one valley of the loss, as fine-tunings of one base with mild hyperparameters "
        "do. It fails when one ingredient lies outside that valley, for instance after too hot a learning rate, or "
        "when the models have no common start.",
    ),
    lambda zoo, evaluate: uniform_soup(zoo),
    command="uniform",
)
