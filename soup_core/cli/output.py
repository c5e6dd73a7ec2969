"""Rows as a table for people, or as one JSON object a line."""

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.table import Table
from rich.text import Text

from soup_core.evaluation import Evaluation

Row = dict[str, Any]
COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))


def figures(evaluation: Evaluation) -> Row:
    """Counts, accuracy and loss, and what another metric says, ready for JSON, where what is not a number is null."""
    loss = None if math.isnan(evaluation.loss) else evaluation.loss
    figures: Row = {
        "correct": evaluation.correct,
        "total": evaluation.total,
        "accuracy": evaluation.accuracy,
        "loss": loss,
    }
    if evaluation.measured:
        figures["metric"] = evaluation.metric.key
        figures["value"] = None if math.isnan(evaluation.value) else evaluation.value
    if evaluation.not_finite:
        figures["not_finite"] = evaluation.not_finite
    if evaluation.precision != "float32":
        figures["precision"] = evaluation.precision
    return figures


def print_rows(rows: Iterable[Row], as_json: bool) -> None:
    """Print rows as they come as JSON, or all at the end as tables of equal heads."""
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    console, table = Console(), None
    with _waiting():
        rows = list(rows)
    for index, row in enumerate(rows):
        if table is None or list(row) != list(rows[index - 1]):
            if table is not None:
                console.print(table)
            table = Table(*row, box=None, header_style="bold")
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    if table is not None:
        console.print(table)


@contextmanager
def _waiting() -> Iterator[None]:
    with Console(stderr=True).status("evaluating"):
        yield


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "accuracy" in value:
        counts = f"{value['correct']} of {value['total']} ({100 * value['accuracy']:.2f} %)"
        return f"{value['metric']} {_cell(value['value'])}; {counts}" if "metric" in value else counts
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {part:.4g}" if isinstance(part, float) else f"{key} {part}" for key, part in value.items()
        )
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(value)}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
