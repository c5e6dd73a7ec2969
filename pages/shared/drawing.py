"""How results are drawn on every page: charts, what a recipe does, waiting, and an error of the core as one sentence."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial

import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import presenting
from pages.shared.live_chart import Event, live_chart, sending
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


def chart(
    figure: go.Figure | Callable[[], go.Figure],
    key: str,
    alt: str,
    on_event: Callable[[Event], None] | None = None,
    of: Hashable = None,
) -> None:
    """Draw a figure; what is done on it goes to `on_event` (see live_chart).

    One that a function makes is made once for equal values of `of`, which say all that it shows.
    """
    enlarged = presenting.is_on()

    def made() -> go.Figure:
        plain_figure = figure() if callable(figure) else figure
        return charts.enlarged(plain_figure) if enlarged else plain_figure

    live_chart(sending.made_once(made, key, (of, enlarged)) if callable(figure) else made(), key, alt, on_event)


def about(recipe: sc.About) -> None:
    """What a recipe does and when it fails, with its paper, to be opened."""
    with st.expander(f"{recipe.name}: what it does, when it fails"):
        st.markdown(f"{recipe.text} ([{recipe.paper}]({recipe.link}))")
