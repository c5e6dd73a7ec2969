"""Rows of plain values as CSV and as tables in Markdown."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from soup_core.analysis.face_off import RecipeResult
from soup_core.evaluation import Comparison, Evaluation, accuracy_interval, compare
from soup_core.formatting import plain
from soup_core.recipes.greedy import GreedyStep
from soup_core.zoo import Zoo

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def ingredient_rows(zoo: Zoo, singles: Mapping[str, Evaluation]) -> list[dict[str, object]]:
    """A row an ingredient: its held-out counts, its hyperparameters, its digest."""
    rows = []
    for name in zoo.names:
        figures = {"name": name, **_flat("held_out", singles[name]), "digest": zoo.by_name[name].digest}
        given = zoo.by_name[name].hyperparameters
        rows.append(
            {**figures, **{key if key not in figures else f"hyperparameter {key}": given[key] for key in given}}
        )
    return rows


def step_row(step: GreedyStep) -> dict[str, object]:
    """A candidate of a greedy search; `correct` is None where it was rejected early, and `correct_at_most` bounds it."""
    return {
        "step": step.index,
        "candidate": step.candidate,
        "accepted": step.accepted,
        "correct": step.evaluation.correct if step.evaluation else None,
        "correct_at_most": step.correct_at_most,
        **_by_metric(step),
        "images_evaluated": step.images_evaluated,
        "ingredients": list(step.soup.names),
    }


def _by_metric(step: GreedyStep) -> dict[str, object]:
    """What another metric than accuracy says of a candidate: `value` is None where it was rejected early, as for counts."""
    if step.value_at_most is None:
        return {}
    value = step.evaluation.value if step.evaluation else None
    found = {"value": value, "value_at_most": step.value_at_most}
    return {name: None if number is None or math.isnan(number) else number for name, number in found.items()}


def entry_rows(entries: Iterable[RecipeResult], best: Evaluation) -> list[dict[str, object]]:
    """A row a recipe of the face-off: counts on both splits, the gain over the best single model's `best`, the cost."""
    return [
        {
            "recipe": entry.about.name,
            "ingredients": list(entry.soup.names),
            **_flat("held_out", entry.held_out),
            **_flat("test", entry.test),
            **{f"test_{key}": value for key, value in _difference(compare(entry.test, best)).items()},
            **asdict(entry.cost),
        }
        for entry in entries
    ]


def _difference(comparison: Comparison) -> dict[str, object]:
    return {
        "difference": comparison.difference,
        "difference_low": comparison.low,
        "difference_high": comparison.high,
        "p_value": comparison.p_value,
        "gained": comparison.gained,
        "lost": comparison.lost,
    }


def markdown_table(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as a table in Markdown, with the union of their keys as the heads; its cells are literal text."""
    rows = list(rows)
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return markdown(map(plain, heads), ([markdown_cell(row.get(head)) for head in heads] for row in rows))


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown of cells that are Markdown already."""
    heads = list(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as comma-separated values, with the union of their keys as the heads.

    Lists are joined by semicolons. A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    rows = list(rows)
    heads = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(map(_cell, heads))
    lines.writerows([_cell(row.get(head)) for head in heads] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    is_formula = (
        isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(value)
    )
    return f"'{value}" if is_formula else value


def _flat(split: str, evaluation: Evaluation) -> dict[str, object]:
    figures = counted(evaluation)
    figures["low"], figures["high"] = figures.pop("interval")
    return {f"{split}_{key}": value for key, value in figures.items()}


def counted(evaluation: Evaluation) -> dict[str, Any]:
    """Counts, accuracy and its interval, ready for JSON, and the metric that is selected by, where that is another."""
    figures: dict[str, Any] = {
        "correct": evaluation.correct,
        "total": evaluation.total,
        "accuracy": evaluation.accuracy,
        "interval": list(accuracy_interval(evaluation)),
    }
    if evaluation.measured:
        figures["metric"] = evaluation.metric.key
        figures["value"] = None if math.isnan(evaluation.value) else evaluation.value
    return figures


def markdown_cell(value: object) -> str:
    """A value as a cell: texts literal, lists with commas between."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return plain(value) if isinstance(value, str) else "" if value is None else str(value)
