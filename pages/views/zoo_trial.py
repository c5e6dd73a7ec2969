"""One ingredient of a proposed zoo on a few of its images, before anything is written: how many it has right, and why not."""

import streamlit as st

from pages.shared import caching
from soup_core.analysis.first_look import TriedProposal, can_be_tried, tried
from soup_core.errors import SoupError
from soup_core.formatting import plain
from soup_core.zoo.proposal import Proposal

UNASKED_BYTES = 200_000_000  # of an ingredient's file, up to which it is tried without being asked


@st.cache_resource(max_entries=16, show_spinner=False)
def _tried(_proposal: Proposal, content: str, stamp: caching.Stamp) -> TriedProposal | SoupError:
    """What a look has found of a proposal of this content, once for as long as the folder's files stay the same."""
    try:
        with caching.undrawn():
            return tried(_proposal)
    except SoupError as error:
        return error


def draw(proposal: Proposal, key: str) -> Proposal:
    """Say what one ingredient gets of a few images; the proposal with what that has decided, if anything."""
    if not can_be_tried(proposal):
        return proposal
    large = proposal.members[0].file.stat().st_size > UNASKED_BYTES
    if large and not st.toggle(
        "Try one ingredient on a few images", key=f"{key}:try", help="With a network of this size it takes a while."
    ):
        return proposal
    said = (proposal.architecture, proposal.data, proposal.are_images_told, proposal.classes, proposal.members)
    with st.spinner("Trying one ingredient on a few images"):
        found = _tried(proposal, repr(said), caching.zoo_stamp(proposal.folder))
    if isinstance(found, SoupError):
        st.warning(f"It cannot be tried so. {plain(str(found))}")
        return proposal
    doubt = found.look.doubt
    first = st.error if doubt else st.info if found.is_doubtful else st.success
    for index, sentence in enumerate(found.sentences):
        (first if index == 0 else st.caption)(plain(sentence[0].upper() + sentence[1:]))
    if doubt and doubt.remedy:
        st.code(doubt.remedy, language="toml", wrap_lines=True)
    return found.proposal
