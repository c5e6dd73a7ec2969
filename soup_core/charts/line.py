"""Accuracy or loss along the line between two soups."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from soup_core.analysis.interpolation import Barrier, LinePoint
from soup_core.charts.style import MARKS, NEUTRAL, counts, empty_figure, literal, quantity_of, quantity_title


def line_chart(
    points: Sequence[LinePoint],
    *,
    quantity: str,
    name_a: str,
    name_b: str,
    barrier: Barrier | None = None,
    ensemble: Sequence[LinePoint] = (),
    images: str = "held-out",
) -> go.Figure:
    """Accuracy, loss or a metric along alpha on the named images, both ends marked; a slider moves along it.

    `quantity` is "accuracy", with which the barrier is drawn, "loss", or the key of the metric that is selected by.
    `ensemble` draws what mixing the two ends' probabilities gives instead, see `ensemble_line`.
    """
    ordered = sorted(points, key=lambda point: point.alpha)
    values = {point.alpha: _quantity(point, quantity) for point in ordered}
    alphas = list(values)
    title = quantity_title(quantity)
    figure = empty_figure(f"{images.capitalize()} {title}")
    unit = " %" if title.endswith("(%)") else ""
    figure.add_trace(
        go.Scatter(
            x=alphas,
            y=list(values.values()),
            mode="lines+markers",
            name="along the line",
            showlegend=False,
            line={"color": MARKS["uniform"].colour, "width": 2.5},
            marker={"size": 6},
            hovertemplate="alpha %{x:.2f}: %{y:.2f}" + unit + "<extra></extra>",
            connectgaps=False,
        )
    )
    ends = [alpha for alpha in (0.0, 1.0) if alpha in values]
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=[values[alpha] for alpha in ends],
            mode="markers",
            name="the two ends",
            customdata=[[literal(name)] for name in (name_a, name_b)][: len(ends)],
            marker={"color": MARKS["ingredient"].colour, "symbol": "diamond", "size": 13},
            hovertemplate="%{customdata[0]}: %{y:.2f}" + unit + "<extra></extra>",
        )
    )
    shown_alpha = next((alpha for alpha in alphas if alpha == 0.5), alphas[len(alphas) // 2])
    figure.add_trace(
        go.Scatter(
            x=[shown_alpha],
            y=[values[shown_alpha]],
            mode="markers",
            name="chosen alpha",
            showlegend=False,
            marker={"color": MARKS["greedy"].colour, "symbol": "circle-open", "size": 18, "line": {"width": 3}},
            hoverinfo="skip",
        )
    )
    if len(ends) == 2:
        figure.add_trace(
            go.Scatter(
                x=ends,
                y=[values[alpha] for alpha in ends],
                mode="lines",
                name="straight between the ends",
                line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
                hoverinfo="skip",
            )
        )
        if barrier and barrier.height > 0 and quantity == "accuracy":
            straight = (1 - barrier.alpha) * values[0.0] + barrier.alpha * values[1.0]
            figure.add_trace(
                go.Scatter(
                    x=[barrier.alpha] * 2,
                    y=[straight, values[barrier.alpha]],
                    mode="lines",
                    name=f"error barrier: {100 * barrier.height:.2f} points",
                    line={"color": MARKS["greedy"].colour, "width": 3},
                    hoverinfo="skip",
                )
            )
    if ensemble:
        mixed = sorted(ensemble, key=lambda point: point.alpha)
        figure.add_trace(
            go.Scatter(
                x=[point.alpha for point in mixed],
                y=[_quantity(point, quantity) for point in mixed],
                mode="lines",
                name="ensemble of the two ends",
                line={"color": MARKS["ensemble"].colour, "width": 2, "dash": "dash"},
                customdata=[[counts(point.evaluation)] for point in mixed],
                hovertemplate="alpha %{x:.2f}: %{y:.2f}" + unit + "<br>%{customdata[0]}<extra>ensemble</extra>",
            )
        )
    _add_alpha_slider(figure, values, shown_alpha, unit)
    figure.update_xaxes(title="alpha")
    return figure


def _quantity(point: LinePoint, quantity: str) -> float:
    return quantity_of(point.evaluation, quantity)


def _add_alpha_slider(figure: go.Figure, values: Mapping[float, float], shown_alpha: float, unit: str) -> None:
    figure.frames = [
        go.Frame(name=f"{alpha:g}", data=[go.Scatter(x=[alpha], y=[value])], traces=[2])
        for alpha, value in values.items()
    ]
    steps = [
        {
            "label": f"{alpha:g} → {value:.2f}{unit}",
            "method": "animate",
            "args": [[f"{alpha:g}"], {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}],
        }
        for alpha, value in values.items()
    ]
    figure.update_layout(
        sliders=[
            {
                "active": list(values).index(shown_alpha),
                "steps": steps,
                "ticklen": 0,
                "minorticklen": 0,
                "currentvalue": {"prefix": "alpha "},
                "font": {"color": "rgba(0,0,0,0)"},
                "pad": {"t": 44, "b": 0},
                "x": 0.0,
                "len": 1.0,
            }
        ],
        margin={"b": 120},
    )
    figure.layout.sliders[0].currentvalue.font = {"color": NEUTRAL, "size": 15}
