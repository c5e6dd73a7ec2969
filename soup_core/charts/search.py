"""The greedy search: accuracy candidate by candidate, and the band of shuffled orders."""

from collections.abc import Sequence
from statistics import median

import plotly.graph_objects as go

from soup_core.charts.style import (
    MARKS,
    NEUTRAL,
    axis_of,
    counts,
    empty_figure,
    height,
    level,
    literal,
    mark_size,
    on_axis,
)
from soup_core.evaluation import ACCURACY, Metric
from soup_core.formatting import score
from soup_core.recipes.greedy import BandStep, GreedyStep


def greedy_curve(
    steps: Sequence[GreedyStep],
    *,
    candidates: int,
    current: int | None = None,
    band: Sequence[BandStep] = (),
    label: str = "greedy soup so far",
) -> go.Figure:
    """The greedy search: each candidate's held-out accuracy, or another metric, accepted or rejected, and the best so far.

    A candidate that was rejected early is drawn at its bound, "at most"; the axes are fixed by `candidates`, so that
    nothing jumps while the curve grows. `band` draws, behind it, between which values searches in shuffled orders lie;
    `label` names the soup.
    """
    metric = next((step.evaluation.metric for step in steps if step.evaluation), ACCURACY)
    figure = empty_figure(axis_of(metric))
    if band:
        curves = [
            [100 * correct / step.total for correct in step.correct]
            if step.values is None
            else [on_axis(value, metric) for value in step.values]
            for step in band
        ]
        add_band(figure, curves, f"{len(band)} shuffled orders, lowest to highest", shape="hv")
    best, reached = [], 0.0
    for step in steps:
        reached = height(step.evaluation) if step.accepted and step.evaluation else reached
        best.append(reached)
    green, red = MARKS["ingredient"].colour, MARKS["greedy"].colour
    figure.add_trace(
        go.Scatter(
            x=[step.index + 1 for step in steps],
            y=best,
            mode="lines",
            name=label,
            line={"shape": "hv", "color": red, "width": 2.5},
            hoverinfo="skip",
        )
    )
    groups = (
        ("accepted", "diamond", green, [s for s in steps if s.accepted]),
        ("rejected", "diamond-open", green, [s for s in steps if not s.accepted and s.evaluation]),
        ("rejected early: at most", "triangle-down-open", NEUTRAL, [s for s in steps if s.evaluation is None]),
    )
    for kind, symbol, colour, group in groups:
        totals = {step.index: _total(step, steps) for step in group}
        figure.add_trace(
            go.Scatter(
                x=[step.index + 1 for step in group],
                y=[_at_most(step, totals[step.index], metric) for step in group],
                customdata=[[literal(step.candidate), _verdict(step, totals[step.index])] for step in group],
                mode="markers",
                name=kind,
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": [17 if step.index == current else mark_size(11, candidates) for step in group],
                    "line": {"width": 2},
                },
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            )
        )
    if steps and steps[0].evaluation:
        level(figure, height(steps[0].evaluation), "best single model", NEUTRAL, "dash")
    figure.update_xaxes(
        title="Candidate, in the order tried", range=[0.4, candidates + 0.6], dtick=max(1, candidates // 12)
    )
    return figure


def add_band(figure: go.Figure, curves: Sequence[Sequence[float]], label: str, *, shape: str = "linear") -> None:
    """The band between the lowest and the highest of curves over 1, 2, 3 …, and their median; `shape` is the lines'."""
    columns = list(zip(*curves, strict=True))
    xs = list(range(1, len(columns) + 1))
    for pick, fill in ((min, None), (max, "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=[pick(column) for column in columns],
                mode="lines",
                line={"width": 0, "shape": shape},
                fill=fill,
                fillcolor="rgba(0, 114, 178, 0.18)",
                hoverinfo="skip",
                showlegend=fill is not None,
                name=label,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=xs,
            y=[median(column) for column in columns],
            mode="lines",
            name="their median",
            line={"width": 1.5, "shape": shape, "color": MARKS["uniform"].colour, "dash": "dot"},
            hovertemplate="%{y:.2f} %<extra>median order</extra>",
        )
    )


def _at_most(step: GreedyStep, total: int, metric: Metric) -> float:
    """Where a candidate stands on the axis, or its bound."""
    if step.value_at_most is None:
        return 100 * step.correct_at_most / total
    return on_axis(step.value_at_most, metric)


def _total(step: GreedyStep, steps: Sequence[GreedyStep]) -> int:
    evaluation = step.evaluation or steps[0].evaluation
    return evaluation.total if evaluation else 1


def _verdict(step: GreedyStep, total: int) -> str:
    if step.evaluation and step.evaluation.measured:
        known = f"{step.evaluation.metric.name} {score(step.evaluation)}, {counts(step.evaluation)}"
        return f"{known}: {'accepted' if step.accepted else 'rejected'}"
    if step.evaluation is None:
        return f"at most {step.correct_at_most:,} of {total:,}: rejected after {step.images_evaluated or 'kept'} images"
    return f"{counts(step.evaluation)}: {'accepted' if step.accepted else 'rejected'}"
