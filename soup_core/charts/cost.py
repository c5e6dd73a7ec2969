"""What each recipe gains against what it costs at inference."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from soup_core.analysis.face_off import RecipeResult
from soup_core.charts.style import NEUTRAL, counts, empty_figure, error_bars, level, recipe_mark
from soup_core.evaluation import Evaluation, wilson


def cost_chart(entries: Sequence[RecipeResult], best: Evaluation) -> go.Figure:
    """Test accuracy with its 95 % interval against the models run at inference, a mark a recipe, the best single a line.

    Recipes that cost one model stand side by side, so that their intervals can be told apart.
    """
    figure = empty_figure("Test accuracy (%)")
    most = max([entry.models for entry in entries], default=2)
    bounds = [100 * best.accuracy]
    single = [entry.recipe for entry in entries if entry.models == 1]
    for entry in entries:
        accuracy = wilson(entry.test.correct, entry.test.total)
        bounds += [100 * accuracy.low, 100 * accuracy.high]
        x: float = entry.models
        if entry.models == 1:
            x = 10 ** (0.07 * (single.index(entry.recipe) - (len(single) - 1) / 2))
        mark = recipe_mark(entry.recipe)
        bill = f"{entry.models} forward pass{'es' if entry.models > 1 else ''}, {entry.cost.megabytes:.1f} MB"
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[100 * accuracy.value],
                mode="markers",
                name=entry.about.name,
                error_y=error_bars([accuracy], mark.colour),
                marker={"color": mark.colour, "symbol": mark.symbol, "size": mark.size},
                customdata=[[counts(entry.test), bill, f"{1e6 * entry.cost.seconds_per_image:.0f} µs an image"]],
                hovertemplate="%{y:.2f} %<br>%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}"
                f"<extra>{entry.about.name}</extra>",
            )
        )
    level(figure, 100 * best.accuracy, "best single model", NEUTRAL, "dash")
    low, high = min(bounds), max(bounds)
    margin = max(0.3, 0.08 * (high - low))
    figure.update_yaxes(range=[low - margin, high + margin])
    ticks = [1, *(2**power for power in range(1, 12) if 2**power < 0.75 * most), *([most] if most > 1 else [])]
    figure.update_xaxes(
        title="Models run for each image",
        type="log",
        range=[-0.35, math.log10(most) + 0.2],
        tickvals=ticks,
        ticktext=[str(tick) for tick in ticks],
    )
    figure.update_layout(margin={"t": 64})
    return figure
