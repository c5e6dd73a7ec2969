"""Published results as rows of plain values, ready for JSON."""

from typing import Any

from soup_core.analysis.published.results import (
    CORRELATED,
    HELD_OUT_SET,
    QUANTITIES,
    SELECTION_GAP,
    SHIFTS,
    TEST_SET,
    Results,
    Score,
    correlated,
    correlation,
    estimate,
    relative_drop,
)
from soup_core.evaluation import Estimate

NEEDS_WEIGHTS = (
    "These are results without weights: other soups, lines between models, learned coefficients, geometry and "
    "comparisons paired image by image need the checkpoints."
)
Row = dict[str, Any]


def report(results: Results) -> list[Row]:
    """The results as rows of plain values, ready for JSON; rows of one kind follow each other and have the same keys.

    All models, soups first; the soups' differences from the best single model; correlations; relative drops; notices.
    """
    best = results.best
    rows: list[Row] = [
        {
            "model": model.name,
            "kind": model.kind,
            "held_out": _figures(model.scores[HELD_OUT_SET]),
            "test": _figures(model.scores[TEST_SET]),
            "mean_of_shifts": model.shifts.value,
            "hyperparameters": dict(model.hyperparameters),
        }
        for model in [*results.soups, *results.ranking, *([results.base] if results.base else [])]
    ]
    for soup in results.soups:
        for name, quantity in {**QUANTITIES, "selection gap": SELECTION_GAP}.items():
            gain = estimate(soup, quantity, against=best)
            rows.append(
                {"model": soup.name, "against": best.name, "difference_in": name, **_interval(gain), "paired": False}
            )
    for models, over in correlated(results):
        for one, other in CORRELATED:
            if coefficient := correlation(models, QUANTITIES[one], QUANTITIES[other]):
                rows.append({"correlation_of": one, "with": other, "over": over, **_interval(coefficient)})
    for model in [best, *results.soups]:
        for shift in SHIFTS:
            if drop := relative_drop(model, shift):
                rows.append({"model": model.name, "relative_drop_on": shift, **_interval(drop)})
    return rows + [{"notice": notice} for notice in (*results.notices, NEEDS_WEIGHTS)]


def _figures(score: Score) -> Row:
    return {"correct": score.correct, "total": score.total, "accuracy": score.accuracy}


def _interval(figure: Estimate) -> Row:
    return {"value": figure.value, "low": figure.low, "high": figure.high}
