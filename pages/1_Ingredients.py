"""Ingredients: put checkpoints in and take them out, and see what the average does."""

import time
from functools import partial
from typing import get_args

import pandas as pd
import streamlit as st

import soup_core as sc
from pages.shared import page
from pages.shared.live_chart import Event
from soup_core import charts
from soup_core.soup import BatchNorm

PAINT_SECONDS = 0.08  # the browser paints the number in this time, before the charts keep it busy

here = page.begin("Ingredients", "Click an ingredient to put it in the soup or take it out; the accuracy follows.")
zoo, state = here.zoo, st.session_state
with page.errors_shown():
    held_out = here.evaluator("held_out")
    singles = here.singles()
order = sorted(zoo.names, key=lambda name: (-singles[name].correct, name))


def choose(names: list[str]) -> None:
    state["in"] = [name for name in zoo.names if name in names]


def toggle(names: list[str]) -> None:
    choose([name for name in zoo.names if (name in state["in"]) != (name in names)])


def toggle_clicked(event: Event) -> None:
    toggle([point["customdata"][0] for point in event["points"]] if event["kind"] == "click" else [])


def take_rows() -> None:
    choose([order[row] for row in state[table_key]["selection"]["rows"]])


def undo() -> None:
    state["in"] = state["shown"] = state["history"].pop()


page.named_in_address("in", zoo.names, {excluded.name: f"is left out: {excluded.reason}" for excluded in zoo.excluded})
number = st.container()
selected = st.pills(
    "In the soup", list(zoo.names), selection_mode="multi", default=list(zoo.names), key="in", bind="query-params",
    format_func=page.plain,
)  # fmt: skip
if state.get("history_of") != zoo.name:
    state["history_of"], state["history"], state["shown"] = zoo.name, [], selected
if selected != state["shown"]:
    state["history"].append(state["shown"])
    state["shown"] = selected

with st.container(horizontal=True, vertical_alignment="bottom"):
    st.button("All", on_click=choose, args=(list(zoo.names),))
    st.button("None", on_click=choose, args=([],))
    st.button("Invert", on_click=toggle, args=(list(zoo.names),))
    best_k = st.number_input("Best k", 1, len(zoo.names), min(3, len(zoo.names)), key="best", width=120)
    st.button("Only the best k", on_click=choose, args=(order[: int(best_k)],))
    st.button("Undo", on_click=undo, disabled=not state["history"], icon=":material/undo:")

statistics: BatchNorm = "averaged"
if zoo.has_batch_norm:
    statistics = st.segmented_control(
        "BatchNorm statistics", get_args(BatchNorm), default="averaged", required=True, key="batch_norm",
        bind="query-params", help="The soup's running means and variances: the ingredients' averaged, estimated anew on "
        "the fine-tuning images, or the first ingredient's.",
    )  # fmt: skip
make = partial(sc.uniform_soup, zoo, batch_norm=statistics)
best_single = singles[order[0]]
evaluation: sc.Evaluation | None = None
if selected:
    with page.errors_shown():
        soup = make(selected)
        evaluation = held_out(soup)
    comparison = sc.compare(evaluation, best_single)
    mean = sum(singles[name].accuracy for name in selected) / len(selected)
    with number:
        first, second, third, fourth = st.columns(4)
        first.metric("Your soup, held-out", charts.percent(evaluation), f"{100 * comparison.difference:+.2f} points",
                     delta_color="off" if comparison.low <= 0 <= comparison.high else "normal",
                     help=f"{charts.counts(evaluation)}. Against the best single model, {page.plain(order[0])}: "
                     f"{page.points(comparison)}, a 95 % interval.")  # fmt: skip
        rival = second.empty()
        rival.metric("Their ensemble", "…", f"{len(selected)} × the cost", delta_color="off", delta_arrow="off",
                     help="Running all of them and averaging what they say.")  # fmt: skip
        third.metric("Their mean", f"{100 * mean:.2f} %", f"{100 * (evaluation.accuracy - mean):+.2f} in the soup",
                     delta_color="off", help="The mean held-out accuracy of the ingredients, one by one.")  # fmt: skip
        asked = fourth.toggle("Test accuracy", key="test", bind="query-params",
                              help="The test images are for reporting; choosing by them would flatter the soup.")  # fmt: skip
        if asked:
            with page.errors_shown():
                reported = here.evaluator("test")(soup)
            fourth.metric("Your soup, test", charts.percent(reported), help=charts.counts(reported))
else:
    number.info("Nothing is in the soup yet. Put an ingredient in, and its accuracy stands here.")

time.sleep(PAINT_SECONDS)
toggles = state.get("toggles", 0) + (state.get("drawn") != selected)
state["toggles"], state["drawn"] = toggles, selected
table_key = f"table-{toggles}"
page.chart(
    charts.ingredient_points(singles, selected, soup=evaluation), "points",
    f"Held-out accuracy of {len(order)} ingredients; {len(selected)} are in the soup.", toggle_clicked,
)  # fmt: skip

compared, bars, sentence = st.empty(), st.container(), st.empty()  # what a container shows stays until it is drawn anew
if evaluation is not None:
    with page.errors_shown(), sc.interruptible(partial(sentence.caption, "Running the models one by one")):
        together = sc.ensemble(held_out, selected)
        one, all_of_them = here.cost(), here.cost().of(len(selected))
    rival.metric(
        "Their ensemble", charts.percent(together), f"{len(selected)} × the cost", delta_color="off",
        delta_arrow="off", help=f"{charts.counts(together)}, from the models' own outputs. The soup takes "
        f"{1e6 * one.seconds_per_image:.0f} µs an image and {one.megabytes:.1f} MB, the ensemble "
        f"{1e6 * all_of_them.seconds_per_image:.0f} µs and {all_of_them.megabytes:.1f} MB.",
    )  # fmt: skip
with st.expander("All ingredients with their hyperparameters", expanded=True):
    table = pd.DataFrame(
        [{"name": name, "held-out (%)": 100 * singles[name].accuracy, "in": name in selected,
          **{key.replace("_", " "): value for key, value in zoo.by_name[name].hyperparameters.items()}}
         for name in order]
    )  # fmt: skip
    st.dataframe(
        table, key=table_key, hide_index=True, on_select=take_rows, selection_mode="multi-row",
        selection_default={"selection": {"rows": [order.index(name) for name in order if name in selected]}},
        column_config={"held-out (%)": st.column_config.NumberColumn(format="%.2f"),
                       "in": st.column_config.CheckboxColumn("in the soup"),
                       "learning rate": st.column_config.NumberColumn(format="%.2e"),
                       "weight decay": st.column_config.NumberColumn(format="%.1e")},
        alt="Ingredients, best first; tick a row to put it in the soup.",
    )  # fmt: skip

if evaluation is not None and zoo.has_batch_norm:
    with page.errors_shown(), sc.interruptible(partial(sentence.caption, "Comparing BatchNorm statistics")):
        each = {kind: held_out(sc.uniform_soup(zoo, selected, batch_norm=kind)) for kind in get_args(BatchNorm)}
    told = ", ".join(f"{kind} {charts.percent(found)}" for kind, found in each.items())
    compared.markdown(f"This soup by its BatchNorm statistics, held-out: {told}.")
if evaluation is not None:
    changes: dict[str, float] = {}
    with page.errors_shown():
        for count, name in enumerate(order, 1):
            progress = f"Trying each change: {count} of {len(order)}"
            sentence.caption(progress)  # every such call is also where the next click ends this run
            if count == 1:
                time.sleep(4 * PAINT_SECONDS)
                sentence.caption(progress)
            other = [each for each in zoo.names if (each in selected) != (each == name)]
            if other:
                with sc.interruptible(partial(sentence.caption, progress)):
                    trial = held_out.trial(make(other))
                changes[name] = 100 * (trial.correct_at_most / held_out.total - evaluation.accuracy)
    with bars:
        page.chart(charts.change_bars(changes, selected, order), "bars",
                   "What putting in or taking out each ingredient would change.")  # fmt: skip
    name = max(changes, key=lambda name: changes[name], default="")
    if changes.get(name, 0) <= 0:
        meaning = "No single change would raise the held-out accuracy of this soup."
    else:
        verb = "Taking out" if name in selected else "Putting in"
        meaning = f"{verb} {page.plain(name)} would help most: {changes[name]:+.2f} points on the held-out images."
    sentence.markdown(f"**{meaning}**")
