"""Task arithmetic: Ilharco et al. 2022 (arXiv 2212.04089).

The base plus a multiple of the sum of the models' differences from it.
"""

from collections.abc import Iterable

from soup_core.recipes.recipe import About, Need, Parameter, Recipe
from soup_core.recipes.uniform import uniform_soup
from soup_core.recipes.wise_ft import base_of
from soup_core.soup import Soup, interpolate
from soup_core.zoo import Zoo


def task_arithmetic_soup(zoo: Zoo, names: Iterable[str] | None = None, *, scale: float) -> Soup:
    """base + scale * the sum of (ingredient - base) over the named ingredients, over all where none are named.

    Raises ZooError for a zoo without a base, CoefficientError for an unknown name.

    >>> from soup_core import open_zoo
    >>> zoo = open_zoo("fashion-batchnorm")
    >>> dict(task_arithmetic_soup(zoo, zoo.names[:2], scale=0.25).coefficients)  # the base keeps 1 - 2 * 0.25
    {'base': 0.5, 'ft-01': 0.25, 'ft-02': 0.25}
    """
    average = uniform_soup(zoo, names)
    return interpolate(base_of(zoo, "Task arithmetic"), average, scale * len(average.names))


RECIPE = Recipe(
    "task-arithmetic",
    About(
        "Task arithmetic",
        "Ilharco et al. 2022",
        "https://arxiv.org/abs/2212.04089",
        "Adds the differences of the models from their base, scaled by one number, to the base. With a scale of one "
        "over their number this is the uniform soup; a larger scale goes beyond it, a negative one away from the "
        "task. It fails when the scale is too large: the sum leaves the region in which the network is nearly linear.",
    ),
    lambda zoo, evaluate, scale: task_arithmetic_soup(zoo, scale=scale),
    needs=(Need.BASE,),
    parameters=(Parameter("scale", "number", "The factor of each difference", 0.1),),
    compared=False,  # no scale suits every zoo
)
