"""Ablations: how many models, which of them, how many held-out images, which hyperparameters."""

from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import page, work
from pages.shared.live_chart import Event
from pages.views.selection import Selection, choose, toggle
from soup_core import charts
from soup_core.ablations import (
    SIZES,
    GapStep,
    HyperparameterTable,
    LeftOut,
    NumberStep,
    ShapleyStep,
    hyperparameter_table,
    leave_one_out,
)
from soup_core.charts.ablations import (
    brushed,
    leave_one_out_bars,
    number_averaged_curve,
    parallel_coordinates,
    selection_gap_curve,
    shapley_bars,
)
from soup_core.jobs import Progress

ORDERS = 20
PAIRS = 20
HELP = {
    "How many": "Models averaged one after another, the best first, and in shuffled orders.",
    "Leave one out": "The selection without each of its ingredients in turn.",
    "Shapley": "What an ingredient adds, averaged over the orders in which all could be put in.",
    "Held-out size": "How much the images that chose a greedy soup flatter it: the selection gap.",
    "Hyperparameters": "A line an ingredient; drag along an axis to choose.",
}


def draw(here: page.Context, chosen: Selection) -> None:
    """Draw the ablation that is asked for; no other is computed."""
    asked = st.segmented_control(
        "Ablation", list(HELP), default="How many", required=True, key="ablation", bind="query-params",
        help="An ablation changes one thing and looks at what that does. "
        + " ".join(f"**{name}**: {text}" for name, text in HELP.items()),
    )  # fmt: skip
    st.caption(HELP[asked])
    if chosen.batch_norm != "averaged":
        st.caption("Soups here are made with averaged BatchNorm statistics.")
    if asked == "How many":
        how_many(here)
    elif asked == "Leave one out":
        without_each(here, chosen)
    elif asked == "Shapley":
        what_each_adds(here)
    elif asked == "Held-out size":
        held_out_size(here)
    else:
        across_hyperparameters(here, chosen)


def how_many(here: page.Context) -> None:
    """The curve over the number of models; when it is there, the band over shuffled orders behind it."""
    models = len(here.zoo.names)
    with page.errors_shown():
        job = work.job_of(here, work.task(here, "number-averaged"), "Average one after another")
    if job is None:
        st.info("On a zoo of this size averaging one after another takes a while; it goes on when you leave the page.")
        return

    def curve(steps: tuple[NumberStep, ...], progress: Progress) -> None:
        band = progress.steps if steps else ()
        shown = steps or progress.steps
        page.chart(
            number_averaged_curve(shown, models=models, band=band), "how-many",
            f"Held-out accuracy of soup and ensemble of the first models, up to {len(shown)} of {models}.",
        )  # fmt: skip
        if steps:
            st.markdown(f"**{gain_of_number(steps)}**")

    first = job.progress()
    if first.state != "done":
        work.follow(job, models, "Averaging one after another", partial(curve, ()))
        return
    with page.errors_shown():
        shuffled = work.job_of(here, work.task(here, "number-averaged-band", orders=ORDERS), "Shuffle the order too")
    if shuffled is None:
        curve(first.steps, Progress("done", "", (), 0, None))
    else:
        work.follow(shuffled, ORDERS, "Averaging in shuffled orders", partial(curve, first.steps))


def gain_of_number(steps: tuple[NumberStep, ...]) -> str:
    best, last = steps[0].held_out.single, steps[-1].held_out
    return (
        f"Averaging all {len(steps)} changes held-out accuracy by {page.points(sc.compare(last.soup, best))} against the "
        f"best single model; their ensemble, at {len(steps)} times the cost, by "
        f"{page.points(sc.compare(last.ensemble, best))}."
    )


def without_each(here: page.Context, chosen: Selection) -> None:
    """The selection without each of its own."""
    if len(chosen.names) < 2:
        st.info("Leaving one out needs at least two ingredients in the soup; put another one in.")
        return
    chart, sentence = st.container(), st.empty()
    left: list[LeftOut] = []
    waiting = f"Leaving out each of {len(chosen.names)}"
    with page.errors_shown(), sc.interruptible(partial(sentence.caption, waiting)):
        sentence.caption(waiting)
        left.extend(leave_one_out(here.zoo, here.evaluator("held_out"), chosen.names))
    with chart:
        page.chart(
            leave_one_out_bars(left), "leave-one-out",
            f"What taking out each of {len(left)} ingredients changes, with intervals; a click takes it out.",
            partial(take_clicked, here.zoo),
        )  # fmt: skip
    missed = min(left, key=lambda each: (each.comparison.difference, each.name))
    helped = max(left, key=lambda each: (each.comparison.difference, each.name))
    sentence.markdown(
        f"**Most missed is {page.plain(missed.name)}: {page.points(missed.comparison)} without it; the soup would do best "
        f"without {page.plain(helped.name)}: {page.points(helped.comparison)}.**"
    )


def take_clicked(zoo: sc.Zoo, event: Event) -> None:
    toggle(zoo, [point["customdata"][0] for point in event["points"]] if event["kind"] == "click" else [])


def what_each_adds(here: page.Context) -> None:
    """Shapley values of the whole zoo, which get surer with each pair of permutations."""
    with page.errors_shown():
        job = work.job_of(here, work.task(here, "shapley", pairs=PAIRS), "Estimate Shapley values")
    if job is None:
        st.info("On a zoo of this size Shapley values take long; the work goes on when you leave the page.")
        return

    def bars(progress: Progress) -> None:
        if not progress.steps:
            st.info("What each ingredient adds stands here after the first two orders.")
            return
        step: ShapleyStep = progress.steps[-1]
        page.chart(
            shapley_bars(step), "shapley",
            f"Shapley values of {len(step.names)} ingredients over {2 * step.pairs} orders, with intervals.",
        )  # fmt: skip
        if progress.state == "done":
            st.markdown(f"**{worth(step)}**")

    work.follow(job, PAIRS, "Shapley values, pairs of orders", bars)


def worth(step: ShapleyStep) -> str:
    ranked = sorted(zip(step.names, step.values, strict=True), key=lambda each: (-each[1].value, each[0]))
    most, least = (
        f"{page.plain(name)}, {100 * mean.value:+.2f} points ({100 * (mean.value - mean.reach):.2f} to "
        f"{100 * (mean.value + mean.reach):.2f})"
        for name, mean in (ranked[0], ranked[-1])
    )
    return (
        f"All {len(ranked)} together add {100 * (step.whole - step.empty):+.2f} points to having none; the most comes from "
        f"{most}, the least from {least}."
    )


def held_out_size(here: page.Context) -> None:
    """How the selection gap shrinks as more images choose."""
    with page.errors_shown():
        total = here.evaluator("held_out").total
        job = work.job_of(here, work.task(here, "selection-gap"), "Choose on fewer images")
    if job is None:
        st.info("On a zoo of this size choosing again and again takes long; the work goes on when you leave the page.")
        return

    def curve(progress: Progress) -> None:
        if not progress.steps:
            st.info("The gains of greedy soups chosen on few images, then on more, stand here as they come.")
            return
        page.chart(
            selection_gap_curve(progress.steps), "selection-gap",
            f"Greedy's gain where it chose, on test, and the gap, for {len(progress.steps)} sizes of the held-out set.",
        )  # fmt: skip
        if progress.state == "done":
            st.markdown(f"**{flattery(progress.steps)}**")

    work.follow(job, sum(size < total for size in SIZES) + 1, "Choosing on more and more images", curve)


def flattery(steps: tuple[GapStep, ...]) -> str:
    def told(step: GapStep) -> str:
        value, reach = 100 * step.gap.value, 100 * step.gap.reach
        interval = f" ({value - reach:.2f} to {value + reach:.2f})" if step.gap.samples > 1 else ", drawn once"
        return f"{value:+.2f} points{interval}"

    return (
        f"Chosen on {steps[0].size:,} images, greedy's gain is flattered by {told(steps[0])}; on all {steps[-1].size:,}, by "
        f"{told(steps[-1])}."
    )


def across_hyperparameters(here: page.Context, chosen: Selection) -> None:
    """Parallel coordinates, whose brushes make the selection."""
    with page.errors_shown():
        table = hyperparameter_table(here.zoo, here.evaluator("held_out"))
    page.chart(
        parallel_coordinates(table), "hyperparameters",
        f"{len(table.names)} ingredients across {len(table.axes) - 1} hyperparameters to held-out accuracy.",
        partial(take_brushed, here.zoo, table),
    )  # fmt: skip
    if chosen.evaluation is None:
        st.markdown("**No ingredient lies inside every brush; draw one wider, or click it to take it away.**")
        return
    accuracies = [chosen.singles[name].accuracy for name in chosen.names]
    comparison = sc.compare(chosen.evaluation, chosen.singles[chosen.order[0]])
    st.markdown(
        f"**The {len(chosen.names)} chosen have {100 * min(accuracies):.2f} to {100 * max(accuracies):.2f} % one by one; "
        f"their soup has {charts.percent(chosen.evaluation)}, {page.points(comparison)} against the best single model.**"
    )


def take_brushed(zoo: sc.Zoo, table: HyperparameterTable, event: Event) -> None:
    if event["kind"] == "brush":
        ranges = [dimension["range"] for dimension in event["dimensions"]]
        choose(zoo, brushed(table.names, [axis.values for axis in table.axes], ranges))
