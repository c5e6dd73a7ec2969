"""Robustness drawn: the paper's first figure, accuracy by severity, what a shift takes, calibration, confusion, classes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from soup_core.analysis.calibration import Calibration
from soup_core.analysis.robustness import RobustnessResult, severities
from soup_core.charts.style import (
    GREY_LINE,
    NEUTRAL,
    RECIPE_MARKS,
    TEMPLATE,
    Mark,
    counts,
    empty_figure,
    error_bars,
    literal,
    short,
)
from soup_core.evaluation import Comparison, wilson
from soup_core.formatting import interval

COLUMNS = 2
NUMBERED_CLASSES = 20  # up to so many, a cell has room for its number
TITLES = {
    "best": "best single model", "ingredient": "ingredients", "base": "base", "uniform": "uniform soup",
    "greedy": "greedy soup", "learned": "learned soup", "greedy-ensemble": "greedy ensemble", "ensemble": "ensemble",
}  # fmt: skip
FRONT_LAST = ("ingredient", "base", "ensemble", "greedy-ensemble", "uniform", "greedy", "learned")
BEST = Mark(NEUTRAL, "line-ns", 11)
DIVERGING = ((0.0, "#0072B2"), (0.5, "rgba(128, 128, 128, 0.08)"), (1.0, "#D55E00"))


def robustness_figure(entries: Sequence[RobustnessResult]) -> go.Figure:
    """Clean test accuracy against the mean over shifts, a mark a member, with 95 % intervals both ways.

    Figure 1 of Wortsman et al. 2022 (arXiv 2203.05482). Ingredients in the greedy soup are filled, others hollow; lines
    cross at the best single model.
    """
    figure = empty_figure("Mean accuracy over shifts (%)")
    inside = {name for entry in entries if entry.member.kind == "greedy" for name in entry.member.soup.names}
    for kind in FRONT_LAST:
        group = [entry for entry in entries if entry.member.kind == kind]
        if not group:
            continue
        mark = RECIPE_MARKS[kind]
        hollow = kind == "ingredient"
        colour = GREY_LINE if hollow else mark.colour
        symbols = [
            f"{mark.symbol}-open" if hollow and entry.member.name not in inside else mark.symbol for entry in group
        ]
        means = [entry.mean for entry in group]
        clean = [wilson(entry.test.correct, entry.test.total) for entry in group]
        figure.add_trace(
            go.Scatter(
                x=[100 * each.value for each in clean],
                y=[100 * each.value for each in means],
                mode="markers",
                name=TITLES[kind],
                legendrank=list(TITLES).index(kind) + 1,
                marker={"color": mark.colour, "symbol": symbols, "size": mark.size},
                error_x=error_bars(clean, colour, thickness=1, width=2),
                error_y=error_bars(means, colour, thickness=1, width=2),
                customdata=[
                    [literal(entry.member.name), counts(entry.test), interval(mean), interval(accuracy)]
                    for entry, mean, accuracy in zip(group, means, clean, strict=True)
                ],
                hovertemplate="%{customdata[0]}<br>test %{x:.2f} % (%{customdata[3]}), %{customdata[1]}"
                "<br>under shift %{y:.2f} % (%{customdata[2]})<extra></extra>",
            )
        )
    for entry in entries:
        if entry.member.best:
            line = {"color": NEUTRAL, "width": 1, "dash": "dash"}
            figure.add_vline(100 * entry.test.accuracy, line=line)
            figure.add_hline(
                100 * entry.mean.value,
                line=line,
                annotation_text=TITLES["best"],
                annotation_position="bottom left",
                annotation_font={"size": 12, "color": NEUTRAL},
            )
    figure.update_xaxes(title="Test accuracy, no shift (%)")
    figure.update_layout(height=480, margin={"t": 64})
    return figure


def severity_curves(entries: Sequence[RobustnessResult]) -> go.Figure:
    """Accuracy with its 95 % interval against severity, a small chart a shift, a line a member; severity 0 is no shift."""
    kinds = severities(entries[0].shifts)
    rows = math.ceil(len(kinds) / COLUMNS)
    figure = make_subplots(
        rows,
        COLUMNS,
        shared_yaxes=True,
        shared_xaxes=True,
        subplot_titles=[literal(short(name)) for name in kinds],
        horizontal_spacing=0.02,
        vertical_spacing=0.16 / rows,
    )
    for panel, splits in enumerate(kinds.values()):
        for entry in entries:
            mark = BEST if entry.member.best else RECIPE_MARKS[entry.member.kind]
            evaluations = [entry.test, *(entry.shifts[split] for split in splits.values())]
            shown = [wilson(each.correct, each.total) for each in evaluations]
            figure.add_trace(
                go.Scatter(
                    x=[0, *splits],
                    y=[100 * each.value for each in shown],
                    mode="lines+markers",
                    name=TITLES[entry.member.role],
                    legendgroup=entry.member.role,
                    showlegend=not panel,
                    line={"color": mark.colour, "width": 1.5, "dash": "dash" if entry.member.best else "solid"},
                    marker={"symbol": mark.symbol, "size": 8, "line": {"width": 2 * entry.member.best}},
                    error_y=error_bars(shown, mark.colour, thickness=1, width=2),
                    customdata=[[counts(each)] for each in evaluations],
                    hovertemplate="severity %{x}: %{y:.2f} %<br>%{customdata[0]}"
                    f"<extra>{literal(entry.member.name)}</extra>",
                ),
                row=panel // COLUMNS + 1,
                col=panel % COLUMNS + 1,
            )
    figure.update_xaxes(dtick=1)
    figure.update_xaxes(title="Severity", row=rows)
    figure.update_yaxes(title="Accuracy (%)", col=1)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        template=TEMPLATE, height=180 * rows + 90, uirevision="kept", margin={"t": 72}, legend={"y": 1.05}
    )
    return figure


def relative_drops(entries: Sequence[RobustnessResult]) -> go.Figure:
    """The share of the clean accuracy that each shift takes, with its 95 % interval, a bar a member; the mean is last."""
    figure = empty_figure("Accuracy lost (% of clean)")
    names = entries[0].names
    for entry in entries:
        mark = BEST if entry.member.best else RECIPE_MARKS[entry.member.kind]
        drops = [entry.relative_drop(name) for name in (*names, None)]
        figure.add_trace(
            go.Bar(
                x=[*(literal(short(name)) for name in names), "mean"],
                y=[100 * drop.value for drop in drops],
                name=TITLES[entry.member.role],
                marker={"color": mark.colour},
                error_y=error_bars(drops, NEUTRAL, thickness=1, width=2),
                customdata=[[interval(drop)] for drop in drops],
                hovertemplate=f"%{{x}}: %{{y:.2f}} % (%{{customdata[0]}})<extra>{literal(entry.member.name)}</extra>",
            )
        )
    figure.update_layout(barmode="group")
    return figure


def reliability_diagram(calibrations: Sequence[Calibration]) -> go.Figure:
    """Accuracy against confidence in bins of equal mass; below the diagonal a model is too sure. Ingredients in grey."""
    figure = empty_figure("Share that is right (%)")
    figure.add_trace(
        go.Scatter(
            x=[0, 100],
            y=[0, 100],
            mode="lines",
            name="right as often as sure",
            hoverinfo="skip",
            line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
        )
    )
    lowest = min(
        (100 * min(part.confidence, part.accuracy) for each in calibrations for part in each.bins), default=100
    )
    if grey := [each for each in calibrations if each.member.role == "ingredient"]:
        figure.add_trace(_grey_lines(grey))
    for each in calibrations:
        member = each.member
        if member.role == "ingredient":
            continue
        mark = BEST if member.best else RECIPE_MARKS[member.kind]
        x, y = [100 * part.confidence for part in each.bins], [100 * part.accuracy for part in each.bins]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=TITLES[member.role],
                line={"color": mark.colour, "width": 2, "dash": "dash" if member.best else "solid"},
                marker={"symbol": mark.symbol, "size": 8, "line": {"width": 2 * member.best}},
                customdata=[[part.count] for part in each.bins],
                hovertemplate="%{x:.1f} % sure, %{y:.1f} % right<br>%{customdata[0]:,} images"
                f"<extra>{literal(member.name)}</extra>",
            )
        )
    figure.update_xaxes(title="Confidence (%)", range=[lowest - 2, 101])
    figure.update_yaxes(range=[lowest - 2, 101])
    figure.update_layout(height=440, margin={"t": 64})
    return figure


def _grey_lines(calibrations: Sequence[Calibration]) -> go.Scatter:
    """The lines of the ingredients in one trace, with a gap after each: as many traces as there are would be slow to draw."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    cells: list[list[object]] = []
    for each in calibrations:
        xs += [*(100 * part.confidence for part in each.bins), None]
        ys += [*(100 * part.accuracy for part in each.bins), None]
        cells += [*([part.count, literal(each.member.name)] for part in each.bins), [0, ""]]
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        name=TITLES["ingredient"],
        line={"color": GREY_LINE, "width": 1},
        customdata=cells,
        hovertemplate="%{x:.1f} % sure, %{y:.1f} % right<br>%{customdata[0]:,} images<extra>%{customdata[1]}</extra>",
    )


def confusion_heatmap(
    difference: NDArray[np.int64], classes: Sequence[str], among: Sequence[int] | None = None
) -> go.Figure:
    """Our counts less theirs (C×C), true class by row, predicted by column; customdata holds both classes' numbers.

    With `among`, the numbers of some classes, only their rows and columns are drawn.
    """
    chosen = list(range(len(classes)) if among is None else among)
    difference, classes = difference[np.ix_(chosen, chosen)], [classes[number] for number in chosen]
    reach = max(1, int(np.abs(difference).max()))
    figure = empty_figure("True class")
    numbers = range(len(classes))
    numbered = len(classes) <= NUMBERED_CLASSES
    figure.add_trace(
        go.Heatmap(
            z=difference,
            zmin=-reach,
            zmax=reach,
            colorscale=DIVERGING,
            xgap=1,
            ygap=1,
            showscale=not numbered,
            customdata=[
                [[chosen[i], chosen[j], literal(classes[i]), literal(classes[j])] for j in numbers] for i in numbers
            ],
            hovertemplate="%{customdata[2]}, predicted as %{customdata[3]}: %{z:+d} images<extra></extra>",
            colorbar={"title": "images", "thickness": 12},
        )
    )
    if numbered:  # as annotations they have the theme's colour, which a heatmap's own text has not
        figure.update_layout(
            annotations=[
                {
                    "x": column,
                    "y": row,
                    "text": f"{difference[row, column]:+d}",
                    "showarrow": False,
                    "font": {"size": 11},
                }
                for row, column in zip(*np.nonzero(difference), strict=True)
            ]
        )
    labels = [literal(short(name)) for name in classes]
    figure.update_xaxes(
        title="Predicted class",
        tickvals=list(numbers),
        ticktext=labels,
        tickangle=-60,
        showgrid=False,
        range=[-0.5, len(classes) - 0.5],
    )
    figure.update_yaxes(
        tickvals=list(numbers), ticktext=labels, range=[len(classes) - 0.5, -0.5], showgrid=False, ticklabelstandoff=6
    )
    figure.update_layout(height=480)
    return figure


def class_gain_bars(gains: Mapping[int, Comparison], classes: Sequence[str]) -> go.Figure:
    """The gain in accuracy on each class, in points, with its 95 % interval."""
    figure, places = empty_figure("True class"), list(range(len(gains)))
    figure.add_trace(
        go.Bar(
            x=[100 * gain.value for gain in gains.values()],
            y=places,
            orientation="h",
            error_x=error_bars(gains.values(), NEUTRAL, thickness=1, width=2),
            marker={"color": RECIPE_MARKS["greedy"].colour},
            customdata=[
                [literal(classes[label]), interval(gain), gain.gained, gain.lost] for label, gain in gains.items()
            ],
            hovertemplate="%{customdata[0]}: %{x:+.2f} points (%{customdata[1]})<br>%{customdata[2]} images gained, "
            "%{customdata[3]} lost<extra></extra>",
        )
    )
    figure.add_vline(0, line={"color": NEUTRAL, "width": 1})
    ticks = [literal(short(classes[label])) for label in gains]
    figure.update_xaxes(title="Gain (points)", showgrid=True)
    figure.update_yaxes(tickvals=places, ticktext=ticks, range=[len(places) - 0.5, -0.5], showgrid=False)
    figure.update_layout(height=480)
    return figure
