"""Recipes' parameters as options of the command line, and commands that are put together from them."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import typer

from soup_core.cli.options import BatchSize, Device, Json, MetricName, Precision, ZooCommand, ZooName
from soup_core.cli.output import Row, print_rows
from soup_core.cli.outputs import opened_outputs
from soup_core.errors import SoupError
from soup_core.recipes import Parameter, Recipe

TYPES = {"integer": int, "number": float, "flag": bool}  # of a kind's option; those of other kinds are texts
SYNTAX = {
    "order": " with commas between",
    "names": " with commas between; default all",
    "pair": " with a comma between",
    "soup": ", as --soup takes it",
}
Rows = Callable[..., Iterator[Row]]


def command(
    name: str, text: str, options: Iterable[inspect.Parameter], rows: Rows, *, on_outputs: Rows | None = None
) -> Callable[..., None]:
    """A command on a zoo that prints `rows(run, **options)`, with the options that all commands share at the end.

    Where a zoo of outputs will do, `on_outputs(zoo, **options)` are its rows.
    """

    def run_and_print(
        zoo: str, metric: str | None, as_json: bool, device: str, batch_size: int | None, precision: str, **given: Any
    ) -> None:
        if on_outputs and (outputs := opened_outputs(zoo)):
            print_rows(on_outputs(outputs, metric, **given), as_json)
            return
        run = ZooCommand(zoo, device, batch_size, precision, metric)
        print_rows(rows(run, **given), as_json)

    run_and_print.__name__, run_and_print.__doc__ = name, text
    run_and_print.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # typer reads it
        [
            _parameter("zoo", ZooName),
            *options,
            _parameter("metric", MetricName, None),
            _parameter("as_json", Json, False),
            _parameter("device", Device, "auto"),
            _parameter("batch_size", BatchSize, None),
            _parameter("precision", Precision, "float32"),
        ]
    )
    return run_and_print


def argument(name: str, text: str) -> inspect.Parameter:
    """An argument that is a word."""
    return _parameter(name, str, typer.Argument(help=text))


def flag(name: str, spelled: str, text: str) -> inspect.Parameter:
    """An option that is there or not."""
    return _parameter(name, bool, typer.Option(False, spelled, help=text))


def options_of(recipe: Recipe) -> list[inspect.Parameter]:
    """A recipe's parameters as the options of its own command."""
    return [_option([parameter], f"{_meaning(parameter)}.") for parameter in recipe.parameters]


def shared_options(recipes: Sequence[Recipe]) -> list[inspect.Parameter]:
    """The parameters of all these recipes as options of one command, which tells whose each is.

    Recipes may share a name where they mean the same kind of value.
    """
    owners: dict[str, list[tuple[Recipe, Parameter]]] = {}
    for recipe in recipes:
        for parameter in recipe.parameters:
            owners.setdefault(parameter.name, []).append((recipe, parameter))
    return [
        _option(
            [parameter for _, parameter in owned],
            " ".join(f"{recipe.key}: {_lower(_meaning(parameter))}." for recipe, parameter in owned),
        )
        for owned in owners.values()
    ]


def arguments_of(recipe: Recipe, run: ZooCommand, given: Row) -> Row:
    """What was given of a recipe's own parameters, as values; options of other recipes are passed over."""
    return {
        parameter.name: _value(recipe, parameter, run, given[parameter.name])
        for parameter in recipe.parameters
        if given[parameter.name] is not None or parameter.required
    }


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(parameters: Sequence[Parameter], text: str) -> inspect.Parameter:
    """One option for parameters of one name and kind; where they differ in a default or a bound, it is each recipe's."""
    first = parameters[0]

    def common(values: Iterable[Any]) -> Any:
        one, *others = set(values)
        return None if others else one

    default = "uniform" if first.kind == "soup" else common(each.default for each in parameters)
    name = first.name.replace("_", "-")
    option = typer.Option(
        default,
        f"--{name}",
        help=text,
        min=common(each.low for each in parameters),
        max=common(each.high for each in parameters),
    )
    kind = TYPES.get(first.kind, str)
    return _parameter(first.name, kind if default is not None else kind | None, option)


def _meaning(parameter: Parameter) -> str:
    return parameter.meaning + SYNTAX.get(parameter.kind, "")


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _value(recipe: Recipe, parameter: Parameter, run: ZooCommand, given: Any) -> Any:
    match parameter.kind:
        case "order":
            return given.split(",") if "," in given else given
        case "names":
            return [name for name in given.split(",") if name]
        case "pair":
            pair = (given or "").split(",")
            if len(pair) != 2:
                option = parameter.name.replace("_", "-")
                raise SoupError(f"{recipe.key} takes --{option} A,B, two ingredients; found {given!r}.")
            return pair
        case "soup":
            return run.soup(given)
        case _:
            return given
