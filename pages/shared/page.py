"""How every page begins: its title, the sidebar, the zoo and device of the address, and what is wrong with them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import streamlit as st

import soup_core as sc
from pages.shared import address, caching, local, newcomers, outputs, presenting, published, scores, session, uploads
from pages.shared.context import Computing, Context, taken_mix
from pages.shared.drawing import errors_shown
from pages.shared.outputs import Outputs
from soup_core.analysis.published import Folders, all_folders
from soup_core.formatting import plain
from soup_core.runtime.store import default_store
from soup_core.zoo import MetricKey

STYLE = (Path(__file__).resolve().parent / "page.css").read_text()
ICON = Path(__file__).resolve().parents[2] / "assets" / "images" / "icon.png"
PAGES = {
    "app.py": "Home",
    "pages/1_Ingredients.py": "Ingredients",
    "pages/2_Greedy.py": "Greedy",
    "pages/3_Interpolation.py": "Interpolation",
    "pages/4_Learned.py": "Learned",
    "pages/5_Robustness.py": "Robustness",
    "pages/6_Train.py": "Train",
    "pages/7_Learn.py": "Learn",
    "pages/8_Present.py": "Present",
    "pages/9_Add_a_zoo.py": "Add a zoo",
}


def paths() -> dict[str, str]:
    """The pages' files by their titles; Home's is another than its name."""
    return {label: path for path, label in PAGES.items()}


def head(title: str, lead: str, heading: str | None = None, *, opens: bool = False) -> Computing:
    """Draw the heading, which is the title where it is not given, and the sidebar, which says how to compute on what.

    Where the page `opens` the zoo, the sidebar also asks by which metric its soups are selected.
    """
    st.set_page_config(page_title=f"{title} · Model Soups Explorer", page_icon=str(ICON), layout="wide")
    st.html(f"<style>{STYLE}</style>")
    local.heed_folders()
    presenting.relay(paths(), title)
    scene = presenting.current()
    st.title(plain(scene.title) if scene else heading or title, anchor=False)
    st.markdown(plain(scene.note) if scene else lead)
    with errors_shown():
        folders = all_folders()
        chosen, usual = _sidebar(title, folders, opens=opens)
        if presenting.is_on():
            presenting.draw(paths())
        if scene and scene.page not in paths():
            raise sc.SoupError(f"This app has no page {scene.page!r}, so this scene cannot be shown.")
        caching.jobs()  # takes up what an earlier server left unfinished
        if notice := default_store().notice:
            st.info(plain(notice))
        device = sc.resolve_device(chosen["device"])
    unusual = {key: str(value) for key, value in chosen.items() if value != usual[key]}
    computing = device, chosen["precision"], chosen["memory"]
    return Computing(chosen["zoo"], *computing, unusual, folders, chosen["metric"])


def begin(
    title: str,
    lead: str,
    heading: str | None = None,
    *,
    on_outputs: Callable[[Outputs], object] = outputs.needs_weights,
) -> Context:
    """Draw the `head`, open the chosen zoo, and tell what is wrong with it; published results are drawn, and end the page.

    So is a zoo of outputs, by `on_outputs`, which says what it lacks where nothing else is given.
    """
    computing = head(title, lead, heading, opens=True)
    with errors_shown():
        if given := outputs.opened(computing.chosen, computing.metric):
            outputs.tell(given)
            on_outputs(given)
            st.stop()
    return _open(computing)


def begin_beside(title: str, lead: str) -> None:
    """Begin a page that is about no zoo: what is wrong with the chosen one is told, and one of outputs is as good as another."""
    computing = head(title, lead, opens=True)
    with errors_shown():
        if given := outputs.opened(computing.chosen, computing.metric):
            outputs.tell(given)
            return
    _open(computing)


def _open(computing: Computing) -> Context:
    """The chosen zoo, with what is wrong with it; published results are drawn, and end the page."""
    with errors_shown():
        if folder := computing.folders.results.get(computing.chosen):
            _draw_results(folder)
        context = computing.open()
        _tell_computing(context)
        for excluded in context.zoo.excluded:
            st.warning(f"{plain(excluded.name)} is left out. {plain(excluded.reason)}")
        for notice in context.zoo.data.notices():
            st.warning(plain(notice))
        with st.sidebar:
            newcomers.watch(context.zoo)
    return replace(context, taken=taken_mix(context.zoo))


def _draw_results(folder: Path) -> NoReturn:
    """What can be said of results without weights is the same on every page."""
    published.draw(caching.results(folder, caching.zoo_stamp(folder)))
    st.stop()


def _sidebar(title: str, known: Folders, *, opens: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is chosen, by key, and what would be chosen if nobody had."""
    folders = {**known.zoos, **known.results}
    if not folders:
        raise sc.ZooError("There is no zoo; restore assets/zoos, or name folders of zoos in SOUP_ZOOS.")
    asked = st.query_params.get("zoo")
    if asked is not None and asked not in folders:
        unknown = f"There is no zoo {asked!r}; expected one of {', '.join(folders)}."
        st.error(f"{plain(unknown)} Showing {plain(next(iter(folders)))} instead.")
    state = st.session_state
    moved = state.get(session.PAGE, title) != title
    before: dict[str, Any] = state.get(session.CHOICES, {})
    if moved:
        for key, value in before.items():  # a change of page clears the address; these choices go along
            if key not in st.query_params and value is not None:
                state[key] = value
        if (linked := st.query_params.pop("open", None)) is not None:
            state[session.ADDRESS_LATE] = True
        if linked in folders and linked != before.get("zoo"):  # whose choices are the address's alone
            state["zoo"] = linked
            address.forget_state()
        address.forget_page()
    state[session.PAGE] = title
    with st.sidebar:
        links = st.container()
        zoo = st.selectbox(
            "Zoo",
            list(folders),
            **address.bound("zoo", of_zoo=False),
            on_change=address.forget_choices,
            help="A folder of checkpoints of one network, and the images that judge them.",
        )
        metric, own = None, None
        if opens and zoo in known.zoos:
            metric, own = _chosen_metric(zoo)
        elif zoo == before.get("zoo"):  # this page asks for none; the choice goes along to the next
            metric = before.get("metric")
        with st.expander("Computing"):
            device = st.selectbox(
                "Device",
                ("auto", *sc.available_devices()),
                **address.bound("device", of_zoo=False),
                help="Where models are averaged and evaluated.",
            )
            precision = st.selectbox(
                "Precision",
                sc.available_precisions(sc.resolve_device(device)),
                **address.bound("precision", of_zoo=False),
                help="How numbers are computed. All but float32 are faster on some devices, and less exact.",
            )
            memory = st.number_input(
                "Memory for checkpoints (GB)",
                0.0,
                4096.0,
                _usual(known)["memory"],
                step=0.5,
                **address.bound("memory", of_zoo=False),
                help="Checkpoints that fit are kept in the device's memory, which makes averaging "
                "faster; others are read from their files each time.",
            )
        chosen = {"zoo": zoo, "device": device, "precision": precision, "memory": memory, "metric": metric}
        usual = {**_usual(known), "metric": own}
        for path, label in PAGES.items():
            links.page_link(path, label=label)
        _share(title, zoo)
    state[session.CHOICES] = chosen
    if moved and any(key not in st.query_params for key, value in chosen.items() if value != usual[key]):
        state[session.ADDRESS_LATE] = True
    if state.get(session.ADDRESS_LATE):
        address.put_into_address()
    return chosen, usual


def _chosen_metric(zoo: str) -> tuple[MetricKey | None, MetricKey | None]:
    """The metric that is chosen of a zoo, and its own; neither where it cannot be opened, which the page tells."""
    try:
        if given := outputs.opened(zoo):
            grouped = given.zoo.splits["held_out"].groups is not None
            return scores.chosen(given.zoo.metric, given.zoo.num_classes, grouped), given.zoo.metric
        opened = caching.open_zoo(caching.ZooKey(zoo, caching.zoo_stamp(caching.zoo_folder(zoo)), uploads.of(zoo)))
    except sc.SoupError:
        return None, None
    return scores.chooser(opened), opened.metric


def _share(title: str, zoo: str) -> None:
    """The address of this view to copy, and adding it to the presentation."""
    with st.popover("Share this view", icon=":material/share:", width="stretch"):
        st.caption("Its address; whoever can reach this app sees the same.")
        query = urlencode({key: st.query_params.get_all(key) for key in st.query_params}, doseq=True)
        st.code(f"{st.context.url}?{query}".rstrip("?"), language=None, wrap_lines=True)
        st.button(
            "Add this view to the presentation",
            icon=":material/add_to_queue:",
            key="kept:add-view",
            on_click=presenting.add,
            args=(title, zoo),
        )
        if message := st.session_state.pop(session.SCENE_ADDED, None):
            st.caption(message)


def _usual(folders: Folders) -> dict[str, Any]:
    """What the sidebar says where nobody has chosen, and what an address therefore leaves out."""
    return {"zoo": next(iter(folders.zoos)), "device": "auto", "precision": "float32", "memory": sc.memory_budget()}


def _tell_computing(context: Context) -> None:
    size = sc.bank_size(context.zoo)
    where = "kept in memory" if size <= context.memory else "read from their files"
    st.sidebar.caption(
        f"Computing on {context.device} in {context.precision}; the {len(context.zoo.by_name)} "
        f"checkpoints, {size:.2g} GB, are {where}."
    )
