"""Ablations drawn: the number of models, each one's worth, the size of the held-out set, the hyperparameters.

The curve over the number of models is that of Wortsman et al. 2022, arXiv 2203.05482, with its marks.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from soup_core.ablations import (
    Averaged,
    GapStep,
    HyperparameterTable,
    LeftOut,
    NumberBandStep,
    NumberStep,
    ShapleyStep,
)
from soup_core.charts.soups import add_band
from soup_core.charts.style import MARKS, NEUTRAL, counts, empty_figure, literal, names_axis, short
from soup_core.evaluation import Evaluation

Range = Sequence[float] | Sequence[Sequence[float]] | None


def number_averaged_curve(
    steps: Sequence[NumberStep],
    *,
    models: int,
    band: Sequence[NumberBandStep] = (),
    reported: bool = False,
) -> go.Figure:
    """Accuracy of the first k models' uniform soup and ensemble, and of the k-th alone, over k up to `models`.

    `band` draws, behind them, between which values the soup lies in shuffled orders. With `reported` it is the accuracy
    on the split that reports, which steps and band must hold. Source: Wortsman et al. 2022, arXiv 2203.05482.
    """
    figure = empty_figure("Test accuracy (%)" if reported else "Held-out accuracy (%)")
    curves = [curve for curve in (step.report if reported else step.held_out for step in band) if curve]
    if curves:
        accuracies = [[100 * evaluation.accuracy for evaluation in curve] for curve in curves]
        add_band(figure, accuracies, f"soups in {len(curves)} shuffled orders, lowest to highest")
    found = [(step, each) for step in steps if (each := step.report if reported else step.held_out)]
    for kind, label, mode in (
        ("ingredient", "the k-th model alone", "markers"),
        ("ensemble", "ensemble of the first k", "lines+markers"),
        ("uniform", "uniform soup of the first k", "lines+markers"),
    ):
        mark = MARKS[kind]
        shown = [(step, _evaluation(each, kind)) for step, each in found]
        figure.add_trace(
            go.Scatter(
                x=[step.count for step, _ in shown],
                y=[100 * evaluation.accuracy for _, evaluation in shown],
                customdata=[[literal(step.name), counts(evaluation)] for step, evaluation in shown],
                mode=mode,
                name=label,
                line={"color": mark.colour, "width": 2},
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 8},
                hovertemplate="k = %{x}, the last is %{customdata[0]}<br>%{y:.2f} %<br>%{customdata[1]}"
                f"<extra>{label}</extra>",
            )
        )
    figure.update_xaxes(title="Models averaged, k", range=[0.4, models + 0.6], dtick=max(1, models // 12))
    return figure


def _evaluation(averaged: Averaged, kind: str) -> Evaluation:
    return {"ingredient": averaged.single, "ensemble": averaged.ensemble, "uniform": averaged.soup}[kind]


def leave_one_out_bars(left: Sequence[LeftOut]) -> go.Figure:
    """What taking each ingredient out changes, in points with the paired 95 % interval, the costliest loss first."""
    ordered = sorted(left, key=lambda each: (each.comparison.difference, each.name))
    figure = _bars(
        "Change when taken out (points)",
        [each.name for each in ordered],
        [100 * each.comparison.difference for each in ordered],
        [100 * (each.comparison.high - each.comparison.difference) for each in ordered],
        [100 * (each.comparison.difference - each.comparison.low) for each in ordered],
        [f"{each.comparison.gained:,} images won, {each.comparison.lost:,} lost" for each in ordered],
    )
    names_axis(figure, [each.name for each in ordered], "Ingredients, the most missed first")
    return figure


def shapley_bars(step: ShapleyStep) -> go.Figure:
    """Each ingredient's Shapley value in points of held-out accuracy, with its 95 % interval, the largest first.

    After the first pair of permutations there is no interval yet.
    """
    ordered = sorted(zip(step.names, step.values, strict=True), key=lambda pair: (-pair[1].value, pair[0]))
    reach = [100 * mean.reach if mean.samples > 1 else 0.0 for _, mean in ordered]
    figure = _bars(
        "Shapley value (points)",
        [name for name, _ in ordered],
        [100 * mean.value for _, mean in ordered],
        reach,
        reach,
        [f"± {each:.2f}, {2 * step.pairs:,} permutations" for each in reach],
    )
    names_axis(figure, [name for name, _ in ordered], "Ingredients, the most valuable first")
    return figure


def _bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    above: Sequence[float],
    below: Sequence[float],
    notes: Sequence[str],
) -> go.Figure:
    """Bars in the ingredients' colour, with how far their intervals reach; notes are for the hover text."""
    figure = empty_figure(title)
    figure.add_trace(
        go.Bar(
            x=list(range(len(names))), y=values, name="95 % interval", marker={"color": MARKS["ingredient"].colour},
            error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": NEUTRAL,
                     "thickness": 1.2, "width": 3},
            customdata=[[name, literal(name), note] for name, note in zip(names, notes, strict=True)],
            hovertemplate="%{customdata[1]}: %{y:+.2f} points<br>%{customdata[2]}<extra></extra>",
        )
    )  # fmt: skip
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
        reach = [100 * mean.reach if mean.samples > 1 else 0.0 for mean in means]
        figure.add_trace(
            go.Scatter(
                x=[step.size for step in steps],
                y=[100 * mean.value for mean in means],
                error_y={"type": "data", "array": reach, "color": colour, "thickness": 1.2, "width": 3},
                customdata=[[f"{mean.samples} draw{'s' if mean.samples > 1 else ''}"] for mean in means],
                mode="lines+markers",
                name=label,
                line={"color": colour, "dash": dash, "width": 2},
                marker={"color": colour, "symbol": symbol, "size": 11},
                hovertemplate="%{x:,} images: %{y:+.2f} points, %{customdata[0]}<extra>" + label + "</extra>",
            )
        )
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    sizes = [step.size for step in steps]
    figure.update_xaxes(
        title="Held-out images", type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes]
    )  # fmt: skip
    return figure


def parallel_coordinates(table: HyperparameterTable) -> go.Figure:
    """A line an ingredient across its hyperparameters to its held-out accuracy, coloured by that; brush an axis to choose.

    Lines out of the brushes are faint; `customdata` holds the names, for `brushed`. Source: Inselberg 1985 (doi
    10.1007/BF01898350).
    """
    figure = empty_figure("")
    accuracy = table.axes[-1]
    dimensions = []
    for axis in table.axes:
        dimension = {"label": literal(short(axis.name.replace("_", " "))), "name": axis.name, "values": axis.values}
        if axis.ticks:  # plain text in plotly's parallel coordinates, where an escape would show
            places, words = zip(*axis.ticks, strict=True)
            dimension |= {"tickvals": places, "ticktext": [short(word) for word in words]}
        dimensions.append(dimension)
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            customdata=[[name] for name in table.names],
            line={"color": accuracy.values, "colorscale": "Viridis", "showscale": False},
            unselected={"line": {"color": NEUTRAL, "opacity": 0.12}},
        )
    )
    figure.update_layout(margin={"t": 64, "l": 72, "r": 48})
    return figure


def brushed(names: Sequence[str], dimensions: Sequence[Sequence[float]], ranges: Sequence[Range]) -> list[str]:
    """The names whose places lie inside every axis's brush: one (low, high), several, or None where there is no brush.

    `dimensions` holds an axis's places, one a name; `ranges` are plotly's `constraintrange`, one an axis, ends included.
    """
    chosen = set(range(len(names)))
    for values, given in zip(dimensions, ranges, strict=True):
        if given is not None and len(given):
            pairs = np.reshape(given, (-1, 2))
            chosen &= {index for index, value in enumerate(values) if any(low <= value <= high for low, high in pairs)}
    return [name for index, name in enumerate(names) if index in chosen]
