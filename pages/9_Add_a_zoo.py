"""Add a zoo: a folder of checkpoints is looked at, a zoo.toml proposed, corrected, and written."""

import time
from pathlib import Path

import streamlit as st

from pages.shared import address, caching, drawing, local, page, session
from pages.views import zoo_folder, zoo_outputs, zoo_preprocessing, zoo_proposal, zoo_trial
from soup_core.errors import SoupError
from soup_core.formatting import duration, labels, listed, plain
from soup_core.runtime.files import shown
from soup_core.zoo import find_zoo, open_zoo, zoo_from
from soup_core.zoo.inspection import InspectedFile, inspect_folder, sweep_folders, unreadable_folders
from soup_core.zoo.outputs import outputs_from, outputs_zoo_folder
from soup_core.zoo.outputs.proposal import OutputsProposal, propose_outputs
from soup_core.zoo.proposal import Proposal, propose

page.begin_beside(
    "Add a zoo",
    "Your own checkpoints: a folder is looked at, and a `zoo.toml` proposed that you can correct. Nothing is written "
    "before you say so.",
)
state = st.session_state
folders = {str(number): folder for number, folder in enumerate(sweep_folders(), 1)}


def inspected(folder: Path) -> tuple[InspectedFile, ...]:
    """Every file of the folder, opened; looked at again when files have changed."""
    stamp = (folder, caching.zoo_stamp(folder))
    if state.get("inspected:stamp") != stamp:
        files: list[InspectedFile] = []
        waiting, begun = st.progress(0.0, "Looking at the files"), time.monotonic()
        for each in inspect_folder(folder):
            files.append(each)
            left = duration((time.monotonic() - begun) * (1 - each.share) / each.share)
            coming = f"; now {plain(each.coming.name)}, about {left} left" if each.coming else ""
            waiting.progress(each.share, f"Looked at {len(files)} of {each.of} files{coming}")
        waiting.empty()
        state["inspected:stamp"], state["inspected"] = stamp, tuple(files)
    kept: tuple[InspectedFile, ...] = state["inspected"]
    return kept


def outputs_in(folder: Path) -> OutputsProposal | None:
    """A proposal where the folder holds outputs; looked for again when files have changed."""
    stamp = (folder, caching.zoo_stamp(folder))
    if state.get("outputs:stamp") != stamp:
        state["outputs"] = propose_outputs(folder)
        state["outputs:stamp"] = stamp
    proposal: OutputsProposal | None = state["outputs"]
    return proposal


def write(proposal: Proposal) -> None:
    try:
        zoo_from(proposal.zoo_file(), proposal.folder)  # so that nothing is left behind that cannot be opened
        proposal.write()
    except SoupError as error:
        state["written"] = error
    else:
        state["written"] = proposal.folder


def write_outputs(proposal: OutputsProposal) -> None:
    try:
        outputs_from(proposal.content, proposal.folder)
        proposal.write()
    except SoupError as error:
        state["written"] = error
    else:
        state["written"] = proposal.folder


if (named := state.pop(session.FOLDER_SHOWN, None)) is not None:
    if (key := next((key for key, each in folders.items() if each == named), None)) is not None:
        state["folder"] = key
    elif (named / "zoo.toml").is_file():  # it was one before
        state["written"] = named
written = state.pop("written", None)
if isinstance(written, Path) and outputs_zoo_folder(written):
    zoo_outputs.draw_written(written)
elif isinstance(written, Path):
    with drawing.errors_shown():
        zoo = open_zoo(written)
    st.success(
        f"{plain(zoo.name)} is a zoo now: {len(zoo.ingredients)} ingredients, "
        f"{'with' if zoo.base else 'without'} a base; {len(zoo.excluded)} left out."
    )
    if find_zoo(zoo.name) == written:
        # Streamlit drops what this page has bound from a link within a tab, so the zoo goes under a second name.
        opened = {"zoo": zoo.name, "open": zoo.name}
        st.page_link("pages/1_Ingredients.py", label="Open it", query_params=opened, icon=":material/arrow_forward:")
    else:
        st.warning(f"Another zoo is called {plain(zoo.name)} too, and pages open that one; rename this one's folder.")
elif written is not None:
    st.error(plain(str(written)))
if unreadable := unreadable_folders():
    names = listed(shown(str(each)) for each in unreadable)
    st.warning(f"SOUP\\_ZOOS names what is not there or may not be read: {plain(names)}.")
if local.is_local():
    with st.expander("Another folder", expanded=zoo_folder.is_open()) if folders else st.container():
        zoo_folder.draw()
if not folders:
    if not local.is_local():
        st.info(
            "There is no folder to look at. Whoever runs this app names the folder above the checkpoints when it is started: "
            "`SOUP_ZOOS=/path/to/sweeps make run`. Or let the command line do it: `python -m soup_core init FOLDER`."
        )
    st.markdown("**No folder is named yet that holds checkpoints and is not a zoo.**")
    st.stop()
folder = folders[
    st.selectbox(
        "Folder",
        list(folders),
        **address.bound("folder", of_zoo=False),
        format_func=labels(folders, lambda key: shown(folders[key].name)),
        help="Folders that are named and hold no zoo.toml yet.",
    )
]
with drawing.errors_shown():
    if proposed := outputs_in(folder):
        zoo_outputs.draw(proposed, write_outputs)
        st.stop()
    proposal = propose(folder, inspected(folder))
    things = "1 thing" if len(proposal.all_notices) == 1 else f"{len(proposal.all_notices)} things"
    st.markdown(
        f"**{len(proposal.members)} checkpoints belong together"
        f"{f'; {things} to know' if proposal.all_notices else ''}.**"
    )
    if proposal.all_notices:
        with st.expander(f"{things} to know"):
            st.markdown("\n".join(f"- {plain(notice)}" for notice in proposal.all_notices))
    proposal, pictures = zoo_proposal.corrected(proposal, str(folder)), st.container()
    proposal = zoo_proposal.chosen_members(proposal, str(folder))
    proposal = zoo_trial.draw(proposal, str(folder))
    with pictures:
        zoo_preprocessing.draw_pictures(proposal)
    for question in proposal.questions:
        st.warning(plain(question))
    if not proposal.questions:
        with st.expander("zoo.toml"):
            st.code(proposal.toml(), language="toml")
    st.button("Write zoo.toml", type="primary", on_click=write, args=(proposal,), disabled=bool(proposal.questions))
