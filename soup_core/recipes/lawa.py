"""Latest weights (LAWA): Kaddour 2022 (arXiv 2209.14981).

The mean of the latest checkpoints along one training run.
"""

from soup_core.errors import CoefficientError
from soup_core.recipes.recipe import About, Need, Parameter, Recipe
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo


def lawa_soup(zoo: Zoo, *, last: int = 5) -> Soup:
    """The mean of the latest `last` checkpoints in the zoo's order. Raises CoefficientError for fewer than one."""
    if last < 1:
        raise CoefficientError(f"At least one checkpoint is averaged; found {last!r}.")
    return uniform(zoo.names[-last:])


RECIPE = Recipe(
    "lawa",
    About(
        "Latest weights (LAWA)",
        "Kaddour 2022",
        "https://arxiv.org/abs/2209.14981",
        "Averages the latest checkpoints of one run in equal parts, which gives early what a falling learning rate "
        "gives late. It gains little once the learning rate has fallen to zero, since the checkpoints are then nearly "
        "the same, and it loses where the window reaches back too far.",
    ),
    lambda zoo, evaluate, last: lawa_soup(zoo, last=last),
    needs=(Need.RUN,),
    parameters=(Parameter("last", "integer", "How many of the latest checkpoints", 5, low=1),),
)
