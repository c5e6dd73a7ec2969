"""Take a soup along, as weights, card, script, command line and recipe, and bring one back; tables as CSV."""

from collections.abc import Callable, Iterable, Mapping

import streamlit as st

import soup_core as sc
from pages.shared import drawing
from pages.shared.context import Context
from pages.views.ingredients.selection import choose
from soup_core import export
from soup_core.checkpoints import adapters
from soup_core.formatting import counts, percent, plain
from soup_core.soup import uniform

FILE, FOLDER = "soup.safetensors", "soup-adapter"
UPLOAD_MEGABYTES = 200
DOWNLOAD_GIGABYTES = 1.0  # a larger model is written by the command line, which holds it once


def draw(context: Context, soup: sc.Soup | None, kind: str = "", *, choosing: bool = False) -> None:
    """Offer a soup in every form, and take one back from a file; `choosing` puts the file's names into the selection."""
    with st.expander("Take this soup along, or bring one back"):
        if soup is not None:
            offer(context, soup, kind)
        key = f"recipe-{context.zoo.name}"

        def put_in() -> None:
            soup_of_file = brought(context.zoo, key)
            if isinstance(soup_of_file, sc.Soup) and chosen_alone(context.zoo, soup_of_file):
                choose(context.zoo, soup_of_file.names)
                if context.zoo.has_batch_norm:
                    st.session_state["batch_norm"] = soup_of_file.batch_norm

        st.file_uploader(
            "Bring one back: a recipe, a card or an exported safetensors file",
            type=["json", "md", "safetensors"],
            key=key,
            max_upload_size=UPLOAD_MEGABYTES,
            on_change=put_in if choosing else None,
            help="Its ingredients are looked up in the open zoo, and their files compared with those it was made of.",
        )
        tell(context, brought(context.zoo, key), soup)


def offer(context: Context, soup: sc.Soup, kind: str) -> None:
    """The buttons; what they give is made when they are pressed."""
    reported = st.toggle(
        "Report the test images too",
        key="export:test",
        help="In the card and the recipe; else they tell the held-out images alone.",
    )
    test = context.evaluator("test") if reported else None
    out = sc.Export(soup, context.evaluator("held_out"), test, sc.title_of(soup, kind))
    size = sum(tensor.nbytes for tensor in context.zoo.tensors.values())
    failed: list[str] = st.session_state.setdefault("export:failed", [])
    while failed:
        st.error(plain(failed.pop()))

    def button(label: str, file: str, make: Callable[[], str | bytes], large: bool = False) -> None:
        def content() -> str | bytes:  # the browser is told only that it failed; the reason stands here at the next run
            try:
                return make()
            except sc.SoupError as error:
                failed.append(str(error))
                raise

        st.download_button(
            label,
            content,
            file,
            on_click="ignore",
            disabled=large,
            key=f"export:{label}",
            help="Too large for the browser; take the command line." if large else None,
        )

    with st.container(horizontal=True):
        button(
            f"Weights, {size / 1e6:.1f} MB",
            FILE,
            lambda: export.safetensors_bytes(out),
            1e-9 * size > DOWNLOAD_GIGABYTES,
        )
        button("Model card", f"{FILE}.md", lambda: export.model_card(out, FILE))
        button("Script", f"{FILE}.py", lambda: export.remaking_script(out))
        button("Recipe", "soup.json", lambda: out.recipe)
    st.code(export.command(out, FILE, "soup.json"), language="bash", wrap_lines=True)
    if any(isinstance(each.checkpoint, adapters.Merged) for each in context.zoo.members(soup)):
        st.caption("Or as an adapter of peft over the same base, exactly, with the sum of the ranks:")
        st.code(export.command(out, FOLDER, "soup.json", adapter="concat"), language="bash", wrap_lines=True)
    st.code(export.python(out), language="python", wrap_lines=True)


def brought(zoo: sc.Zoo, key: str) -> sc.Soup | sc.SoupError | None:
    """What the uploaded file holds: a soup of this zoo, or why it holds none."""
    file = st.session_state.get(key)
    if file is None:
        return None
    file.seek(0)
    try:
        return sc.imported(file.read(export.READ_AT_MOST), zoo)
    except sc.SoupError as error:
        return error


def tell(context: Context, outcome: sc.Soup | sc.SoupError | None, soup: sc.Soup | None) -> None:
    """Say what was brought back: that it is the soup of this page, or what else it is and how good."""
    if outcome is None:
        return
    if isinstance(outcome, sc.SoupError):
        st.error(plain(str(outcome)))
        return
    if outcome == soup:
        st.success("This page shows the soup of that file.")
        return
    with drawing.errors_shown():
        evaluation = context.evaluator("held_out")(outcome)
    st.info(
        f"The file holds {plain(sc.title_of(outcome))}: {percent(evaluation)} on the held-out images, "
        f"{counts(evaluation)}."
    )
    if chosen_alone(context.zoo, outcome):
        st.page_link(
            "pages/1_Ingredients.py",
            label="Open it on Ingredients",
            icon=":material/arrow_forward:",
            query_params={**context.address, "in": list(outcome.names)},
        )


def chosen_alone(zoo: sc.Zoo, soup: sc.Soup) -> bool:
    """Whether the selection of ingredients can say this soup: equal parts, without the base."""
    return set(soup.names) <= set(zoo.names) and soup == uniform(soup.names, batch_norm=soup.batch_norm)


def table_buttons(rows: Callable[[], Iterable[Mapping[str, object]]], name: str) -> None:
    """A table's rows as a file of that name, made when the button is pressed, and to be copied as Markdown."""
    with st.container(horizontal=True):
        st.download_button(
            f"All {name} as CSV",
            lambda: export.csv_text(rows()),
            f"{name}.csv",
            "text/csv",
            on_click="ignore",
            key=f"csv:{name}",
            icon=":material/download:",
            type="tertiary",
        )
        copy = st.popover(
            "Copy as Markdown",
            type="tertiary",
            key=f"markdown:{name}",
            on_change="rerun",
            icon=":material/content_copy:",
        )
        if copy.open:
            copy.code(export.markdown_table(rows()), language="markdown", height=240)
