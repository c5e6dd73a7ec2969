"""Many pairs: what averaging two models gains, against the angle between them, and the walls between pairs."""

from collections.abc import Sequence
from statistics import fmean

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, work
from pages.shared.context import Context
from pages.shared.live_chart import Event
from soup_core.analysis.interpolation import Barrier
from soup_core.analysis.pairs import SEED, PairBarrier, barrier_matrix
from soup_core.charts.geometry import advantage_scatter, pair_heatmap
from soup_core.formatting import labels, plain
from soup_core.jobs import Progress
from soup_core.weight_space.gram import angles
from soup_core.weight_space.maps import clustered_order

USUAL_BUDGET = 40
ALL = "all that differ"
OPENED = "pairs:opened"


def draw(context: Context) -> None:
    """Evaluate the middle of a budgeted sample of pairs."""
    names = context.zoo.names
    possible = len(names) * (len(names) - 1) // 2
    if not possible:
        st.markdown("**A pair needs two ingredients, and this zoo has one.**")
        return
    keys = [ALL, *telling(context.zoo)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        budget = st.number_input(
            "Pairs",
            1,
            possible,
            min(USUAL_BUDGET, possible),
            **address.bound("pairs", of_zoo=True, of_page=True),
            width=140,
            help=f"Drawn at random of {possible}; each is one evaluation.",
        )
        against = st.segmented_control(
            "Against",
            ("mean", "better"),
            default="mean",
            required=True,
            **address.bound("against", of_zoo=False),
            help="The mean of the two ends, as in the paper, or the better of them, which one would else use.",
        )
        colour = st.selectbox(
            "Colour",
            keys,
            **address.bound("by", of_zoo=True),
            width=220,
            format_func=labels(keys, drawing.spaced),
            help="The hyperparameter in which two models differ, or how "
            "many there are; or whether they differ in one of those that some of the models share.",
        )
    with drawing.waiting("Reading the weights once"):
        gram = sc.gram(context.zoo, context.evaluator("held_out").store)
    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, "pairs", budget=int(budget)), "Evaluate the pairs")
    if job is None:
        st.markdown(f"**Nothing is known of {int(budget)} pairs yet; the work goes on when you leave the page.**")
        return
    by = None if colour == ALL else colour

    def show(progress: Progress) -> None:
        if st.session_state.pop(OPENED, False):
            st.rerun()  # the choosers stand outside of what a click runs again
        evaluated: tuple[sc.PairAdvantage, ...] = progress.steps
        if not evaluated:
            st.info("Here each pair will be a point.")
            return
        drawing.chart(
            advantage_scatter(evaluated, against=against, by=by),
            "advantage",
            f"What averaging gains in {len(evaluated)} pairs against the angle between them.",
            _open,
        )
        barriers = [PairBarrier(pair.a, pair.b, Barrier(0.5, max(0.0, -pair.over_mean.value))) for pair in evaluated]
        drawing.chart(
            pair_heatmap(
                names, barrier_matrix(names, barriers), clustered_order(names, angles(gram)), quantity="barrier"
            ),
            "barriers",
            f"Error barrier at the middle of {len(evaluated)} pairs; the others are empty.",
            _open,
        )
        gains = [pair.over_mean if against == "mean" else pair.over_better for pair in evaluated]
        sure, lost = sum(gain.low > 0 for gain in gains), sum(gain.high < 0 for gain in gains)
        st.markdown(
            f"**In {sure} of {len(evaluated)} pairs the average is better than the {against} of its two beyond chance, in "
            f"{lost} it is worse{_gains_apart(evaluated, against, by)}; click a pair to walk between the two.**"
        )

    work.follow(job, int(budget), "Evaluating pairs", show)


def telling(zoo: sc.Zoo) -> list[str]:
    """The hyperparameters in which some of the ingredients differ and some do not; a seed is not told where others are."""
    keys = dict.fromkeys(key for each in zoo.ingredients for key in each.hyperparameters)
    values = {key: {each.hyperparameters.get(key) for each in zoo.ingredients} for key in keys}
    return [key for key in keys if key != SEED and 1 < len(values[key]) < len(zoo.ingredients)]


def _gains_apart(evaluated: Sequence[sc.PairAdvantage], against: str, by: str | None) -> str:
    """The mean gain of the pairs that differ in a hyperparameter, and of those that do not."""
    gains: dict[bool, list[float]] = {True: [], False: []}
    for pair in evaluated:
        gain = pair.over_mean if against == "mean" else pair.over_better
        gains[by in pair.differing].append(100 * gain.value)
    if by is None or not all(gains.values()):
        return ""
    return (
        f"; the {len(gains[True])} that differ in {plain(by.replace('_', ' '))} gain {fmean(gains[True]):+.2f} points "
        f"in the mean, the other {len(gains[False])} {fmean(gains[False]):+.2f}"
    )


def _open(event: Event) -> None:
    """A clicked pair becomes the two ends of the line."""
    if event["kind"] != "click" or not event["points"]:
        return
    a, b, *_ = event["points"][0]["customdata"]
    if a != b:
        st.session_state.update({"a": a, "b": b, "view": "Line", OPENED: True})
