"""What speaks against all numbers of the open zoo, said before any of them, with the text that zoo.toml would take instead."""

import streamlit as st

from pages.shared import caching
from pages.shared.context import Context
from soup_core.formatting import plain


def callout(context: Context) -> None:
    """Say that all models are near chance, or right in another order of classes, and why; nothing where nothing is wrong."""
    context.evaluator("held_out")  # decodes its images in sight
    with st.spinner("Looking at a few images"):
        doubt = caching.doubt(context.zoo_key, context.device, context.precision, context.memory)
    if doubt:
        sentence = doubt.sentence
        st.error(plain(sentence[0].upper() + sentence[1:]), icon=":material/error:")
        if doubt.remedy:
            st.caption("In zoo.toml, if this is the reason:")
            st.code(doubt.remedy, language="toml", wrap_lines=True)
