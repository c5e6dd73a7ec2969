"""A zoo of outputs on the pages: opened, what is to know of it told, and what needs weights said with what works instead."""

from dataclasses import dataclass

import streamlit as st

from pages.shared import caching
from soup_core.evaluation import OutputsEvaluator
from soup_core.formatting import plain
from soup_core.runtime.files import shown
from soup_core.zoo.outputs import OutputsZoo, outputs_zoo_folder
from soup_core.zoo.toml import NEEDS_WEIGHTS

LINKS = {
    "app.py": "Compare models and ensembles",
    "pages/1_Ingredients.py": "Choose an ensemble",
    "pages/5_Robustness.py": "Look at shifts and calibration",
}


@dataclass(frozen=True)
class Outputs:
    """An open zoo of outputs, as a page is given it."""

    zoo: OutputsZoo
    zoo_key: caching.ZooKey

    def evaluator(self, split: str) -> OutputsEvaluator:
        """Its evaluator on a split."""
        return caching.outputs_evaluator(self.zoo_key, split)


def opened(name: str, metric: str | None = None) -> Outputs | None:
    """The zoo of outputs of a name, by another metric than its own where one is given; None where it is a zoo of another kind. Raises SoupError where it cannot be opened."""
    folder = outputs_zoo_folder(name)
    if folder is None:
        return None
    key = caching.ZooKey(name, caching.zoo_stamp(folder), metric=metric)
    return Outputs(caching.outputs(key), key)


def tell(outputs: Outputs) -> None:
    """What was left out of it, and what to know of it."""
    zoo = outputs.zoo
    st.sidebar.caption(
        f"Outputs of {len(zoo.models)} models for {zoo.num_classes:,} classes, without weights: nothing is run, and the "
        "device does not matter."
    )
    for excluded in zoo.excluded:
        st.warning(f"{plain(excluded.name)} is left out. {plain(excluded.reason)}")
    for notice in zoo.notices:
        st.info(plain(notice))


def needs_weights(outputs: Outputs) -> None:
    """Say in a sentence that a page needs weights, and link to those that do not."""
    st.markdown(f"**{plain(NEEDS_WEIGHTS.format(name=shown(outputs.zoo.name)))}**")
    with st.container(horizontal=True):
        for path, label in LINKS.items():
            st.page_link(path, label=label, icon=":material/arrow_forward:")
