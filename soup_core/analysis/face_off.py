"""The face-off: every recipe on one zoo, what it gains on the test images, and what it costs at inference."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from soup_core.analysis.cost import Cost, measured_cost
from soup_core.evaluation import Evaluation, Evaluator
from soup_core.recipes import ensemble as ensembles
from soup_core.recipes import greedy, learned, model_stock, pruned, uniform, wise_ft
from soup_core.recipes.about import About
from soup_core.recipes.trajectory import EMA_ABOUT, LAWA_ABOUT, ema_soup, lawa_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo

Step = TypeVar("Step")


@dataclass(frozen=True)
class RecipeResult:
    """One recipe's outcome: chosen on held-out images, reported on test images; `models` are run at inference."""

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
    The ensembles' cost is one model's times their number, but for all models together, which is measured.
    """
    test = evaluate.on("test")
    every = uniform.uniform_soup(zoo)
    one = measured_cost(evaluate, [every])

    def soup(recipe: str, about: About, made: Soup) -> RecipeResult:
        return RecipeResult(recipe, about, made, evaluate(made), test(made), one)

    chosen = last(greedy.greedy_soup(zoo, evaluate)).soup
    yield soup("uniform", uniform.ABOUT, every)
    yield soup("greedy", greedy.ABOUT, chosen)
    yield soup("pruned", pruned.ABOUT, last(pruned.pruned_soup(zoo, evaluate)).soup)
    if zoo.base and len(zoo.names) > 1:
        yield soup("model stock", model_stock.ABOUT, model_stock.model_stock_soup(zoo, evaluate.store))
        yield soup("wise-ft", wise_ft.ABOUT, last(wise_ft.wise_ft(zoo, evaluate, towards=chosen)).soup)
    if zoo.is_trajectory:
        yield soup("ema", EMA_ABOUT, ema_soup(zoo))
        yield soup("lawa", LAWA_ABOUT, lawa_soup(zoo))
    yield soup("learned", learned.ABOUT, last(learned.learned_soup(zoo, evaluate)).soup)

    def members(recipe: str, about: About, made: Soup, cost: Cost) -> RecipeResult:
        names = made.names
        return RecipeResult(
            recipe, about, made, ensembles.ensemble(evaluate, names), ensembles.ensemble(test, names), cost
        )

    few = last(ensembles.greedy_ensemble(zoo, evaluate)).soup
    yield members("greedy ensemble", ensembles.GREEDY_ABOUT, few, one.of(len(few.names)))
    singles = [Soup.single(name) for name in zoo.names]
    yield members("ensemble", ensembles.ABOUT, every, measured_cost(evaluate, singles))


def recipes_of(zoo: Zoo) -> int:
    """How many entries `face_off` will yield."""
    return 6 + 2 * bool(zoo.base and len(zoo.names) > 1) + 2 * zoo.is_trajectory


def last(steps: Iterator[Step]) -> Step:
    """The last step of a recipe."""
    *_, final = steps
    return final
