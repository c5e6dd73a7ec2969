"""Interpolation: accuracy and loss on the line between two models, inside and beyond."""

import streamlit as st

import soup_core as sc
from pages.shared import page
from soup_core import charts
from soup_core.interpolation import ALPHAS

here = page.begin(
    "Interpolation",
    "Walk in a straight line from one set of weights to another: alpha 0 is the first, 1 the second, ½ their average.",
)
zoo, state = here.zoo, st.session_state
options = [*zoo.names, *([sc.BASE] if zoo.base else []), page.UNIFORM, page.GREEDY]
reasons = {excluded.name: f"is left out: {excluded.reason}" for excluded in zoo.excluded}
for key in ("a", "b"):
    page.named_in_address(key, tuple(options), reasons)


def to_zoo(name: str) -> None:
    page.forget_choices()
    state["zoo"] = name


def swap() -> None:
    state["a"], state["b"] = state["b"], state["a"]


with st.container(horizontal=True, vertical_alignment="bottom"):
    a = st.selectbox("From", options, 0, key="a", bind="query-params")
    b = st.selectbox("To", options, min(1, len(options) - 1), key="b", bind="query-params")
    st.button("Swap", on_click=swap, icon=":material/swap_horiz:")
    for other, text in (("fashion-scratch", "Strangers, for contrast"), ("fashion", "Fine-tunings of one base")):
        if zoo.name != other and other in sc.zoo_folders():
            st.button(text, on_click=to_zoo, args=(other,))
            break
if a == b:
    st.info("Both ends are the same model. Choose two different ones to see the line between them.")
    st.stop()

with page.errors_shown():
    soup_a, soup_b = here.soup_of(a), here.soup_of(b)
    evaluate = here.evaluator("held_out")
number, chart, sentence = st.empty(), st.container(), st.empty()
found: list[sc.LinePoint] = []
with page.errors_shown():
    for point in sc.line(evaluate, soup_a, soup_b):
        found.append(point)
        sentence.caption(f"Evaluating the line: {len(found)} of {len({0.0, 1.0, *ALPHAS})} points")
barrier = sc.error_barrier(found)
with chart:
    for column, quantity in zip(st.columns(2), ("accuracy", "loss"), strict=True):
        with column:
            page.chart(
                charts.line_chart(found, quantity=quantity, name_a=a, name_b=b, barrier=barrier), quantity,
                f"Held-out {quantity} from {a} to {b} at {len(found)} values of alpha.",
            )  # fmt: skip

by_alpha = {point.alpha: point.evaluation for point in found}
middle, ends = by_alpha[0.5], [by_alpha[0.0], by_alpha[1.0]]
better_end = max(ends, key=lambda evaluation: evaluation.correct)
comparison = sc.compare(middle, better_end)
with number.container():
    first, second, third = st.columns(3)
    first.metric("The middle, alpha ½", charts.percent(middle), help=charts.counts(middle))
    second.metric("Against the better end", f"{100 * comparison.difference:+.2f} points",
                  help=f"95 % interval: {page.points(comparison)}")  # fmt: skip
    third.metric("Error barrier", f"{100 * barrier.height:.2f} points", help="How far the error rises above a straight "
                 "line between the two ends' errors (Frankle et al. 2020).")  # fmt: skip
broken = [point.alpha for point in found if point.evaluation.not_finite]
if broken:
    st.warning(
        f"At alpha {', '.join(f'{alpha:g}' for alpha in sorted(broken))} some outputs are not finite; beyond the ends a "
        "BatchNorm variance can turn negative. Those images count as wrong."
    )
names = f"{page.plain(a)} and {page.plain(b)}"
if barrier.height > 0.05:
    meaning = f"Between {names} accuracy collapses by {100 * barrier.height:.1f} points: they do not share a valley."
elif comparison.low > 0:
    meaning = f"The average of {names} beats both on the held-out images, by {page.points(comparison)} over the better."
else:
    meaning = (
        f"Between {names} there is no wall; the middle differs from the better end by {page.points(comparison)}, "
        "within what chance explains."
    )
sentence.markdown(f"**{meaning}**")
