"""WiSE-FT: Wortsman et al. 2021 (arXiv 2109.01903).

The line from the base to a fine-tuned model or a soup, and the best point on it by the held-out set.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from soup_core.errors import ZooError
from soup_core.evaluation import Evaluation, Evaluator
from soup_core.recipes.recipe import About, Need, Parameter, Recipe
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup, interpolate
from soup_core.zoo import BASE, Zoo

ALPHAS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class WiseStep:
    """A point of the line, (1 - alpha) * base + alpha * soup, its evaluation, and the best point so far."""

    alpha: float
    evaluation: Evaluation
    best_alpha: float
    soup: Soup


def wise_ft(
    zoo: Zoo, evaluate: Evaluator, *, towards: Soup | None = None, alphas: Iterable[float] = ALPHAS
) -> Iterator[WiseStep]:
    """Evaluate along the line to a soup, by default the uniform one; of points as good the one nearer to it is better.

    Both ends are among the points, with BatchNorm statistics as the soup has them. Raises ZooError for a zoo
    without a base.
    """
    end = towards or uniform_soup(zoo)
    base = replace(base_of(zoo, "WiSE-FT"), batch_norm=end.batch_norm)
    best: tuple[float, float, float] = (-math.inf, -math.inf, 0.0)
    for alpha in sorted({0.0, 1.0, *alphas}):
        evaluation = evaluate(interpolate(base, end, alpha))
        best = max(best, (evaluation.standing, -abs(1 - alpha), alpha))
        yield WiseStep(alpha, evaluation, best[2], interpolate(base, end, best[2]))


def base_of(zoo: Zoo, recipe: str) -> Soup:
    """The base as a soup. Raises ZooError, naming the recipe that needs it, where the zoo has none."""
    left_out = [each.reason for each in zoo.excluded if each.name == BASE]
    if zoo.base is None and left_out:
        raise ZooError(f"{recipe} needs a base, and that of the zoo {zoo.name} was left out: {left_out[0]}")
    if zoo.base is None:
        raise ZooError(f"{recipe} needs a base, and the zoo {zoo.name} has none; give its file as base in zoo.toml.")
    return Soup.single(BASE)


RECIPE = Recipe(
    "wise-ft",
    About(
        "WiSE-FT",
        "Wortsman et al. 2021",
        "https://arxiv.org/abs/2109.01903",
        "Walks in a straight line from the base to a fine-tuned model, or here to any soup, and stops where held-out "
        "accuracy is best. Between the ends a model often keeps the base's robustness and most of the fine-tuned "
        "accuracy. It needs a base that can do the task already: where the base's last layer is not trained for it, "
        "accuracy on the way falls, and the best point is the end.",
    ),
    wise_ft,
    needs=(Need.BASE,),
    parameters=(Parameter("towards", "soup", "The soup to walk to"),),
)
