"""Which ingredients are in the soup, by name: pills, or where there are too many of these a list that can be searched."""

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing
from pages.shared.context import Context
from pages.views.ingredients.selection import choose
from soup_core.formatting import labels, visible

PILLS = 60  # more would be a wall that nobody reads; a list is searched by typing
EMPTY = address.of_zoo("empty")  # where code has emptied the selection, of which Streamlit puts nothing in the address
GREEDYS = address.of_zoo("greedys")  # asked for by its button, and found before the list is drawn


def is_searched(zoo: sc.Zoo) -> bool:
    """Whether a zoo's names are chosen in a list, since there are too many for pills."""
    return len(zoo.names) > PILLS


def draw(context: Context) -> list[str]:
    """Draw the chooser; gives the chosen names in the zoo's order."""
    zoo, state = context.zoo, st.session_state
    if state.pop(GREEDYS, False):
        with drawing.waiting("Searching the greedy soup"):
            *_, last = sc.greedy_soup(zoo, context.evaluator("held_out"))
        choose(zoo, last.soup.names)
    default = [] if EMPTY in st.query_params else list(zoo.names)
    reasons = {excluded.name: f"is left out: {excluded.reason}" for excluded in zoo.excluded}
    if is_searched(zoo):
        address.named_in_address("in", zoo.names, reasons, visible)
        chosen = st.multiselect(
            f"In the soup, of {len(zoo.names)}",
            list(zoo.names),
            default=default,
            **address.bound("in", of_zoo=True),
            format_func=labels(zoo.names, visible),
            placeholder="Type to find a name",
        )
    else:
        address.named_in_address("in", zoo.names, reasons)
        chosen = st.pills(
            "In the soup",
            list(zoo.names),
            selection_mode="multi",
            default=default,
            **address.bound("in", of_zoo=True),
            format_func=labels(zoo.names),
        )
    address.tell_address(EMPTY, None if chosen else "true")
    return sorted(chosen, key=zoo.position.__getitem__)


def greedys_button(zoo: sc.Zoo) -> None:
    """Where names are searched: a button that chooses greedy's."""
    if is_searched(zoo):
        st.button("Greedy's", on_click=_ask_for_greedys, help="Only those that the greedy soup takes.")


def _ask_for_greedys() -> None:
    st.session_state[GREEDYS] = True
