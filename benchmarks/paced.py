"""The app with work of a known pace, for `benchmarks.sent`: `python benchmarks/paced.py STEPS_A_SECOND run app.py …`.

What a learned run, a plane and a face-off yield is made up from their first true step; after a few steps the pace holds,
or with a pace of 0 none comes any more. It is run in the folder of the commit that is measured.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

sys.path[0] = ""  # the app of this folder, and not the one beside this file

from soup_core.jobs.tasks import TASKS, tasks  # noqa: E402  (of the folder that was put first just now)
from soup_core.runtime.interruption import yield_point  # noqa: E402  (the same)

FIRST = 5  # steps that come at once
PACE = float(sys.argv.pop(1))
Steps = Callable[..., Iterator[Any]]


def paced(made: Callable[[Iterator[Any]], Iterator[Any]], steps: Steps) -> Steps:
    """A task whose steps come at the pace."""

    def run(*arguments: Any, **options: Any) -> Iterator[Any]:
        due, coming = time.monotonic(), made(steps(*arguments, **options))
        for index in count():
            if index >= FIRST:
                due = max(due + 1 / PACE, time.monotonic() - 1) if PACE else float("inf")
            while time.monotonic() < due:
                yield_point()
                time.sleep(min(0.02, max(0.0, due - time.monotonic())))
            step = next(coming, None)
            if step is None:
                return
            yield step

    return run


def learned(steps: Iterator[Any]) -> Iterator[Any]:
    """Coefficients that drift, each its own way, and losses that fall."""
    first, drawn = next(steps), np.random.default_rng(0)
    coefficients, drift = first.coefficients, 1e-4 * drawn.standard_normal(first.coefficients.shape)
    for index in count():
        fold = replace(first.fold, loss=first.fold.loss * (0.5 + 1 / (index + 2)) + 0.001 * drawn.random())
        yield replace(first, index=index, coefficients=coefficients, loss=fold.loss * 1.1, fold=fold)
        coefficients = coefficients + drift


def plane(steps: Iterator[Any]) -> Iterator[Any]:
    """Points of a grid of 21 by 21, row by row, with made counts."""
    first, drawn = next(steps), np.random.default_rng(0)
    for index in range(441):
        evaluation = replace(first.evaluation, correct=int(first.evaluation.total * (0.5 + 0.4 * drawn.random())))
        yield replace(
            first, column=index % 21, row=index // 21, x=index % 21, y=index // 21, stride=1, evaluation=evaluation
        )


MADE: dict[str, Callable[[Iterator[Any]], Iterator[Any]]] = {"learned": learned, "plane": plane, "face-off": iter}
for name, made in MADE.items():
    TASKS[name] = paced(made, tasks()[name])  # type: ignore[index]  # the table is only read elsewhere; what it has goes before the recipes

if __name__ == "__main__":
    from streamlit.web.cli import main

    main()
