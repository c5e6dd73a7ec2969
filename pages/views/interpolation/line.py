"""The line between two models: accuracy and loss along it, the ensemble of its ends, and the error barrier."""

import time
from collections.abc import Collection
from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, scores
from pages.shared.context import Context
from pages.shared.live_chart import Event
from pages.views.interpolation import clicked_mix
from soup_core import charts
from soup_core.analysis.interpolation import ALPHAS, ensemble_line
from soup_core.evaluation import Metric, compare_values
from soup_core.formatting import plain, score, score_change, significance

MIDDLE = "The middle, alpha ½"
PATIENCE_SECONDS = 0.5  # a line that is known is drawn sooner, and at once


def draw(context: Context, a: str, b: str) -> None:
    """Evaluate the line from `a` to `b` and say what lies between them."""
    splits = {"held-out": "held_out", **{shift: f"test:{shift}" for shift in context.zoo.data.shifts()}}
    judged = st.selectbox(
        "Judged on",
        list(splits),
        **address.bound("judged", of_zoo=True),
        width=240,
        help="The held-out images, or the test images under a distribution shift: other images than the models know.",
    )
    number, chart, clicked, warned, sentence = st.empty(), st.container(), st.container(), st.container(), st.empty()
    points_on_line: list[sc.LinePoint] = []
    with drawing.waiting("Making the two ends"):
        soup_a, soup_b = context.soup_of(a), context.soup_of(b)
    if soup_a == soup_b:
        sentence.markdown("**Both ends are the same model, and so is all between them; choose two different ones.**")
        return
    with drawing.errors_shown():
        evaluate, began = context.evaluator(splits[judged]), time.monotonic()
        for point in sc.line(evaluate, soup_a, soup_b):
            points_on_line.append(point)
            if point.alpha == 0.5 and time.monotonic() - began > PATIENCE_SECONDS:  # the others will take a while too
                number.metric(
                    scores.label(MIDDLE, point.evaluation),
                    score(point.evaluation),
                    help=charts.counts(point.evaluation),
                )
            sentence.caption(f"Evaluating the line: {len(points_on_line)} of {len({0.0, 1.0, *ALPHAS})} points")
        ensemble = list(ensemble_line(evaluate, soup_a, soup_b))
    by_alpha = {point.alpha: point.evaluation for point in points_on_line}
    barrier = sc.error_barrier(points_on_line)
    with chart:
        for column, quantity in zip(st.columns(2), scores.quantities(by_alpha[0.5].metric), strict=False):
            with column:
                drawing.chart(
                    charts.line_chart(
                        points_on_line,
                        quantity=quantity,
                        name_a=a,
                        name_b=b,
                        barrier=barrier,
                        ensemble=ensemble,
                        images=judged,
                    ),
                    quantity,
                    f"{judged} {quantity} from {a} to {b} at {len(points_on_line)} values of alpha.",
                    partial(_click, a, b, by_alpha),
                )
    with clicked:
        if at := clicked_mix.clicked((a, b), [(alpha,) for alpha in by_alpha]):
            (alpha,) = at
            clicked_mix.offer(
                context, {a: 1 - alpha, b: alpha}, sc.interpolate(soup_a, soup_b, alpha), evaluate, judged
            )
        else:
            st.caption("Click a point of the line to read the mix that it stands for, and to take it along.")
    middle, mixed = by_alpha[0.5], next(point.evaluation for point in ensemble if point.alpha == 0.5)
    better_end = max((by_alpha[0.0], by_alpha[1.0]), key=lambda evaluation: evaluation.standing)
    metric, comparison = middle.metric, compare_values(middle, better_end)
    with number.container(horizontal=True, gap="medium"):
        st.metric(scores.label(MIDDLE, middle), score(middle), help=charts.counts(middle), width="content")
        st.metric(
            "Against the better end",
            scores.short_change(comparison, metric),
            width="content",
            help=f"95 % interval: {score_change(comparison, metric)}",
        )
        st.metric(
            "Error barrier",
            f"{100 * barrier.height:.2f} points",
            width="content",
            help="How far the error rises above a straight line between the two ends' errors (Entezari et al. 2022).",
        )
        st.metric(
            "Ensemble of the two",
            score(mixed),
            width="content",
            help=f"{charts.counts(mixed)}; both models run, their probabilities averaged. The middle "
            f"differs from it by {score_change(compare_values(middle, mixed), metric)}.",
        )
    if broken := [point.alpha for point in points_on_line if point.evaluation.not_finite]:
        warned.warning(
            f"At alpha {', '.join(f'{alpha:g}' for alpha in sorted(broken))} some outputs are not finite; beyond the "
            "ends a BatchNorm variance can turn negative. Those images count as wrong."
        )
    if sc.BASE in (a, b):
        inside = [point for point in points_on_line if 0 <= point.alpha <= 1]
        best = max(inside, key=lambda point: (point.evaluation.standing, point.alpha if b != sc.BASE else -point.alpha))
        warned.info(
            f"One end is the base, so this line is that of WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): the best "
            f"of these points is alpha {best.alpha:g} with {score(best.evaluation)}{scores.of_metric(metric)}."
        )
    sentence.markdown(f"**{_meaning(a, b, barrier, comparison, judged, metric)}**")


def _click(a: str, b: str, alphas: Collection[float], event: Event) -> None:
    """A click on an alpha reads the mix there."""
    for point in event["points"] if event["kind"] == "click" else ():
        if point["x"] in alphas:
            clicked_mix.click((a, b), float(point["x"]))


def _meaning(a: str, b: str, barrier: sc.Barrier, comparison: sc.Estimate, judged: str, metric: Metric) -> str:
    names, images = f"{plain(a)} and {plain(b)}", f"{plain(judged)} images"
    if not barrier.connected:
        return f"Between {names} accuracy falls by {100 * barrier.height:.1f} points: a wall lies between them."
    if scores.is_gain(comparison, metric):
        gain = scores.by_name(comparison, metric)
        return f"The average of {names} beats both on the {images}, by {gain} over the better."
    return (
        f"Between {names} there is no wall; the middle differs from the better end by {scores.by_name(comparison, metric)}, "
        f"{significance(comparison)}."
    )
