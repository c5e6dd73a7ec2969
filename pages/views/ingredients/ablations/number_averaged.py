"""How many: models averaged one after another, the best first; a click chooses the first k, or toggles the k-th."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import drawing, work
from pages.shared.context import Context
from pages.shared.live_chart import Event
from pages.views.ingredients.selection import Selection, choose, toggle
from soup_core.analysis.ablations import NumberBandStep, NumberStep
from soup_core.charts.ablations import number_averaged_curve
from soup_core.evaluation import compare_values
from soup_core.formatting import score_change
from soup_core.jobs import Progress

ORDERS = 20


def draw(context: Context, chosen: Selection) -> None:
    """Draw the curve over the number of models; when it is there, the band over shuffled orders behind it."""
    models = len(context.zoo.names)

    def curve(progress: Progress, band: Sequence[NumberBandStep] = ()) -> None:
        steps: tuple[NumberStep, ...] = progress.steps
        if not steps:
            st.info("The curve begins here with the best model alone.")
            return
        drawing.chart(
            number_averaged_curve(steps, models=models, band=band, selected=chosen.names),
            "how-many",
            f"Held-out {steps[0].held_out.soup.metric.name} of soup and ensemble of the first models, up to {len(steps)} of {models}.",
            partial(take_clicked, context.zoo, [step.name for step in steps]),
        )
        if progress.state == "done":
            st.markdown(f"**{meaning(steps)}**")

    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, "number-averaged"), "Average one after another")
    if job is None or (averaged := job.progress()).state != "done":
        work.follow(job, models, "Averaging one after another", curve)
        return
    with drawing.errors_shown():
        shuffled = work.job_of(
            context, work.task(context, "number-averaged-band", orders=ORDERS), "Shuffle the order too"
        )
    if shuffled is None:
        curve(averaged)
    else:
        work.follow(shuffled, ORDERS, "Averaging in shuffled orders", lambda progress: curve(averaged, progress.steps))


def take_clicked(zoo: sc.Zoo, order: Sequence[str], event: Event) -> None:
    """A click on the soup or the ensemble of the first k chooses these; one on a model alone toggles it."""
    for point in event["points"] if event["kind"] == "click" else []:
        which = (point["customdata"] or [None])[-1]  # the median of the shuffled orders stands for no models
        if isinstance(which, int):
            choose(zoo, order[:which])
        elif which is not None:
            toggle(zoo, [which])


def meaning(steps: Sequence[NumberStep]) -> str:
    """What averaging all does, and what their ensemble."""
    best, last = steps[0].held_out.single, steps[-1].held_out
    metric = best.metric
    return (
        f"Averaging all {len(steps)} changes held-out {metric.name} by "
        f"{score_change(compare_values(last.soup, best), metric)} against the best single model; their ensemble, at "
        f"{len(steps)} times the cost, by {score_change(compare_values(last.ensemble, best), metric)}."
    )
