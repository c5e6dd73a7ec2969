"""The open zoo and how to compute on it: what a page is given, and the options of its choosers of soups."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

import soup_core as sc
from pages.shared import caching, session, uploads
from soup_core.analysis.published import Folders
from soup_core.data import Data
from soup_core.formatting import plain
from soup_core.zoo import MetricKey

UNIFORM, GREEDY, TAKEN = "uniform soup", "greedy soup", "taken mix"


@dataclass(frozen=True)
class Computing:
    """The name of the zoo that is chosen, and how to compute; `address` is what a link to another page must carry of them.

    `metric` is what its soups are selected by; None is the zoo's own. `folders` is what there was to open when this run of the page began.
    """

    chosen: str
    device: str
    precision: str
    memory: float
    address: Mapping[str, str]
    folders: Folders
    metric: MetricKey | None

    def on(self, name: str, uploads: tuple[tuple[str, Path], ...] = ()) -> "Context":
        """This way of computing on a zoo as it was made: without what the user has added to it, by its own metric.

        `uploads` are names and files of further ingredients. Raises ZooError for a name that no zoo has.
        """
        folder = caching.zoo_folder(name)
        zoo_key = caching.ZooKey(str(folder), caching.zoo_stamp(folder), uploads)
        # Streamlit drops what the page before had bound from a link within a tab, so the zoo goes under a second name.
        address = {**self.address, "zoo": name, "open": name}
        address.pop("metric", None)
        return self._opened(name, address, zoo_key)

    def open(self) -> "Context":
        """The chosen zoo, with what the user has added to it. Raises SoupError where it cannot be opened."""
        name = self.chosen
        zoo_key = caching.ZooKey(name, caching.zoo_stamp(caching.zoo_folder(name)), uploads.of(name))
        if self.metric is not None and self.metric != caching.open_zoo(zoo_key).metric:
            zoo_key = zoo_key._replace(metric=self.metric)
        return self._opened(name, self.address, zoo_key)

    def _opened(self, name: str, address: Mapping[str, str], zoo_key: caching.ZooKey) -> "Context":
        zoo = caching.open_zoo(zoo_key)
        computing = self.device, self.precision, self.memory
        return Context(name, *computing, address, self.folders, zoo.metric, zoo, zoo_key)


@dataclass(frozen=True)
class Context(Computing):
    """An open zoo and how to compute on it.

    `taken` is the mix that the user has taken along: how much of each option, since in these it stays short.
    """

    zoo: sc.Zoo
    zoo_key: caching.ZooKey
    taken: sc.Soup | None = None
    _evaluators: dict[str, sc.Evaluator] = field(default_factory=dict, compare=False, repr=False)

    @property
    def options(self) -> list[str]:
        """What a chooser of soups offers: see `soup_of`."""
        return [*_fixed_options(self.zoo), *([TAKEN] if self.taken else [])]

    def evaluator(self, split: str) -> sc.Evaluator:
        """The evaluator of the open zoo on a split, whose images are decoded first where that has not been done."""
        if split not in self._evaluators:  # a page asks again and again, and a key takes as long as a widget
            _decode(self.zoo.data, split)
            made = caching.evaluator(self.zoo_key, split, self.device, self.precision, self.memory)
            self._evaluators[split] = made
        return self._evaluators[split]

    def few(self, images: int) -> sc.Evaluator:
        """The evaluator on so many of the held-out images, drawn with a fixed seed."""
        _decode(self.zoo.data, "held_out")
        return caching.evaluator(self.zoo_key, "held_out", self.device, self.precision, self.memory, images)

    def cost(self) -> sc.Cost:
        """What one model costs at inference."""
        return caching.cost(self.zoo_key, self.device, self.precision, self.memory)

    def singles(self, split: str = "held_out") -> dict[str, sc.Evaluation]:
        """Every ingredient's own evaluation, by name."""
        return self.evaluator(split).singles()

    def soup_of(self, option: str) -> sc.Soup:
        """The soup that an option of a chooser stands for: an ingredient, the base, a fixed recipe's, the mix taken."""
        if option in self.zoo.by_name:
            return sc.Soup.single(option)
        if option == TAKEN and self.taken:
            return mixed(self.taken.coefficients, self.soup_of)
        if option == UNIFORM:
            return sc.uniform_soup(self.zoo)
        *_, last = sc.greedy_soup(self.zoo, self.evaluator("held_out"))
        return last.soup

    def take(self, shares: Mapping[str, float]) -> None:
        """Keep a mix of options for the session and in the address; it is an option from the next run on."""
        taken = mixed(shares, lambda option: self.taken if option == TAKEN and self.taken else sc.Soup.single(option))
        st.session_state[session.TAKEN] = st.query_params["taken"] = taken.to_json()


def _fixed_options(zoo: sc.Zoo) -> list[str]:
    return [*zoo.names, *([sc.BASE] if zoo.base else []), UNIFORM, GREEDY]


def mixed(shares: Mapping[str, float], soup_of: Callable[[str], sc.Soup]) -> sc.Soup:
    """The mix of options in these shares; two options may well be the same soup."""
    parts: dict[sc.Soup, float] = {}
    for option, share in shares.items():
        soup = soup_of(option)
        parts[soup] = parts.get(soup, 0.0) + share
    return sc.mix(parts)


def taken_mix(zoo: sc.Zoo) -> sc.Soup | None:
    """The mix that the address holds, or the session: a change of page clears the address."""
    text = st.query_params.get("taken") or st.session_state.get(session.TAKEN)
    if text is None:
        return None
    try:
        taken = sc.Soup.from_json(text)
        if unknown := [name for name in taken.names if name not in _fixed_options(zoo)]:
            raise sc.CoefficientError(f"This zoo has no {unknown[0]!r} to mix.")
        if taken != sc.Soup(taken.coefficients) or not math.isclose(
            math.fsum(taken.coefficients.values()), 1, abs_tol=1e-6
        ):
            raise sc.CoefficientError("The shares of a mix are one a model, and together 1.")
    except sc.SoupError as error:
        st.session_state.pop(session.TAKEN, None)
        st.warning(f"The mix in the address cannot be taken. {plain(str(error))}")
        return None
    st.session_state[session.TAKEN] = text
    if "taken" not in st.query_params:
        st.query_params["taken"] = text
    return taken


def _decode(data: Data, split: str) -> None:
    """Decode a split's image files, with the progress in sight; what a click interrupts goes on in the next run."""
    bar = None
    for seen in data.decode(split):
        bar = bar or st.empty()
        of = f": {seen.done:,} of {seen.total:,}" if seen.total else ""
        doing = "Making tokens of the texts" if data.holds_texts else "Decoding the images"
        bar.progress(seen.done / max(1, seen.total), f"{doing} of {plain(split)}, once{of}")
    if bar:
        bar.empty()
