"""Robustness of a zoo of outputs: models and ensembles under the given shifts, their calibration, and what changed."""

from collections.abc import Callable

import streamlit as st

import soup_core as sc
from pages.shared import address, caching, drawing
from pages.shared.outputs import Outputs
from pages.views.outputs.changes import draw as draw_changes
from soup_core import charts
from soup_core.evaluation import Estimate
from soup_core.formatting import interval, plain, points, significance

LABELS = {"best": "Best single", "greedy-ensemble": "Greedy ensemble", "ensemble": "Ensemble of all"}


def draw(outputs: Outputs) -> None:
    """Choose what to look at, and draw it."""
    views: dict[str, Callable[[Outputs], None]] = {
        "Figure": _figure,
        "Shifts": _shifts,
        "Calibration": _calibration,
        "What changed": draw_changes,
    }
    view = st.segmented_control(
        "View", list(views), default="Figure", required=True, **address.bound("view", of_zoo=False, of_page=True)
    )
    if view in ("Figure", "Shifts") and not outputs.zoo.shifts:
        st.info("Give outputs under shifts as shift.NAME.logits, and labels as shift.NAME.labels, and they stand here.")
        st.markdown("**This zoo has no outputs on shifted images.**")
        return
    with drawing.waiting("Comparing models and ensembles"):
        views[view](outputs)


def _numbers(what: str, cells: dict[str, tuple[str, str | None, str]]) -> None:
    st.caption(what)
    for column, (role, label) in zip(st.columns(len(LABELS)), LABELS.items(), strict=True):
        value, beneath, explanation = cells[role]
        column.metric(label, value, beneath, delta_color="off", delta_arrow="off", help=explanation)


def _figure(outputs: Outputs) -> None:
    entries = caching.robustness_of_outputs(outputs.zoo_key)
    leading = {each.member.role: each for each in entries if each.member.role in LABELS}
    best, greedy = leading["best"], leading["greedy-ensemble"]
    _numbers(
        f"Mean accuracy over {len(best.names)} shifts; beneath, points over the best single",
        {
            role: (
                f"{100 * entry.mean.value:.2f} %",
                None if entry is best else _percents(entry.lead(best)),
                f"{_percents(entry.mean)}, a 95 % bootstrap interval; without shift {charts.percent(entry.test)}.",
            )
            for role, entry in leading.items()
        },
    )
    drawing.chart(
        charts.robustness_figure(entries),
        "figure",
        f"Mean accuracy over {len(best.names)} shifts against test accuracy, {len(entries)} models and ensembles.",
    )
    lead = greedy.lead(best)
    st.markdown(
        f"**Under shift the greedy ensemble differs from the best single model by {points(lead)}, {significance(lead)}; without "
        f"shift by {points(sc.compare(greedy.test, best.test))}.**"
    )


def _shifts(outputs: Outputs) -> None:
    entries = caching.robustness_of_outputs(outputs.zoo_key)
    leading = {each.member.role: each for each in entries if each.member.role in LABELS}
    drops = {role: entry.relative_drop() for role, entry in leading.items()}
    _numbers(
        "Share of test accuracy lost, mean over shifts",
        {
            role: (
                f"{100 * drop.value:.2f} %",
                interval(drop),
                "The share of its clean test accuracy that shifts take.",
            )
            for role, drop in drops.items()
        },
    )
    shown = list(leading.values())
    drawing.chart(charts.severity_curves(shown), "curves", "Accuracy against severity, a small chart a shift.")
    drawing.chart(charts.relative_drops(shown), "drops", "The share of clean accuracy that each shift takes.")
    best, greedy = leading["best"], leading["greedy-ensemble"]
    worst = max(greedy.names, key=lambda name: greedy.relative_drop(name).value)
    st.markdown(
        f"**Most is lost under {plain(worst)}: the greedy ensemble loses {_percents(greedy.relative_drop(worst))} of its clean "
        f"accuracy, the best single model {_percents(best.relative_drop(worst))}.**"
    )


def _calibration(outputs: Outputs) -> None:
    measured = caching.calibrations_of_outputs(outputs.zoo_key)
    leading = {each.member.role: each for each in measured if each.member.role in LABELS}
    _numbers(
        "Calibration error on the test images",
        {
            role: (
                f"{100 * each.error.value:.2f} %" if each.bins else "–",
                interval(each.error) if each.bins else None,
                f"Confidence and accuracy lie so far apart, mean over 15 bins of equally many images; 95 % bootstrap interval. "
                f"On average it is {100 * each.excess_confidence:+.2f} points surer than right."
                if each.bins
                else "Its outputs are not finite, so it has no calibration.",
            )
            for role, each in leading.items()
        },
    )
    drawing.chart(
        charts.reliability_diagram(measured),
        "reliability",
        f"Accuracy against confidence of {len(measured)} models and ensembles.",
    )
    if not all(each.bins for each in leading.values()):
        st.markdown("**Outputs that are not finite have no calibration.**")
        return
    ensemble, best = leading["ensemble"], leading["best"]
    sure = "less sure than right" if ensemble.excess_confidence < 0 else "surer than right"
    st.markdown(
        f"**The calibration error of the ensemble of all is {_percents(ensemble.error)}, the best single model's "
        f"{_percents(best.error)}; the ensemble is {sure}, by {abs(100 * ensemble.excess_confidence):.2f} points.**"
    )


def _percents(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.2f}\u00a0% ({interval(estimate)})"
