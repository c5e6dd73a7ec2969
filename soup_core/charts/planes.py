"""The plane through three soups, drawn as it is evaluated: cells as large as their pass is coarse, nothing smoothed.

Garipov et al. 2018, arXiv 1802.10026, figure 1.
"""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from soup_core.analysis.interpolation import Plane, PlanePoint
from soup_core.charts.geometry import Shown, add_path, add_soup, colour_bar
from soup_core.charts.style import (
    MARKS,
    NEUTRAL,
    RECIPE_MARKS,
    counts,
    empty_figure,
    literal,
    percent,
    quantity_of,
    quantity_title,
    short,
)
from soup_core.evaluation import Evaluation
from soup_core.formatting import score
from soup_core.weight_space.maps import Position

STRIDES = (4, 2, 1)
SYMBOLS_3D = {"diamond": "diamond", "square": "square", "circle": "circle", "star": "cross", "pentagon": "circle"}
ON_COLOURS = {"color": "white", "shadow": "0 0 3px black, 0 0 3px black", "size": 13}  # read on light and dark cells
CALM = {"gridcolor": NEUTRAL, "zeroline": False, "showbackground": False}
ABOVE_THE_BAR = {"yref": "container", "y": 1, "yanchor": "top"}  # of a legend, clear of the colours' bar
LANDSCAPE = 0.7  # height by width of the picture of a landscape
Corners = tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
Grid = list[list[Any]]


def plane_contour(
    plane: Plane,
    points: Sequence[PlanePoint],
    *,
    resolution: int,
    corners: Corners,
    quantity: str = "accuracy",
    others: Sequence[Shown] = (),
    path: Sequence[Position] = (),
) -> go.Figure:
    """Accuracy or loss over the plane, with contour lines once every point is there; `quantity` as in `line_chart`.

    `corners` are a name and a kind of mark each. `others` are other soups where they project, hollow, each with its
    distance off the plane, and `path` is the greedy search's way. A cell carries [x, y, accuracy, counts, what the hover says] of the point it shows, so that a click
    can be turned into `plane.soup(x, y)`; where outputs are not finite it is empty and marked with a ×.
    """
    xs, ys = plane.grid(resolution)
    values, cells = _painted(points, resolution, quantity)
    figure = empty_figure("")
    figure.add_trace(
        go.Heatmap(
            x=xs,
            y=ys,
            z=values,
            customdata=cells,
            colorscale="Viridis",
            reversescale=quantity == "loss",
            zsmooth=False,
            connectgaps=False,
            colorbar=colour_bar(quantity_title(quantity)),
            hoverongaps=False,
            name="evaluated",
            hovertemplate="%{customdata[4]}<extra></extra>",
        )
    )
    if len(points) == resolution**2:
        figure.add_trace(
            go.Contour(
                x=xs,
                y=ys,
                z=values,
                contours={"coloring": "none"},
                line={"color": "white", "width": 0.8, "smoothing": 0},
                connectgaps=False,
                hoverinfo="skip",
                showscale=False,
                showlegend=False,
            )
        )
    if broken := [point for point in points if point.evaluation.not_finite]:
        figure.add_trace(
            go.Scatter(
                x=[point.x for point in broken],
                y=[point.y for point in broken],
                mode="markers",
                name="not finite",
                marker={"symbol": "x", "color": NEUTRAL, "size": 8},
                customdata=[_cell(point) for point in broken],
                hovertemplate="%{customdata[4]}<extra></extra>",
            )
        )
    for (kind, label), group in _by_mark(others).items():
        mark = RECIPE_MARKS[kind]
        figure.add_trace(
            go.Scatter(
                x=[shown.place.x for shown in group],
                y=[shown.place.y for shown in group],
                mode="markers",
                name=label,
                marker={
                    "color": "white",
                    "opacity": 0.9,
                    "symbol": mark.symbol.removesuffix("-open"),
                    "size": mark.size - 1,
                    "line": {"width": 2, "color": mark.colour},
                },
                customdata=[[shown.name, literal(shown.name), f"{shown.place.off:.2f}"] for shown in group],
                hovertemplate="%{customdata[1]}<br>%{customdata[2]} off the plane<extra></extra>",
            )
        )
    add_path(figure, path)
    for (name, kind), (x, y) in zip(corners, _corner_places(plane), strict=True):
        add_soup(figure, Shown(name, kind, Position(x, y, 0.0)))
        figure.data[-1].update(
            mode="markers+text",
            text=[literal(short(name))],
            textposition="top center",
            textfont=ON_COLOURS,
            showlegend=False,
        )
    figure.update_xaxes(title="Distance in weight space", showgrid=False, constrain="domain")
    figure.update_yaxes(showgrid=False, scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_layout(height=600, margin={"t": 30}, legend=ABOVE_THE_BAR, meta={"aspect": _aspect(xs, ys)})
    return figure


def plane_surface(
    plane: Plane,
    points: Sequence[PlanePoint],
    *,
    resolution: int,
    corners: Corners,
    evaluations: tuple[Evaluation, Evaluation, Evaluation],
    quantity: str = "accuracy",
    others: Sequence[tuple[Shown, Evaluation]] = (),
    path: Sequence[tuple[Position, Evaluation]] = (),
) -> go.Figure:
    """The plane as a landscape over its finest complete pass, with soups at the heights of their own evaluations.

    The three corners lie on it. `others`, and the greedy search's `path`, stand over or under the place they project to:
    a thin line joins each of the others to the nearest evaluated point, so its length is what being off the plane
    changes. Where outputs are not finite there is a hole. Customdata is as in `plane_contour`.
    """
    xs, ys = plane.grid(resolution)
    at = {(point.column, point.row): point for point in points}
    columns: list[int] = []
    for stride in STRIDES:
        tried = list(range(0, resolution, stride))
        if all((column, row) in at for column in tried for row in tried):
            columns = tried
    drawn = [[at[column, row] for column in columns] for row in columns]
    figure = empty_figure("")
    figure.add_trace(
        go.Surface(
            x=[xs[column] for column in columns],
            y=[ys[row] for row in columns],
            z=[[_value(point.evaluation, quantity) for point in row] for row in drawn],
            customdata=[[_cell(point) for point in row] for row in drawn],
            colorscale="Viridis",
            reversescale=quantity == "loss",
            connectgaps=False,
            opacity=0.9,
            name="evaluated",
            colorbar=colour_bar(quantity_title(quantity)),
            hovertemplate="%{customdata[4]}<extra></extra>",
        )
    )
    own = {shown.name: evaluation for shown, evaluation in others}
    for (kind, label), group in _by_mark([shown for shown, _ in others]).items():
        _add_marks(figure, label, kind, [(shown.name, shown.place, own[shown.name]) for shown in group], quantity)
    _add_stems(figure, others, [point for row in drawn for point in row], quantity)
    if path:
        figure.add_trace(
            go.Scatter3d(
                x=[place.x for place, _ in path],
                y=[place.y for place, _ in path],
                z=[_value(evaluation, quantity) for _, evaluation in path],
                mode="lines+markers",
                name="greedy's path",
                line={"color": MARKS["greedy"].colour, "width": 4},
                marker={"color": MARKS["greedy"].colour, "symbol": SYMBOLS_3D["star"], "size": 4},
                customdata=[
                    [number, f"{place.off:.2f}", _text(evaluation)]
                    for number, (place, evaluation) in enumerate(path, 1)
                ],
                hovertemplate="greedy with %{customdata[0]} in it<br>%{customdata[2]}<br>%{customdata[1]} off the plane"
                "<extra></extra>",
            )
        )
    for (name, kind), (x, y), evaluation in zip(corners, _corner_places(plane), evaluations, strict=True):
        _add_marks(
            figure, literal(short(name)), kind, [(name, Position(x, y, 0.0), evaluation)], quantity, hollow=False
        )
    names = [
        {
            "x": trace.x[0],
            "y": trace.y[0],
            "z": trace.z[0],
            "text": trace.name,
            "font": {"color": "white", "size": 13},
            "bgcolor": "rgba(0, 0, 0, 0.6)",
            "arrowcolor": NEUTRAL,
            "arrowhead": 0,
            "ax": 0,
            "ay": -28,
        }
        for trace in figure.data[-len(corners) :]
        if trace.z[0] is not None
    ]
    figure.update_layout(
        height=600,
        margin={"t": 30, "l": 0, "r": 0, "b": 0},
        legend=ABOVE_THE_BAR,
        meta={"aspect": LANDSCAPE},
        scene={
            "xaxis": {"title": "distance", "nticks": 6, **CALM},
            "yaxis": {"title": "distance", "nticks": 5, **CALM},
            "annotations": names,
            "zaxis": {"title": quantity_title(quantity), "nticks": 5, **CALM},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": _aspect(xs, ys), "z": 0.5},
            "camera": {"eye": {"x": 0.25, "y": -1.25, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.1}},
        },
    )
    return figure


def _by_mark(others: Sequence[Shown]) -> dict[tuple[str, str], list[Shown]]:
    """Soups by their kind and their words in the legend, where ingredients share one."""
    groups: dict[tuple[str, str], list[Shown]] = {}
    for shown in others:
        label = "other ingredients" if shown.kind == "ingredient" else literal(short(shown.name))
        groups.setdefault((shown.kind, label), []).append(shown)
    return groups


def _add_marks(
    figure: go.Figure,
    label: str,
    kind: str,
    soups: Sequence[tuple[str, Position, Evaluation]],
    quantity: str,
    *,
    hollow: bool = True,
) -> None:
    """Soups at their own heights, hollow where they lie off the plane."""
    symbol = SYMBOLS_3D.get(RECIPE_MARKS[kind].symbol, "circle")
    figure.add_trace(
        go.Scatter3d(
            x=[place.x for _, place, _ in soups],
            y=[place.y for _, place, _ in soups],
            z=[_value(evaluation, quantity) for _, _, evaluation in soups],
            name=label,
            mode="markers",
            showlegend=hollow,
            marker={
                "color": RECIPE_MARKS[kind].colour,
                "size": 6,
                "symbol": f"{symbol}-open" if hollow and symbol != "cross" else symbol,
            },
            customdata=[
                [name, literal(name), _text(evaluation), f"{place.off:.2f}"] for name, place, evaluation in soups
            ],
            hovertemplate="%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]} off the plane<extra></extra>",
        )
    )


def _add_stems(
    figure: go.Figure, others: Sequence[tuple[Shown, Evaluation]], drawn: Sequence[PlanePoint], quantity: str
) -> None:
    """Thin lines from soups to the nearest of the points that are drawn."""
    ends: list[tuple[float | None, float | None, float | None]] = []
    for shown, evaluation in others if drawn else ():
        x, y = shown.place.x, shown.place.y
        nearest = min(drawn, key=lambda point: math.hypot(point.x - x, point.y - y))
        ends += [(x, y, _value(evaluation, quantity)), (x, y, _value(nearest.evaluation, quantity)), (None, None, None)]
    if ends:
        figure.add_trace(
            go.Scatter3d(
                x=[x for x, _, _ in ends],
                y=[y for _, y, _ in ends],
                z=[z for _, _, z in ends],
                mode="lines",
                name="to the plane",
                line={"color": NEUTRAL, "width": 2},
                hoverinfo="skip",
                showlegend=False,
            )
        )


def _painted(points: Sequence[PlanePoint], resolution: int, quantity: str) -> tuple[Grid, Grid]:
    """Values and what cells carry, row by row: coarse points fill the cells of their stride, finer ones go over them."""
    values: Grid = [[None] * resolution for _ in range(resolution)]
    cells: Grid = [[None] * resolution for _ in range(resolution)]
    for point in sorted(points, key=lambda point: -point.stride):
        value, cell, half = _value(point.evaluation, quantity), _cell(point), point.stride // 2
        for row in range(max(0, point.row - half), min(resolution, point.row - half + point.stride)):
            for column in range(max(0, point.column - half), min(resolution, point.column - half + point.stride)):
                values[row][column], cells[row][column] = value, cell
    return values, cells


def _value(evaluation: Evaluation, quantity: str) -> float | None:
    """The number that is drawn, None where outputs are not finite."""
    if evaluation.not_finite:
        return None
    value = quantity_of(evaluation, quantity)
    return value if math.isfinite(value) else None


def _cell(point: PlanePoint) -> list[Any]:
    evaluation = point.evaluation
    return [point.x, point.y, evaluation.accuracy, counts(evaluation), _text(evaluation)]


def _text(evaluation: Evaluation) -> str:
    if evaluation.not_finite:
        return f"outputs not finite on {evaluation.not_finite:,} of {evaluation.total:,} images, which count as wrong"
    chosen = f"<br>{evaluation.metric.name} {score(evaluation)}" if evaluation.measured else ""
    return f"{percent(evaluation)}, {counts(evaluation)}<br>loss {evaluation.loss:.4f} nats{chosen}"


def _aspect(xs: Sequence[float], ys: Sequence[float]) -> float:
    return (ys[-1] - ys[0]) / (xs[-1] - xs[0])


def _corner_places(plane: Plane) -> tuple[tuple[float, float], ...]:
    return (0.0, 0.0), (plane.width, 0.0), (plane.lean, plane.height)
