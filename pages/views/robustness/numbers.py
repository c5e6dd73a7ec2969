"""A number of each of the models that the page Robustness compares, and how an estimate is written."""

from collections.abc import Mapping
from math import isnan

import streamlit as st

from soup_core.evaluation import Estimate
from soup_core.formatting import interval

SHOWN = {
    "best": "Best single", "uniform": "Uniform soup", "greedy": "Greedy soup", "learned": "Learned soup",
    "ensemble": "Ensemble",
}  # fmt: skip

NUMBER_WIDTH = 150  # pixels: five beside each other, two on a phone


def in_words(estimate: Estimate, unit: str = "\u00a0%", sign: str = "") -> str:
    """A share as a percentage with its interval, or that it is not known."""
    if isnan(estimate.value):
        return "not known, since outputs are not finite"
    return f"{100 * estimate.value:{sign}.2f}{unit} ({interval(estimate)})"


def draw_numbers(what: str, cells: Mapping[str, tuple[str, str | None, str]]) -> None:
    """What is measured, and of each of the models shown the number, what stands beneath it, and its explanation."""
    st.caption(what)
    with st.container(horizontal=True):
        for role, label in SHOWN.items():
            value, beneath, explanation = cells.get(role, ("…", None, "It stands here once its models were run."))
            st.metric(label, value, beneath, delta_color="off", delta_arrow="off", help=explanation, width=NUMBER_WIDTH)
