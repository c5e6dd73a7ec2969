"""Published results, drawn: robustness as in the paper's first figure, hyperparameters, and what each shift costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from soup_core.analysis.published import (
    QUANTITIES,
    SHIFTS,
    TEST,
    TEST_SET,
    PublishedModel,
    Results,
    estimate,
    in_order,
    relative_drop,
)
from soup_core.charts.style import (
    GREY_LINE,
    MARKS,
    NAMES_ON_AN_AXIS,
    NEUTRAL,
    empty_figure,
    error_bars,
    level,
    literal,
    short,
)

LABELS: Mapping[str, str] = {
    "ingredient": "fine-tuned model", "base": "base (the initialization)", "uniform": "uniform soup",
    "greedy": "greedy soup", "ensemble": "ensemble",
}  # fmt: skip
MARKED = 300  # of more models the best are marks, and all of them cells that tell how many lie there
CELLS = 60
DENSITY = ((0.0, "rgba(128, 128, 128, 0.1)"), (1.0, NEUTRAL))
LOGARITHMIC_FROM = 100  # times the smallest value


def robustness_scatter(results: Results) -> go.Figure:
    """Test accuracy against the mean of the shifts, with 95 % intervals: the first figure of Wortsman et al. 2022.

    Dashed lines stand at the best single model, as the held-out set selects it.
    """
    figure = empty_figure("Mean accuracy on five shifts (%)")
    if len(results.models) > MARKED:
        x, y = (
            [100 * model.accuracy(each) for model in results.models] for each in (TEST, QUANTITIES["mean of shifts"])
        )
        figure.add_trace(_density(x, y))
    every = [*results.ranking[:MARKED], *([results.base] if results.base else []), *results.soups]
    for kind in dict.fromkeys(model.kind for model in every):
        models = [model for model in every if model.kind == kind]
        tests = [estimate(model, TEST) for model in models]
        shifts = [model.shifts for model in models]
        colour = GREY_LINE if kind == "ingredient" else MARKS[kind].colour
        figure.add_trace(
            go.Scatter(
                x=[100 * test.value for test in tests],
                y=[100 * shift.value for shift in shifts],
                error_x=error_bars(tests, colour, width=2),
                error_y=error_bars(shifts, colour, width=2),
                mode="markers",
                name=LABELS[kind],
                marker=_marker(kind),
                customdata=[[literal(model.name), _counts(model)] for model in models],
                hovertemplate="%{customdata[0]}<br>test %{x:.2f} %, %{customdata[1]}<br>shifts %{y:.2f} %<extra></extra>",
            )
        )
    best = results.best
    level(figure, 100 * best.shifts.value, "best on the held-out set,", NEUTRAL, "dash")
    figure.add_vline(100 * best.accuracy(TEST), line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
    figure.update_xaxes(title="Test accuracy (%)")
    figure.update_layout(height=480)
    return figure


def hyperparameter_points(results: Results, hyperparameter: str, quantity: str) -> go.Figure:
    """A hyperparameter against a quantity, with 95 % intervals; numbers on an axis of their own, all else by category."""
    figure = empty_figure(f"{quantity.capitalize()} accuracy (%)")
    values = [model.hyperparameters.get(hyperparameter) for model in results.models]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    figure.update_xaxes(title=literal(hyperparameter))
    positions: Sequence[Any] = numbers
    if len(numbers) < len(values):
        order = in_order(values)
        place = {value: index for index, value in enumerate(order)}
        positions = [place[value] for value in values]
        words = ["none" if value is None else literal(short(str(value))) for value in order]
        every = -(-len(words) // NAMES_ON_AN_AXIS)
        figure.update_xaxes(tickvals=list(range(0, len(order), every)), ticktext=words[::every], tickangle=-60)
    elif min(numbers) > 0 and max(numbers) >= LOGARITHMIC_FROM * min(numbers):
        figure.update_xaxes(type="log", exponentformat="power")
    chosen = list(range(len(values)))
    if len(values) > MARKED:
        figure.add_trace(
            _density(
                positions,
                [100 * model.accuracy(QUANTITIES[quantity]) for model in results.models],
                figure.layout.xaxis.type,
            )
        )
        rank = {model.name: index for index, model in enumerate(results.ranking[:MARKED])}
        chosen = [index for index, model in enumerate(results.models) if model.name in rank]
    models, positions = [results.models[index] for index in chosen], [positions[index] for index in chosen]
    estimates = [estimate(model, QUANTITIES[quantity]) for model in models]
    figure.add_trace(
        go.Scatter(
            x=positions,
            y=[100 * one.value for one in estimates],
            error_y=error_bars(estimates, GREY_LINE, width=2),
            mode="markers",
            name=LABELS["ingredient"],
            marker=_marker("ingredient"),
            customdata=[
                [literal(model.name), "none" if value is None else literal(str(value))]
                for model, value in zip(models, (values[index] for index in chosen), strict=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>%{y:.2f} %<extra></extra>",
        )
    )
    return figure


def _density(x: Sequence[float], y: Sequence[float], scale: str | None = None) -> go.Heatmap:
    """How many models lie where, in cells; `scale` "log" divides the x axis by logarithms."""
    xs = np.log10(x) if scale == "log" else np.asarray(x, float)
    counts, across, up = np.histogram2d(xs, y, bins=CELLS)
    return go.Heatmap(
        z=[[int(count) or None for count in row] for row in counts.T],
        x=10**across if scale == "log" else across,
        y=up,
        colorscale=DENSITY,
        zmin=0,
        showscale=False,
        hoverongaps=False,
        name="models",
        hovertemplate="%{z} models here<extra></extra>",
    )


def drop_points(models: Mapping[str, PublishedModel]) -> go.Figure:
    """The share of its test accuracy that each labelled model loses on each shift, with 95 % intervals."""
    figure = empty_figure("Relative drop from test (%)")
    for index, (label, model) in enumerate(models.items()):
        drops = [(place, drop) for place, shift in enumerate(SHIFTS) if (drop := relative_drop(model, shift))]
        mark = MARKS[model.kind]
        figure.add_trace(
            go.Scatter(
                x=[place + 0.12 * (index - (len(models) - 1) / 2) for place, _ in drops],
                y=[100 * drop.value for _, drop in drops],
                error_y=error_bars([drop for _, drop in drops], mark.colour, width=2),
                mode="markers",
                name=literal(label),
                marker=_marker(model.kind),
                customdata=[[literal(model.name), SHIFTS[place]] for place, _ in drops],
                hovertemplate="%{customdata[0]} on %{customdata[1]}: %{y:.2f} % lost<extra></extra>",
            )
        )
    figure.update_xaxes(tickvals=list(range(len(SHIFTS))), ticktext=SHIFTS, range=[-0.5, len(SHIFTS) - 0.5])
    return figure


def _marker(kind: str) -> dict[str, Any]:
    mark = MARKS[kind]
    return {"color": mark.colour, "symbol": mark.symbol, "size": mark.size - 2 * (kind == "ingredient")}


def _counts(model: PublishedModel) -> str:
    score = model.scores[TEST_SET]
    return f"{score.correct:,} of {score.total:,} images"
