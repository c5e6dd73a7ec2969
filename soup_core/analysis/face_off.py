"""The face-off: every recipe on one zoo, what it gains on the test images, and what it costs at inference."""

from collections.abc import Iterator
from dataclasses import dataclass

from soup_core.analysis.cost import Cost, measured_cost
from soup_core.evaluation import Evaluation, Evaluator
from soup_core.recipes import RECIPES, About, Need, Recipe
from soup_core.recipes.ensemble import ensemble
from soup_core.soup import Soup
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class RecipeResult:
    """One recipe's outcome: chosen on held-out images, reported on test images; `models` are run at inference.

    `recipe` is its key in the registry.
    """

    recipe: str
    about: About
    soup: Soup
    held_out: Evaluation
    test: Evaluation
    cost: Cost

    @property
    def models(self) -> int:
        """Forward passes an image."""
        return self.cost.models


def face_off(zoo: Zoo, evaluate: Evaluator) -> Iterator[RecipeResult]:
    """Run the recipes that suit the zoo, the cheapest first, yielding an entry for each.

    Recipes that need a base are left out where there is none, averages along a run where the ingredients are not one.
    What starts from a soup is handed the greedy one. The ensembles' cost is one model's times their number, but for all
    models together, which is measured.
    """
    test = evaluate.on("test")
    one = measured_cost(evaluate, [RECIPES["uniform"].soup(zoo, evaluate)])
    for recipe in compared_recipes(zoo):
        starts = [parameter.name for parameter in recipe.parameters if parameter.kind == "soup"]
        soup = recipe.soup(zoo, evaluate, **{name: RECIPES["greedy"].soup(zoo, evaluate) for name in starts})
        if recipe.averages == "weights":
            evaluations, cost = (evaluate(soup), test(soup)), one
        else:
            evaluations = ensemble(evaluate, soup.names), ensemble(test, soup.names)
            cost = one.of(len(soup.names))
            if set(soup.names) == set(zoo.names):
                cost = measured_cost(evaluate, [Soup.single(name) for name in zoo.names])
        yield RecipeResult(recipe.key, recipe.about, soup, *evaluations, cost)


def compared_recipes(zoo: Zoo) -> list[Recipe]:
    """The recipes that suit the zoo; from the base towards a single model there is nothing to average."""
    based, run = zoo.base is not None and len(zoo.names) > 1, zoo.is_trajectory
    return [
        recipe
        for recipe in RECIPES.values()
        if recipe.compared and (based or Need.BASE not in recipe.needs) and (run or Need.RUN not in recipe.needs)
    ]


def recipes_of(zoo: Zoo) -> int:
    """How many entries `face_off` will yield."""
    return len(compared_recipes(zoo))
