"""One page with figures to be saved: a series named as a formula, names with markup in them, cells, three dimensions."""

import plotly.graph_objects as go

from pages.shared.live_chart import live_chart
from soup_core.charts import literal

NAME = "<b>a</b> & =b,c"
series = go.Figure(
    [
        go.Scatter(x=[0.1, 0.2, 1e-7], y=[-1 / 3, 2.5, 1e21], name="=SUM(A1)", mode="markers"),
        go.Bar(x=[literal(NAME)], y=[-4.25], name="-plain"),
    ],
    {"xaxis": {"title": "@x", "type": "category"}, "yaxis": {"title": "held-out (%)"}},
)
cells = go.Figure(go.Heatmap(z=[[1, -2], [3, 4.125]], x=["left", "right"], y=["low", "+high"]))
space = go.Figure(go.Scatter3d(x=[1, 2], y=[3, 4], z=[5, 6.5], mode="markers"))
for name, figure in (("series", series), ("cells", cells), ("space", space)):
    figure.update_layout(height=260)
    live_chart(figure, name, f"The chart: ../of {name}, <b>ünïcode</b>.")
