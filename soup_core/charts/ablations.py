"""Ablations drawn: the number of models, each one's worth, the size of the held-out set, the hyperparameters.

The curve over the number of models is that of Wortsman et al. 2022, arXiv 2203.05482, with its marks.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from soup_core.analysis.ablations import Averaged, GapStep, LeftOut, NumberBandStep, NumberStep, ShapleyStep
from soup_core.analysis.parallel_coordinates import HyperparameterTable
from soup_core.charts.search import add_band
from soup_core.charts.style import (
    MARKS,
    NEUTRAL,
    SCALE,
    axis_of,
    counts,
    empty_figure,
    error_bars,
    height,
    literal,
    names_axis,
    short,
)
from soup_core.evaluation import ACCURACY, Estimate, Evaluation
from soup_core.formatting import score, visible

Range = Sequence[float] | Sequence[Sequence[float]]
UNSEEN = "\u200b"  # a space without width
GREY = [[0.0, NEUTRAL], [0.499, NEUTRAL]]  # the lower half of a scale, for lines that are out of the soup


def number_averaged_curve(
    steps: Sequence[NumberStep],
    *,
    models: int,
    band: Sequence[NumberBandStep] = (),
    reported: bool = False,
    selected: Collection[str] | None = None,
) -> go.Figure:
    """Accuracy, or another metric, of the first k models' uniform soup and ensemble, and of the k-th alone, over k up to `models`.

    Models that are not `selected` are hollow, and where the first k are, the soup's mark is larger. A point carries the
    literal name of the k-th, its counts, and k, or for a model alone, but the first, the model's name. `band` draws,
    behind them, between which values the soup lies in shuffled orders. With `reported` it is the accuracy on the split
    that reports, which steps and band must hold. Source: Wortsman et al. 2022, arXiv 2203.05482.
    """
    averages = [(step, each) for step in steps if (each := step.report if reported else step.held_out)]
    metric = averages[0][1].soup.metric if averages else ACCURACY
    figure = empty_figure(axis_of(metric, "Test" if reported else "Held-out"))
    curves = [curve for curve in (step.report if reported else step.held_out for step in band) if curve]
    if curves:
        add_band(
            figure,
            [list(map(height, curve)) for curve in curves],
            f"soups in {len(curves)} shuffled orders, lowest to highest",
        )
        figure.data[-1].update(hovertemplate=None, hoverinfo="skip")  # its points may lie over marks that take clicks
    chosen = set(selected or ())
    for kind, label, mode in (
        ("ingredient", "the k-th model alone", "markers"),
        ("ensemble", "ensemble of the first k", "lines+markers"),
        ("uniform", "uniform soup of the first k", "lines+markers"),
    ):
        mark, alone = MARKS[kind], kind == "ingredient"
        shown = [(step, _evaluation(each, kind)) for step, each in averages]
        figure.add_trace(
            go.Scatter(
                x=[step.count for step, _ in shown],
                y=[height(evaluation) for _, evaluation in shown],
                customdata=[
                    [literal(step.name), _known(evaluation), step.name if alone and step.count > 1 else step.count]
                    for step, evaluation in shown
                ],
                mode=mode,
                name=label,
                line={"color": mark.colour, "width": 2},
                marker={
                    "color": mark.colour,
                    "symbol": [
                        f"{mark.symbol}-open" if alone and not _among(step.name, selected) else mark.symbol
                        for step, _ in shown
                    ],
                    "size": [14 if kind == "uniform" and set(step.soup.names) == chosen else 8 for step, _ in shown],
                    "opacity": 1,
                    "line": {"width": 2, "color": mark.colour},
                },
                hovertemplate=f"k = %{{x}}, the last is %{{customdata[0]}}<br>%{{customdata[1]}}<extra>{label}</extra>",
            )
        )
    figure.update_xaxes(title="Models averaged, k", range=[0.4, models + 0.6], dtick=max(1, models // 12))
    return figure


def _known(evaluation: Evaluation) -> str:
    return f"{score(evaluation)}<br>{counts(evaluation)}"


def _among(name: str, selected: Collection[str] | None) -> bool:
    return selected is None or name in selected


def _evaluation(averaged: Averaged, kind: str) -> Evaluation:
    return {"ingredient": averaged.single, "ensemble": averaged.ensemble, "uniform": averaged.soup}[kind]


def leave_one_out_bars(left: Sequence[LeftOut]) -> go.Figure:
    """What taking each ingredient out changes, in points with the paired 95 % interval, the costliest loss first."""
    ordered = sorted(left, key=lambda each: (each.comparison.difference, each.name))
    figure = _bars(
        "Change when taken out (points)",
        [each.name for each in ordered],
        [each.comparison for each in ordered],
        [f"{each.comparison.gained:,} images won, {each.comparison.lost:,} lost" for each in ordered],
    )
    names_axis(figure, [each.name for each in ordered], "Ingredients, the most missed first")
    return figure


def shapley_bars(step: ShapleyStep, *, selected: Collection[str] | None = None) -> go.Figure:
    """Each ingredient's Shapley value in points of held-out accuracy, with its 95 % interval, the largest first.

    After the first pair of permutations there is no interval yet. Bars of ingredients not `selected` are hollow.
    """
    ordered = sorted(zip(step.names, step.values, strict=True), key=lambda pair: (-pair[1].value, pair[0]))
    orders = f"{2 * step.pairs:,} permutations"
    figure = _bars(
        "Shapley value (points)",
        [name for name, _ in ordered],
        [value for _, value in ordered],
        [f"± {100 * (value.high - value.value) if step.pairs > 1 else 0:.2f}, {orders}" for _, value in ordered],
        selected,
    )
    names_axis(figure, [name for name, _ in ordered], "Ingredients, the most valuable first")
    return figure


def _bars(
    title: str,
    names: Sequence[str],
    values: Sequence[Estimate],
    notes: Sequence[str],
    selected: Collection[str] | None = None,
) -> go.Figure:
    """Bars in the ingredients' colour, with how far their intervals reach; notes are for the hover text."""
    figure, colour = empty_figure(title), MARKS["ingredient"].colour
    figure.add_trace(
        go.Bar(
            x=list(range(len(names))),
            y=[100 * each.value for each in values],
            name="95 % interval",
            marker={
                "color": [colour if _among(name, selected) else "rgba(0, 0, 0, 0)" for name in names],
                "line": {"color": colour, "width": 2},
            },
            error_y=error_bars(values, NEUTRAL),
            customdata=[[name, literal(name), note] for name, note in zip(names, notes, strict=True)],
            hovertemplate="%{customdata[1]}: %{y:+.2f} points<br>%{customdata[2]}<extra></extra>",
        )
    )
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    return figure


def selection_gap_curve(steps: Sequence[GapStep]) -> go.Figure:
    """Greedy's mean gain where it chose, its mean gain on test, and the gap between, over the held-out set's size.

    Bars reach over the 95 % interval of the mean over draws; a size that was drawn once has none.
    """
    figure = empty_figure("Gain over the best single model (points)")
    greedy = MARKS["greedy"]
    for label, means, colour, symbol, dash in (
        ("on the images that chose", [step.held_out_gain for step in steps], greedy.colour, greedy.symbol, "solid"),
        ("on test", [step.report_gain for step in steps], greedy.colour, greedy.symbol, "dash"),
        ("selection gap", [step.gap for step in steps], NEUTRAL, "line-ew-open", "dot"),
    ):
        figure.add_trace(
            go.Scatter(
                x=[step.size for step in steps],
                y=[100 * mean.value for mean in means],
                error_y=error_bars(means, colour),
                customdata=[[f"{step.draws} draw{'s' if step.draws > 1 else ''}"] for step in steps],
                mode="lines+markers",
                name=label,
                line={"color": colour, "dash": dash, "width": 2},
                marker={"color": colour, "symbol": symbol, "size": 11},
                hovertemplate="%{x:,} images: %{y:+.2f} points, %{customdata[0]}<extra>" + label + "</extra>",
            )
        )
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    sizes = [step.size for step in steps]
    figure.update_xaxes(title="Held-out images", type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    return figure


def parallel_coordinates(
    table: HyperparameterTable, *, selected: Collection[str] | None = None, ranges: Mapping[str, Range] | None = None
) -> go.Figure:
    """A line an ingredient across its hyperparameters to its held-out accuracy, coloured by that; brush an axis to choose.

    Lines of ingredients not `selected` are grey, those out of the brushes faint; `ranges` are the brushes, by the axes'
    names. Source: Inselberg 1985 (doi 10.1007/BF01898350).
    """
    figure, ranges = empty_figure(""), ranges or {}
    dimensions = []
    for axis in table.axes:
        dimension = {"label": literal(short(axis.name.replace("_", " "))), "name": axis.name, "values": axis.values}
        if axis.ticks:  # brushes stop at ticks, so each line has one; plain text, where an escape would show
            words = dict.fromkeys(axis.values, "") | {position: visible(short(word)) for position, word in axis.ticks}
            ticks = enumerate(sorted(words.items()))
            # Plotly mixes up equal texts.
            texts = {position: word + UNSEEN * index for index, (position, word) in ticks}
            dimension |= {"tickvals": list(texts), "ticktext": list(texts.values())}
        if axis.name in ranges:
            dimension["constraintrange"] = ranges[axis.name]
        dimensions.append(dimension)
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            customdata=[[name] for name in table.names],
            line=_accuracy_colours(table, selected),
            unselected={"line": {"color": NEUTRAL, "opacity": 0.12}},
            rangefont={"color": "rgba(0, 0, 0, 0)"},  # the ends of an axis are among its ticks
            uirevision=json.dumps(ranges),  # other brushes than the browser's are to be drawn
        )
    )
    figure.update_layout(margin={"t": 64, "l": 72, "r": 48}, meta={"least_width": 96 * len(table.axes)})
    return figure


def _accuracy_colours(table: HyperparameterTable, selected: Collection[str] | None) -> dict[str, Any]:
    """A scale over the accuracies; what is not selected is below them, and grey, and drawn beneath the others."""
    accuracies = table.axes[-1].values
    low, high = min(accuracies), max(accuracies)
    span = high - low or 1.0
    coloured = [[0.5 + position / 2, colour] for position, colour in SCALE]
    return {
        "color": [
            value if _among(name, selected) else low - span for name, value in zip(table.names, accuracies, strict=True)
        ],
        "colorscale": [*GREY, *coloured],
        "cmin": low - span,
        "cmax": low + span,
        "showscale": False,
    }


def brushed(table: HyperparameterTable, ranges: Mapping[str, Range]) -> list[str]:
    """The names whose positions lie inside every brush: one (low, high) or several of them, ends included, by the axis's name.

    As plotly's `constraintrange` has them.
    """
    chosen = set(table.names)
    for axis in table.axes:
        if axis.name in ranges:
            pairs = np.reshape(ranges[axis.name], (-1, 2))
            chosen &= {
                name
                for name, value in zip(table.names, axis.values, strict=True)
                if any(low <= value <= high for low, high in pairs)
            }
    return [name for name in table.names if name in chosen]
