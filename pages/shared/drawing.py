"""How results are drawn on every page: charts, what a recipe does, waiting, and an error of the core as one sentence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import presenting
from pages.shared.live_chart import Event, live_chart
from soup_core import charts
from soup_core.formatting import plain, visible


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error of the core as one plain sentence, and end the page there."""
    try:
        yield
    except sc.SoupError as error:
        st.error(plain(str(error)))
        st.stop()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Say what takes long while it does, let the next click end it, and show an error of the core."""
    caption = st.empty()
    with errors_shown(), sc.interruptible(partial(caption.caption, words)):
        caption.caption(words)
        yield
    caption.empty()


def spaced(key: str) -> str:
    """The key of a hyperparameter in words."""
    return visible(key.replace("_", " "))


def chart(figure: go.Figure, key: str, alt: str, on_event: Callable[[Event], None] | None = None) -> None:
    """Draw a figure; what is done on it goes to `on_event` (see live_chart)."""
    live_chart(charts.enlarged(figure) if presenting.is_on() else figure, key, alt, on_event)


def about(recipe: sc.About) -> None:
    """What a recipe does and when it fails, with its paper, to be opened."""
    with st.expander(f"{recipe.name}: what it does, when it fails"):
        st.markdown(f"{recipe.text} ([{recipe.paper}]({recipe.link}))")
