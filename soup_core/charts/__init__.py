"""Results become Plotly figures: pure functions, one set of marks, one template; a file an area of the app."""

from soup_core.charts.audience import enlarged
from soup_core.charts.cost import cost_chart
from soup_core.charts.ingredients import change_bars, ingredient_points
from soup_core.charts.learned import coefficient_heatmap, coefficient_lines
from soup_core.charts.lessons import accuracy_points, middle_by_rate, sketched_line, together_and_apart, two_walks
from soup_core.charts.line import line_chart
from soup_core.charts.robustness import (
    class_gain_bars,
    confusion_heatmap,
    relative_drops,
    reliability_diagram,
    robustness_figure,
    severity_curves,
)
from soup_core.charts.search import greedy_curve
from soup_core.charts.style import LINE_COLOURS, MARKS, RECIPE_MARKS, TEMPLATE, Mark, literal, on_axis
from soup_core.charts.training import loss_lines, training_accuracy, training_losses
from soup_core.formatting import counts, percent

__all__ = [
    "LINE_COLOURS",
    "MARKS",
    "RECIPE_MARKS",
    "TEMPLATE",
    "Mark",
    "accuracy_points",
    "change_bars",
    "class_gain_bars",
    "coefficient_heatmap",
    "coefficient_lines",
    "confusion_heatmap",
    "cost_chart",
    "counts",
    "enlarged",
    "greedy_curve",
    "ingredient_points",
    "line_chart",
    "literal",
    "loss_lines",
    "middle_by_rate",
    "on_axis",
    "percent",
    "relative_drops",
    "reliability_diagram",
    "robustness_figure",
    "severity_curves",
    "sketched_line",
    "together_and_apart",
    "training_accuracy",
    "training_losses",
    "two_walks",
]
