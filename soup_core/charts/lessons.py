"""What lessons draw beside the other figures: a reader's prediction and what the run found, in one picture."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from soup_core.analysis.interpolation import LinePoint
from soup_core.charts.style import MARKS, NEUTRAL, RECIPE_MARKS, Mark, counts, empty_figure, error_bars, level, literal
from soup_core.evaluation import Comparison, Evaluation, wilson
from soup_core.recipes.greedy import GreedyStep

SKETCH = "circle-open"


def accuracy_points(
    rows: Sequence[tuple[str, str, Evaluation]], *, images: str, predicted: float | None = None
) -> go.Figure:
    """Accuracies with their 95 % intervals, a mark a row of (label, kind of mark, evaluation).

    A kind is a key of RECIPE_MARKS, or "best". `predicted`, in percent, is a line across.
    """
    figure = empty_figure(f"{images.capitalize()} accuracy (%)")
    edges = []
    for index, (label, kind, evaluation) in enumerate(rows):
        mark = RECIPE_MARKS.get(kind, Mark(NEUTRAL, "diamond"))
        accuracy = wilson(evaluation.correct, evaluation.total)
        edges += [100 * accuracy.low, 100 * accuracy.high]
        figure.add_trace(
            go.Scatter(
                x=[index],
                y=[100 * accuracy.value],
                mode="markers",
                name=literal(label),
                showlegend=False,
                marker={"color": mark.colour, "symbol": mark.symbol, "size": mark.size},
                error_y=error_bars([accuracy], mark.colour, width=4),
                customdata=[[literal(label), counts(evaluation)]],
                hovertemplate="%{customdata[0]}: %{y:.2f} %<br>%{customdata[1]}<extra></extra>",
            )
        )
    if predicted is not None:
        level(figure, predicted, "you said", NEUTRAL, "dot")
        edges.append(predicted)
    margin = max(0.2, 0.1 * (max(edges) - min(edges)))
    figure.update_yaxes(range=[min(edges) - margin, max(edges) + margin])
    figure.update_xaxes(
        tickvals=list(range(len(rows))),
        ticktext=[literal(label).replace(" ", "<br>", 1) for label, _, _ in rows],
        range=[-0.6, len(rows) - 0.4],
    )
    return figure


def sketched_line(
    sketch: Mapping[float, float], ends: tuple[Evaluation, Evaluation], points: Sequence[LinePoint] = ()
) -> go.Figure:
    """A reader's sketch of accuracy along alpha, in percent by alpha, between the known ends; beside it the real line."""
    figure = empty_figure("Held-out accuracy (%)")
    first, last = (100 * end.accuracy for end in ends)
    drawn = {0.0: first, **dict(sorted(sketch.items())), 1.0: last}
    figure.add_trace(
        go.Scatter(
            x=list(drawn),
            y=list(drawn.values()),
            mode="lines+markers",
            name="your sketch",
            line={"color": NEUTRAL, "width": 2, "dash": "dash"},
            marker={"symbol": SKETCH, "size": 11},
            hovertemplate="alpha %{x:.2f}: %{y:.1f} %<extra>your sketch</extra>",
        )
    )
    if points:
        ordered = sorted(points, key=lambda point: point.alpha)
        figure.add_trace(
            go.Scatter(
                x=[point.alpha for point in ordered],
                y=[100 * point.evaluation.accuracy for point in ordered],
                mode="lines+markers",
                name="the real line",
                customdata=[[counts(p.evaluation)] for p in ordered],
                line={"color": MARKS["uniform"].colour, "width": 2.5},
                marker={"size": 7},
                hovertemplate="alpha %{x:.2f}: %{y:.2f} %<br>%{customdata[0]}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[0.0, 1.0],
            y=[first, last],
            mode="markers",
            name="the two ends",
            hoverinfo="skip",
            marker={"color": MARKS["ingredient"].colour, "symbol": MARKS["ingredient"].symbol, "size": 13},
        )
    )
    figure.update_yaxes(range=[-2, 102])
    figure.update_xaxes(title="alpha", range=[-0.05, 1.05], tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def two_walks(yours: Sequence[GreedyStep], greedy: Sequence[GreedyStep]) -> go.Figure:
    """Held-out accuracy of two soups over the same candidates, the reader's and greedy's, after each decision."""
    figure = empty_figure("Held-out accuracy (%)")
    for label, steps, colour, symbol, dash in (
        ("greedy soup", greedy, MARKS["greedy"].colour, MARKS["greedy"].symbol, "solid"),
        ("your soup", yours, MARKS["uniform"].colour, MARKS["uniform"].symbol, "dot"),
    ):
        heights, height = [], 0.0
        for step in steps:
            if step.accepted and step.evaluation:
                height = 100 * step.evaluation.accuracy
            heights.append(height)
        figure.add_trace(
            go.Scatter(
                x=[step.index + 1 for step in steps],
                y=heights,
                mode="lines+markers",
                name=label,
                line={"color": colour, "width": 2.5, "dash": dash, "shape": "hv"},
                marker={
                    "color": colour,
                    "size": 12,
                    "symbol": [symbol if step.accepted else f"{symbol}-open" for step in steps],
                },
                customdata=[[literal(step.candidate), "accepted" if step.accepted else "rejected"] for step in steps],
                hovertemplate=f"%{{customdata[0]}} %{{customdata[1]}}: %{{y:.2f}} %<extra>{label}</extra>",
            )
        )
    figure.update_xaxes(
        title="Candidate: filled where accepted",
        tickvals=[step.index + 1 for step in greedy],
        ticktext=[literal(step.candidate) for step in greedy],
    )
    return figure


def middle_by_rate(comparisons: Mapping[float, Comparison]) -> go.Figure:
    """The average of two fine-tunings less the worse of them, in points with its 95 % interval, by learning rate."""
    figure = empty_figure("Average less the worse end (points)")
    mark, rates = MARKS["uniform"], list(comparisons)
    figure.add_trace(
        go.Scatter(
            x=rates,
            y=[100 * each.difference for each in comparisons.values()],
            mode="lines+markers",
            name="average of two",
            showlegend=False,
            line={"color": mark.colour, "width": 2},
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 12},
            error_y=error_bars(comparisons.values(), mark.colour, width=4),
            hovertemplate="learning rate %{x}: %{y:+.2f} points<extra></extra>",
        )
    )
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    figure.update_xaxes(title="Learning rate", type="log", tickvals=rates, ticktext=[f"{rate:g}" for rate in rates])
    return figure


def together_and_apart(
    together: Mapping[int, Evaluation], apart: Mapping[int, Evaluation], base: Evaluation
) -> go.Figure:
    """Held-out accuracy by how many adapters are averaged, with 95 % intervals: their products, and their factors apart.

    The base, which both start from, is a line across.
    """
    figure = empty_figure("Held-out accuracy (%)")
    for label, evaluations, mark, dash in (
        ("products averaged", together, MARKS["uniform"], "solid"),
        ("factors averaged apart", apart, Mark(NEUTRAL, "x"), "dot"),
    ):
        accuracies = [wilson(each.correct, each.total) for each in evaluations.values()]
        figure.add_trace(
            go.Scatter(
                x=list(evaluations),
                y=[100 * accuracy.value for accuracy in accuracies],
                mode="lines+markers",
                name=label,
                line={"color": mark.colour, "width": 2.5, "dash": dash},
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 12},
                error_y=error_bars(accuracies, mark.colour, width=4),
                customdata=[[counts(each)] for each in evaluations.values()],
                hovertemplate=f"%{{x}} adapters: %{{y:.2f}} %<br>%{{customdata[0]}}<extra>{label}</extra>",
            )
        )
    level(figure, 100 * base.accuracy, "base", MARKS["base"].colour, "dash")
    figure.update_xaxes(
        title="Adapters averaged", type="log", tickvals=list(together), ticktext=list(map(str, together))
    )
    return figure
