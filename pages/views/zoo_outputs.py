"""A folder of outputs on the page Add a zoo: what its zoo.toml will say, and what it became."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.shared import drawing
from soup_core.formatting import plain
from soup_core.runtime.files import shown
from soup_core.zoo import find_zoo
from soup_core.zoo.outputs import open_outputs
from soup_core.zoo.outputs.proposal import OutputsProposal


def draw(proposal: OutputsProposal, write: Callable[[OutputsProposal], None]) -> None:
    """Draw a proposal with its title to be corrected, and the button that hands it to `write`."""
    content = proposal.content
    st.markdown(
        f"**Outputs of {len(content.models)} models, without weights; their labels are in {plain(shown(content.labels))}.**"
    )
    for notice in proposal.notices:
        st.info(plain(notice))
    proposal = proposal.with_title(
        st.text_input("Title", content.title, key=f"{proposal.folder}:title", help="What pages call it.")
    )
    st.dataframe(
        [{"model": each.name, "file": shown(each.file), **each.hyperparameters} for each in content.models],
        hide_index=True,
        alt="The models, their files, and what is known of how they were made.",
    )
    with st.expander("zoo.toml"):
        st.code(proposal.toml(), language="toml")
    st.button("Write zoo.toml", type="primary", on_click=write, args=(proposal,))


def draw_written(folder: Path) -> None:
    """Say what a folder has become, and link to it."""
    with drawing.errors_shown():
        zoo = open_outputs(folder)
    st.success(f"{plain(zoo.name)} is a zoo of outputs now: {len(zoo.models)} models; {len(zoo.excluded)} left out.")
    if find_zoo(folder.name) == folder:
        opened = {"zoo": folder.name, "open": folder.name}
        st.page_link("app.py", label="Open it", query_params=opened, icon=":material/arrow_forward:")
    else:
        st.warning(f"Another zoo is called {plain(zoo.name)} too, and pages open that one; rename this one's folder.")
