"""Ingredients, the greedy search, lines between soups, recipes against their cost, and learned coefficients, drawn."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

import plotly.graph_objects as go

from soup_core.analysis.face_off import Entry
from soup_core.analysis.interpolation import Barrier, LinePoint
from soup_core.charts.style import (
    GREY_LINE,
    LINE_COLOURS,
    LINE_DASHES,
    MARKS,
    NEUTRAL,
    RECIPE_MARKS,
    counts,
    empty_figure,
    level,
    literal,
    names_axis,
    short,
)
from soup_core.evaluation import Evaluation, accuracy_interval
from soup_core.finetune import FinetuneStep
from soup_core.recipes.greedy import BandStep, GreedyStep
from soup_core.recipes.learned import LearnedStep


def ingredient_points(
    singles: Mapping[str, Evaluation], selected: Sequence[str], *, soup: Evaluation | None = None
) -> go.Figure:
    """Held-out accuracy of every ingredient, best first; filled in the soup, hollow out of it; click to toggle."""
    order = sorted(singles, key=lambda name: (-singles[name].correct, name))
    figure = empty_figure("Held-out accuracy (%)")
    for label, names, symbol in (
        ("in the soup", [name for name in order if name in selected], "diamond"),
        ("not in it", [name for name in order if name not in selected], "diamond-open"),
    ):
        figure.add_trace(
            go.Scatter(
                x=[order.index(name) for name in names],
                y=[100 * singles[name].accuracy for name in names],
                customdata=[[name, literal(name), counts(singles[name])] for name in names],
                mode="markers",
                name=label,
                marker={
                    "color": MARKS["ingredient"].colour,
                    "symbol": symbol,
                    "size": 13,
                    "line": {"width": 2, "color": MARKS["ingredient"].colour},
                },
                selected={"marker": {"opacity": 1}},
                unselected={"marker": {"opacity": 1}},
                hovertemplate="%{customdata[1]}<br>%{y:.2f} %<br>%{customdata[2]}<extra></extra>",
            )
        )
    if soup is not None:
        level(figure, 100 * soup.accuracy, "your soup", MARKS["uniform"].colour, "solid")
    names_axis(figure, order, "Ingredients, best first")
    return figure


def change_bars(changes: Mapping[str, float], selected: Sequence[str], order: Sequence[str]) -> go.Figure:
    """What toggling each ingredient would change, in points of held-out accuracy; those not known yet are left empty."""
    figure = empty_figure("Change (points)")
    for label, inside, pattern in (("take out", True, "/"), ("put in", False, "")):
        names = [name for name in order if name in changes and (name in selected) is inside]
        figure.add_trace(
            go.Bar(
                x=[order.index(name) for name in names],
                y=[changes[name] for name in names],
                customdata=[[name, literal(name)] for name in names],
                name=label,
                marker={"color": MARKS["ingredient"].colour, "pattern": {"shape": pattern}},
                hovertemplate="%{customdata[1]}: %{y:+.2f} points<extra>" + label + "</extra>",
            )
        )
    figure.update_layout(barmode="overlay")
    figure.add_hline(0, line={"color": NEUTRAL, "width": 1})
    names_axis(figure, list(order), "Ingredients, best first")
    return figure


def greedy_curve(
    steps: Sequence[GreedyStep],
    *,
    candidates: int,
    current: int | None = None,
    band: Sequence[BandStep] = (),
    label: str = "greedy soup so far",
) -> go.Figure:
    """The greedy search: each candidate's held-out accuracy, accepted or rejected, and the best so far.

    A candidate that was rejected early is drawn at its bound, "at most"; the axes are fixed by `candidates`, so that
    nothing jumps while the curve grows. `band` draws, behind it, between which values searches in shuffled orders lie;
    `label` names the soup.
    """
    figure = empty_figure("Held-out accuracy (%)")
    if band:
        curves = [[100 * correct / step.total for correct in step.correct] for step in band]
        add_band(figure, curves, f"{len(band)} shuffled orders, lowest to highest", shape="hv")
    best, height = [], 0.0
    for step in steps:
        height = 100 * step.evaluation.accuracy if step.accepted and step.evaluation else height
        best.append(height)
    green, red = MARKS["ingredient"].colour, MARKS["greedy"].colour
    figure.add_trace(
        go.Scatter(
            x=[step.index + 1 for step in steps], y=best, mode="lines", name=label,
            line={"shape": "hv", "color": red, "width": 2.5}, hoverinfo="skip",
        )
    )  # fmt: skip
    groups = (
        ("accepted", "diamond", green, [s for s in steps if s.accepted]),
        ("rejected", "diamond-open", green, [s for s in steps if not s.accepted and s.evaluation]),
        ("rejected early: at most", "triangle-down-open", NEUTRAL, [s for s in steps if s.evaluation is None]),
    )
    for kind, symbol, colour, group in groups:
        totals = {step.index: _total(step, steps) for step in group}
        figure.add_trace(
            go.Scatter(
                x=[step.index + 1 for step in group],
                y=[100 * step.correct_at_most / totals[step.index] for step in group],
                customdata=[[literal(step.candidate), _verdict(step, totals[step.index])] for step in group],
                mode="markers",
                name=kind,
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": [17 if step.index == current else 11 for step in group],
                    "line": {"width": 2},
                },
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            )
        )
    if steps and steps[0].evaluation:
        level(figure, 100 * steps[0].evaluation.accuracy, "best single model", NEUTRAL, "dash")
    figure.update_xaxes(
        title="Candidate, in the order tried", range=[0.4, candidates + 0.6], dtick=max(1, candidates // 12)
    )
    return figure


def add_band(figure: go.Figure, curves: Sequence[Sequence[float]], label: str, *, shape: str = "linear") -> None:
    """The band between the lowest and the highest of curves over 1, 2, 3 …, and their median; `shape` is the lines'."""
    columns = list(zip(*curves, strict=True))
    xs = list(range(1, len(columns) + 1))
    for pick, fill in ((min, None), (max, "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=xs, y=[pick(column) for column in columns], mode="lines", line={"width": 0, "shape": shape}, fill=fill,
                fillcolor="rgba(0, 114, 178, 0.18)", hoverinfo="skip", showlegend=fill is not None, name=label,
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=xs, y=[median(column) for column in columns], mode="lines", name="their median",
            line={"width": 1.5, "shape": shape, "color": MARKS["uniform"].colour, "dash": "dot"},
            hovertemplate="%{y:.2f} %<extra>median order</extra>",
        )
    )  # fmt: skip


def _total(step: GreedyStep, steps: Sequence[GreedyStep]) -> int:
    evaluation = step.evaluation or steps[0].evaluation
    return evaluation.total if evaluation else 1


def _verdict(step: GreedyStep, total: int) -> str:
    if step.evaluation is None:
        return f"at most {step.correct_at_most:,} of {total:,}: rejected after {step.images_evaluated or 'kept'} images"
    return f"{counts(step.evaluation)}: {'accepted' if step.accepted else 'rejected'}"


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
    """Accuracy or loss along alpha on the named images, both ends marked, the barrier drawn; a slider moves along it.

    `ensemble` draws what mixing the two ends' probabilities gives instead, see `ensemble_line`.
    """
    ordered = sorted(points, key=lambda point: point.alpha)
    values = {point.alpha: _quantity(point, quantity) for point in ordered}
    alphas = list(values)
    figure = empty_figure(f"{images.capitalize()} {quantity} ({'%' if quantity == 'accuracy' else 'nats'})")
    unit = " %" if quantity == "accuracy" else ""
    figure.add_trace(
        go.Scatter(
            x=alphas, y=list(values.values()), mode="lines+markers", name="along the line", showlegend=False,
            line={"color": MARKS["uniform"].colour, "width": 2.5}, marker={"size": 6},
            hovertemplate="alpha %{x:.2f}: %{y:.2f}" + unit + "<extra></extra>", connectgaps=False,
        )
    )  # fmt: skip
    ends = [alpha for alpha in (0.0, 1.0) if alpha in values]
    figure.add_trace(
        go.Scatter(
            x=ends, y=[values[alpha] for alpha in ends], mode="markers", name="the two ends",
            customdata=[[literal(name)] for name in (name_a, name_b)][: len(ends)],
            marker={"color": MARKS["ingredient"].colour, "symbol": "diamond", "size": 13},
            hovertemplate="%{customdata[0]}: %{y:.2f}" + unit + "<extra></extra>",
        )
    )  # fmt: skip
    here = next((alpha for alpha in alphas if alpha == 0.5), alphas[len(alphas) // 2])
    figure.add_trace(
        go.Scatter(
            x=[here], y=[values[here]], mode="markers", name="chosen alpha", showlegend=False,
            marker={"color": MARKS["greedy"].colour, "symbol": "circle-open", "size": 18, "line": {"width": 3}},
            hoverinfo="skip",
        )
    )  # fmt: skip
    if len(ends) == 2:
        figure.add_trace(
            go.Scatter(
                x=ends, y=[values[alpha] for alpha in ends], mode="lines", name="straight between the ends",
                line={"color": NEUTRAL, "dash": "dot", "width": 1.5}, hoverinfo="skip",
            )
        )  # fmt: skip
        if barrier and barrier.height > 0 and quantity == "accuracy":
            straight = (1 - barrier.alpha) * values[0.0] + barrier.alpha * values[1.0]
            figure.add_trace(
                go.Scatter(
                    x=[barrier.alpha] * 2, y=[straight, values[barrier.alpha]], mode="lines",
                    name=f"error barrier: {100 * barrier.height:.2f} points",
                    line={"color": MARKS["greedy"].colour, "width": 3}, hoverinfo="skip",
                )
            )  # fmt: skip
    if ensemble:
        mixed = sorted(ensemble, key=lambda point: point.alpha)
        figure.add_trace(
            go.Scatter(
                x=[point.alpha for point in mixed], y=[_quantity(point, quantity) for point in mixed], mode="lines",
                name="ensemble of the two ends", line={"color": MARKS["ensemble"].colour, "width": 2, "dash": "dash"},
                customdata=[[counts(point.evaluation)] for point in mixed],
                hovertemplate="alpha %{x:.2f}: %{y:.2f}" + unit + "<br>%{customdata[0]}<extra>ensemble</extra>",
            )
        )  # fmt: skip
    _add_alpha_slider(figure, values, here, unit)
    figure.update_xaxes(title="alpha")
    return figure


def _quantity(point: LinePoint, quantity: str) -> float:
    return 100 * point.evaluation.accuracy if quantity == "accuracy" else point.evaluation.loss


def _add_alpha_slider(figure: go.Figure, values: Mapping[float, float], here: float, unit: str) -> None:
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
                "active": list(values).index(here), "steps": steps, "ticklen": 0, "minorticklen": 0,
                "currentvalue": {"prefix": "alpha "}, "font": {"color": "rgba(0,0,0,0)"}, "pad": {"t": 44, "b": 0},
                "x": 0.0, "len": 1.0,
            }
        ],
        margin={"b": 120},
    )  # fmt: skip
    figure.layout.sliders[0].currentvalue.font = {"color": NEUTRAL, "size": 15}


def cost_chart(entries: Sequence[Entry], best: Evaluation) -> go.Figure:
    """Test accuracy with its 95 % interval against the models run at inference, a mark a recipe, the best single a line.

    Recipes that cost one model stand side by side, so that their intervals can be told apart.
    """
    figure = empty_figure("Test accuracy (%)")
    most = max([entry.models for entry in entries], default=2)
    single = [entry.recipe for entry in entries if entry.models == 1]
    for entry in entries:
        low, high = (100 * bound for bound in accuracy_interval(entry.test))
        accuracy = 100 * entry.test.accuracy
        x: float = entry.models
        if entry.models == 1:
            x = 10 ** (0.07 * (single.index(entry.recipe) - (len(single) - 1) / 2))
        mark = RECIPE_MARKS[entry.recipe]
        bill = f"{entry.models} forward pass{'es' if entry.models > 1 else ''}, {entry.cost.megabytes:.1f} MB"
        figure.add_trace(
            go.Scatter(
                x=[x], y=[accuracy], mode="markers", name=entry.about.name,
                error_y={"type": "data", "symmetric": False, "array": [high - accuracy],
                         "arrayminus": [accuracy - low], "color": mark.colour, "thickness": 1.2, "width": 3},
                marker={"color": mark.colour, "symbol": mark.symbol, "size": mark.size},
                customdata=[[counts(entry.test), bill, f"{1e6 * entry.cost.seconds_per_image:.0f} µs an image"]],
                hovertemplate="%{y:.2f} %<br>%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}"
                f"<extra>{entry.about.name}</extra>",
            )
        )  # fmt: skip
    level(figure, 100 * best.accuracy, "best single model", NEUTRAL, "dash")
    bounds = [100 * bound for entry in entries for bound in accuracy_interval(entry.test)]
    bounds.append(100 * best.accuracy)
    low, high = min(bounds), max(bounds)
    margin = max(0.3, 0.08 * (high - low))
    figure.update_yaxes(range=[low - margin, high + margin])
    ticks = [1, *(2**power for power in range(1, 12) if 2**power < 0.75 * most), *([most] if most > 1 else [])]
    figure.update_xaxes(
        title="Models run for each image", type="log", range=[-0.35, math.log10(most) + 0.2], tickvals=ticks,
        ticktext=[str(tick) for tick in ticks],
    )  # fmt: skip
    figure.update_layout(margin={"t": 64})
    return figure


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
                x=[step.index for step in steps], y=[mean[k] for mean in means], mode="lines",
                name=literal(short(names[k])), showlegend=k in looks, customdata=[[literal(names[k])]] * len(steps),
                line={"color": colour, "dash": dash, "width": 2.5 if k in looks else 1},
                hovertemplate="%{customdata[0]}: %{y:.3f}<extra></extra>",
            )
        )  # fmt: skip
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
            z=values, x=list(range(len(columns))), y=list(range(len(step.groups))),
            customdata=[[[literal(step.names[k]), literal(group)] for k in columns] for group in step.groups],
            colorscale="RdBu" if free else "Viridis", zmid=0 if free else None, xgap=1, ygap=1,
            colorbar={"thickness": 12, "title": {"text": "coefficient", "side": "right"}},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}: %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    names_axis(figure, [step.names[k] for k in columns], "Ingredients, best first")
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(len(step.groups))), ticktext=[literal(short(group)) for group in step.groups],
        range=[len(step.groups) - 0.5, -0.5], showgrid=False,
    )  # fmt: skip
    figure.update_layout(height=max(260, 140 + 22 * len(step.groups)))
    return figure


def loss_lines(steps: Sequence[LearnedStep]) -> go.Figure:
    """The loss on the images trained on, round by round, and on those kept back, with the step that is taken."""
    taken = steps[-1].best_index
    return _losses(
        "round", [step.index for step in steps], [step.loss for step in steps],
        ("kept back", [step.fold.loss for step in steps]), taken, "Round of batches", steps[-1].total,
    )  # fmt: skip


def training_losses(steps: Sequence[FinetuneStep]) -> go.Figure:
    """The loss of the run that is trained now, or was last, epoch by epoch: on the images trained on, and held out."""
    shown = [step for step in steps if step.run == steps[-1].run]
    return _losses(
        "epoch", [0, *(step.epoch for step in shown)], [math.nan, *(step.loss for step in shown)],
        ("held out", [shown[0].start.loss, *(step.held_out.loss for step in shown)]), None, "Epoch",
        shown[-1].hyperparameters.epochs,
    )  # fmt: skip


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
                x=xs, y=values, mode="lines", name=label, line={"color": colour, "dash": dash, "width": 2.5},
                hovertemplate=unit + " %{x}: %{y:.4f} nats<extra>" + label + "</extra>",
            )
        )  # fmt: skip
    if taken is not None:
        figure.add_trace(
            go.Scatter(
                x=[taken], y=[judged[1][xs.index(taken)]], mode="markers", name="the one taken",
                marker={"color": purple, "symbol": MARKS["learned"].symbol, "size": 13}, hoverinfo="skip",
            )
        )  # fmt: skip
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
                x=[0, *epochs], y=[100 * each.accuracy for each in shown], mode="lines",
                name="this run" if run == last else "earlier runs", legendgroup=str(run == last),
                showlegend=last > 1 and run in (1, last), customdata=[[counts(each)] for each in shown],
                line={"color": green if run == last else GREY_LINE, "width": 2.5 if run == last else 1.5},
                hovertemplate=f"run {run}, epoch " + "%{x}: %{y:.2f} %<br>%{customdata[0]}<extra></extra>",
            )
        )  # fmt: skip
    ends = [step for step in steps if step.name]
    figure.add_trace(
        go.Scatter(
            x=[step.epoch for step in ends], y=[100 * step.held_out.accuracy for step in ends], mode="markers",
            name="new ingredient", showlegend=bool(ends),
            customdata=[[literal(str(step.name)), counts(step.held_out)] for step in ends],
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 13},
            hovertemplate="%{customdata[0]}: %{y:.2f} %<br>%{customdata[1]}<extra></extra>",
        )
    )  # fmt: skip
    start = steps[0].start
    figure.add_trace(
        go.Scatter(
            x=[0], y=[100 * start.accuracy], mode="markers", name="start", customdata=[[counts(start)]],
            marker={"color": MARKS["base"].colour, "symbol": MARKS["base"].symbol, "size": MARKS["base"].size},
            hovertemplate="start: %{y:.2f} %<br>%{customdata[0]}<extra></extra>",
        )
    )  # fmt: skip
    level(figure, 100 * best.accuracy, "best single model", NEUTRAL, "dash")
    longest = max(step.hyperparameters.epochs for step in steps)
    figure.update_xaxes(title="Epoch", range=[-0.02 * longest, 1.02 * longest])
    return figure
