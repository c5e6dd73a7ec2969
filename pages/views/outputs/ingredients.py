"""Ingredients of a zoo of outputs: an ensemble of chosen models, and where the models' predictions differ."""

import math
from functools import partial

import numpy as np
import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, scores
from pages.shared.outputs import Outputs
from pages.views.ingredients.map import draw_pairs
from pages.views.ingredients.names import PILLS
from pages.views.ingredients.selection import choose, toggle_clicked
from soup_core import charts
from soup_core.analysis.pairs import disagreement, predictions
from soup_core.evaluation import best_first, compare_values
from soup_core.formatting import labels, plain, score, score_change, score_of, significance, visible
from soup_core.recipes.ensemble import AVERAGES, ensemble
from soup_core.recipes.greedy_ensemble import greedy_ensemble

VIEWS = ("Mix", "Disagreement")


def draw(outputs: Outputs) -> None:
    """Choose the members, show their ensemble's number, then the models or where they differ."""
    zoo, held_out = outputs.zoo, outputs.evaluator("held_out")
    number = st.container()
    selected = _chosen(outputs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("All", on_click=choose, args=(zoo, zoo.names))
        st.button("None", on_click=choose, args=(zoo, []))
        st.button("Greedy's", on_click=_greedys, args=(outputs,), help="Only those that the greedy ensemble takes.")
        average = st.segmented_control(
            "Average",
            AVERAGES,
            default=AVERAGES[0],
            required=True,
            **address.bound("average", of_zoo=False),
            help="What is averaged of the members: probabilities, or logits.",
        )
    view = st.segmented_control(
        "View", VIEWS, **address.bound("view", of_zoo=False, of_page=True), required=True, default="Mix"
    )
    singles = held_out.singles()
    order = best_first(singles)
    evaluation = None
    with number, drawing.waiting("Averaging outputs"):
        if selected:
            evaluation = ensemble(held_out, selected, average=average)
            _numbers(outputs, selected, evaluation, singles, average)
        else:
            st.info("Nothing is in the ensemble yet. Put a model in, and its accuracy stands here.")
    if view == "Disagreement":
        _differences(outputs, order)
        return
    drawing.chart(
        charts.ingredient_points(singles, selected, soup=evaluation, whole="ensemble"),
        "points",
        f"Held-out accuracy of {len(order)} models, best first; those in the ensemble are filled.",
        partial(toggle_clicked, zoo),
    )
    if evaluation is None:
        st.markdown("**An ensemble of no model says nothing.**")
        return
    comparison = compare_values(evaluation, singles[order[0]])
    many = "1 model" if len(selected) == 1 else f"{len(selected)} models"
    st.markdown(
        f"**Against the best single model, {plain(order[0])}, the ensemble of {many} differs by "
        f"{scores.by_name(comparison, evaluation.metric)} on the "
        f"held-out images, {significance(comparison)}.**"
    )


def _chosen(outputs: Outputs) -> list[str]:
    zoo = outputs.zoo
    is_searched = len(zoo.names) > PILLS
    reasons = {excluded.name: f"is left out: {excluded.reason}" for excluded in zoo.excluded}
    address.named_in_address("in", zoo.names, reasons, visible if is_searched else plain)
    if is_searched:
        shown = labels(zoo.names, visible)
        chosen = st.multiselect(
            f"In the ensemble, of {len(zoo.names)}",
            zoo.names,
            zoo.names,
            format_func=shown,
            **address.bound("in", of_zoo=True),
        )
    else:
        shown = labels(zoo.names)
        chosen = st.pills(
            "In the ensemble",
            zoo.names,
            selection_mode="multi",
            default=zoo.names,
            format_func=shown,
            **address.bound("in", of_zoo=True),
        )
    return sorted(chosen, key=zoo.position.__getitem__)


def _greedys(outputs: Outputs) -> None:
    *_, last = greedy_ensemble(outputs.zoo, outputs.evaluator("held_out"))
    choose(outputs.zoo, last.soup.names)


def _numbers(
    outputs: Outputs, selected: list[str], evaluation: sc.Evaluation, singles: dict[str, sc.Evaluation], average: str
) -> None:
    best = best_first(singles)[0]
    metric, comparison = evaluation.metric, compare_values(evaluation, singles[best])
    mean = float(np.mean([singles[name].value for name in selected]))
    in_the_ensemble = sc.Estimate(evaluation.value - mean, math.nan, math.nan)
    first, second, third, fourth = st.columns(4)
    first.metric(
        scores.label("Your ensemble, held-out", evaluation),
        score(evaluation),
        scores.short_change(comparison, metric),
        delta_color=scores.tone(comparison, metric),
        help=f"{charts.counts(evaluation)}. Against the best single model, {plain(best)}: {score_change(comparison, metric)}, a 95 % "
        "interval.",
    )
    second.metric(
        "Their mean",
        score_of(mean, metric),
        f"{scores.short_change(in_the_ensemble, metric).removesuffix(' points')} in the ensemble",
        delta_color="off",
        help=f"The mean held-out {metric.name} of the members, one by one.",
    )
    third.metric(
        "Calibration error", f"{100 * evaluation.ece:.2f} %", help="On the held-out images, in 15 bins of equal mass."
    )
    asked = fourth.toggle(
        "Test accuracy",
        **address.bound("test", of_zoo=False, of_page=True),
        help="The test images are for reporting; choosing by them would flatter the ensemble.",
    )
    if asked:
        reported = ensemble(outputs.evaluator("test"), selected, average=average)
        fourth.metric(scores.label("Your ensemble, test", reported), score(reported), help=charts.counts(reported))


def _differences(outputs: Outputs, order: list[str]) -> None:
    if len(order) < 2:
        st.info("Where predictions differ stands here once a zoo has two models.")
        return
    said = list(predictions(outputs.evaluator("held_out")))
    sentence = draw_pairs([each.name for each in said], disagreement(said), order, "disagreement")
    st.markdown(f"**Models that are wrong on different images make the better ensemble. {sentence}**")
