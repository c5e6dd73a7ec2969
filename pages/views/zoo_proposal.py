"""The fields that correct a proposed zoo.toml: its network, images, preprocessing, and which files belong to it."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from pages.views.zoo_preprocessing import preprocessed
from soup_core.formatting import plain
from soup_core.runtime.files import shown
from soup_core.zoo.class_lists import ClassList
from soup_core.zoo.proposal import (
    Proposal,
    read_classes,
    with_architecture,
    with_base,
    with_classes,
    with_columns,
    with_source,
)
from soup_core.zoo.text_tables import columns_of

ANOTHER = "another"


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
            "Texts" if proposal.holds_texts else "Images",
            str(proposal.data.get("source", "")),
            key=f"{key}:source",
            placeholder="imagefolder:PATH",
            help="A folder of labelled images, `imagefolder:PATH`; a dataset of torchvision on this disk, "
            "`torchvision:CIFAR10`; tensors, `tensors:FILE`; or labelled "
            "texts, a file or a folder with one of each split, `texts:PATH`. Paths begin at the zoo's folder.",
        )
        if source:
            proposal = with_source(proposal, source)
        if proposal.holds_texts:
            proposal = columns_chosen(proposal, key)
        proposal = classes_chosen(proposal, key)
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


def columns_chosen(proposal: Proposal, key: str) -> Proposal:
    """The proposal with the columns of texts that a person chooses; those that are usual need no word."""
    names = columns_of(proposal.folder, str(proposal.data.get("source", "")).partition(":")[2])
    if not names:
        return proposal
    asked = proposal.texts_asked.startswith("Which column")
    with st.expander("Columns", expanded=asked):
        chosen = {
            what: st.selectbox(
                label, names, None, key=f"{key}:column-{what}", placeholder="as usual", format_func=plain
            )
            for what, label in (("text", "Text"), ("pair", "Second text"), ("label", "Label"))
        }
    given = {what: name for what, name in chosen.items() if name}
    return with_columns(proposal, given) if given else proposal


def classes_chosen(proposal: Proposal, key: str) -> Proposal:
    """The proposal with the names of the network's outputs that a person chooses, where there are several or none."""
    choice = proposal.class_choice
    if not choice.question and len(choice.lists) < 2:
        return proposal
    lists = {str(number): each for number, each in enumerate(choice.lists)}
    chosen = st.selectbox(
        "Classes",
        [*lists, ANOTHER],
        None if choice.question else 0,
        key=f"{key}:class-list",
        placeholder="which output is which",
        format_func=lambda option: _told(lists[option]) if option in lists else "other names",
        help="What the network's outputs are, in their order. Class folders are labelled by these names.",
    )
    if chosen in lists:
        return with_classes(proposal, lists[chosen].classes)
    if chosen == ANOTHER:
        given = st.text_input("Names of the outputs, or a file of them", key=f"{key}:class-names")
        return with_classes(proposal, read_classes(proposal, given)) if given else proposal
    return proposal


def _told(listed: ClassList) -> str:
    names = ", ".join(shown(name) for name in listed.classes[:4])
    return f"{names}{', …' if len(listed.classes) > 4 else ''} ({listed.reason})"


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
