"""Home's headline while it is computed: the uniform soup's number first, then how far the search for greedy's is."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import soup_core as sc
from pages.shared.context import Context
from pages.shared.singles import evaluated
from soup_core.formatting import counts, percent


def greedy_steps(context: Context, card: DeltaGenerator, uniform: sc.Evaluation) -> list[sc.GreedyStep]:
    """The greedy search's steps; while any image is run for them, `card` shows the uniform soup's test accuracy alone."""
    steps: list[sc.GreedyStep] = []
    tried, names = st.empty(), context.zoo.names
    shown = False

    def tell() -> None:
        nonlocal shown
        if not shown:
            shown = True
            card.metric(
                "Uniform soup: test accuracy",
                percent(uniform),
                "the others follow",
                border=True,
                delta_arrow="off",
                delta_color="off",
                help=counts(uniform),
            )
        tried.caption(f"The greedy search has tried {len(steps)} of {len(names)}")

    evaluated(context, before=tell)
    with sc.interruptible(tell):
        for step in sc.greedy_soup(context.zoo, context.evaluator("held_out")):
            steps.append(step)
    tried.empty()
    return steps
