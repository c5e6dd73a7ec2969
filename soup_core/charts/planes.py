"""The plane through three soups, drawn as it is evaluated: cells as large as their pass is coarse, nothing smoothed.

Garipov et al. 2018, arXiv 1802.10026, figure 1.
"""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from soup_core.charts.geometry import Shown, add_path, add_soup
from soup_core.charts.style import NEUTRAL, RECIPE_MARKS, counts, empty_figure, literal, percent, short
from soup_core.evaluation import Evaluation
from soup_core.geometry import Place
from soup_core.interpolation import Plane, PlanePoint

STRIDES = (4, 2, 1)
SYMBOLS_3D = {"diamond": "diamond", "square": "square", "diamond-open": "diamond-open", "square-open": "square-open"}
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
    path: Sequence[Place] = (),
) -> go.Figure:
    """Accuracy or loss over the plane, with contour lines once every point is there; `quantity` as in `line_chart`.

    `corners` are a name and a kind of mark each. `others` are other soups' shadows on the plane, hollow, and `path` the
    greedy search's. A cell carries [x, y, accuracy, counts, what the hover says] of the point it shows, so that a click
    can be turned into `plane.soup(x, y)`; where outputs are not finite it is empty and marked with a ×.
    """
    xs, ys = plane.grid(resolution)
    values, cells = _painted(points, resolution, quantity)
    figure = empty_figure("")
    bar = {"thickness": 12, "title": {"text": _title(quantity), "side": "right"}}
    figure.add_trace(
        go.Heatmap(
            x=xs, y=ys, z=values, customdata=cells, colorscale="Viridis", reversescale=quantity == "loss",
            zsmooth=False, connectgaps=False, colorbar=bar, hoverongaps=False, name="evaluated",
            hovertemplate="%{customdata[4]}<extra></extra>",
        )
    )  # fmt: skip
    if len(points) == resolution**2:
        figure.add_trace(
            go.Contour(
                x=xs, y=ys, z=values, contours={"coloring": "none"}, line={"color": "white", "width": 0.8,
                "smoothing": 0}, connectgaps=False, hoverinfo="skip", showscale=False, showlegend=False,
            )
        )  # fmt: skip
    if broken := [point for point in points if point.evaluation.not_finite]:
        figure.add_trace(
            go.Scatter(
                x=[point.x for point in broken], y=[point.y for point in broken], mode="markers", name="not finite",
                marker={"symbol": "x", "color": NEUTRAL, "size": 8},
                customdata=[_cell(point) for point in broken],
                hovertemplate="%{customdata[4]}<extra></extra>",
            )
        )  # fmt: skip
    for shown in others:
        add_soup(figure, shown, hollow=True)
    add_path(figure, path)
    for (name, kind), (x, y) in zip(corners, _corner_places(plane), strict=True):
        add_soup(figure, Shown(name, kind, Place(x, y, 0.0)))
    figure.update_xaxes(title="Distance in weight space", showgrid=False, constrain="domain")
    figure.update_yaxes(showgrid=False, scaleanchor="x", constrain="domain")
    figure.update_layout(height=560, margin={"t": 64})
    return figure


def plane_surface(
    plane: Plane,
    points: Sequence[PlanePoint],
    *,
    resolution: int,
    corners: Corners,
    evaluations: tuple[Evaluation, Evaluation, Evaluation],
    quantity: str = "accuracy",
) -> go.Figure:
    """The plane as a landscape over its finest complete pass, the three corners at their own evaluations' heights.

    Where outputs are not finite there is a hole. Customdata is as in `plane_contour`.
    """
    xs, ys = plane.grid(resolution)
    at = {(point.column, point.row): point for point in points}
    columns: list[int] = []
    for stride in STRIDES:
        tried = list(range(0, resolution, stride))
        if all((column, row) in at for column in tried for row in tried):
            columns = tried
    figure = empty_figure("")
    figure.add_trace(
        go.Surface(
            x=[xs[column] for column in columns], y=[ys[row] for row in columns],
            z=[[_value(at[column, row].evaluation, quantity) for column in columns] for row in columns],
            customdata=[[_cell(at[column, row]) for column in columns] for row in columns],
            colorscale="Viridis", reversescale=quantity == "loss", connectgaps=False,
            colorbar={"thickness": 12, "title": {"text": _title(quantity), "side": "right"}},
            hovertemplate="%{customdata[4]}<extra></extra>",
        )
    )  # fmt: skip
    for (name, kind), (x, y), evaluation in zip(corners, _corner_places(plane), evaluations, strict=True):
        mark = RECIPE_MARKS[kind]
        figure.add_trace(
            go.Scatter3d(
                x=[x], y=[y], z=[_value(evaluation, quantity)], mode="markers", name=literal(short(name)),
                marker={"color": mark.colour, "symbol": SYMBOLS_3D.get(mark.symbol, "circle"), "size": 6},
                customdata=[[name, literal(name), _told(evaluation)]],
                hovertemplate="%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(
        height=560,
        scene={"xaxis": {"title": "distance"}, "yaxis": {"title": "distance"}, "zaxis": {"title": _title(quantity)}},
    )
    return figure


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
    value = 100 * evaluation.accuracy if quantity == "accuracy" else evaluation.loss
    return value if math.isfinite(value) else None


def _cell(point: PlanePoint) -> list[Any]:
    evaluation = point.evaluation
    return [point.x, point.y, evaluation.accuracy, counts(evaluation), _told(evaluation)]


def _told(evaluation: Evaluation) -> str:
    if evaluation.not_finite:
        return f"outputs not finite on {evaluation.not_finite:,} of {evaluation.total:,} images, which count as wrong"
    return f"{percent(evaluation)}, {counts(evaluation)}<br>loss {evaluation.loss:.4f} nats"


def _title(quantity: str) -> str:
    return "accuracy (%)" if quantity == "accuracy" else "loss (nats)"


def _corner_places(plane: Plane) -> tuple[tuple[float, float], ...]:
    return (0.0, 0.0), (plane.width, 0.0), (plane.lean, plane.height)
