"""Moving average (EMA): Polyak & Juditsky 1992 (doi 10.1137/0330046).

An exponential moving average of the checkpoints along one training run.
"""

from soup_core.errors import CoefficientError
from soup_core.recipes.recipe import About, Need, Parameter, Recipe
from soup_core.soup import Soup
from soup_core.zoo import Zoo


def ema_soup(zoo: Zoo, *, decay: float = 0.8) -> Soup:
    """average = decay * average + (1 - decay) * checkpoint, over the checkpoints in the zoo's order, from the first on.

    Raises CoefficientError for a decay outside 0 to 1 (1 left out).
    """
    if not 0 <= decay < 1:
        raise CoefficientError(f"The decay lies between 0 and 1, 1 left out; found {decay!r}.")
    last = len(zoo.names) - 1
    shares = {name: (1 - decay) * decay ** (last - index) for index, name in enumerate(zoo.names)}
    return Soup({**shares, zoo.names[0]: decay**last})


RECIPE = Recipe(
    "ema",
    About(
        "Moving average (EMA)",
        "Polyak & Juditsky 1992",
        "https://doi.org/10.1137/0330046",
        "Averages the checkpoints of one run with shares that fall off into the past. While the learning rate is high "
        "the weights wander around a minimum, and their average lies nearer to it than any of them. It fails with too "
        "long a memory: checkpoints from before the run came near the minimum pull the average back.",
    ),
    lambda zoo, evaluate, decay: ema_soup(zoo, decay=decay),
    needs=(Need.RUN,),
    parameters=(Parameter("decay", "number", "The share that the past keeps at each checkpoint", 0.8, low=0, high=1),),
)
