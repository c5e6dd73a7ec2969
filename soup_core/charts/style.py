"""What all figures share: marks, colours, template, and how names and accuracies are written.

Marks follow the first figure of Wortsman et al. 2022 (arXiv 2203.05482), in the colours of Okabe & Ito, each also told
apart by its shape. Names are data, never markup: they are escaped, and reach hover texts through customdata.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from soup_core.evaluation import Estimate, Evaluation, Metric
from soup_core.evaluation.metrics import metric_of
from soup_core.formatting import counts as counts
from soup_core.formatting import percent as percent
from soup_core.formatting import visible
from soup_core.recipes import RECIPES

NEUTRAL = "#808080"
GRID = "rgba(128, 128, 128, 0.2)"
NAMES_ON_AN_AXIS = 60  # more would lie over each other; hover tells them


@dataclass(frozen=True)
class Mark:
    """The colour and shape by which a kind of model is known on every page."""

    colour: str
    symbol: str
    size: int = 11


MARKS: Mapping[str, Mark] = {
    "ingredient": Mark("#009E73", "diamond"),
    "base": Mark("#808080", "hexagon", 13),
    "uniform": Mark("#0072B2", "circle", 12),
    "greedy": Mark("#D55E00", "star", 15),
    "learned": Mark("#CC79A7", "triangle-up", 13),
    "ensemble": Mark("#E69F00", "square", 12),
}

RECIPE_MARKS: Mapping[str, Mark] = {
    **MARKS,
    "pruned": Mark("#D55E00", "star-open", 15),
    "model-stock": Mark("#0072B2", "circle-open", 12),
    "wise-ft": Mark("#808080", "hexagon-open", 13),
    "ema": Mark("#56B4E9", "triangle-left", 12),
    "lawa": Mark("#56B4E9", "triangle-right", 12),
    "greedy-ensemble": Mark("#E69F00", "square-cross", 12),
    "taken": Mark("#56B4E9", "pentagon", 13),
}
OTHER_SYMBOLS = ("cross", "x", "bowtie", "hourglass", "triangle-down")  # of recipes without a mark of their own
SCALE = ((0.0, "#0072B2"), (0.5, "#009E73"), (1.0, "#E69F00"))  # for lines and marks: seen on light and on dark
LINE_COLOURS = ("#CC79A7", "#0072B2", "#D55E00", "#009E73", "#E69F00")
LINE_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
GREY_LINE = "rgba(128, 128, 128, 0.35)"

AXIS = {
    "gridcolor": GRID,
    "zeroline": False,
    "automargin": True,
    "tickfont": {"size": 12},
    "title": {"font": {"size": 13}, "standoff": 12},
}


def height(evaluation: Evaluation) -> float:
    """Where an evaluation stands on an axis of its metric: in percent, or in the metric's own unit."""
    return on_axis(evaluation.value, evaluation.metric)


def on_axis(value: float, metric: Metric) -> float:
    """Where a metric's value stands on its axis."""
    return 100 * value if metric.unit == "percent" else value


def quantity_of(evaluation: Evaluation, quantity: str) -> float:
    """Accuracy in percent, the loss in nats, or, for any other quantity, where the evaluation's own metric stands."""
    if quantity == "accuracy":
        return 100 * evaluation.accuracy
    return evaluation.loss if quantity == "loss" else height(evaluation)


def quantity_title(quantity: str) -> str:
    """The title of a quantity's axis: "accuracy (%)", "loss (nats)", or a metric's, by its key."""
    if quantity == "loss":
        return "loss (nats)"
    return axis_of(metric_of(quantity), "").strip()


def axis_of(metric: Metric, split: str = "Held-out") -> str:
    """The title of an axis of a metric: "Held-out accuracy (%)"."""
    unit = {"percent": " (%)", "nats": " (nats)", "": ""}[metric.unit]
    return f"{split} {metric.name}{unit}"


TEMPLATE = go.layout.Template(
    layout=go.Layout(
        colorway=[mark.colour for mark in MARKS.values()],
        font={"family": "Source Sans, Source Sans Pro, sans-serif", "size": 14, "color": NEUTRAL},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 64, "r": 16, "t": 36, "b": 52},
        xaxis={**AXIS, "showgrid": False},
        yaxis=AXIS,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0, "font": {"size": 12}},
        hoverlabel={"align": "left"},
    ),
    data={"scatter": [go.Scatter(marker={"line": {"width": 1, "color": NEUTRAL}})]},  # orange is faint on white
)


def recipe_mark(key: str) -> Mark:
    """The mark of a recipe of the registry; one that has none of its own is grey, and known by its shape."""
    if key in RECIPE_MARKS:
        return RECIPE_MARKS[key]
    others = [each for each in RECIPES if each not in RECIPE_MARKS]
    return Mark(NEUTRAL, OTHER_SYMBOLS[others.index(key) % len(OTHER_SYMBOLS)], 12)


def literal(name: str) -> str:
    """A name as text that Plotly cannot take for markup: angle brackets and ampersands escaped, nothing unseen in it."""
    return visible(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescaped(text: str) -> str:
    """A figure's text as it is read: line breaks become spaces, and what `literal` escaped is itself again."""
    return text.replace("<br>", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def short(name: str) -> str:
    """A name of at most 18 letters; a longer one is cut."""
    return name if len(name) <= 18 else f"{name[:17]}…"


def empty_figure(y_title: str) -> go.Figure:
    """An empty figure in the template, whose zoom and legend are kept when it is drawn anew."""
    return go.Figure(layout={"template": TEMPLATE, "height": 360, "yaxis": {"title": y_title}, "uirevision": "kept"})


def error_bars(estimates: Iterable[Estimate], colour: str, *, thickness: float = 1.2, width: int = 3) -> dict[str, Any]:
    """How far the intervals reach from their values, in percent or points, as a trace's error_x or error_y.

    A value without an interval has bars of no length.
    """
    shown = list(estimates)
    return {
        "type": "data",
        "symmetric": False,
        "array": [_length(each.high - each.value) for each in shown],
        "arrayminus": [_length(each.value - each.low) for each in shown],
        "color": colour,
        "thickness": thickness,
        "width": width,
    }


def _length(share: float) -> float:
    return 0.0 if math.isnan(share) else 100 * share


def names_axis(figure: go.Figure, names: Sequence[str], title: str) -> None:
    """Names along the x axis, at 0, 1, 2 …, as literal text; of more than NAMES_ON_AN_AXIS every tenth place's number."""
    figure.update_xaxes(title=title, range=[-0.6, len(names) - 0.4])
    if len(names) <= NAMES_ON_AN_AXIS:
        ticks = [literal(short(name)) for name in names]
        figure.update_xaxes(tickvals=list(range(len(names))), ticktext=ticks, tickangle=-60)
    else:
        every = max(10, 10 * round(len(names) / 100))
        places = [0, *range(every - 1, len(names), every)]
        figure.update_xaxes(tickvals=places, ticktext=[f"{place + 1:,}" for place in places])


def mark_size(usual: int, count: int) -> int:
    """Pixels of a mark among so many: two thirds of the usual where names have no room beneath them either."""
    return usual if count <= NAMES_ON_AN_AXIS else 2 * usual // 3


def level(figure: go.Figure, value: float, label: str, colour: str, dash: str) -> None:
    """A line across at an accuracy in percent, with its label."""
    figure.add_hline(
        value,
        line={"color": colour, "width": 1.5, "dash": dash},
        annotation_text=f"{label} {value:.2f} %",
        annotation_position="bottom right",
        annotation_font={"size": 12, "color": NEUTRAL},
    )
