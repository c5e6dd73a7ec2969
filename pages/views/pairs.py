"""Many pairs: what averaging two models gains, against the angle between them, and the walls between pairs."""

import streamlit as st

import soup_core as sc
from pages.shared import page, work
from pages.shared.live_chart import Event
from soup_core.charts.geometry import advantage_scatter, pair_heatmap
from soup_core.geometry import angles, clustered_order
from soup_core.interpolation import Barrier
from soup_core.jobs import Progress
from soup_core.pairs import PairBarrier, barrier_matrix

USUAL_BUDGET = 40


def draw(here: page.Context) -> None:
    """Evaluate the middle of a budgeted sample of pairs."""
    names = here.zoo.names
    possible = len(names) * (len(names) - 1) // 2
    if not possible:
        st.markdown("**A pair needs two ingredients, and this zoo has one.**")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        budget = st.number_input("Pairs", 1, possible, min(USUAL_BUDGET, possible), key="pairs", bind="query-params",
                                 width=140, help=f"Drawn at random of {possible}; each is one evaluation.")  # fmt: skip
        against = st.segmented_control(
            "Against", ("mean", "better"), default="mean", required=True, key="against", bind="query-params",
            help="The mean of the two ends, as in the paper, or the better of them, which one would else use.",
        )  # fmt: skip
    with page.errors_shown():
        gram = sc.gram(here.zoo, here.evaluator("held_out").store)
        job = work.job_of(here, work.task(here, "pairs", budget=int(budget)), "Evaluate the pairs")
    if job is None:
        st.markdown(f"**Nothing is known of {int(budget)} pairs yet; the work goes on when you leave the page.**")
        return

    def show(progress: Progress) -> None:
        found: tuple[sc.PairAdvantage, ...] = progress.steps
        if not found:
            st.info("Here each pair will be a point.")
            return
        page.chart(
            advantage_scatter(found, against=against), "advantage",
            f"What averaging gains in {len(found)} pairs against the angle between them.", _open,
        )  # fmt: skip
        barriers = [PairBarrier(pair.a, pair.b, Barrier(0.5, max(0.0, -pair.over_mean.difference))) for pair in found]
        page.chart(
            pair_heatmap(names, barrier_matrix(names, barriers), clustered_order(names, angles(gram)),
                         quantity="barrier"),
            "barriers", f"Error barrier at the middle of {len(found)} pairs; the others are empty.", _open,
        )  # fmt: skip
        gains = [pair.over_mean if against == "mean" else pair.over_better for pair in found]
        sure, lost = sum(gain.low > 0 for gain in gains), sum(gain.high < 0 for gain in gains)
        st.markdown(
            f"**In {sure} of {len(found)} pairs the average is better than the {against} of its two beyond chance, in "
            f"{lost} it is worse; click a pair to walk between the two.**"
        )

    work.follow(job, int(budget), "Evaluating pairs", show)


def _open(event: Event) -> None:
    """A clicked pair becomes the two ends of the line."""
    if event["kind"] != "click" or not event["points"]:
        return
    a, b, *_ = event["points"][0]["customdata"]
    if a != b:
        st.session_state.update({"a": a, "b": b, "view": "Line"})
