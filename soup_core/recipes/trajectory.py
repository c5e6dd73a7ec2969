"""Averages along one training run: an exponential moving average, and the mean of the latest checkpoints (LAWA)."""

from soup_core.errors import CoefficientError
from soup_core.recipes.about import About
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo

EMA_ABOUT = About(
    "Moving average (EMA)",
    "Polyak & Juditsky 1992",
    "https://doi.org/10.1137/0330046",
    "Averages the checkpoints of one run with shares that fall off into the past. While the learning rate is high the "
    "weights wander around a minimum, and their average lies nearer to it than any of them. It fails with too long a "
    "memory: checkpoints from before the run came near the minimum pull the average back.",
)
LAWA_ABOUT = About(
    "Latest weights (LAWA)",
    "Kaddour 2022",
    "https://arxiv.org/abs/2209.14981",
    "Averages the latest checkpoints of one run in equal parts, which gives early what a falling learning rate gives "
    "late. It gains little once the learning rate has fallen to zero, since the checkpoints are then nearly the same, "
    "and it loses where the window reaches back too far.",
)


def ema_soup(zoo: Zoo, *, decay: float = 0.8) -> Soup:
    """average = decay * average + (1 - decay) * checkpoint, over the checkpoints in the zoo's order, from the first on.

    Raises CoefficientError for a decay outside 0 to 1 (1 left out).
    """
    if not 0 <= decay < 1:
        raise CoefficientError(f"The decay lies between 0 and 1, 1 left out; found {decay!r}.")
    last = len(zoo.names) - 1
    shares = {name: (1 - decay) * decay ** (last - place) for place, name in enumerate(zoo.names)}
    return Soup({**shares, zoo.names[0]: decay**last})


def lawa_soup(zoo: Zoo, *, last: int = 5) -> Soup:
    """The mean of the latest `last` checkpoints in the zoo's order. Raises CoefficientError for fewer than one."""
    if last < 1:
        raise CoefficientError(f"At least one checkpoint is averaged; found {last!r}.")
    return uniform(zoo.names[-last:])
