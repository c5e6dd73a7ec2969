"""Greedy: the search, candidate by candidate, played, paused, stepped."""

from collections.abc import Iterator
from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, page, work
from pages.shared.singles import evaluated
from pages.views import export
from pages.views.greedy import search
from soup_core import charts
from soup_core.evaluation import METRICS
from soup_core.export import step_row
from soup_core.formatting import labels, visible
from soup_core.recipes import RECIPES

ORDERS = 20
SPEEDS = {"fast": 0.3, "normal": 0.8, "slow": 2.0}

context = page.begin(
    "Greedy",
    "Start from the best ingredient; keep each next one only if the average gets better on the held-out images.",
)
zoo, state = context.zoo, st.session_state
PAUSED = address.of_zoo("paused")  # in the address of a search held at step 1, since the first step is left out of it
from_address = "step" in st.query_params or PAUSED in st.query_params


def restart() -> None:
    state["step"], state["playing"] = 1, True


def go_to(step: int, playing: bool = False) -> None:
    state["step"], state["playing"] = step, playing


with st.container(horizontal=True, vertical_alignment="bottom"):
    order = st.segmented_control(
        "Order",
        ["accuracy", "shuffled", "given"],
        default="accuracy",
        required=True,
        **address.bound("order", of_zoo=True),
        on_change=restart,
        help="accuracy: the best alone comes first, by what soups are selected by.",
    )
    seed = st.number_input(
        "Seed",
        0,
        10_000,
        0,
        **address.bound("seed", of_zoo=True, of_page=True),
        on_change=restart,
        width=120,
        disabled=order != "shuffled",
    )
    ties = st.segmented_control(
        "Accept",
        ["better", "better or equal"],
        default="better",
        required=True,
        **address.bound("ties", of_zoo=True),
        on_change=restart,
    )
    speed = st.segmented_control(
        "Speed", list(SPEEDS), default="normal", required=True, **address.bound("speed", of_zoo=False)
    )
candidates: str | list[str] = "accuracy" if order == "accuracy" else f"random:{seed}"
if order == "given":
    address.named_in_address(
        "list", zoo.names, {each.name: f"is left out: {each.reason}" for each in zoo.excluded}, visible
    )
    candidates = st.multiselect(
        "Candidates, in the order to try them",
        list(zoo.names),
        list(zoo.names[:3]),
        **address.bound("list", of_zoo=True),
        on_change=restart,
        format_func=labels(zoo.names, visible),
    )
    if not candidates:
        st.info("Name at least one candidate; the search starts from the first.")
        st.stop()
count = len(candidates) if order == "given" else len(zoo.names)

signature = (context.zoo_key, context.device, context.precision, str(candidates), ties)
if state.get("walk_of") != signature:
    evaluated(context)
    with drawing.errors_shown():
        walk = sc.greedy_soup(zoo, context.evaluator("held_out"), order=candidates, ties=ties != "better")
    state["walk_of"], state["walk"], state["steps"] = signature, walk, []
    if "step" not in state or "playing" not in state:
        state["playing"] = not from_address
if "step" not in state and not from_address:
    state["step"] = 1


@st.fragment(run_every=SPEEDS[speed] if state["playing"] else None)
def player() -> None:
    """Draw the search up to the chosen step, running what has not been run."""
    if state["playing"] and len(state["steps"]) >= state.get("step", 1):
        if state["step"] < count:
            state["step"] += 1
        else:
            state["playing"] = False
            st.rerun()
    shown = st.empty()
    with st.container(horizontal=True, vertical_alignment="bottom", key="player"):
        at = st.slider("Step", 1, count, **address.bound("step", of_zoo=True)) if count > 1 else 1
        st.button("Back", on_click=go_to, args=(max(1, at - 1),), icon=":material/skip_previous:")
        if state["playing"]:
            pressed = st.button("Pause", on_click=go_to, args=(at,), icon=":material/pause:")
        else:
            first = 1 if at == count else at
            pressed = st.button("Play", on_click=go_to, args=(first, True), icon=":material/play_arrow:")
        st.button("Step", on_click=go_to, args=(min(count, at + 1),), icon=":material/skip_next:")
        st.button("To the end", on_click=go_to, args=(count,), icon=":material/last_page:")
    if pressed:
        st.rerun()
    address.tell_address(PAUSED, "true" if at == 1 < count and not state["playing"] else None)
    steps: list[sc.GreedyStep] = state["steps"]
    walk: Iterator[sc.GreedyStep] = state["walk"]
    with drawing.errors_shown():
        while len(steps) < at:
            if at - len(steps) > 1:  # a link to a late step; each such call is also where the next click ends this run
                shown.caption(f"Trying the candidates: {len(steps)} of {at}")
            steps.append(next(walk))
    current = steps[at - 1]
    with shown.container():
        search.describe(steps[:at], current)
        drawing.chart(
            charts.greedy_curve(steps[:at], candidates=count, current=current.index, band=band),
            "greedy",
            f"Greedy search, step {at} of {count}: {len(current.soup.names)} accepted so far.",
        )
    st.markdown(f"**{search.meaning(steps[:at], current, count)}**")
    if at == count and order == "accuracy":
        with drawing.errors_shown():
            st.markdown(search.selection_gap(context, steps[0].soup, current.soup))
    if not state["playing"]:
        export.table_buttons(lambda: map(step_row, steps[:at]), "steps")
        export.draw(context, current.soup, "Greedy soup")


band: tuple[sc.BandStep, ...] = ()
band_job = None
if order != "given" and st.toggle(
    f"Band over {ORDERS} shuffled orders",
    **address.bound("band", of_zoo=False),
    help="How much the order alone decides.",
):
    with drawing.errors_shown():
        band_job = work.job_of(context, work.task(context, "band", orders=ORDERS, ties=ties != "better"))
    if band_job and (searched := band_job.progress()).state == "done":
        band = searched.steps
player()
if sentence := METRICS[zoo.metric].search_in_words:
    st.caption(sentence)
if band_job:
    work.follow(
        band_job,
        ORDERS,
        "Searching in shuffled orders",
        partial(search.draw_band, metric=context.evaluator("held_out").metric),
    )
drawing.about(RECIPES["greedy"].about)
