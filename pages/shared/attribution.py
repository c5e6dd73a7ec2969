"""Whose a zoo's bundled images are, and the weights it began with, where their licences ask that this be said."""

import streamlit as st

from soup_core.data import bundled_set
from soup_core.formatting import plain
from soup_core.zoo import Zoo

WEIGHTS = "LICENSES.txt"  # in a zoo's folder, where its networks began with others' weights


def draw(zoo: Zoo) -> None:
    """A folded table of the parts of the zoo's images, their authors and licences; nothing where there is none to name."""
    bundled = bundled_set(zoo.data.source)
    if bundled is None or not bundled.licences:
        return
    total = sum(each.images for each in bundled.licences)
    with st.expander(f"Whose images these are: {total:,} images of {len(bundled.licences)} sets"):
        st.dataframe(
            [
                {
                    "set": each.part,
                    "author": each.author,
                    "licence": each.licence,
                    "images": each.images,
                    "link": each.url,
                }
                for each in bundled.licences
            ],
            hide_index=True,
            column_config={"link": st.column_config.LinkColumn(display_text="licence")},
            alt="Every set that the images are of, with its author, its licence and the number of its images.",
        )
        st.caption(f"The licences' texts lie beside the images, in {plain(bundled.notice.name)}.")
        if (zoo.folder / WEIGHTS).is_file():
            st.caption(
                "The networks began with weights that others trained: what these are, and their licence, stands beside the "
                f"zoo, in {WEIGHTS}."
            )
