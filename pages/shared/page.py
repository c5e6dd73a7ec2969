"""How every page begins: its title, the sidebar, the zoo and device of the address, and what is wrong with them."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import caching

KEPT_KEYS = ("zoo", "device")
DEPENDENT_KEYS = ("in", "a", "b", "step", "order", "seed", "ties", "best")
ICON = Path(__file__).resolve().parents[2] / "assets" / "images" / "icon.png"
PAGES = {
    "app.py": "Home",
    "pages/1_Ingredients.py": "Ingredients",
    "pages/2_Greedy.py": "Greedy",
    "pages/3_Interpolation.py": "Interpolation",
}
UNIFORM, GREEDY = "uniform soup", "greedy soup"


@dataclass(frozen=True)
class Context:
    """The open zoo and the chosen device; `address` is what a link to another page must carry of them."""

    zoo: sc.Zoo
    stamp: caching.Stamp
    device: str
    address: Mapping[str, str]

    def evaluator(self, split: str) -> sc.Evaluator:
        """The evaluator of the open zoo on a split."""
        return caching.evaluator(self.zoo.name, self.stamp, split, self.device)

    def singles(self, split: str = "held_out") -> dict[str, sc.Evaluation]:
        """Every ingredient's own evaluation, by name."""
        evaluate = self.evaluator(split)
        return {name: evaluate(sc.Soup({name: 1.0})) for name in self.zoo.names}

    def soup_of(self, option: str) -> sc.Soup:
        """The soup that an option of a chooser stands for: an ingredient, the base, or a fixed recipe's."""
        if option in self.zoo.by_name:
            return sc.Soup({option: 1.0})
        if option == UNIFORM:
            return sc.uniform_soup(self.zoo)
        *_, last = sc.greedy_soup(self.zoo, self.evaluator("held_out"))
        return last.soup


def plain(text: str) -> str:
    """Text as literal Markdown: no markup, link, image, formula or direction mark survives in it.

    Ordinary names (letters, digits, dots, hyphens, underscores within) stay as they are, since a widget's labels are
    also what the address holds.
    """
    visible = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    escaped = re.sub(r"([!-,/:-@\[-^`{-~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", visible)
    # Bare addresses are made links even where their marks are escaped; a word joiner, which is not seen, parts them.
    escaped = re.sub(r"(?i)(www|:)(?=\\?[./])|(?=\\?@)", lambda found: f"{found[0]}\u2060", escaped)
    return re.sub(r"^(\s*\d*)([-+.])", r"\1\\\2", escaped)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error of the core as one plain sentence, and end the page there."""
    try:
        yield
    except sc.SoupError as error:
        st.error(plain(str(error)))
        st.stop()


def begin(title: str, lead: str) -> Context:
    """Draw the title and the sidebar, and open what they choose."""
    st.set_page_config(page_title=f"{title} · Model Soups Explorer", page_icon=str(ICON), layout="wide")
    st.title(title)
    st.markdown(lead)
    with errors_shown():
        name, device, address = _sidebar(title)
        stamp = caching.zoo_stamp(caching.zoo_folder(name))
        zoo = caching.open_zoo(name, stamp)
        for excluded in zoo.excluded:
            st.warning(f"{plain(excluded.name)} is left out. {plain(excluded.reason)}")
        notice = caching.evaluator(name, stamp, "held_out", device).store.notice
        if notice:
            st.info(plain(notice))
    return Context(zoo, stamp, device, address)


def _sidebar(title: str) -> tuple[str, str, dict[str, str]]:
    folders = sc.zoo_folders()
    if not folders:
        raise sc.ZooError("There is no zoo; restore assets/zoos, or name folders of zoos in SOUP_ZOOS.")
    asked = st.query_params.get("zoo")
    if asked is not None and asked not in folders:
        unknown = f"There is no zoo {asked!r}; expected one of {', '.join(folders)}."
        st.error(f"{plain(unknown)} Showing {plain(next(iter(folders)))} instead.")
    devices = ("auto", *sc.available_devices())
    moved = st.session_state.get("kept:page", title) != title
    if moved:
        for key in KEPT_KEYS:  # a change of page clears the address; these choices go along
            if key not in st.query_params:
                st.session_state[key] = st.session_state[f"kept:{key}"]
    st.session_state["kept:page"] = title
    with st.sidebar:
        links = st.container()
        zoo = st.selectbox("Zoo", list(folders), key="zoo", bind="query-params", on_change=forget_choices,
                           help="A folder of checkpoints of one network, and the images that judge them.")  # fmt: skip
        device = st.selectbox("Device", devices, key="device", bind="query-params",
                              help="Where models are averaged and evaluated.")  # fmt: skip
        address = {"zoo": zoo} if zoo != next(iter(folders)) else {}
        address |= {"device": device} if device != "auto" else {}
        for path, label in PAGES.items():
            links.page_link(path, label=label)
        st.caption(f"Computing on {sc.resolve_device(device)}")
    st.session_state["kept:zoo"], st.session_state["kept:device"] = zoo, device
    if moved and any(key not in st.query_params for key in address):
        st.session_state["kept:late"] = True
    if st.session_state.get("kept:late"):
        _put_into_address()
    return zoo, sc.resolve_device(device), address


@st.fragment(run_every=0.2)
def _put_into_address() -> None:
    # After a change of page the browser takes a value set from here into its address only with a run that it asks for.
    if st.session_state.pop("kept:drawn", False):
        del st.session_state["kept:late"]
        st.rerun()
    st.session_state["kept:drawn"] = True


def forget_choices() -> None:
    """Another zoo has other ingredients: choices made among the last one's go back to their defaults."""
    for key in DEPENDENT_KEYS:
        st.session_state.pop(key, None)
        if key in st.query_params:
            st.session_state[f"stale:{key}"] = st.query_params.get_all(key)


def named_in_address(key: str, known: tuple[str, ...], reasons: Mapping[str, str]) -> None:
    """Name what the address asks for and the zoo has not; call it before the widget that is bound to the key."""
    stale = st.session_state.pop(f"stale:{key}", [])
    for name in st.query_params.get_all(key):
        if name and name not in known and name not in map(plain, known) and name not in stale:
            st.warning(f"The address names {plain(name)}, which {plain(reasons.get(name, 'is not in this zoo.'))}")


def chart(figure: go.Figure, key: str, alt: str) -> None:
    """Draw a figure that reports nothing back."""
    st.plotly_chart(figure, key=key, alt=alt, config={"displaylogo": False, "displayModeBar": False})


def points(comparison: sc.Comparison) -> str:
    """A difference in points with sign and interval: "+0.56 points (0.25 to 0.88)"."""
    difference, low, high = (100 * value for value in (comparison.difference, comparison.low, comparison.high))
    return f"{difference:+.2f} points ({low:.2f} to {high:.2f})"
