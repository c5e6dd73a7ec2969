"""What is in the soup now: one selection for all views of the Ingredients page, in the session under "in"."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

import soup_core as sc
from pages.shared import address
from pages.shared.live_chart import Event
from soup_core.soup import BatchNorm
from soup_core.zoo.outputs import OutputsZoo

Models = sc.Zoo | OutputsZoo
BRUSHES = address.of_zoo("brushes")


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


def choose(zoo: Models, names: Collection[str]) -> None:
    """Put these in the soup, and no others."""
    st.session_state["in"] = sorted(set(names).intersection(zoo.names), key=zoo.position.__getitem__)


def toggle(zoo: Models, names: Collection[str]) -> None:
    """Put in those of these that are out, and take out those that are in."""
    choose(zoo, set(st.session_state["in"]) ^ set(names))


def ingredients(zoo: Models, event: Event) -> list[str]:
    """The ingredients among an event's points, which carry their names first; other points may carry nothing."""
    return [name for point in event["points"] if point["customdata"] and (name := point["customdata"][0]) in zoo.names]


def toggle_clicked(zoo: Models, event: Event) -> None:
    """A click on an ingredient's mark toggles it."""
    if event["kind"] == "click":
        toggle(zoo, ingredients(zoo, event))


@dataclass(frozen=True)
class Brushes:
    """The brushes by the axes' names, the selection that they make, and the one that they took the place of."""

    ranges: Mapping[str, Any]
    names: list[str]
    before: list[str]


def brushes() -> Brushes | None:
    """The brushes that make the present selection; None where there are none, or it was changed by other means."""
    drawn: Brushes | None = st.session_state.get(BRUSHES)
    return drawn if drawn and set(drawn.names) == set(st.session_state["in"]) else None


def brush(zoo: sc.Zoo, ranges: Mapping[str, Any], inside: list[str]) -> None:
    """Choose what lies inside every brush; when the last is taken away, what was chosen before the first comes back."""
    drawn = brushes()
    before = drawn.before if drawn else st.session_state["in"]
    choose(zoo, inside if ranges else before)
    st.session_state[BRUSHES] = Brushes(ranges, inside, before) if ranges else None
