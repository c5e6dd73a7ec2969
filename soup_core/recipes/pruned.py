"""Pruned soup: Dansereau et al. 2023 (arXiv 2301.10092).

From the average of all on, drop each ingredient whose absence makes it better.
"""

from collections.abc import Iterator

from soup_core.evaluation import Evaluator, best_first, hardest_first
from soup_core.recipes.greedy import FULL, TIES, GreedyStep, keep_improvements
from soup_core.recipes.recipe import About, Recipe
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo


def pruned_soup(zoo: Zoo, evaluate: Evaluator, *, ties: bool = False, full: bool = False) -> Iterator[GreedyStep]:
    """Try to drop each ingredient once, the worst first, yielding a step for each; `accepted` means dropped.

    Step 0 is the soup of all, under the name of the best ingredient, which is never dropped. With `ties` a drop that
    leaves the count, or the metric's value, as it is counts too.
    """
    singles = evaluate.singles()
    best, *others = best_first(singles)
    images = None if full else hardest_first(singles.values())
    everything = uniform_soup(zoo)
    yield from keep_improvements(
        everything,
        [best, *reversed(others)],
        evaluate.trial(everything),
        Soup.drop,
        lambda soup, rival: evaluate.candidate(soup, rival, ties=ties, order=images),
        ties=ties,
    )


RECIPE = Recipe(
    "pruned",
    About(
        "Pruned soup",
        "Dansereau et al. 2023",
        "https://arxiv.org/abs/2301.10092",
        "Starts from the average of all models and takes out, the worst first, each one without which held-out "
        "accuracy rises. It keeps more models than greedy does, and so is steadier under distribution shift where all "
        "of them are sound. It fails where many models are bad at once: while the others spoil the average, dropping "
        "any single one may not help, and the search stops early.",
    ),
    pruned_soup,
    parameters=(FULL, TIES),
    command="pruned",
)
