"""One page with a chart of each kind that reports: what was done last stands beneath, and a button runs it again."""

import plotly.graph_objects as go
import streamlit as st

from pages.shared.live_chart import Event, live_chart

state = st.session_state
state["runs"] = state.get("runs", 0) + 1


def take(event: Event) -> None:
    state["events"] = state.get("events", 0) + 1
    state["last"] = event


points = go.Figure(
    go.Scatter(x=[0, 1, 2], y=[0, 1, state["runs"]], mode="markers", customdata=["a", "b", "c"], marker={"size": 30})
)
cells = go.Figure(go.Heatmap(z=[[1, 2], [3, 4]], x=["left", "right"], y=["low", "high"]))
axes = go.Figure(
    go.Parcoords(dimensions=[{"label": "one", "values": [1, 2, 3]}, {"label": "two", "values": [3, 1, 2]}])
)
axes.update_traces(dimensions=[{"name": "first"}, {"name": "second"}])
axes.update_layout(meta={"least_width": 1200})
points.update_layout(dragmode="select")


def draw(name: str, figure: go.Figure) -> None:
    figure.update_layout(height=260, uirevision="kept")
    live_chart(figure, name, f"The chart of {name}.", take)


draw("points", points)
st.fragment(draw)("cells", cells)
draw("axes", axes)
st.button("Again")
st.text(f"runs {state['runs']}")
st.text(f"events {state.get('events', 0)}")
st.json(state.get("last", {}))
