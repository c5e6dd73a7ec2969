"""SLERP: Shoemake 1985 (doi 10.1145/325334.325242).

From one of two models to the other along the arc between them, tensor by tensor, instead of the chord.
"""

import math

from soup_core.errors import CoefficientError
from soup_core.recipes.recipe import About, Need, Parameter, Recipe
from soup_core.runtime.store import Store
from soup_core.soup import Soup
from soup_core.weight_space.gram import gram
from soup_core.zoo import Zoo


def slerp_soup(zoo: Zoo, store: Store, a: str, b: str, *, alpha: float = 0.5) -> Soup:
    """sin((1 - alpha) w) / sin w * a + sin(alpha w) / sin w * b, w the angle between the two, for each tensor.

    Two ingredients of the zoo; tensors that are parallel, and buffers, are mixed in a straight line. Raises
    CoefficientError for a name that is no ingredient, and for one model twice.
    """
    zoo.check_names((a, b))
    if a == b:
        raise CoefficientError(f"An arc needs two different models; found {a} twice.")
    products = gram(zoo, store)
    first, second = products.index(a), products.index(b)
    tensors = {}
    for tensor in products.tensors:
        raw = products.raw([tensor])
        lengths = math.sqrt(raw[first, first] * raw[second, second])
        cosine = raw[first, second] / lengths if lengths else 1.0
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        scale = math.sin(angle)
        if scale < 1e-6:
            continue
        tensors[tensor] = {a: math.sin((1 - alpha) * angle) / scale, b: math.sin(alpha * angle) / scale}
    return Soup({a: 1 - alpha, b: alpha}, tensors)


RECIPE = Recipe(
    "slerp",
    About(
        "SLERP",
        "Shoemake 1985",
        "https://doi.org/10.1145/325334.325242",
        "Mixes two models along the great arc between their weights, tensor by tensor, so that the mix keeps the "
        "length of the weights where a straight line would shorten it. For fine-tunings of one base the angles are a "
        "few degrees, and the result is nearly the plain average. It fails for models with different starts, as "
        "averaging does: keeping the length does not bring them into one valley.",
    ),
    lambda zoo, evaluate, names, alpha: slerp_soup(zoo, evaluate.store, *names, alpha=alpha),
    needs=(Need.PAIR,),
    parameters=(
        Parameter("names", "pair", "Two names", required=True),
        Parameter("alpha", "number", "Where between the two", 0.5),
    ),
    compared=False,  # which two is for people to say
)
