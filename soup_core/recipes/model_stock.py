"""Model Stock: Jang et al. 2024 (arXiv 2403.19522).

Between the base and the average, as far as the angle between the fine-tuned models says, per layer.
"""

import numpy as np

from soup_core.recipes.recipe import About, Need, Recipe
from soup_core.recipes.uniform import uniform_soup
from soup_core.recipes.wise_ft import base_of
from soup_core.runtime.store import Store
from soup_core.soup import Soup, interpolate
from soup_core.weight_space.gram import cosines, gram
from soup_core.zoo import Zoo


def model_stock_soup(zoo: Zoo, store: Store, *, granularity: str = "layer") -> Soup:
    """For each layer (1 - t) * base + t * average, t = K cos / (1 + (K - 1) cos), cos the mean over pairs of K models.

    A layer that no model has moved keeps t = 1. Raises ZooError without a base, CoefficientError for another
    granularity.
    """
    base, average = base_of(zoo, "Model Stock"), uniform_soup(zoo)
    products = gram(zoo, store)
    groups = zoo.groups(granularity)
    ratios = {
        group: interpolation_ratio(products.differences([name for name in products.tensors if groups[name] == group]))
        for group in {groups[name] for name in products.tensors}
    }
    tensors = {name: interpolate(base, average, ratios.get(group, 1.0)).coefficients for name, group in groups.items()}
    return Soup(average.coefficients, tensors)


def interpolation_ratio(differences: np.ndarray) -> float:
    """The share t of the average, from K×K inner products of the differences (Jang et al. 2024)."""
    count = len(differences)
    if count < 2 or not np.diag(differences).any():
        return 1.0
    cosine = float((cosines(differences).sum() - np.trace(cosines(differences))) / (count * (count - 1)))
    below = 1 + (count - 1) * cosine
    return count * cosine / below if cosine > 0 else 0.0  # below zero: all noise, and no common direction


RECIPE = Recipe(
    "model-stock",
    About(
        "Model Stock",
        "Jang et al. 2024",
        "https://arxiv.org/abs/2403.19522",
        "Takes the differences of the models from their base to be a common direction plus noise of equal size. The "
        "angle between them then tells, layer by layer, how far to go from the base towards the average: all the way "
        "where they agree, less where they are mostly noise. It needs no images. It fails where that picture does not "
        "hold: with hyperparameters so different that the differences have unlike lengths, or with so many models "
        "that averaging alone has removed the noise.",
    ),
    lambda zoo, evaluate: model_stock_soup(zoo, evaluate.store),
    needs=(Need.BASE,),
)
