"""Ablations: how many models, which of them, how many held-out images, which hyperparameters."""

from collections.abc import Callable, Sequence
from functools import partial
from math import isnan
from typing import Any

import streamlit as st

import soup_core as sc
from pages.shared import drawing, work
from pages.shared.context import Context
from pages.views.ingredients.ablations import hyperparameters, number_averaged
from pages.views.ingredients.selection import Selection, toggle_clicked
from soup_core.analysis import ablations
from soup_core.analysis.ablations import GapStep, ShapleyStep
from soup_core.charts import ablations as figures
from soup_core.evaluation import Estimate
from soup_core.formatting import plain, points
from soup_core.jobs import Progress

PAIRS = 20


def draw(context: Context, chosen: Selection) -> None:
    """Draw the ablation that is asked for; no other is computed."""
    asked = st.segmented_control(
        "Ablation",
        list(VIEWS),
        default="How many",
        required=True,
        key="ablation",
        bind="query-params",
        help="An ablation changes one thing and looks at what that does. "
        + " ".join(f"**{name}**: {text}" for name, (text, _) in VIEWS.items()),
    )
    text, view = VIEWS[asked]
    st.caption(text)
    if chosen.batch_norm != "averaged":
        st.caption("Here with averaged BatchNorm statistics.")
    view(context, chosen)


def followed(
    context: Context, recipe: str, total: int, words: tuple[str, str, str], show: Callable[[Any], str], **arguments: Any
) -> None:
    """Follow a recipe's job, whose steps `show` draws; the sentence that it gives closes the view once the job is done.

    `words` stand on the button that starts it where the zoo is large, beside its progress, and where no step is yet.
    """
    start, what, waiting = words

    def panel(progress: Progress) -> None:
        if not progress.steps:
            st.info(waiting)
            return
        sentence = show(progress.steps)
        if progress.state == "done":
            st.markdown(f"**{sentence}**")

    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, recipe, **arguments), start)
    work.follow(job, total, what, panel)


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
        most, least = (f"{plain(name)}, {told(mean)}" for name, mean in (ranked[0], ranked[-1]))
        return (
            f"All {len(ranked)} together add {100 * (step.whole - step.empty):+.2f} points to having none; the most comes "
            f"from {most}, the least from {least}."
        )

    words = (
        "Estimate Shapley values",
        "Shapley values, pairs of orders",
        "What each ingredient adds stands here after the first two orders.",
    )
    followed(context, "shapley", PAIRS, words, bars, pairs=PAIRS)


def held_out_size(context: Context, chosen: Selection) -> None:
    """How the selection gap shrinks as more images choose."""

    def curve(steps: Sequence[GapStep]) -> str:
        drawing.chart(
            figures.selection_gap_curve(steps),
            "selection-gap",
            f"Greedy's gain where it chose, on test, and the gap, for {len(steps)} sizes of the held-out set.",
        )
        return (
            f"Chosen on {steps[0].size:,} images, greedy's gain is flattered by {told(steps[0].gap)}; on all "
            f"{steps[-1].size:,}, by {told(steps[-1].gap)}."
        )

    sizes = sum(size < context.evaluator("held_out").total for size in ablations.SIZES) + 1
    words = (
        "Choose on fewer images",
        "Choosing on more and more images",
        "The gains of greedy soups chosen on few images, then on more, stand here as they come.",
    )
    followed(context, "selection-gap", sizes, words, curve)


def told(mean: Estimate) -> str:
    return f"{100 * mean.value:+.2f} points, drawn once" if isnan(mean.low) else points(mean)


VIEWS: dict[str, tuple[str, Callable[[Context, Selection], None]]] = {
    "How many": (
        "Averages of the first k models. Click one to choose these, or a model alone to toggle it; filled ones are in.",
        number_averaged.draw,
    ),
    "Leave one out": ("The selection without each of its ingredients in turn; a click takes one out.", without_each),
    "Shapley": (
        "What each adds, averaged over all orders. Filled bars are in the soup; a click toggles one.", what_each_adds,
    ),
    "Held-out size": ("How much the images that chose a greedy soup flatter it: the selection gap.", held_out_size),
    "Hyperparameters": (
        "A line an ingredient, grey outside the soup. Drag along an axis to choose; click a brush to take it away.", hyperparameters.draw,
    ),
}  # fmt: skip
