"""A mix that was clicked, on a line or a plane: what is in it, what it scores, and taking it along."""

from collections.abc import Collection, Mapping

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, scores
from pages.shared.context import TAKEN, Context
from soup_core import charts
from soup_core.formatting import plain, score

AT = address.of_zoo("at")


def click(through: tuple[str, ...], *position: float) -> None:
    """Remember a click on the line or the plane through some options: alpha, or x and y."""
    st.session_state[AT] = through, position


def clicked(through: tuple[str, ...], positions: Collection[tuple[float, ...]] = ()) -> tuple[float, ...] | None:
    """Where the line or the plane through these options was clicked last, if that was the one; the address says so too.

    Of what an address says, only one of the `positions` that can be clicked is taken.
    """
    state, asked = st.session_state, st.query_params.get_all(AT)
    if asked and AT not in state and (position := next((each for each in positions if _written(each) == asked), None)):
        state[AT] = through, position
    clicked_through, position = state.get(AT, ((), ()))
    current: tuple[float, ...] | None = position if clicked_through == through else None
    address.tell_address(AT, _written(current) if current else None)
    return current


def _written(position: tuple[float, ...]) -> list[str]:
    return [repr(each) for each in position]


def offer(context: Context, shares: Mapping[str, float], soup: sc.Soup, evaluate: sc.Evaluator, judged: str) -> None:
    """What a clicked mix of options is, its accuracy, and the soup to keep as a file or to take along."""
    with drawing.errors_shown():
        evaluation = evaluate(soup)
    left, right = st.columns([1, 2])
    label = scores.label(f"This mix, {judged}", evaluation)
    left.metric(label, score(evaluation), help=charts.counts(evaluation))
    right.markdown(in_words(shares))
    with right.container(horizontal=True):
        if st.button("Take it as a soup", type="primary", help=f"It then is the “{TAKEN}” wherever a soup is chosen."):
            context.take(shares)
            st.rerun()
        st.download_button(
            "Download it",
            soup.to_json(),
            "soup.json",
            "application/json",
            on_click="ignore",
            help="A file that `python -m soup_core evaluate ZOO --soup FILE` reads.",
        )


def in_words(shares: Mapping[str, float]) -> str:
    """The shares in words."""
    return ", ".join(f"{share:.2f} × {plain(option)}" for option, share in shares.items())


def draw_taken(context: Context) -> None:
    """What has been taken, its accuracy, and letting it go."""
    if context.taken is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        with drawing.waiting("Evaluating the taken mix"):
            evaluation = context.evaluator("held_out")(context.soup_of(TAKEN))
        st.markdown(
            f"The {TAKEN}, {in_words(context.taken.coefficients)}: {score(evaluation)}{scores.of_metric(evaluation.metric)} of "
            f"{evaluation.total:,} held-out images.",
            width="content",
        )
        st.button("Drop it", on_click=address.drop_taken, icon=":material/close:")
