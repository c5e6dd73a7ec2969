"""Commands that make soups and evaluate them."""

import math
from collections.abc import Iterator
from typing import Annotated

import typer

from soup_core.analysis.interpolation import ALPHAS, line
from soup_core.cli.options import BatchSize, Device, Full, Json, Precision, SoupOption, Ties, ZooCommand, ZooName
from soup_core.cli.output import Row, figures, print_rows
from soup_core.errors import SoupError
from soup_core.recipes.ensemble import ensemble as ensemble_evaluation
from soup_core.recipes.ensemble import greedy_ensemble
from soup_core.recipes.greedy import greedy_soup
from soup_core.recipes.learned import learned_soup
from soup_core.recipes.model_stock import model_stock_soup
from soup_core.recipes.pruned import pruned_soup
from soup_core.recipes.slerp import slerp_soup
from soup_core.recipes.task_arithmetic import task_arithmetic_soup
from soup_core.recipes.trajectory import ema_soup, lawa_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.recipes.wise_ft import wise_ft


def evaluate(
    zoo: ZooName,
    soup: SoupOption = None,
    split: Annotated[str | None, typer.Option(help="held_out, test or test:SHIFT; without it, the first two.")] = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate a soup, by default the uniform one."""
    run = ZooCommand(zoo, device, batch_size, precision)
    print_rows([run.report(run.soup(soup or "uniform"), [split] if split else None)], as_json)


def uniform(
    zoo: ZooName,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Average all ingredients and evaluate the soup."""
    run = ZooCommand(zoo, device, batch_size, precision)
    print_rows([run.report(uniform_soup(run.zoo))], as_json)


def greedy(
    zoo: ZooName,
    order: Annotated[str, typer.Option(help="accuracy, random:SEED, or names with commas between.")] = "accuracy",
    full: Full = False,
    ties: Ties = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Run the greedy soup, a line a candidate, then its evaluation."""
    run = ZooCommand(zoo, device, batch_size, precision)
    names = order.split(",") if "," in order else order
    print_rows(run.search(greedy_soup(run.zoo, run.evaluator(), order=names, ties=ties, full=full)), as_json)


def pruned(
    zoo: ZooName,
    full: Full = False,
    ties: Ties = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Run the pruned soup, a line a candidate ("accepted" means dropped), then its evaluation."""
    run = ZooCommand(zoo, device, batch_size, precision)
    print_rows(run.search(pruned_soup(run.zoo, run.evaluator(), ties=ties, full=full)), as_json)


def learned(
    zoo: ZooName,
    granularity: Annotated[str, typer.Option(help="One coefficient a model, layer or tensor.")] = "tensor",
    parameterization: Annotated[str, typer.Option(help="softmax or unconstrained.")] = "softmax",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the held-out images at most.")] = 5,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Default 0.05, unconstrained 0.005.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the fold and of the batches.")] = 0,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Learn the coefficients, a line a round of batches, then the soup's evaluation; stopped, it goes on when run again."""
    run = ZooCommand(zoo, device, batch_size, precision)
    steps = learned_soup(
        run.zoo,
        run.evaluator(),
        granularity=granularity,
        parameterization=parameterization,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
    )

    def rows() -> Iterator[Row]:
        soup = None
        for step in steps:
            soup = step.soup
            yield {
                "step": step.index,
                "loss": None if math.isnan(step.loss) else step.loss,
                "fold": figures(step.fold),
                "temperature": step.temperature,
                "best_step": step.best_index,
            }
        assert soup is not None, "a learned soup has at least its start"
        yield run.report(soup)

    print_rows(rows(), as_json)


def ensemble(
    zoo: ZooName,
    names: Annotated[str | None, typer.Option(help="Names with commas between; default all.")] = None,
    greedily: Annotated[bool, typer.Option("--greedy", help="Choose the members greedily on held-out images.")] = False,
    average: Annotated[str, typer.Option(help="probabilities or logits.")] = "probabilities",
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Average the models' outputs instead of their weights, and evaluate that."""
    run = ZooCommand(zoo, device, batch_size, precision)
    members = uniform_soup(run.zoo, [name for name in names.split(",") if name] if names else None)
    if greedily:
        *_, final = greedy_ensemble(run.zoo, run.evaluator(), average=average)
        members = final.soup
    found = {
        split: figures(ensemble_evaluation(run.evaluator(split), members.names, average=average))
        for split in ("held_out", "test")
    }
    print_rows([{"soup": dict(members.coefficients), **found}], as_json)


def soup(
    zoo: ZooName,
    recipe: Annotated[str, typer.Argument(help="model-stock, wise-ft, slerp, task-arithmetic, ema or lawa.")],
    towards: Annotated[str, typer.Option(help="wise-ft: the soup to walk to, as --soup takes it.")] = "uniform",
    names: Annotated[str | None, typer.Option(help="slerp: two names with a comma between.")] = None,
    alpha: Annotated[float, typer.Option(help="slerp: where between the two.")] = 0.5,
    scale: Annotated[float, typer.Option(help="task-arithmetic: the factor of each difference.")] = 0.1,
    decay: Annotated[float, typer.Option(help="ema: the share that the past keeps at each checkpoint.")] = 0.8,
    last: Annotated[int, typer.Option(help="lawa: how many of the latest checkpoints.")] = 5,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Make a soup by a recipe in closed form, or on the line from the base, and evaluate it."""
    run = ZooCommand(zoo, device, batch_size, precision)
    held_out = run.evaluator()
    if recipe == "wise-ft":
        *_, step = wise_ft(run.zoo, held_out, towards=run.soup(towards))
        made = step.soup
    elif recipe == "model-stock":
        made = model_stock_soup(run.zoo, held_out.store)
    elif recipe == "slerp":
        pair = (names or "").split(",")
        if len(pair) != 2:
            raise SoupError(f"slerp takes --names A,B, two ingredients; found {names!r}.")
        made = slerp_soup(run.zoo, held_out.store, *pair, alpha=alpha)
    elif recipe == "task-arithmetic":
        made = task_arithmetic_soup(run.zoo, scale=scale)
    elif recipe in ("ema", "lawa"):
        made = ema_soup(run.zoo, decay=decay) if recipe == "ema" else lawa_soup(run.zoo, last=last)
    else:
        known = "model-stock, wise-ft, slerp, task-arithmetic, ema or lawa"
        raise SoupError(f"The recipe is one of {known}; found {recipe!r}.")
    print_rows([run.report(made)], as_json)


def interpolate(
    zoo: ZooName,
    a: Annotated[str, typer.Argument(help="Names, a JSON file, base, uniform or greedy.")],
    b: Annotated[str, typer.Argument(help="The same.")],
    alphas: Annotated[str | None, typer.Option(help="Numbers with commas between; default -0.5 to 1.5.")] = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate along the line (1 - alpha) * A + alpha * B, both ends always among the points."""
    run = ZooCommand(zoo, device, batch_size, precision)
    try:
        wanted = [float(alpha) for alpha in alphas.split(",")] if alphas else list(ALPHAS)
        if not all(math.isfinite(alpha) for alpha in wanted):
            raise ValueError
    except ValueError:
        raise SoupError(f"--alphas takes finite numbers with commas between; found {alphas!r}.") from None
    points = sorted(line(run.evaluator(), run.soup(a), run.soup(b), wanted), key=lambda point: point.alpha)
    print_rows(({"alpha": point.alpha, "held_out": figures(point.evaluation)} for point in points), as_json)
