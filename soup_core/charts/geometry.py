"""Angles, distances, disagreement and barriers between pairs as heatmaps; maps of weight space; advantage and angle."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from soup_core.analysis.interpolation import CONNECTED_BELOW
from soup_core.analysis.pairs import PairAdvantage
from soup_core.charts.style import (
    GREY_LINE,
    GRID,
    LINE_COLOURS,
    MARKS,
    NAMES_ON_AN_AXIS,
    NEUTRAL,
    RECIPE_MARKS,
    SCALE,
    counts,
    empty_figure,
    error_bars,
    literal,
    mark_size,
    percent,
    short,
)
from soup_core.evaluation import Evaluation
from soup_core.formatting import points
from soup_core.weight_space.gram import Matrix
from soup_core.weight_space.maps import Map, Position
from soup_core.zoo import BASE, Value

KINDS_IN_A_LEGEND = 20  # the most frequent; a legend of more would hide the map
HIGHEST = 960  # pixels of a heatmap, however many its rows
SHAPES = ("diamond", "square", "circle", "triangle-up", "cross", "triangle-down", "pentagon", "x")
SPREAD_OF_DECADES = 30  # numbers whose largest is so many times the smallest are coloured by their logarithm


@dataclass(frozen=True)
class Quantity:
    """What a heatmap of pairs shows: its title, the factor from the core's number, the number's format, its unit.

    Where `at_least` is given, colours go from 0 to it or further, so that what is next to nothing looks like it.
    """

    title: str
    factor: float
    text: str
    unit: str
    at_least: float = 0


QUANTITIES: Mapping[str, Quantity] = {
    "angle": Quantity("angle (°)", 1, ".1f", "°"),
    "distance": Quantity("distance", 1, ".2f", ""),
    "disagreement": Quantity("images (%)", 100, ".2f", " % of images"),
    "barrier": Quantity("barrier (points)", 100, ".2f", " points", at_least=100 * CONNECTED_BELOW),
}


@dataclass(frozen=True)
class Shown:
    """A soup on a map or a plane: its name, its kind of mark (a key of RECIPE_MARKS), and where it lies."""

    name: str
    kind: str
    place: Position


def pair_heatmap(names: Sequence[str], matrix: Matrix, order: Sequence[str], *, quantity: str) -> go.Figure:
    """A K×K matrix of pairs, its rows by `names`, drawn in `order`; `quantity` is a key of QUANTITIES.

    Cells carry [name, name, literal name, literal name, the number as text]; those not known are left grey. Of more than
    NAMES_ON_AN_AXIS names, whose cells are too many to carry as much, they carry the two names alone.
    """
    kind = QUANTITIES[quantity]
    row = {name: index for index, name in enumerate(names)}
    rows = [row[name] for name in order]
    values = kind.factor * matrix[np.ix_(rows, rows)]
    many = len(order) > NAMES_ON_AN_AXIS
    cells = [
        [[a, b] if many else [a, b, literal(a), literal(b), _text(values[i, j], kind)] for j, b in enumerate(order)]
        for i, a in enumerate(order)
    ]
    labels = [literal(name) for name in order]
    lowest, highest = _range(values, kind)
    figure = empty_figure("")
    figure.add_trace(
        go.Heatmap(
            z=[
                [None if math.isnan(value) else _digits(value) if many else value for value in row]
                for row in values.tolist()
            ],
            x=labels,
            y=labels,
            customdata=cells,
            colorscale="Viridis",
            zmin=lowest,
            zmax=highest,
            xgap=0 if many else 1,
            ygap=0 if many else 1,
            colorbar=colour_bar(kind.title),
            connectgaps=False,
            hoverongaps=not many,
            hovertemplate=f"%{{y}} and %{{x}}<br>%{{z:{kind.text}}}{kind.unit}<extra></extra>"
            if many
            else "%{customdata[2]} and %{customdata[3]}<br>%{customdata[4]}<extra></extra>",
        )
    )
    # As categories: where they would crowd, Plotly leaves some out.
    names_only = {"type": "category", "labelalias": {literal(name): literal(short(name)) for name in order}}
    figure.update_xaxes(
        title="Ingredients, like beside like", tickangle=-60, constrain="domain", showgrid=False, **names_only
    )
    figure.update_yaxes(
        autorange="reversed", scaleanchor="x", constrain="domain", constraintoward="top", showgrid=False, **names_only
    )
    figure.update_layout(height=min(max(420, 180 + 16 * len(order)), HIGHEST), margin={"t": 84}, plot_bgcolor=GRID)
    return figure


def _range(values: Matrix, kind: Quantity) -> tuple[float, float]:
    """The least and the greatest known number off the diagonal, whose zeros would take up most of the colours."""
    apart = values[~np.eye(len(values), dtype=bool) & np.isfinite(values)]
    lowest, highest = (float(apart.min()), float(apart.max())) if len(apart) else (0.0, 0.0)
    if kind.at_least:
        return 0.0, max(highest, kind.at_least)
    return lowest, highest if highest > lowest else lowest + 1


def colour_bar(title: str) -> dict[str, Any]:
    """What the colours mean, above the drawing, which keeps its width on a narrow screen."""
    return {
        "orientation": "h",
        "thickness": 12,
        "title": {"text": title, "side": "top", "font": {"size": 13}},
        "x": 0.0,
        "xanchor": "left",
        "y": 1.0,
        "yanchor": "bottom",
        "len": 1.0,
        "tickfont": {"size": 12},
    }


def _digits(value: float) -> float:
    """A number with as many digits as a hover text or a colour shows of it."""
    return float(f"{value:.5g}")


def _text(value: float, kind: Quantity) -> str:
    return "not known" if math.isnan(value) else f"{value:{kind.text}}{kind.unit}"


def map_scatter(
    places: Map,
    values: Mapping[str, Value],
    *,
    label: str,
    singles: Mapping[str, Evaluation] | None = None,
    soups: Sequence[Shown] = (),
    path: Sequence[Position] = (),
    selected: Collection[str] | None = None,
    yours: Position | None = None,
) -> go.Figure:
    """The ingredients on a map, coloured by `values`: numbers by a scale, categories by colours and shapes.

    `label` names the values; an ingredient without one is grey, and one that is not `selected` hollow. `soups` are drawn
    with their own marks, `path` is the greedy search's way through its accepted soups, `yours` the place of the soup of
    what is selected. Hover tells how far off the map each lies, in the map's unit. A drag selects.
    """
    figure = empty_figure(_axis(places, 1))
    names = [name for name in places.names if name != BASE]
    rows = {name: _ingredient_row(name, places, values.get(name), label, (singles or {}).get(name)) for name in names}
    known = {name: value for name in names if (value := values.get(name)) is not None}
    numbers = {name: float(value) for name, value in known.items() if _is_number(value)}
    if known and len(numbers) == len(known):
        _add_points(
            figure,
            rows,
            list(numbers),
            "ingredients",
            selected,
            showlegend=False,
            **_coloured(list(numbers.values()), label),
        )
    else:
        members: dict[str, list[str]] = {}
        for name, value in known.items():
            members.setdefault(str(value), []).append(name)
        frequent = sorted(members, key=lambda each: -len(members[each]))[:KINDS_IN_A_LEGEND]
        for index, each in enumerate(sorted(frequent)):
            _add_points(
                figure,
                rows,
                members[each],
                literal(f"{short(label)}: {short(each)}"),
                selected,
                color=LINE_COLOURS[index % len(LINE_COLOURS)],
                symbol=SHAPES[index % len(SHAPES)],
            )
        if others := [name for each in members if each not in frequent for name in members[each]]:
            words = f"{len(members) - len(frequent)} other values"
            _add_points(figure, rows, others, words, selected, color=NEUTRAL, symbol="hourglass")
    if rest := [name for name in names if name not in known]:
        _add_points(figure, rows, rest, literal(f"without {short(label)}"), selected, color=NEUTRAL, symbol="bowtie")
    add_path(figure, path)
    for shown in soups:
        add_soup(figure, shown)
    if yours:
        add_soup(figure, Shown("your soup", "uniform", yours))
        figure.data[-1].marker.update(size=20, opacity=0.6)  # so that another soup is seen where the two meet
    figure.update_xaxes(title=_axis(places, 0))
    figure.update_yaxes(scaleanchor="x")
    figure.update_layout(height=520, margin={"t": 84}, dragmode="select")  # the legend takes up to three lines
    return figure


def add_path(figure: go.Figure, path: Sequence[Position]) -> None:
    """The greedy search's way over a map or a plane, a small star at each accepted soup."""
    if not path:
        return
    mark = MARKS["greedy"]
    figure.add_trace(
        go.Scatter(
            x=[place.x for place in path],
            y=[place.y for place in path],
            mode="lines+markers",
            name="greedy's path",
            line={"color": mark.colour, "width": 1.5},
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 6},
            customdata=[[number, f"{place.off:.2f}"] for number, place in enumerate(path, 1)],
            hovertemplate="greedy with %{customdata[0]} in it<br>%{customdata[1]} off the plane<extra></extra>",
        )
    )


def add_soup(figure: go.Figure, shown: Shown) -> None:
    """A soup with its own mark, rimmed so that it stands out from coloured cells."""
    mark = RECIPE_MARKS[shown.kind]
    figure.add_trace(
        go.Scatter(
            x=[shown.place.x],
            y=[shown.place.y],
            mode="markers",
            name=literal(short(shown.name)),
            marker={
                "color": mark.colour,
                "symbol": mark.symbol,
                "size": mark.size,
                "line": {"width": 1, "color": "white"},
            },
            customdata=[[shown.name, literal(shown.name), f"{shown.place.off:.2f}"]],
            hovertemplate="%{customdata[1]}<br>%{customdata[2]} off the plane<extra></extra>",
        )
    )


def advantage_scatter(pairs: Iterable[PairAdvantage], *, against: str = "mean", by: str | None = None) -> go.Figure:
    """What averaging two models gains against the angle between them, coloured by the hyperparameter they differ in.

    `against` is "mean" (of the two ends' accuracies) or "better" (of the two ends); bars are 95 % intervals. Pairs that
    differ in more than one are told by how many; with `by`, a hyperparameter, all by whether they differ in that one.
    """
    what = "mean of the two" if against == "mean" else "better of the two"
    figure = empty_figure(f"Average less the {what} (points)")
    groups: dict[tuple[int, str], list[PairAdvantage]] = {}
    for pair in pairs:
        if not math.isnan(pair.angle):
            groups.setdefault(_kind(pair, by), []).append(pair)
    most = max([several for several, _ in groups], default=0)
    for index, (several, kind) in enumerate(sorted(groups)):
        group = groups[several, kind]
        gains = [pair.over_mean if against == "mean" else pair.over_better for pair in group]
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        if several:  # the more, the further on a scale; its ends, not seen on white or on black, are left out
            colour = sample_colorscale("Viridis", 0.2 + 0.6 * (several - 2) / max(1, most - 2))[0]
        figure.add_trace(
            go.Scatter(
                x=[pair.angle for pair in group],
                y=[100 * gain.value for gain in gains],
                mode="markers",
                name=literal(kind),
                showlegend=True,
                marker={"color": colour, "symbol": SHAPES[index % len(SHAPES)], "size": 9},
                error_y=error_bars(gains, GREY_LINE, thickness=1, width=0),
                customdata=[
                    [
                        pair.a,
                        pair.b,
                        literal(pair.a),
                        literal(pair.b),
                        points(gain),
                        counts(pair.middle),
                        literal(_apart(pair)),
                    ]
                    for pair, gain in zip(group, gains, strict=True)
                ],
                hovertemplate="%{customdata[2]} and %{customdata[3]}<br>%{x:.1f}°<br>%{customdata[4]}<br>"
                "%{customdata[5]}<br>%{customdata[6]}<extra></extra>",
            )
        )
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    figure.update_xaxes(title="Angle between the two differences (degrees)")
    figure.update_layout(height=420)
    return figure


def _kind(pair: PairAdvantage, by: str | None) -> tuple[int, str]:
    """What a pair's colour says, after how many hyperparameters differ where it says that, else 0."""
    if by is not None:
        return 0, f"{'differ in' if by in pair.differing else 'same'} {_spoken(by)}"
    several = len(pair.differing)
    return (several, f"differ in {several}") if several > 1 else (0, _apart(pair))


def _apart(pair: PairAdvantage) -> str:
    return f"differ in {', '.join(map(_spoken, pair.differing)) or 'none'}"


def _spoken(hyperparameter: str) -> str:
    return hyperparameter.replace("_", " ")


def _axis(places: Map, axis: int) -> str:
    share = places.shares[axis] if axis < len(places.shares) else 0.0
    return f"{('First', 'Second')[axis]} axis: {100 * share:.0f} % of the variance"


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ingredient_row(
    name: str, places: Map, value: Value | None, label: str, evaluation: Evaluation | None
) -> tuple[float, float, list[str]]:
    place = places.checkpoint(name)
    lines = [literal(name)]
    if evaluation is not None:
        lines.append(f"{percent(evaluation)}, {counts(evaluation)}")
    if value is not None:
        lines.append(literal(f"{label}: {value:.4g}" if isinstance(value, float) else f"{label}: {value}"))
    return place.x, place.y, [name, "<br>".join([*lines, f"{place.off:.2f} off the plane"])]


def _add_points(
    figure: go.Figure,
    rows: Mapping[str, tuple[float, float, list[str]]],
    names: Sequence[str],
    legend: str,
    selected: Collection[str] | None,
    *,
    symbol: str = MARKS["ingredient"].symbol,
    showlegend: bool = True,
    **marker: Any,
) -> None:
    inside = None if selected is None else set(selected)
    symbols = [symbol if inside is None or name in inside else f"{symbol}-open" for name in names]
    figure.add_trace(
        go.Scatter(
            x=[rows[name][0] for name in names],
            y=[rows[name][1] for name in names],
            customdata=[rows[name][2] for name in names],
            mode="markers",
            name=legend,
            showlegend=showlegend,
            marker={
                "symbol": symbols,
                "size": mark_size(12, len(rows)),
                "line": {"width": 2, "color": NEUTRAL},
                **marker,
            },
            hovertemplate="%{customdata[1]}<extra></extra>",
        )
    )


def _coloured(numbers: Sequence[float], label: str) -> dict[str, Any]:
    """Colours on a scale, on a logarithmic one where the numbers span decades."""
    bar: dict[str, Any] = {"thickness": 12, "title": {"text": literal(label), "side": "right", "font": {"size": 13}}}
    if min(numbers) > 0 and max(numbers) >= SPREAD_OF_DECADES * min(numbers):
        exponents = range(math.ceil(math.log10(min(numbers))), math.floor(math.log10(max(numbers))) + 1)
        bar |= {"tickvals": list(exponents), "ticktext": [f"{10.0**exponent:g}" for exponent in exponents]}
        numbers = [math.log10(number) for number in numbers]
    return {"color": list(numbers), "colorscale": SCALE, "showscale": True, "colorbar": bar}
