"""A chart that grows with a button, one that is followed and grows beside the page's runs, and what the first one is."""

import plotly.graph_objects as go
import streamlit as st

from pages.shared import pulse
from pages.shared.live_chart import live_chart

state = st.session_state
state.setdefault("points", 3)
state.setdefault("steps", 1)


def figure(count: int) -> go.Figure:
    """Lines that grow, a mark that changes, and cells of which the last is another each time."""
    xs, cells = list(range(count)), [[0.125 * (row == count % 3) for _ in range(3)] for row in range(3)]
    lines = [go.Scatter(x=xs, y=[x / 8 + of for x in xs], name=f"line {of}") for of in (1, 2)]
    mark = go.Scatter(x=[0], y=[count], marker={"symbol": ("star", "diamond")[count % 2]}, mode="markers")
    return go.Figure(
        [*lines, mark, go.Heatmap(z=cells, xaxis="x2", yaxis="y2")], {"title": {"text": f"{count} points"}}
    )


if st.button("More"):
    state["points"] += 1
st.button("Again")
live_chart(figure(state["points"]), "grown", f"A chart of {state['points']} points.")
st.code(figure(state["points"]).to_json())


@st.fragment(key="panel")
def panel() -> None:
    state["seen"] = state["steps"]
    live_chart(figure(state["steps"]), "followed", f"A chart of {state['steps']} steps.")


@st.fragment
def step() -> None:
    if st.button("Step"):
        state["steps"] += 1


panel()
step()
pulse.watch("steps", lambda: state["seen"] != state["steps"], "panel", every=0.1)
