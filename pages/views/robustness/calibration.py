"""Calibration on the test images: how far each model's confidence lies from its accuracy."""

from math import isnan

import streamlit as st

from pages.shared import drawing
from pages.views.robustness.numbers import SHOWN, draw_numbers, in_words
from soup_core import charts
from soup_core.analysis.calibration import Calibration
from soup_core.formatting import interval
from soup_core.jobs import Progress


def draw(progress: Progress) -> None:
    """Draw the models measured so far, and how greedy soup compares with its rival."""
    measured: tuple[Calibration, ...] = progress.steps
    leading = {each.member.role: each for each in measured if each.member.role in SHOWN}
    draw_numbers(
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
        charts.reliability_diagram(measured), "reliability", f"Accuracy against confidence of {len(measured)} models."
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
    st.markdown(f"**Greedy soup's calibration error is {in_words(soup)}, {whose} {in_words(rival.error)}: {verdict}.**")
