"""Commands that make soups and evaluate them."""

import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from soup_core.analysis.interpolation import ALPHAS, line
from soup_core.cli.options import (
    SPLITS,
    BatchSize,
    Device,
    Json,
    MetricName,
    Precision,
    SoupOption,
    ZooCommand,
    ZooName,
)
from soup_core.cli.output import Row, figures, print_rows
from soup_core.cli.outputs import ensemble_rows, evaluation_rows, opened_outputs
from soup_core.cli.parameters import argument, arguments_of, command, flag, options_of, shared_options
from soup_core.errors import SoupError
from soup_core.export import step_row
from soup_core.recipes import RECIPES, Recipe, Step, one_of
from soup_core.recipes.ensemble import ensemble as ensemble_evaluation
from soup_core.recipes.greedy import GreedyStep
from soup_core.recipes.learned import LearnedStep
from soup_core.soup import Soup

TEXTS = {
    "uniform": "Average all ingredients and evaluate the soup.",
    "greedy": "Run the greedy soup, a line a candidate, then its evaluation.",
    "pruned": 'Run the pruned soup, a line a candidate ("accepted" means dropped), then its evaluation.',
    "learned": "Learn the coefficients, a line a round of batches, then the soup's evaluation; stopped, it goes on when "
    "run again.",
    "ensemble": "Average the models' outputs instead of their weights, and evaluate that.",
    "soup": "Make a soup by a recipe in closed form, or on the line from the base, and evaluate it.",
}  # of commands that run recipes


def evaluate(
    zoo: ZooName,
    soup: SoupOption = None,
    split: Annotated[str | None, typer.Option(help="held_out, test or test:SHIFT; without it, the first two.")] = None,
    metric: MetricName = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate a soup, by default the uniform one; of a zoo of outputs a model, by default each."""
    if outputs := opened_outputs(zoo):
        print_rows(evaluation_rows(outputs, metric, soup, split), as_json)
        return
    run = ZooCommand(zoo, device, batch_size, precision, metric)
    print_rows([run.report(run.soup(soup or "uniform"), [split] if split else SPLITS)], as_json)


def recipe_commands() -> list[Callable[..., None]]:
    """A command for each recipe that has one of its own, and `soup RECIPE` for the others."""
    own = [_own_command(recipe) for recipe in RECIPES.values() if recipe.command == recipe.key != "ensemble"]
    return [*own, _ensemble_command(), _soup_command()]


def _own_command(recipe: Recipe) -> Callable[..., None]:
    def rows(run: ZooCommand, **given: Any) -> Iterator[Row]:
        yield from recipe_rows(run, recipe, arguments_of(recipe, run, given))

    text = TEXTS.get(recipe.key, f"Make a soup by {recipe.about.name} and evaluate it.")
    return command(recipe.key, text, options_of(recipe), rows)


def recipe_rows(run: ZooCommand, recipe: Recipe, arguments: Row) -> Iterator[Row]:
    """A row a step, where a step says something, then the soup's evaluation; arguments are the recipe's own values."""
    soup, evaluate = None, run.evaluator()
    searches = any(parameter.name == "full" for parameter in recipe.parameters)
    if searches and (sentence := evaluate.metric.search_in_words):
        print(sentence, file=sys.stderr)
    for step in recipe.steps(run.zoo, evaluate, **arguments):
        soup = step.soup
        if (row := _step_row(step)) is not None:
            yield row
    assert soup is not None, "a recipe has at least one step"
    yield _report(run, recipe, soup, arguments)


def _ensemble_command() -> Callable[..., None]:
    def rows(run: ZooCommand, greedily: bool, **given: Any) -> Iterator[Row]:
        recipe = RECIPES["greedy-ensemble" if greedily else "ensemble"]
        arguments = arguments_of(recipe, run, given)
        yield _report(run, recipe, recipe.soup(run.zoo, run.evaluator(), **arguments), arguments)

    greedily = flag("greedily", "--greedy", "Choose the members greedily on held-out images.")
    names, *others = options_of(RECIPES["ensemble"])
    return command("ensemble", TEXTS["ensemble"], [names, greedily, *others], rows, on_outputs=ensemble_rows)


def _soup_command() -> Callable[..., None]:
    recipes = {recipe.key: recipe for recipe in RECIPES.values() if recipe.command is None}
    known = one_of(tuple(recipes))

    def rows(run: ZooCommand, recipe: str, **given: Any) -> Iterator[Row]:
        if recipe not in recipes:
            raise SoupError(f"The recipe is one of {known}; found {recipe!r}.")
        chosen = recipes[recipe]
        arguments = arguments_of(chosen, run, given)
        yield _report(run, chosen, chosen.soup(run.zoo, run.evaluator(), **arguments), arguments)

    options = [argument("recipe", f"{known}."), *shared_options(list(recipes.values()))]
    return command("soup", TEXTS["soup"], options, rows)


def _step_row(step: Step) -> Row | None:
    match step:
        case GreedyStep():
            return step_row(step)
        case LearnedStep():
            return {
                "step": step.index,
                "loss": None if math.isnan(step.loss) else step.loss,
                "fold": figures(step.fold),
                "temperature": step.temperature,
                "best_step": step.best_index,
            }
        case _:
            return None


def _report(run: ZooCommand, recipe: Recipe, soup: Soup, arguments: Row) -> Row:
    if recipe.averages == "weights":
        return run.report(soup)
    average = recipe.checked(arguments).get("average", "probabilities")
    evaluations = {
        split: figures(ensemble_evaluation(run.evaluator(split), soup.names, average=average)) for split in SPLITS
    }
    return {"soup": json.loads(soup.to_json()), **evaluations}


def interpolate(
    zoo: ZooName,
    a: Annotated[str, typer.Argument(help="Names, a JSON file, base, uniform or greedy.")],
    b: Annotated[str, typer.Argument(help="The same.")],
    alphas: Annotated[str | None, typer.Option(help="Numbers with commas between; default -0.5 to 1.5.")] = None,
    metric: MetricName = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate along the line (1 - alpha) * A + alpha * B, both ends always among the points."""
    run = ZooCommand(zoo, device, batch_size, precision, metric)
    try:
        wanted = [float(alpha) for alpha in alphas.split(",")] if alphas else list(ALPHAS)
        if not all(math.isfinite(alpha) for alpha in wanted):
            raise ValueError
    except ValueError:
        raise SoupError(f"--alphas takes finite numbers with commas between; found {alphas!r}.") from None
    points = sorted(line(run.evaluator(), run.soup(a), run.soup(b), wanted), key=lambda point: point.alpha)
    print_rows(({"alpha": point.alpha, "held_out": figures(point.evaluation)} for point in points), as_json)
