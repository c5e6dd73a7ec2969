"""Interpolation: the line between two models, the plane through three, and what averaging gains in many pairs."""

import streamlit as st

from pages.shared import address, page
from pages.views.interpolation import clicked_mix, line, pairs, plane

context = page.begin(
    "Interpolation",
    "Walk in a straight line from one set of weights to another: alpha 0 is the first, 1 the second, ½ their average.",
)
zoo, state = context.zoo, st.session_state
options = context.options
reasons = {excluded.name: f"is left out: {excluded.reason}" for excluded in zoo.excluded}
for key in ("a", "b", "c"):
    address.named_in_address(key, tuple(options), reasons)


def to_zoo(name: str) -> None:
    address.forget_choices()
    state["zoo"] = name


def swap() -> None:
    state["a"], state["b"] = state["b"], state["a"]


view = st.segmented_control(
    "View",
    ("Line", "Plane", "Many pairs"),
    default="Line",
    required=True,
    **address.bound("view", of_zoo=False, of_page=True),
)
if view == "Many pairs":
    address.tell_address(clicked_mix.AT, None)
    pairs.draw(context)
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom"):
    a = st.selectbox("From", options, 0, **address.bound("a", of_zoo=True))
    b = st.selectbox("To", options, min(1, len(options) - 1), **address.bound("b", of_zoo=True))
    if view == "Plane":
        c = st.selectbox("And", options, min(2, len(options) - 1), **address.bound("c", of_zoo=True))
    st.button("Swap", on_click=swap, icon=":material/swap_horiz:")
    for other, text in (("fashion-scratch", "Strangers, for contrast"), ("fashion", "Fine-tunings of one base")):
        if zoo.name != other and other in context.folders.zoos:
            st.button(text, on_click=to_zoo, args=(other,))
            break
clicked_mix.draw_taken(context)
if view == "Line":
    line.draw(context, a, b)
else:
    plane.draw(context, (a, b, c))
