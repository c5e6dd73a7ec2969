"""Robustness: models on shifted images, their calibration, what changed from one to the other, and what each costs."""

from collections.abc import Callable, Mapping
from math import isnan

import streamlit as st

import soup_core as sc
from pages.shared import drawing, page, work
from pages.views.robustness import changes
from pages.views.robustness import cost as cost_view
from soup_core import charts
from soup_core.analysis.calibration import Calibration
from soup_core.analysis.face_off import recipes_of
from soup_core.analysis.robustness import RobustnessResult, latest, models_of, steps_of
from soup_core.evaluation import Estimate
from soup_core.formatting import interval, plain, points, significance
from soup_core.jobs import Progress

SHOWN = {
    "best": "Best single", "uniform": "Uniform soup", "greedy": "Greedy soup", "learned": "Learned soup",
    "ensemble": "Ensemble",
}  # fmt: skip

NUMBER_WIDTH = 150  # pixels: five beside each other, two on a phone

context = page.begin("Robustness", "What averaging does beyond test accuracy.")
zoo = context.zoo


def told(found: Estimate, unit: str = "\u00a0%", sign: str = "") -> str:
    if isnan(found.value):
        return "not known, since outputs are not finite"
    return f"{100 * found.value:{sign}.2f}{unit} ({interval(found)})"


def numbers(what: str, cells: Mapping[str, tuple[str, str | None, str]]) -> None:
    """What is measured, and of each of the models shown the number, what stands beneath it, and its explanation."""
    st.caption(what)
    with st.container(horizontal=True):
        for role, label in SHOWN.items():
            value, beneath, explanation = cells.get(role, ("…", None, "It stands here once its models were run."))
            st.metric(label, value, beneath, delta_color="off", delta_arrow="off", help=explanation, width=NUMBER_WIDTH)


def followed(recipe: str, total: int, what: str, draw: Callable[[Progress], None]) -> bool:
    """Draw what the job of a recipe has made; say whether it was started."""
    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, recipe), f"{what}: start")
    if job is None:
        st.info("On a zoo of this size it takes a while; it goes on when you leave the page.")
    else:
        work.follow(job, total, what, draw)
    return job is not None


def under_shift(draw: Callable[[tuple[RobustnessResult, ...], dict[str, RobustnessResult]], None]) -> None:
    def drawn(progress: Progress) -> None:
        entries = latest(progress.steps)
        if entries:
            leading = {each.member.role: each for each in entries if each.member.role in SHOWN}
            draw(entries, leading)
        else:
            st.info("Here the models will stand, soups first, once they were run on some images of every shift.")

    followed("robustness", steps_of(zoo), "Running models on shifted images", drawn)


def figure(entries: tuple[RobustnessResult, ...], leading: dict[str, RobustnessResult]) -> None:
    best, greedy = leading["best"], leading["greedy"]
    what = f"Mean accuracy over {len(best.names)} shifts of {best.test.total:,} images"
    numbers(
        f"{what}; beneath, points over the best single",
        {
            role: (
                f"{100 * entry.mean.value:.2f} %",
                None if entry is best else told(entry.lead(best), "", "+"),
                f"{told(entry.mean)}: mean over {len(entry.names)} shifts of {entry.test.total:,} test images; without shift "
                f"{charts.percent(entry.test)}. Beneath, the difference from the best single model on the same images.",
            )
            for role, entry in leading.items()
        },
    )
    drawing.chart(
        charts.robustness_figure(entries),
        "figure",
        f"Mean accuracy over {len(best.names)} shifts against test accuracy, {len(entries)} models.",
    )
    lead = greedy.lead(best)
    because = "since it is that model alone" if greedy.member.soup == best.member.soup else significance(lead)
    st.markdown(
        f"**Under shift greedy soup differs from the best single model by {told(lead, ' points', '+')}, {because}; without "
        f"shift by {points(sc.compare(greedy.test, best.test))}.**"
    )


def shifts(entries: tuple[RobustnessResult, ...], leading: dict[str, RobustnessResult]) -> None:
    best, greedy = leading["best"], leading["greedy"]
    drops = {role: entry.relative_drop() for role, entry in leading.items()}
    numbers(
        "Share of test accuracy lost, mean over shifts",
        {
            role: (
                f"{100 * drop.value:.2f} %",
                interval(drop),
                "The share of its clean test accuracy that shifts take, mean over all; 95 % bootstrap interval.",
            )
            for role, drop in drops.items()
        },
    )
    shown = list(leading.values())
    drawing.chart(charts.severity_curves(shown), "curves", "Accuracy against severity, a small chart a shift.")
    drawing.chart(charts.relative_drops(shown), "drops", "The share of clean accuracy that each shift takes.")
    worst = max(greedy.names, key=lambda name: greedy.relative_drop(name).value)
    st.markdown(
        f"**Most is lost under {plain(worst)}: greedy soup loses {told(greedy.relative_drop(worst))} of its clean "
        f"accuracy, the best single model {told(best.relative_drop(worst))}.**"
    )


def calibration(progress: Progress) -> None:
    found: tuple[Calibration, ...] = progress.steps
    leading = {each.member.role: each for each in found if each.member.role in SHOWN}
    numbers(
        "Calibration error on the test images",
        {
            role: (
                f"{100 * each.error.value:.2f} %",
                interval(each.error),
                "Confidence and accuracy lie so far apart, mean over 15 bins of equally many images; 95 % bootstrap "
                f"interval. On average it is {100 * each.excess_confidence:+.2f} points surer than right.",
            )
            if each.bins
            else ("–", None, "Its outputs are not finite, so it has no calibration.")
            for role, each in leading.items()
        },
    )
    if "greedy" not in leading:
        st.info("Here each model's accuracy will stand against its confidence.")
        return
    drawing.chart(
        charts.reliability_diagram(found), "reliability", f"Accuracy against confidence of {len(found)} models."
    )
    soup, rival = leading["greedy"].error, leading.get("ensemble", leading["best"])
    whose = "the ensemble's" if rival.member.is_ensemble else "the best single model's"
    if isnan(soup.value + rival.error.value):
        verdict = "they cannot be compared"
    elif rival.error.high < soup.low:
        verdict = "here the soup is the worse calibrated" + (", as in the paper" if rival.member.is_ensemble else "")
    elif soup.high < rival.error.low:
        verdict = "here the soup is the better calibrated" + (
            ", unlike in the paper" if rival.member.is_ensemble else ""
        )
    else:
        verdict = "the two intervals overlap"
    st.markdown(f"**Greedy soup's calibration error is {told(soup)}, {whose} {told(rival.error)}: {verdict}.**")


def cost() -> None:
    if not followed(
        "face-off", recipes_of(zoo), "Comparing recipes", lambda made: cost_view.recipes(context, made.steps)
    ):
        with drawing.errors_shown():
            cost_view.numbers(context)


VIEWS: dict[str, Callable[[], object]] = {
    "Figure": lambda: under_shift(figure),
    "Shifts": lambda: under_shift(shifts),
    "Calibration": lambda: followed("calibration", models_of(zoo), "Measuring calibration", calibration),
    "What changed": lambda: changes.draw(context),
    "Cost": cost,
}
view = st.segmented_control("View", list(VIEWS), default="Figure", required=True, key="view", bind="query-params")
VIEWS[view]()
