"""The tools that a client is offered: what each takes, as JSON Schema, and what it yields, by the commands' own rows."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from soup_core import charts
from soup_core.analysis.face_off import face_off
from soup_core.analysis.interpolation import ALPHAS, line
from soup_core.cli.export import export_rows
from soup_core.cli.options import SPLITS, ZooCommand
from soup_core.cli.output import Row, figures
from soup_core.cli.recipes import recipe_rows
from soup_core.cli.zoos import finding_rows, ingredient_rows, zoo_rows
from soup_core.errors import SoupError
from soup_core.evaluation import best_first
from soup_core.export import FORMATS, Export, title_of
from soup_core.recipes import RECIPES, Parameter, Recipe
from soup_core.recipes.greedy import greedy_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import find_zoo, zoo_folders

Schema = dict[str, Any]
Rows = Iterator[Row | go.Figure]
NAMES_AT_MOST = 10_000
SOUP = {
    "type": "string",
    "maxLength": 200_000,
    "default": "uniform",
    "description": "uniform, greedy, learned, names of ingredients with commas between, or coefficients by name as JSON.",
}
ZOO = {"type": "string", "maxLength": 250, "description": "A zoo's name, as list_zoos has it."}
CHARTS = {
    "ingredients": "held-out accuracy of every ingredient, those in the greedy soup filled",
    "greedy": "the greedy search, candidate by candidate",
    "line": "held-out accuracy along the line from soup a to soup b",
    "recipes": "every recipe's test accuracy against what it costs at inference; takes long",
}


@dataclass(frozen=True)
class Tool:
    """A tool: what it is called and does, which properties it takes, whether it only reads, and what makes its rows.

    A row, or a figure, is yielded as soon as it is known. `rows` raises SoupError for a user's mistake.
    """

    name: str
    title: str
    description: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    rows: Callable[[Row], Rows]
    read_only: bool = True

    @property
    def schema(self) -> Schema:
        """What the tool takes, as JSON Schema."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


def tools(export_folder: Path | None, device: str) -> dict[str, Tool]:
    """Every tool by its name; what writes is among them only where a folder is given to write into."""

    def opened(given: Row) -> ZooCommand:
        if find_zoo(given["zoo"]) is None:
            raise SoupError(
                f"There is no zoo {given['zoo']!r} here; expected one of {', '.join(zoo_folders())}. Folders of others are "
                "named in SOUP_ZOOS where the server is started."
            )
        return ZooCommand(given["zoo"], device, None, "float32")

    def evaluated(given: Row) -> Rows:
        run = opened(given)
        splits = [given["split"]] if "split" in given else list(SPLITS)
        yield run.report(soup_of(run, given.get("soup", "uniform")), splits)

    def made(recipe: Recipe) -> Callable[[Row], Rows]:
        def rows(given: Row) -> Rows:
            run = opened(given)
            soups = {parameter.name for parameter in recipe.parameters if parameter.kind == "soup"}
            yield from recipe_rows(
                run,
                recipe,
                {key: soup_of(run, value) if key in soups else value for key, value in given.items() if key != "zoo"},
            )

        return rows

    names = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": NAMES_AT_MOST}
    split = {"type": "string", "description": "held_out, test or test:SHIFT; without it, the first two."}
    listed = [
        Tool(
            "list_zoos",
            "List the zoos",
            "Every zoo: its name, title, and number of ingredients.",
            {},
            (),
            lambda _: zoo_rows(),
        ),
        Tool(
            "inspect",
            "Inspect a zoo",
            "A zoo's ingredients with their hyperparameters, and what is left out and why.",
            {"zoo": ZOO},
            ("zoo",),
            lambda given: ingredient_rows(opened(given).zoo),
        ),
        Tool(
            "evaluate",
            "Evaluate a soup",
            "How many images a soup gets right. Held-out images choose among soups; test images only report.",
            {"zoo": ZOO, "soup": SOUP, "split": split},
            ("zoo",),
            evaluated,
        ),
        Tool(
            "preflight",
            "Will it soup?",
            "Whether ingredients will average well: a row a finding, and the verdict last.",
            {"zoo": ZOO, "names": {**names, "description": "Ingredients; without it, all."}},
            ("zoo",),
            lambda given: finding_rows(opened(given), given.get("names")),
        ),
        Tool(
            "chart",
            "Draw a chart",
            "A chart as PNG: " + "; ".join(f"{kind}: {what}" for kind, what in CHARTS.items()) + ".",
            {"zoo": ZOO, "kind": {"enum": list(CHARTS)}, "a": SOUP, "b": {**SOUP, "default": "greedy"}},
            ("zoo", "kind"),
            lambda given: _chart(opened(given), given),
        ),
        *(
            Tool(
                recipe.key.replace("-", "_"),
                recipe.about.name,
                f"{recipe.about.text} ({recipe.about.paper}.){_needs(recipe)}",
                {"zoo": ZOO, **{parameter.name: _schema_of(parameter) for parameter in recipe.parameters}},
                ("zoo", *(parameter.name for parameter in recipe.parameters if parameter.required)),
                made(recipe),
            )
            for recipe in RECIPES.values()
        ),
    ]
    if export_folder is not None:
        listed.append(
            Tool(
                "export",
                "Export a soup",
                "Write a soup as a new file that loads elsewhere, with a card and a script beside it.",
                {
                    "zoo": ZOO,
                    "soup": SOUP,
                    "file": {"type": "string", "maxLength": 250, "description": "A path below the folder for exports."},
                    "format": {"enum": list(FORMATS), "default": "safetensors"},
                },
                ("zoo", "file"),
                lambda given: _export(opened(given), export_folder, given),
                read_only=False,
            )
        )
    return {tool.name: tool for tool in listed}


def soup_of(run: ZooCommand, text: str) -> Soup:
    """A soup by its words, or its coefficients as JSON; never a file, which is for who sits at the machine to name."""
    if text.lstrip().startswith("{"):
        soup = Soup.from_json(text)
        run.zoo.check_names(soup.names)
        return soup
    if "/" in text or os.sep in text or text.startswith("."):
        raise SoupError("A soup is given by names or as JSON here, not by a file.")
    if text in ("uniform", "greedy", "learned"):
        return run.soup(text)
    return uniform_soup(run.zoo, [name for name in text.split(",") if name])


def _needs(recipe: Recipe) -> str:
    return f" It needs {' and '.join(need.value for need in recipe.needs)}." if recipe.needs else ""


def _schema_of(parameter: Parameter) -> Schema:
    """A recipe's parameter as JSON Schema."""
    kinds: dict[str, Schema] = {
        "integer": {"type": "integer"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "choice": {"enum": list(parameter.choices)},
        "order": {"type": ["string", "array"], "items": {"type": "string"}, "maxItems": NAMES_AT_MOST},
        "names": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": NAMES_AT_MOST},
        "pair": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
        "soup": SOUP,
    }
    bounds = {"minimum": parameter.low, "maximum": parameter.high, "default": parameter.default}
    schema = {**kinds[parameter.kind], "description": f"{parameter.meaning}: {parameter.expected}."}
    return schema | {key: value for key, value in bounds.items() if value is not None}


def _chart(run: ZooCommand, given: Row) -> Rows:
    """What is computed for a chart, row by row, then its figure."""
    evaluate = run.evaluator()
    match given["kind"]:
        case "ingredients" | "greedy" as kind:
            steps = []
            for step in greedy_soup(run.zoo, evaluate):
                steps.append(step)
                yield {"candidate": step.candidate, "accepted": step.accepted, "correct_at_most": step.correct_at_most}
            if kind == "greedy":
                yield charts.greedy_curve(steps, candidates=len(run.zoo.names))
            else:
                yield charts.ingredient_points(evaluate.singles(), steps[-1].soup.names)
        case "line":
            a, b = given.get("a", "uniform"), given.get("b", "greedy")
            points = []
            for point in line(evaluate, soup_of(run, a), soup_of(run, b), ALPHAS):
                points.append(point)
                yield {"alpha": point.alpha, "held_out": figures(point.evaluation)}
            yield charts.line_chart(points, quantity="accuracy", name_a=a, name_b=b)
        case _:
            best = Soup.single(best_first(evaluate.singles())[0])
            results = []
            for result in face_off(run.zoo, evaluate):
                results.append(result)
                yield {"recipe": result.recipe, "test": figures(result.test), "models": result.models}
            yield charts.cost_chart(results, evaluate.on("test")(best))


def _export(run: ZooCommand, folder: Path, given: Row) -> Rows:
    """Export below the folder, links followed, and over nothing that is there."""
    file = (folder / given["file"]).resolve()
    if not file.is_relative_to(folder.resolve()) or file == folder.resolve():
        raise SoupError(f"{given['file']!r} is no place below the folder for exports; name a file inside it.")
    if file.exists():
        raise SoupError(f"{given['file']!r} is there already; export under another name.")
    soup = soup_of(run, given.get("soup", "uniform"))
    out = Export(soup, run.evaluator(), title=title_of(soup), format=given.get("format", "safetensors"))
    for row in export_rows(out, file):
        yield {**row, "written": str(Path(row["written"]).relative_to(folder.resolve()))} if "written" in row else row


def as_json(row: Row) -> str:
    """A row on one line of ASCII, so that no name in it can end the line or turn the text."""
    return json.dumps(row, ensure_ascii=True)
