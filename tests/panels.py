"""Made panels and figures, and the figures that a report holds."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from soup_core.presentation.panels import Panel

HOSTILE = "</script><img src=x onerror=alert(1)> & \x00 ‮name"


def figures_in(report: str) -> list[dict[str, Any]]:
    """The figures that a report holds, as Plotly's JSON."""
    begins, ends = '<script type="application/json">', "</script>"
    return [json.loads(part.partition(ends)[0]) for part in report.split(begins)[1:]]


def points() -> go.Figure:
    return go.Figure(
        [
            go.Scatter(x=[0.0, 0.5, 1.0], y=[1.0, 4.0, 2.0], name="line", line={"color": "#0072B2", "dash": "dot"}),
            go.Scatter(
                x=[0.5, 1.0],
                y=[3.0, 5.0],
                mode="markers",
                name="a &lt;b&gt;",
                marker={"color": "#D55E00", "symbol": ["star", "star-open"]},
            ),
        ],
        {"xaxis": {"title": {"text": "alpha"}}, "yaxis": {"title": {"text": "accuracy"}, "range": [0, 6]}},
    )


def heat() -> go.Figure:
    return go.Figure(go.Heatmap(z=np.array([[1.0, 2.0], [3.0, 4.5]]), x=["p", "q"], y=["r", "s"], name="h"))


def panel(**given: Any) -> Panel:
    return Panel("A title", "A note.", **given)
