"""The evaluations that come with a zoo, in its evaluations.jsonl: a JSON array a line, either an evaluation or a bound.

They are looked up by their keys and never copied into the store, so that a zoo speaks for itself alone and never over
what was computed here.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soup_core.runtime.store import BoundRow, EvaluationRow
from soup_core.zoo.settings_files import read_text


@dataclass(frozen=True)
class Shipped:
    """Evaluations by key, and bounds by key and the digest of the images' order."""

    evaluations: Mapping[str, EvaluationRow] = field(default_factory=dict)
    bounds: Mapping[tuple[str, str], BoundRow] = field(default_factory=dict)


def read_shipped(file: Path) -> Shipped:
    """Read what comes with a zoo; odd lines count as none, as does a file that is none, or above 5 MB."""
    evaluations: dict[str, EvaluationRow] = {}
    bounds: dict[tuple[str, str], BoundRow] = {}
    for line in (read_text(file) or "").splitlines():
        try:
            key, *values = json.loads(line)
            if len(values) == len(BoundRow._fields) + 1:
                order, images, errors = values
                bounds[str(key), str(order)] = BoundRow(_count(images), _count(errors))
            else:
                correct, total, loss, ece, not_finite, correctness = values
                counts = _count(correct), _count(total), _figure(loss), _figure(ece), _count(not_finite)
                evaluations[str(key)] = EvaluationRow(str(key), *counts, base64.b64decode(correctness))
        except (ValueError, TypeError, RecursionError):
            continue
    return Shipped(evaluations, bounds)


def shipped_text(evaluations: Iterable[EvaluationRow], bounds: Mapping[tuple[str, str], BoundRow]) -> str:
    """The content of a zoo's file: what `read_shipped` reads, evaluations first, each in the order of the keys."""
    rows = [[*row[:-1], base64.b64encode(row.correctness).decode()] for row in sorted(evaluations)]
    rows += [[*names, *bound] for names, bound in sorted(bounds.items())]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number; found {value!r}")
    return value


def _figure(value: object) -> float | None:
    return value if value is None or isinstance(value, float) else _count(value)
