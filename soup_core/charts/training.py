"""Losses and accuracy while something is trained: coefficients or weights."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from soup_core.charts.style import GREY_LINE, MARKS, NEUTRAL, counts, empty_figure, level, literal
from soup_core.evaluation import Evaluation
from soup_core.finetune import FinetuneStep
from soup_core.recipes.learned import LearnedStep


def loss_lines(steps: Sequence[LearnedStep]) -> go.Figure:
    """The loss on the images trained on, round by round, and on those kept back, with the step that is taken."""
    taken = steps[-1].best_index
    return _losses(
        "round",
        [step.index for step in steps],
        [step.loss for step in steps],
        ("kept back", [step.fold.loss for step in steps]),
        taken,
        "Round of batches",
        steps[-1].total,
    )


def training_losses(steps: Sequence[FinetuneStep]) -> go.Figure:
    """The loss of the run that is trained now, or was last, epoch by epoch: on the images trained on, and held out."""
    shown = [step for step in steps if step.run == steps[-1].run]
    return _losses(
        "epoch",
        [0, *(step.epoch for step in shown)],
        [math.nan, *(step.loss for step in shown)],
        ("held out", [shown[0].start.loss, *(step.held_out.loss for step in shown)]),
        None,
        "Epoch",
        shown[-1].hyperparameters.epochs,
    )


def _losses(
    unit: str,
    xs: Sequence[int],
    trained: Sequence[float],
    judged: tuple[str, Sequence[float]],
    taken: int | None,
    title: str,
    total: int,
) -> go.Figure:
    """Two losses along a training, and a mark at the step that is taken of it."""
    figure = empty_figure("Loss (nats)")
    purple, blue = MARKS["learned"].colour, MARKS["uniform"].colour
    for label, values, colour, dash in (("trained on", trained, purple, "dot"), (*judged, blue, "solid")):
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=values,
                mode="lines",
                name=label,
                line={"color": colour, "dash": dash, "width": 2.5},
                hovertemplate=unit + " %{x}: %{y:.4f} nats<extra>" + label + "</extra>",
            )
        )
    if taken is not None:
        figure.add_trace(
            go.Scatter(
                x=[taken],
                y=[judged[1][xs.index(taken)]],
                mode="markers",
                name="the one taken",
                marker={"color": purple, "symbol": MARKS["learned"].symbol, "size": 13},
                hoverinfo="skip",
            )
        )
    figure.update_xaxes(title=title, range=[0, total])
    return figure


def training_accuracy(steps: Sequence[FinetuneStep], best: Evaluation) -> go.Figure:
    """Held-out accuracy of each run, epoch by epoch, from the base on; the last run is drawn over the others, in colour.

    An end that became an ingredient has the ingredient's mark. `best` is the best single model so far, a line across.
    """
    figure = empty_figure("Held-out accuracy (%)")
    last = steps[-1].run
    green, mark = MARKS["ingredient"].colour, MARKS["ingredient"]
    for run in dict.fromkeys(step.run for step in steps):
        epochs = [step.epoch for step in steps if step.run == run]
        shown = [steps[0].start, *(step.held_out for step in steps if step.run == run)]
        figure.add_trace(
            go.Scatter(
                x=[0, *epochs],
                y=[100 * each.accuracy for each in shown],
                mode="lines",
                name="this run" if run == last else "earlier runs",
                legendgroup=str(run == last),
                showlegend=last > 1 and run in (1, last),
                customdata=[[counts(each)] for each in shown],
                line={"color": green if run == last else GREY_LINE, "width": 2.5 if run == last else 1.5},
                hovertemplate=f"run {run}, epoch " + "%{x}: %{y:.2f} %<br>%{customdata[0]}<extra></extra>",
            )
        )
    ends = [step for step in steps if step.name]
    figure.add_trace(
        go.Scatter(
            x=[step.epoch for step in ends],
            y=[100 * step.held_out.accuracy for step in ends],
            mode="markers",
            name="new ingredient",
            showlegend=bool(ends),
            customdata=[[literal(str(step.name)), counts(step.held_out)] for step in ends],
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 13},
            hovertemplate="%{customdata[0]}: %{y:.2f} %<br>%{customdata[1]}<extra></extra>",
        )
    )
    start = steps[0].start
    figure.add_trace(
        go.Scatter(
            x=[0],
            y=[100 * start.accuracy],
            mode="markers",
            name="start",
            customdata=[[counts(start)]],
            marker={"color": MARKS["base"].colour, "symbol": MARKS["base"].symbol, "size": MARKS["base"].size},
            hovertemplate="start: %{y:.2f} %<br>%{customdata[0]}<extra></extra>",
        )
    )
    level(figure, 100 * best.accuracy, "best single model", NEUTRAL, "dash")
    longest = max(step.hyperparameters.epochs for step in steps)
    figure.update_xaxes(title="Epoch", range=[-0.02 * longest, 1.02 * longest])
    return figure
