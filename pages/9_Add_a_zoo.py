"""Add a zoo: a folder of checkpoints is looked at, a zoo.toml proposed, corrected, and written."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd
import streamlit as st

from pages.shared import address, caching, drawing, page
from soup_core.data import Interpolation
from soup_core.errors import ZooError
from soup_core.formatting import labels, plain
from soup_core.runtime.files import shown
from soup_core.zoo import open_zoo
from soup_core.zoo.proposal import (
    InspectedFile,
    Proposal,
    inspect_folder,
    propose,
    sweep_folders,
    with_architecture,
    with_base,
    with_source,
)

ANOTHER = "another"
page.begin(
    "Add a zoo",
    "Your own checkpoints: a folder is looked at, and a `zoo.toml` proposed that you can correct. Nothing is written "
    "before you say so.",
)
state = st.session_state
folders = {str(number): folder for number, folder in enumerate(sweep_folders(), 1)}


def looked_at(folder: Path) -> tuple[InspectedFile, ...]:
    """Every file of the folder, opened; looked at again when files have changed."""
    stamp = (folder, caching.zoo_stamp(folder))
    if state.get("looked:stamp") != stamp:
        found: list[InspectedFile] = []
        waiting = st.progress(0.0, "Looking at the files")
        for each in inspect_folder(folder):
            found.append(each)
            waiting.progress(len(found) / each.of, f"Looked at {plain(each.file.name)}, {len(found)} of {each.of}")
        waiting.empty()
        state["looked:stamp"], state["looked"] = stamp, tuple(found)
    found_before: tuple[InspectedFile, ...] = state["looked"]
    return found_before


def corrected(proposal: Proposal, key: str) -> Proposal:
    """The proposal as the fields say."""
    left, right = st.columns(2)
    with left:
        title = st.text_input("Title", proposal.title, key=f"{key}:title", help="What pages call it.")
        known = {str(number): guess for number, guess in enumerate(proposal.guesses)}
        chosen = st.selectbox(
            "Network",
            [*known, ANOTHER],
            key=f"{key}:network",
            help="Told by the names and shapes of the tensors.",
            format_func=lambda option: known[option].architecture["name"] if option in known else option,
        )
        if chosen in known:
            st.caption(plain(known[chosen].why))
            proposal = with_architecture(proposal, known[chosen].architecture)
        else:
            name = st.text_input("Its name", placeholder="torchvision:resnet18", key=f"{key}:name")
            classes = st.number_input("Classes", 1, 1_000_000, 10, key=f"{key}:classes")
            given = {"name": name, "num_classes": int(classes)} if name else None
            proposal = with_architecture(proposal, given) if given else replace(proposal, architecture=None)
    with right:
        source = st.text_input(
            "Images",
            str(proposal.data.get("source", "")),
            key=f"{key}:source",
            placeholder="imagefolder:PATH",
            help="A folder of labelled images, `imagefolder:PATH`; a dataset of torchvision on this disk, "
            "`torchvision:CIFAR10`; or tensors, `tensors:FILE`. Paths begin at the zoo's folder.",
        )
        if source:
            proposal = with_source(proposal, source)
        names = [each.name for each in proposal.members]
        usual = next((each.name for each in proposal.members if each.file == proposal.base), None)
        base = st.selectbox(
            "Base",
            names,
            names.index(usual) if usual else None,
            key=f"{key}:base",
            placeholder="none",
            format_func={each.name: shown(each.file.name) for each in proposal.members}.__getitem__,
            help="The checkpoint that all others were fine-tuned from, where it is among them.",
        )
        proposal = with_base(proposal, base)
    return replace(preprocessed(proposal, key), title=title)


def preprocessed(proposal: Proposal, key: str) -> Proposal:
    """The proposal with the preprocessing that the fields say, where there is one."""
    data = dict(proposal.data)
    columns = st.columns(5)
    # What another network proposes is shown in fields of their own.
    key = f"{key}:{(proposal.architecture or {}).get('name')}"
    if "preprocessing" in data:
        given = data["preprocessing"]
        resize = columns[0].number_input(
            "Resize to", 1, 4096, given["resize"], key=f"{key}:resize", help="Pixels of the shorter side."
        )
        crop = columns[1].number_input(
            "Crop", 1, 4096, given["crop"], key=f"{key}:crop", help="Pixels of the square that is cut from the middle."
        )
        kinds = get_args(Interpolation)
        kind = columns[2].selectbox("Interpolation", kinds, kinds.index(given["interpolation"]), key=f"{key}:kind")
        stretch = columns[2].toggle(
            "Stretch",
            given.get("stretch", False),
            key=f"{key}:stretch",
            help="Resize both sides, whatever the image's shape, as transformers does for some.",
        )
        data["preprocessing"] = {"resize": int(resize), "crop": int(crop), "interpolation": kind}
        data["preprocessing"] |= {"stretch": True} if stretch else {}
    if "normalize" in data:
        read = {}
        for column, what in zip(columns[3:], ("mean", "std"), strict=True):
            text = column.text_input(
                what.capitalize(),
                " ".join(f"{value:g}" for value in data["normalize"][what]),
                key=f"{key}:{what}",
                help="A value a channel, on the 0 to 1 scale.",
            )
            try:
                read[what] = [float(value) for value in text.replace(",", " ").split()]
            except ValueError:
                raise ZooError(f"{what} takes a number a channel, such as 0.485 0.456 0.406; found {text!r}.") from None
        data["normalize"] = read
    return replace(proposal, data=data)


def chosen_members(proposal: Proposal, key: str) -> Proposal:
    """The proposal with the files, names and hyperparameters of the table."""
    table = pd.DataFrame(
        [
            {
                "use": True,
                "name": each.name,
                "file": shown(str(each.file.relative_to(proposal.folder))),
                **each.hyperparameters,
            }
            for each in proposal.members
        ]
    )
    edited = st.data_editor(table, key=f"{key}:members", hide_index=True, disabled=["file"], width="stretch")
    members = []
    for each, row in zip(proposal.members, edited.to_dict("records"), strict=True):
        settings = {str(k): v for k, v in row.items() if k not in ("use", "name", "file") and not pd.isna(v)}
        if row["use"]:
            members.append(replace(each, name=str(row["name"]), hyperparameters=settings))
    return replace(proposal, members=tuple(members))


def write(proposal: Proposal) -> None:
    try:
        proposal.write()
    except ZooError as error:
        state["written"] = error
    else:
        state["written"] = proposal.folder


written = state.pop("written", None)
if isinstance(written, Path):
    with drawing.errors_shown():
        zoo = open_zoo(written)
    st.success(
        f"{plain(zoo.name)} is a zoo now: {len(zoo.ingredients)} ingredients, "
        f"{'with' if zoo.base else 'without'} a base; {len(zoo.excluded)} left out."
    )
    st.page_link(
        "pages/1_Ingredients.py", label="Open it", query_params={"zoo": zoo.name}, icon=":material/arrow_forward:"
    )
elif written is not None:
    st.error(plain(str(written)))
if not folders:
    st.info(
        "There is no folder to look at. Name the folder above your checkpoints when you start the app: "
        "`SOUP_ZOOS=/path/to/sweeps make run`. Or let the command line do it: `python -m soup_core init FOLDER`."
    )
    st.markdown("**No folder is named in SOUP\\_ZOOS that is not a zoo yet.**")
    st.stop()
folder = folders[
    st.selectbox(
        "Folder",
        list(folders),
        **address.bound("folder", of_zoo=False),
        format_func=labels(folders, lambda key: shown(folders[key].name)),
        help="Folders that the operator named in SOUP_ZOOS and that hold no zoo.toml yet.",
    )
]
with drawing.errors_shown():
    proposal = propose(folder, looked_at(folder))
    st.markdown(
        f"**{len(proposal.members)} checkpoints belong together"
        f"{'' if not proposal.notices else f'; {len(proposal.notices)} things to know'}.**"
    )
    if proposal.notices:
        with st.expander(f"{len(proposal.notices)} things to know"):
            st.markdown("\n".join(f"- {plain(notice)}" for notice in proposal.notices))
    proposal = chosen_members(corrected(proposal, str(folder)), str(folder))
    for question in proposal.questions:
        st.warning(question)
    if not proposal.questions:
        with st.expander("zoo.toml"):
            st.code(proposal.toml(), language="toml")
    st.button("Write zoo.toml", type="primary", on_click=write, args=(proposal,), disabled=bool(proposal.questions))
