"""Present: scenes in their order, each a page's state with a title and a note; shown, saved, shared, and taken along."""

import streamlit as st

import soup_core as sc
from pages.shared import drawing, page, presenting, session
from pages.views.present import files, scene
from soup_core.formatting import plain
from soup_core.presentation.scenes import from_json, to_json, to_link
from soup_core.presentation.story import story
from soup_core.zoo.outputs import outputs_zoo_folder

LINK_AT_MOST = 8000  # characters, which RFC 9110, section 4.1, asks everybody to carry

computing = page.head("Present", "Views of other pages to show one after another, each with title and note.")
state = st.session_state
scenes = presenting.scenes()
has_weights = computing.chosen not in computing.folders.results and not outputs_zoo_folder(computing.chosen)


def tell_story() -> None:
    presenting.keep(state["present:story"])
    scene.redraw()


def load() -> None:
    """Take the scenes of an uploaded file in place of those there are."""
    file = state.get("present:file")
    if file is None:
        return
    try:
        presenting.keep(from_json(file.getvalue(), file.name))
    except sc.SoupError as error:
        state["present:refused"] = str(error)
    scene.redraw()


def clear() -> None:
    presenting.keep(())
    scene.redraw()


if scenes and st.query_params.get("scenes") != state[session.SCENES_LINK]:
    st.query_params["scenes"] = state[session.SCENES_LINK]
if refused := state.pop("present:refused", None):
    st.error(plain(refused))
with st.container(horizontal=True, vertical_alignment="bottom"):
    if st.button(
        "Present from the first",
        type="primary" if scenes else "secondary",
        icon=":material/play_arrow:",
        disabled=not scenes,
        shortcut="F5" if scenes else None,
    ):
        presenting.show(page.paths(), 1)
    wanted = st.button(
        "Tell this zoo's story",
        type="secondary" if scenes else "primary",
        icon=":material/auto_stories:",
        disabled=not has_weights,
        help="Five ready-made scenes of the open zoo, whose sentences are made of its numbers.",
    )
    st.download_button(
        "Save",
        lambda: to_json(scenes),
        "scenes.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
        disabled=not scenes,
    )
    with st.popover("Load", icon=":material/upload:"):
        st.file_uploader("A file of scenes", type="json", key="present:file", on_change=load, max_upload_size=1)
    st.button("Clear", on_click=clear, disabled=not scenes, icon=":material/delete:")
if wanted:
    with drawing.waiting("Making the story out of the zoo's numbers"):
        context = computing.open()
        story_scenes = story(context.zoo, context.evaluator("held_out"))
    if scenes:
        state["present:story"] = story_scenes
        st.warning(f"The story takes the place of the {len(scenes)} scenes below.")
        st.button("Take the story", on_click=tell_story, type="primary")
    else:
        presenting.keep(story_scenes)
        scene.redraw()
        st.rerun()
if not scenes:
    st.markdown("**No scenes yet.**")
    st.markdown(
        "Open any page, set it up, choose “Share this view”, then “Add this view to the presentation”; or begin with the open "
        "zoo's story."
    )
else:
    for number in range(1, len(scenes) + 1):
        scene.draw(page.paths(), number)
    many, link = f"{len(scenes)} scene{'' if len(scenes) == 1 else 's'}", to_link(scenes)
    if len(link) <= LINK_AT_MOST:
        st.markdown(f"**{many}; the address of this page holds them all, so its link shares them.**")
    else:
        st.markdown(
            f"**{many}; their link has {len(link):,} characters, which some programs cut, so share them by “Save”.**"
        )
    if has_weights:
        with drawing.errors_shown():
            files.draw(computing.open().zoo, scenes)
