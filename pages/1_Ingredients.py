"""Ingredients: put checkpoints in and take them out, and see what the average does."""

import math
from typing import get_args

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, page, scores
from pages.shared.singles import evaluated
from pages.views.ingredients import map as weights
from pages.views.ingredients import mix, names, preflight, upload
from pages.views.ingredients.ablations import chooser as ablations
from pages.views.ingredients.selection import Selection, choose, toggle
from pages.views.outputs import ingredients as outputs_ingredients
from soup_core import charts
from soup_core.evaluation import best_first, compare_values
from soup_core.formatting import plain, score, score_change, score_of
from soup_core.soup import BatchNorm

VIEWS = ("Mix", "Map", "Ablations", "Will it soup?")

context = page.begin(
    "Ingredients",
    "Click an ingredient to put it in or take it out; the accuracy follows.",
    on_outputs=outputs_ingredients.draw,
)
zoo, state = context.zoo, st.session_state
with drawing.errors_shown():
    held_out = context.evaluator("held_out")


def undo() -> None:
    state["in"] = state["history:now"] = state["history"].pop()


def only_the_best() -> None:
    choose(zoo, best_first(context.singles())[: int(state["best"])])


number = st.container()
selected = names.draw(context)
if state.get("history_of") != zoo.name:
    state["history_of"], state["history"], state["history:now"] = zoo.name, [], selected
if selected != state["history:now"]:
    state["history"].append(state["history:now"])
    state["history:now"] = selected

with st.container(horizontal=True, vertical_alignment="bottom"):
    st.button("All", on_click=choose, args=(zoo, zoo.names))
    st.button("None", on_click=choose, args=(zoo, []))
    st.button("Invert", on_click=toggle, args=(zoo, zoo.names))
    st.number_input(
        "Best k", 1, len(zoo.names), min(3, len(zoo.names)), **address.bound("best", of_zoo=True), width=120
    )
    st.button("Only the best k", on_click=only_the_best)
    names.greedys_button(zoo)
    st.button("Undo", on_click=undo, disabled=not state["history"], icon=":material/undo:")
    upload.draw(context)
upload.tell()

view = st.segmented_control(
    "View",
    VIEWS,
    **address.bound("view", of_zoo=False, of_page=True),
    required=True,
    default="Mix",
    help="How to look at the selection above, which all views share.",
)
statistics: BatchNorm = "averaged"
if zoo.has_batch_norm:
    statistics = st.segmented_control(
        "BatchNorm statistics",
        get_args(BatchNorm),
        default="averaged",
        required=True,
        **address.bound("batch_norm", of_zoo=False),
        help="The soup's running means and variances: the ingredients' averaged, estimated anew on "
        "the fine-tuning images, or the first ingredient's.",
    )
soup: sc.Soup | None = None
evaluation: sc.Evaluation | None = None
first_number = number.empty()
if selected:
    with drawing.errors_shown():
        soup = sc.uniform_soup(zoo, selected, batch_norm=statistics)
        evaluation = held_out(soup)


def tell_first() -> None:
    if evaluation is not None:  # what it is compared with comes a while later
        first_number.metric(
            scores.label("Your soup, held-out", evaluation), score(evaluation), help=charts.counts(evaluation)
        )


singles = evaluated(context, number, tell_first)
first_number.empty()
order = best_first(singles)
best_single = singles[order[0]]
if soup is not None and evaluation is not None:
    metric, comparison = evaluation.metric, compare_values(evaluation, best_single)
    mean = sum(singles[name].value for name in selected) / len(selected)
    in_the_soup = sc.Estimate(evaluation.value - mean, math.nan, math.nan)
    with number:
        first, second, third, fourth = st.columns(4)
        if view != "Mix":  # their ensemble is compared there alone
            second, third = third, second
        first.metric(
            scores.label("Your soup, held-out", evaluation),
            score(evaluation),
            scores.short_change(comparison, metric),
            delta_color=scores.tone(comparison, metric),
            help=f"{charts.counts(evaluation)}. Against the best single model, {plain(order[0])}: "
            f"{score_change(comparison, metric)}, a 95 % interval.",
        )
        rival = second.empty()
        if view == "Mix":
            rival.metric(
                "Their ensemble",
                "…",
                f"{len(selected)} × the cost",
                delta_color="off",
                delta_arrow="off",
                help="Running all of them and averaging what they say.",
            )
        third.metric(
            "Their mean",
            score_of(mean, metric),
            f"{scores.short_change(in_the_soup, metric).removesuffix(' points')} in the soup",
            delta_color="off",
            help=f"The mean held-out {metric.name} of the ingredients, one by one.",
        )
        asked = fourth.toggle(
            "Test accuracy",
            **address.bound("test", of_zoo=False, of_page=True),
            help="The test images are for reporting; choosing by them would flatter the soup.",
        )
        if asked:
            with drawing.errors_shown():
                reported = context.evaluator("test")(soup)
            fourth.metric(scores.label("Your soup, test", reported), score(reported), help=charts.counts(reported))
else:
    number.info("Nothing is in the soup yet. Put an ingredient in, and its accuracy stands here.")
    rival = number.empty()

chosen = Selection(selected, statistics, soup, evaluation, order, singles)
if view == "Mix":
    mix.draw(context, chosen, rival)
elif view == "Map":
    weights.draw(context, chosen)
elif view == "Ablations":
    ablations.draw(context, chosen)
else:
    preflight.draw(context, chosen)
