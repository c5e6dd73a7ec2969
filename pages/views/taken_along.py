"""What the audience takes home: the scenes as one HTML page, as slides, and their figures for print."""

from collections.abc import Sequence

import streamlit as st

from pages.shared import making, page
from soup_core.scenes import Scene

KINDS = {
    "html": ("Report", "HTML", "text/html", "One HTML file with live charts; it needs no network, and prints."),
    "pptx": ("Slides", "PowerPoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
             "A PowerPoint file; its charts can be edited where slides know them."),
    "zip": ("Figures", "SVG, PNG", "application/zip", "Every figure as SVG and PNG, for print; drawn by Chromium."),
}  # fmt: skip
POLL_SECONDS = 0.5


def draw(here: page.Context, scenes: Sequence[Scene]) -> None:
    """Offer each kind of file: made in the background when asked for, then to be saved."""
    st.markdown("##### Take it along")
    wanted = {kind: making.Wanted(here.zoo.name, kind, tuple(scenes)) for kind in KINDS}

    @st.fragment(run_every=POLL_SECONDS if any(making.runs(each) for each in wanted.values()) else None)
    def panel() -> None:
        going = False
        for column, (kind, (label, form, mime, what)) in zip(st.columns(3), KINDS.items(), strict=True):
            made = making.found(wanted[kind])
            with column:
                if made is None:
                    st.button(f"Make the {label.lower()} ({form})", key=f"make:{kind}", on_click=making.start, args=(wanted[kind],),
                              width="stretch", help=what)  # fmt: skip
                elif made.data is not None:
                    st.download_button(f"Save the {label.lower()}, {len(made.data) / 1e6:.1f} MB", made.data,
                                       f"{here.zoo.name}.{kind}", mime, on_click="ignore", width="stretch", help=what,
                                       key=f"save:{kind}", type="primary")  # fmt: skip
                elif made.error is not None:
                    st.error(page.plain(made.error))
                    st.button("Try again", key=f"again:{kind}", on_click=making.start, args=(wanted[kind],))
                else:
                    going = True
                    st.progress(made.share, text=f"{label}: {page.plain(made.words)}")
                    st.button("Stop", key=f"end:{kind}", on_click=making.stop, args=(wanted[kind],))
        if going != any_ran:
            st.rerun()

    any_ran = any(making.runs(each) for each in wanted.values())
    panel()
