"""Learned: coefficients by gradient descent, as they move, against greedy and uniform."""

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, page, scores, work
from pages.shared.context import GREEDY
from pages.views import export
from soup_core import charts
from soup_core.evaluation import best_first, compare_values
from soup_core.formatting import score, score_change, significance
from soup_core.jobs import Progress
from soup_core.recipes import RECIPES, learned

GRANULARITIES = {"model": "a model", "layer": "a layer", "tensor": "a tensor"}

context = page.begin(
    "Learned",
    "Let gradient descent on the held-out images say how much of each model goes into the average. A part of the images "
    "is kept back and says when to stop.",
)
zoo = context.zoo
with st.container(horizontal=True, vertical_alignment="bottom"):
    granularity = st.segmented_control(
        "One coefficient for",
        list(GRANULARITIES),
        default="tensor",
        required=True,
        **address.bound("granularity", of_zoo=False),
    )
    parameterization = st.segmented_control(
        "Coefficients are",
        list(learned.PARAMETERIZATIONS),
        default="softmax",
        required=True,
        **address.bound("parameterization", of_zoo=False),
        help="softmax: positive, and they sum to one; unconstrained: they start equal and may go anywhere.",
    )
    rate = st.number_input(
        "Learning rate",
        0.0001,
        1.0,
        0.05 if parameterization == "softmax" else 0.005,
        step=0.005,
        format="%.4f",
        **address.bound(f"{parameterization}_rate", of_zoo=False),
        width=125,
    )
    epochs = st.number_input("Epochs at most", 1, 100, 5, **address.bound("epochs", of_zoo=False), width=115)
    seed = st.number_input("Seed", 0, 10_000, 0, **address.bound("seed", of_zoo=True, of_page=True), width=80)

with drawing.errors_shown():
    held_out = context.evaluator("held_out")
    singles = context.singles()
    order = best_first(singles)
    greedy = context.soup_of(GREEDY)
    rivals = {"Greedy soup": greedy, "Uniform soup": sc.uniform_soup(zoo)}
    job = work.job_of(
        context,
        work.task(
            context,
            "learned",
            granularity=granularity,
            parameterization=parameterization,
            epochs=int(epochs),
            learning_rate=float(rate),
            seed=int(seed),
        ),
        "Learn the coefficients",
    )


def draw(progress: Progress) -> None:
    """Numbers, coefficients, losses and the heatmap of the steps so far."""
    steps: tuple[sc.LearnedStep, ...] = progress.steps
    if not steps:
        st.info("The coefficients start equal; here they will move as they are learned.")
        return
    final = steps[-1]
    with drawing.errors_shown():
        numbers(final.soup, progress.ended)
    left, right = st.columns(2)
    with left:
        drawing.chart(
            charts.coefficient_lines(steps),
            "lines",
            f"Coefficients of {len(final.names)} ingredients over {final.index} rounds.",
        )
    with right:
        drawing.chart(
            charts.loss_lines(steps),
            "loss",
            f"Loss over {final.index} rounds, on the images trained on and on those kept back.",
        )
    shown = steps[final.best_index] if progress.ended else final
    drawing.chart(
        charts.coefficient_heatmap(shown, order),
        "map",
        f"Coefficients of {len(shown.groups)} groups of tensors and {len(shown.names)} ingredients.",
    )
    if progress.ended:
        st.markdown(f"**{meaning(final)}**")
        export.draw(context, final.soup, "Learned soup")


def numbers(soup: sc.Soup, ended: bool) -> None:
    columns = st.columns(4)
    reports = [("held-out", held_out)]
    if ended and columns[3].toggle(
        "Show test accuracies",
        **address.bound("test", of_zoo=False, of_page=True),
        help="The test images are for reporting; choosing settings by them would flatter the soup.",
    ):
        reports.append(("test", context.evaluator("test")))
    best = sc.Soup.single(order[0])
    for column, (label, each) in zip(columns, {"Learned soup": soup, **rivals}.items(), strict=False):
        for split, evaluate in reports:
            if label == "Learned soup" and not ended:
                column.metric(f"{label}, {split}", "…", help="It stands here when the run has ended.")
                continue
            evaluation = evaluate(each)
            metric, comparison = evaluation.metric, compare_values(evaluation, evaluate(best))
            column.metric(
                scores.label(f"{label}, {split}", evaluation),
                score(evaluation),
                scores.short_change(comparison, metric),
                delta_color=scores.tone(comparison, metric),
                help=f"{charts.counts(evaluation)}; against the best single model {score_change(comparison, metric)}.",
            )


def meaning(final: sc.LearnedStep) -> str:
    ours, theirs = held_out(final.soup), held_out(greedy)
    comparison, metric = compare_values(ours, theirs), ours.metric
    sure = f", {significance(comparison)}" if comparison.spans_zero else ""
    things = zoo.data.things
    if final.best_index == 0:
        better = "lowered the loss" if ours.measured is None else f"bettered {metric.name}"
        return f"No round {better} on the {things} kept back, so the equal coefficients of the start are kept."
    best_by = f"the loss on {things} kept back was lowest" if ours.measured is None else f"{metric.name} there was best"
    return (
        f"The coefficients of round {final.best_index} are taken, where {best_by}; on all "
        f"held-out {things} they differ from greedy by {scores.by_name(comparison, metric)}{sure}."
    )


if job is None:
    st.info("On a zoo of this size learning takes a while; it goes on when you leave the page.")
else:
    work.follow(job, learned.rounds_in(held_out.total, int(epochs)) + 1, "Learning", draw)
drawing.about(RECIPES["learned"].about)
