"""What the address says, which is all that a link to a view carries: kept, forgotten with another zoo, named when unknown."""

from collections.abc import Callable, Mapping

import streamlit as st

from pages.shared.context import TAKEN
from soup_core.formatting import labels, plain

KEPT_KEYS = ("zoo", "device", "precision", "memory")
OWN_KEYS = ("view", "test", "seed")  # the same words ask for something else on another page
DEPENDENT_KEYS = (
    "in", "a", "b", "c", "judged", "pairs", "at", "by", "true", "predicted", "step", "order", "seed", "ties", "best",
    "brushes", "colour", "published-hyperparameter", "list", "start", "tuning_rate", "tuning_epochs", "augmentation",
    "decay", "gone", "upload:gone",
)  # fmt: skip


def drop_taken() -> None:
    """Let the taken mix go, also where it is chosen."""
    st.session_state.pop("kept:taken", None)
    st.query_params.pop("taken", None)
    for key in ("a", "b", "c"):
        if st.session_state.get(key) == TAKEN:
            _forget(key)


@st.fragment(run_every=0.2)
def _put_into_address() -> None:
    # After a change of page the browser takes a value set from here into its address only with a run that it asks for.
    if st.session_state.pop("kept:drawn", False):
        del st.session_state["kept:late"]
        st.rerun()
    st.session_state["kept:drawn"] = True


def forget_choices() -> None:
    """Another zoo has other ingredients: choices made among the last one's go back to their defaults."""
    drop_taken()
    for key in ("at", "brushes", "empty", "paused"):  # no widget is bound to these
        tell_address(key, None)
    for key in DEPENDENT_KEYS:
        _forget(key)


def _forget(key: str) -> None:
    st.session_state.pop(key, None)
    if key in st.query_params:
        st.session_state[f"stale:{key}"] = st.query_params.get_all(key)


def tell_address(key: str, value: str | list[str] | None) -> None:
    """Say in the address what no bound widget says there; None takes it out."""
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != ([value] if isinstance(value, str) else value):
        st.query_params[key] = value


def named_in_address(
    key: str, known: tuple[str, ...], reasons: Mapping[str, str], say: Callable[[str], str] = plain
) -> None:
    """Name what the address asks for and the zoo has not; call it before the widget that is bound to the key.

    `say` is how that widget says a name, where it does not give it as it is.
    """
    label = labels(known, say)
    stale = st.session_state.pop(f"stale:{key}", [])
    for name in st.query_params.get_all(key):
        if name == TAKEN and "taken" in st.query_params:
            continue  # what is wrong with it has been said
        if name and name not in known and name not in map(label, known) and name not in stale:
            st.warning(f"The address names {plain(name)}, which {plain(reasons.get(name, 'is not in this zoo.'))}")
