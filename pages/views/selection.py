"""What is in the soup now: one selection for all views of the Ingredients page, in the session under "in"."""

from collections.abc import Collection
from dataclasses import dataclass

import streamlit as st

import soup_core as sc
from soup_core.soup import BatchNorm


@dataclass(frozen=True)
class Selection:
    """The chosen names with their soup and its held-out evaluation, None where nothing is chosen.

    `order` holds all names, the best first, and `singles` each one's own held-out evaluation.
    """

    names: list[str]
    batch_norm: BatchNorm
    soup: sc.Soup | None
    evaluation: sc.Evaluation | None
    order: list[str]
    singles: dict[str, sc.Evaluation]

    @property
    def best(self) -> str:
        """The best single model among the chosen, by held-out accuracy."""
        return next(name for name in self.order if name in self.names)


def choose(zoo: sc.Zoo, names: Collection[str]) -> None:
    """Put these in the soup, and no others."""
    st.session_state["in"] = [name for name in zoo.names if name in names]


def toggle(zoo: sc.Zoo, names: Collection[str]) -> None:
    """Put in those of these that are out, and take out those that are in."""
    choose(zoo, [name for name in zoo.names if (name in st.session_state["in"]) != (name in names)])
