"""What the address says, which is all that a link to a view carries: declared where its control is drawn.

A control that a link carries takes `**address.bound(key, …)`, which says when its choice is forgotten. What no control is
bound to is declared with `of_zoo` and told with `tell_address`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

import streamlit as st

from pages.shared import session
from pages.shared.context import TAKEN
from soup_core.formatting import labels, plain

# Keys that were declared, in this process. A page declares its own before a session can hold anything under them.
_bound_of_zoo: set[str] = set()
_bound_of_page: set[str] = set()
_unbound_of_zoo: set[str] = set()


class Bound(TypedDict):
    """What makes a control one that the address holds."""

    key: str
    bind: Literal["query-params"]


def bound(key: str, *, of_zoo: bool, of_page: bool = False) -> Bound:
    """Bind a control to a key of the session and of the address.

    With `of_zoo` its choice goes back to the default where another zoo is chosen, of which it may say nothing; with
    `of_page` where another page is opened, on which the same word asks for something else.
    """
    if of_zoo:
        _bound_of_zoo.add(key)
    if of_page:
        _bound_of_page.add(key)
    return {"key": key, "bind": "query-params"}


def of_zoo(key: str) -> str:
    """Declare a key of the session that no link binds to a control, to be forgotten where another zoo is chosen."""
    _unbound_of_zoo.add(key)
    return key


def forget_choices() -> None:
    """Another zoo has other ingredients: choices made among the last one's go back to their defaults."""
    drop_taken()
    for key in sorted(_unbound_of_zoo):
        tell_address(key, None)
    st.session_state[session.STALE] = {key: st.query_params.get_all(key) for key in st.query_params}
    forget_state()


def forget_state() -> None:
    """Forget choices made among another zoo's ingredients, where the address already says what is chosen of this one."""
    for key in (*_bound_of_zoo, *_unbound_of_zoo, session.TAKEN):
        st.session_state.pop(key, None)


def forget_page() -> None:
    """Another page is opened: forget what is chosen under words that ask for something else on it."""
    for key in sorted(_bound_of_page):
        st.session_state.pop(key, None)


def drop_taken() -> None:
    """Let the taken mix go, also where it is chosen."""
    state = st.session_state
    state.pop(session.TAKEN, None)
    st.query_params.pop("taken", None)
    for key in sorted(_bound_of_zoo):
        if state.get(key) == TAKEN:
            del state[key]
            state.setdefault(session.STALE, {})[key] = st.query_params.get_all(key)


@st.fragment(run_every=0.2)
def put_into_address() -> None:
    """Let the browser take into its address what the sidebar says, which it does late after a change of page."""
    # It takes a value set from here only with a run that it asks for.
    if st.session_state.pop(session.ADDRESS_DRAWN, False):
        del st.session_state[session.ADDRESS_LATE]
        st.rerun()
    st.session_state[session.ADDRESS_DRAWN] = True


def tell_address(key: str, value: str | list[str] | None) -> None:
    """Say in the address what no bound control says there; None takes it out."""
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != ([value] if isinstance(value, str) else value):
        st.query_params[key] = value


def named_in_address(
    key: str, known: tuple[str, ...], reasons: Mapping[str, str], show: Callable[[str], str] = plain
) -> None:
    """Name what the address asks for and the zoo has not; call it before the control that is bound to the key.

    `show` is how that control writes a name, where it does not give it as it is.
    """
    names, label = set(known), labels(known, show)
    written = set(map(label, known)) if key in st.query_params else set()
    stale = st.session_state.get(session.STALE, {}).pop(key, [])
    for name in st.query_params.get_all(key):
        if name == TAKEN and "taken" in st.query_params:
            continue  # what is wrong with it has been said
        if name and name not in names and name not in written and name not in stale:
            st.warning(f"The address names {plain(name)}, which {plain(reasons.get(name, 'is not in this zoo.'))}")
