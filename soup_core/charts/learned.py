"""Learned coefficients, as lines over training and as a map of layers and ingredients."""

from collections.abc import Sequence

import plotly.graph_objects as go

from soup_core.charts.style import GREY_LINE, LINE_COLOURS, LINE_DASHES, empty_figure, literal, names_axis, short
from soup_core.recipes.learned import LearnedStep


def coefficient_lines(steps: Sequence[LearnedStep]) -> go.Figure:
    """How each ingredient's coefficient moves, as the mean over the groups; the five largest at the end are named."""
    figure = empty_figure("Coefficient, mean over groups")
    means = [step.coefficients.mean(0) for step in steps]
    names = steps[-1].names
    largest = sorted(range(len(names)), key=lambda k: -means[-1][k])[:5]
    looks = dict(zip(largest, zip(LINE_COLOURS, LINE_DASHES, strict=True), strict=False))
    for k in [*(k for k in range(len(names)) if k not in looks), *reversed(largest)]:
        colour, dash = looks.get(k, (GREY_LINE, "solid"))
        figure.add_trace(
            go.Scatter(
                x=[step.index for step in steps],
                y=[mean[k] for mean in means],
                mode="lines",
                name=literal(short(names[k])),
                showlegend=k in looks,
                customdata=[[literal(names[k])]] * len(steps),
                line={"color": colour, "dash": dash, "width": 2.5 if k in looks else 1},
                hovertemplate="%{customdata[0]}: %{y:.3f}<extra></extra>",
            )
        )
    figure.update_xaxes(title="Round of batches", range=[0, steps[-1].total])
    figure.update_layout(legend={"traceorder": "reversed"})
    return figure


def coefficient_heatmap(step: LearnedStep, order: Sequence[str]) -> go.Figure:
    """Coefficients of one step, a row a group of tensors, a column an ingredient in `order`."""
    columns = [step.names.index(name) for name in order if name in step.names]
    values = step.coefficients[:, columns]
    figure = empty_figure("")
    free = bool((values < 0).any())
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=list(range(len(columns))),
            y=list(range(len(step.groups))),
            customdata=[[[literal(step.names[k]), literal(group)] for k in columns] for group in step.groups],
            colorscale="RdBu" if free else "Viridis",
            zmid=0 if free else None,
            xgap=1,
            ygap=1,
            colorbar={"thickness": 12, "title": {"text": "coefficient", "side": "right"}},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}: %{z:.3f}<extra></extra>",
        )
    )
    names_axis(figure, [step.names[k] for k in columns], "Ingredients, best first")
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(len(step.groups))),
        ticktext=[literal(short(group)) for group in step.groups],
        range=[len(step.groups) - 0.5, -0.5],
        showgrid=False,
    )
    figure.update_layout(height=max(260, 140 + 22 * len(step.groups)))
    return figure
