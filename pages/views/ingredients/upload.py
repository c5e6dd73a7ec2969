"""Upload checkpoints that fit the open zoo: they join it for the session, after the same checks as its own."""

from dataclasses import replace
from itertools import chain, count
from pathlib import PurePath

import streamlit as st

import soup_core as sc
from pages.shared import address, uploads
from pages.shared.context import Context
from soup_core.formatting import plain
from soup_core.runtime.files import shown
from soup_core.zoo import RESERVED, fitting_ingredient

MESSAGES, COUNT = "upload:messages", "upload:count"  # keys of the session


def draw(context: Context) -> None:
    """A button that opens the uploader and the list of what is there."""
    state = st.session_state
    key = f"upload-{state.setdefault(COUNT, 0)}"  # another one once its files have been taken
    with st.popover("Upload", icon=":material/upload:"):
        st.file_uploader(
            "Checkpoints that fit this zoo",
            accept_multiple_files=True,
            key=key,
            max_upload_size=uploads.MEGABYTES,
            on_change=take,
            args=(context, key),
            help="Files of torch.save or safetensors. They join the zoo for this session alone and are checked as its own.",
        )
        names = [name for name, _ in uploads.of(context.zoo.name)]
        if names:
            gone = st.pills(
                "Uploaded", names, selection_mode="multi", key=address.of_zoo("upload:gone"), format_func=plain
            )
            st.button("Take away", on_click=take_away, args=(context.zoo.name, gone), disabled=not gone)


def tell() -> None:
    """Say what is to be said of the files that came last: refusals and warnings."""
    for message in st.session_state.pop(MESSAGES, []):
        st.warning(plain(message))


def take(context: Context, key: str) -> None:
    """Put the files that came into the zoo, and keep what is to be said of them."""
    state, messages, zoo = st.session_state, list[str](), context.zoo
    for file in state[key]:
        taken = {*zoo.by_name, *RESERVED, *(each.name for each in zoo.excluded)}
        stem = shown(PurePath(file.name).stem) or "upload"
        name = next(name for name in chain([stem], (f"{stem}-{number}" for number in count(2))) if name not in taken)
        try:
            path = uploads.keep(zoo.name, name, file)
        except sc.SoupError as error:
            messages.append(str(error))
            break
        try:
            new = fitting_ingredient(zoo, name, path)
        except sc.SoupError as error:
            uploads.drop(zoo.name, name)
            messages.append(f"{name} is left out. {error}")
            continue
        messages += [f"{name}: {note}." for note in new.checkpoint.notes]
        messages += [
            f"{name} is the same file as {each.name}." for each in zoo.by_name.values() if each.digest == new.digest
        ]
        zoo = replace(zoo, ingredients=(*zoo.ingredients, new))
    state[MESSAGES] = messages
    state[COUNT] += 1


def take_away(zoo: str, names: list[str]) -> None:
    """Let uploads go."""
    for name in names:
        uploads.drop(zoo, name)
