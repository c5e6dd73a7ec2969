"""Models under shift: their mean over all shifts against test accuracy, and shift by shift with severity."""

import streamlit as st

import soup_core as sc
from pages.shared import drawing
from pages.views.robustness.numbers import draw_numbers, in_words
from soup_core import charts
from soup_core.analysis.robustness import RobustnessResult
from soup_core.formatting import interval, plain, points, significance

Results = tuple[RobustnessResult, ...]


def figure(entries: Results, leading: dict[str, RobustnessResult]) -> None:
    """Draw every model; `leading` are those whose numbers stand above, by role."""
    best, greedy = leading["best"], leading["greedy"]
    what = f"Mean accuracy over {len(best.names)} shifts of {best.test.total:,} images"
    draw_numbers(
        f"{what}; beneath, points over the best single",
        {
            role: (
                f"{100 * entry.mean.value:.2f} %",
                None if entry is best else in_words(entry.lead(best), "", "+"),
                f"{in_words(entry.mean)}: mean over {len(entry.names)} shifts of {entry.test.total:,} test images; without shift "
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
        f"**Under shift greedy soup differs from the best single model by {in_words(lead, ' points', '+')}, {because}; without "
        f"shift by {points(sc.compare(greedy.test, best.test))}.**"
    )


def shifts(entries: Results, leading: dict[str, RobustnessResult]) -> None:
    """Draw what each shift takes from the models of `leading`."""
    best, greedy = leading["best"], leading["greedy"]
    drops = {role: entry.relative_drop() for role, entry in leading.items()}
    draw_numbers(
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
        f"**Most is lost under {plain(worst)}: greedy soup loses {in_words(greedy.relative_drop(worst))} of its clean "
        f"accuracy, the best single model {in_words(best.relative_drop(worst))}.**"
    )
