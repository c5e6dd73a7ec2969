"""What each ingredient contributes: the selection without it, and its Shapley value."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import drawing
from pages.shared.context import Context
from pages.views.ingredients.ablations.following import follow, mean_in_words
from pages.views.ingredients.selection import Selection, toggle_clicked
from soup_core.analysis import ablations
from soup_core.analysis.ablations import ShapleyStep
from soup_core.charts import ablations as figures
from soup_core.formatting import plain, points

PAIRS = 20


def without_each(context: Context, chosen: Selection) -> None:
    """The selection without each of its own."""
    if len(chosen.names) < 2:
        st.markdown("**Leaving one out needs at least two ingredients in the soup; put another one in.**")
        return
    chart, sentence = st.container(), st.empty()
    waiting = partial(sentence.caption, f"Leaving out each of {len(chosen.names)}")
    with drawing.errors_shown(), sc.interruptible(waiting):
        waiting()
        left = list(ablations.leave_one_out(context.zoo, context.evaluator("held_out"), chosen.names))
    with chart:
        drawing.chart(
            figures.leave_one_out_bars(left),
            "leave-one-out",
            f"What taking out each of {len(left)} ingredients changes, with intervals; a click takes it out.",
            partial(toggle_clicked, context.zoo),
        )
    missed, *_, helped = sorted(left, key=lambda each: (each.comparison.difference, each.name))
    sentence.markdown(
        f"**Most missed is {plain(missed.name)}: {points(missed.comparison)} without it; the soup would do best "
        f"without {plain(helped.name)}: {points(helped.comparison)}.**"
    )


def what_each_adds(context: Context, chosen: Selection) -> None:
    """Shapley values of the whole zoo, which get surer with each pair of permutations."""

    def bars(steps: Sequence[ShapleyStep]) -> str:
        step = steps[-1]
        drawing.chart(
            figures.shapley_bars(step, selected=chosen.names),
            "shapley",
            f"Shapley values of {len(step.names)} ingredients over {2 * step.pairs} orders; {len(chosen.names)} are in "
            "the soup.",
            partial(toggle_clicked, context.zoo),
        )
        ranked = sorted(zip(step.names, step.values, strict=True), key=lambda each: (-each[1].value, each[0]))
        most, least = (f"{plain(name)}, {mean_in_words(mean)}" for name, mean in (ranked[0], ranked[-1]))
        return (
            f"All {len(ranked)} together add {100 * (step.whole - step.empty):+.2f} points to having none; the most comes "
            f"from {most}, the least from {least}."
        )

    words = (
        "Estimate Shapley values",
        "Shapley values, pairs of orders",
        "What each ingredient adds stands here after the first two orders.",
    )
    follow(context, "shapley", PAIRS, words, bars, pairs=PAIRS)
