"""Ingredients by their accuracy, and what each one in or out changes."""

from collections.abc import Mapping, Sequence

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
    names_axis,
)
from soup_core.evaluation import ACCURACY, Evaluation, Metric, best_first
from soup_core.formatting import score


def ingredient_points(
    singles: Mapping[str, Evaluation], selected: Sequence[str], *, soup: Evaluation | None = None, whole: str = "soup"
) -> go.Figure:
    """Held-out accuracy of every ingredient, or another metric, best first; filled in the soup, hollow out of it.

    `whole` is what the selected ones make, where that is an ensemble.
    """
    order, chosen = best_first(singles), set(selected)
    place = {name: index for index, name in enumerate(order)}
    figure = empty_figure(axis_of(singles[order[0]].metric if order else ACCURACY))
    for label, names, symbol in (
        (f"in the {whole}", [name for name in order if name in chosen], "diamond"),
        ("not in it", [name for name in order if name not in chosen], "diamond-open"),
    ):
        figure.add_trace(
            go.Scatter(
                x=[place[name] for name in names],
                y=[height(singles[name]) for name in names],
                customdata=[[name, literal(name), score(singles[name]), counts(singles[name])] for name in names],
                mode="markers",
                name=label,
                marker={
                    "color": MARKS["ingredient"].colour,
                    "symbol": symbol,
                    "size": mark_size(13, len(order)),
                    "line": {"width": 2, "color": MARKS["ingredient"].colour},
                },
                selected={"marker": {"opacity": 1}},
                unselected={"marker": {"opacity": 1}},
                hovertemplate="%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>",
            )
        )
    if soup is not None:
        level(figure, height(soup), f"your {whole}", MARKS["uniform"].colour, "solid")
    names_axis(figure, order, "Ingredients, best first")
    return figure


def change_bars(
    changes: Mapping[str, float], selected: Sequence[str], order: Sequence[str], metric: Metric = ACCURACY
) -> go.Figure:
    """What toggling each ingredient would change, in points of held-out accuracy or what the metric's unit is.

    Those not known yet are left empty.
    """
    unit = "points" if metric.unit == "percent" else metric.unit
    of_metric = "" if metric is ACCURACY else f" of {metric.name}"
    figure, chosen = empty_figure(f"Change{of_metric}{f' ({unit})' if unit else ''}"), set(selected)
    decimals = 2 if metric.unit == "percent" else 4
    place = {name: index for index, name in enumerate(order)}
    for label, inside, pattern in (("take out", True, "/"), ("put in", False, "")):
        names = [name for name in order if name in changes and (name in chosen) is inside]
        figure.add_trace(
            go.Bar(
                x=[place[name] for name in names],
                y=[changes[name] for name in names],
                customdata=[[name, literal(name)] for name in names],
                name=label,
                width=0.8,  # of the distance between two names, however far apart those of a trace are
                marker={"color": MARKS["ingredient"].colour, "pattern": {"shape": pattern}},
                hovertemplate=f"%{{customdata[1]}}: %{{y:+.{decimals}f}} {unit}".rstrip() + f"<extra>{label}</extra>",
            )
        )
    figure.update_layout(barmode="overlay")
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    names_axis(figure, list(order), "Ingredients, best first")
    return figure
