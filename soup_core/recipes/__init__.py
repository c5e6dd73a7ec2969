"""Ways of making a soup, one method a file that ends in a `Recipe`, and the registry of them all.

The command line, the jobs, the face-off, the pages and the README's table read the registry: a new recipe is its file
and its line below.
"""

from collections.abc import Mapping

from soup_core.recipes import (
    ema,
    ensemble,
    greedy,
    greedy_ensemble,
    lawa,
    learned,
    model_stock,
    pruned,
    slerp,
    task_arithmetic,
    uniform,
    wise_ft,
)
from soup_core.recipes.recipe import About, Need, Parameter, Recipe, Step, one_of

__all__ = ["RECIPES", "About", "Need", "Parameter", "Recipe", "Step", "one_of"]

RECIPES: Mapping[str, Recipe] = {
    recipe.key: recipe
    for recipe in (
        uniform.RECIPE,
        greedy.RECIPE,
        pruned.RECIPE,
        model_stock.RECIPE,
        wise_ft.RECIPE,
        slerp.RECIPE,
        task_arithmetic.RECIPE,
        ema.RECIPE,
        lawa.RECIPE,
        learned.RECIPE,
        greedy_ensemble.RECIPE,
        ensemble.RECIPE,
    )
}  # in the order in which they are listed and compared: what is cheapest to make and to run comes first
