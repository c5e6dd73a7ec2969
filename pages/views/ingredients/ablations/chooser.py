"""Ablations: which one is drawn, of how many models, which of them, how many held-out images, which hyperparameters."""

from collections.abc import Callable

import streamlit as st

from pages.shared import address
from pages.shared.context import Context
from pages.views.ingredients.ablations import contributions, held_out_size, hyperparameters, number_averaged
from pages.views.ingredients.selection import Selection


def draw(context: Context, chosen: Selection) -> None:
    """Draw the ablation that is asked for; no other is computed."""
    asked = st.segmented_control(
        "Ablation",
        list(VIEWS),
        default="How many",
        required=True,
        **address.bound("ablation", of_zoo=False),
        help="An ablation changes one thing and looks at what that does. "
        + " ".join(f"**{name}**: {text}" for name, (text, _) in VIEWS.items()),
    )
    text, view = VIEWS[asked]
    st.caption(text)
    if chosen.batch_norm != "averaged":
        st.caption("Here with averaged BatchNorm statistics.")
    view(context, chosen)


VIEWS: dict[str, tuple[str, Callable[[Context, Selection], None]]] = {
    "How many": (
        "Averages of the first k models. Click one to choose these, or a model alone to toggle it; filled ones are in.",
        number_averaged.draw,
    ),
    "Leave one out": ("The selection without each of its ingredients in turn; a click takes one out.", contributions.without_each),
    "Shapley": (
        "What each adds, averaged over all orders. Filled bars are in the soup; a click toggles one.", contributions.what_each_adds,
    ),
    "Held-out size": ("How much the images that chose a greedy soup flatter it: the selection gap.", held_out_size.draw),
    "Hyperparameters": (
        "A line an ingredient, grey outside the soup. Drag along an axis to choose; click a brush to take it away.", hyperparameters.draw,
    ),
}  # fmt: skip
