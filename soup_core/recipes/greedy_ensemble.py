"""Greedy ensemble: Caruana et al. 2004 (doi 10.1145/1015330.1015432).

From the best model on, take each next one into the ensemble only if its averaged outputs get better.
"""

from collections.abc import Iterator

from soup_core.evaluation import Evaluation, ModelOutputs, Trial, best_first
from soup_core.recipes.ensemble import AVERAGE, successive
from soup_core.recipes.greedy import GreedyStep, keep_improvements
from soup_core.recipes.recipe import About, Recipe
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo
from soup_core.zoo.outputs import OutputsZoo


def greedy_ensemble(
    zoo: Zoo | OutputsZoo, evaluate: ModelOutputs, *, average: str = "probabilities", ties: bool = False
) -> Iterator[GreedyStep]:
    """Greedy choice of an ensemble's members, a step a candidate; `soup` names them, each with the same share.

    Raises CoefficientError for another average.
    """
    singles = evaluate.singles()
    names = best_first(singles)
    first = Trial.whole(singles[names[0]], 0)
    place = {name: index for index, name in enumerate(names)}
    evaluated = successive(evaluate, average=average)

    def judge(members: Soup, _: Evaluation) -> Trial:
        return Trial.whole(evaluated(sorted(members.names, key=place.__getitem__)), 0)

    yield from keep_improvements(uniform(names[:1]), names, first, Soup.add, judge, ties=ties)


RECIPE = Recipe(
    "greedy-ensemble",
    About(
        "Greedy ensemble",
        "Caruana et al. 2004",
        "https://doi.org/10.1145/1015330.1015432",
        "Chooses the models of an ensemble as greedy soup chooses its ingredients: from the best on, each next one "
        "only if the ensemble's held-out accuracy rises. Usually a few models are enough for most of the gain. Like "
        "greedy soup it is as good as the held-out images can tell, and it still costs as many forward passes as it "
        "has models.",
    ),
    greedy_ensemble,
    parameters=(AVERAGE,),
    averages="outputs",
    command="ensemble --greedy",
)
