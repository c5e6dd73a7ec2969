"""Mix: every ingredient as a point, the ensemble as a rival, and what each change would do."""

import time
from functools import partial
from typing import get_args

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import soup_core as sc
from pages.shared import drawing
from pages.shared.context import Context
from pages.views import export
from pages.views.ingredients.selection import Selection, choose, toggle_clicked
from soup_core import charts
from soup_core.evaluation import Metric
from soup_core.export import ingredient_rows
from soup_core.formatting import plain, score, visible
from soup_core.soup import BatchNorm

FEW = 1000
IMAGES_RUN = 500_000  # a minute of one core with the bundled network: more are not run for a look at each change
PAINT_SECONDS = 0.08  # the browser paints the number in this time, before the charts keep it busy


def draw(context: Context, chosen: Selection, rival: DeltaGenerator) -> None:
    """Draw the points, the table and the changes; the ensemble's number goes to `rival`."""
    time.sleep(PAINT_SECONDS)
    state, selected, metric = st.session_state, chosen.names, chosen.singles[chosen.order[0]].metric
    toggles = state.get("toggles", 0) + (state.get("drawn") != selected)
    state["toggles"], state["drawn"] = toggles, selected
    seen = (
        context.zoo_key,
        context.device,
        context.precision,
        chosen.batch_norm,
        *selected,
    )  # which says all the numbers
    drawing.chart(
        lambda: charts.ingredient_points(chosen.singles, selected, soup=chosen.evaluation),
        "points",
        f"Held-out {metric.name} of {len(chosen.order)} ingredients; {len(selected)} are in the soup.",
        partial(toggle_clicked, context.zoo),
        of=seen,
    )
    # What a container shows stays until it is drawn anew.
    compared, bars, sentence = st.empty(), st.container(), st.empty()
    if chosen.soup is not None:
        run_ensemble(context, selected, rival, sentence)
    with st.expander("All ingredients with their hyperparameters", expanded=True):
        draw_table(context.zoo, chosen, f"table-{toggles}")
        export.table_buttons(lambda: ingredient_rows(context.zoo, chosen.singles), "ingredients")
    export.draw(context, chosen.soup, choosing=True)
    if chosen.soup is None or chosen.evaluation is None:
        sentence.markdown("**Nothing is in the soup; click a point or tick a row to put an ingredient in.**")
        return
    if context.zoo.has_batch_norm:
        accuracies = by_statistics(context, selected, sentence)
        compared.markdown(f"This soup by its BatchNorm statistics, held-out: {accuracies}.")
    changes = try_changes(context, chosen, chosen.evaluation, sentence)
    things = context.zoo.data.things
    images = f"{FEW:,} of the held-out {things}" if is_sampled(context) else f"the held-out {things}"
    with bars:
        if is_sampled(context):
            st.caption(f"Each change is tried on {images}.")
        drawing.chart(
            lambda: charts.change_bars(changes, selected, chosen.order, metric),
            "bars",
            f"What putting in or taking out each ingredient would change on {images}.",
            of=seen,
        )
    sentence.markdown(f"**{meaning(changes, selected, images, metric)}**")


def run_ensemble(context: Context, selected: list[str], rival: DeltaGenerator, sentence: DeltaGenerator) -> None:
    with drawing.errors_shown(), sc.interruptible(partial(sentence.caption, "Running the models one by one")):
        together = sc.ensemble(context.evaluator("held_out"), selected)
        one, all_of_them = context.cost(), context.cost().of(len(selected))
    rival.metric(
        "Their ensemble",
        score(together),
        f"{len(selected)} × the cost",
        delta_color="off",
        delta_arrow="off",
        help=f"{charts.counts(together)}, from the models' own outputs. The soup takes "
        f"{1e6 * one.seconds_per_image:.0f} µs an image and {one.megabytes:.1f} MB, the ensemble "
        f"{1e6 * all_of_them.seconds_per_image:.0f} µs and {all_of_them.megabytes:.1f} MB.",
    )


def draw_table(zoo: sc.Zoo, chosen: Selection, key: str) -> None:
    order, selected = chosen.order, chosen.names

    def take_rows() -> None:
        choose(zoo, [order[row] for row in st.session_state[key]["selection"]["rows"]])

    table = pd.DataFrame(
        [
            {
                "name": visible(name),
                "held-out (%)": 100 * chosen.singles[name].accuracy,
                **_by_metric(chosen.singles[name]),
                "in": name in selected,
                **{
                    visible(key.replace("_", " ")): visible(value) if isinstance(value, str) else value
                    for key, value in zoo.by_name[name].hyperparameters.items()
                },
            }
            for name in order
        ]
    )
    st.dataframe(
        table,
        key=key,
        hide_index=True,
        on_select=take_rows,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [order.index(name) for name in order if name in selected]}},
        column_config={
            "held-out (%)": st.column_config.NumberColumn(format="%.2f"),
            "in": st.column_config.CheckboxColumn("in the soup"),
            "learning rate": st.column_config.NumberColumn(format="%.2e"),
            "weight decay": st.column_config.NumberColumn(format="%.1e"),
        },
        alt="Ingredients, best first; tick a row to put it in the soup.",
    )


def by_statistics(context: Context, selected: list[str], sentence: DeltaGenerator) -> str:
    held_out = context.evaluator("held_out")
    with drawing.errors_shown(), sc.interruptible(partial(sentence.caption, "Comparing BatchNorm statistics")):
        each = {kind: held_out(sc.uniform_soup(context.zoo, selected, batch_norm=kind)) for kind in get_args(BatchNorm)}
    return ", ".join(f"{kind} {charts.percent(evaluation)}" for kind, evaluation in each.items())


def try_changes(
    context: Context, chosen: Selection, evaluation: sc.Evaluation, sentence: DeltaGenerator
) -> dict[str, float]:
    """What putting in, or taking out, each ingredient would change: on some of the images where all take long."""
    zoo, evaluate = context.zoo, context.evaluator("held_out")
    if is_sampled(context):
        evaluate = context.few(FEW)
        with drawing.errors_shown(), sc.interruptible(partial(sentence.caption, "Trying each change")):
            evaluation = evaluate(sc.uniform_soup(zoo, chosen.names, batch_norm=chosen.batch_norm))
    changes: dict[str, float] = {}
    rested = False
    with drawing.errors_shown():
        for count, name in enumerate(chosen.order, 1):
            other = [each for each in chosen.order if (each in chosen.names) != (each == name)]
            if not other:
                continue
            soup = sc.uniform_soup(zoo, other, batch_norm=chosen.batch_norm)
            if (known := evaluate.known(soup)) is not None:  # nothing to be told, and no rest to paint in
                changes[name] = change(known, evaluation)
                continue
            progress = f"Trying each change: {count} of {len(chosen.order)}"
            sentence.caption(progress)  # every such call is also where the next click ends this run
            if not rested:
                time.sleep(4 * PAINT_SECONDS)
                sentence.caption(progress)
                rested = True
            with sc.interruptible(partial(sentence.caption, progress)):
                changes[name] = change(evaluate(soup), evaluation)
    return changes


def change(other: sc.Evaluation, evaluation: sc.Evaluation) -> float:
    """How another soup differs from this one, as `charts.change_bars` draws it: in points, or in the metric's unit."""
    return charts.on_axis(other.value - evaluation.value, evaluation.metric)


def _by_metric(evaluation: sc.Evaluation) -> dict[str, str]:
    """A column of the metric, where it is not accuracy."""
    return {evaluation.metric.name: score(evaluation)} if evaluation.measured else {}


def is_sampled(context: Context) -> bool:
    """Whether changes are tried on some of the held-out images, since on all of them there is too much to run."""
    total = context.evaluator("held_out").total
    return total > FEW and total * len(context.zoo.names) > IMAGES_RUN


def meaning(changes: dict[str, float], selected: list[str], images: str, metric: Metric) -> str:
    sign = 1 if metric.higher_is_better else -1
    name = max(changes, key=lambda name: sign * changes[name], default="")
    if sign * changes.get(name, 0) <= 0:
        raised = "raise" if metric.higher_is_better else "lower"
        return f"No single change would {raised} the {metric.name} of this soup on {images}."
    verb = "Taking out" if name in selected else "Putting in"
    much = (
        f"{changes[name]:+.2f} points" if metric.unit == "percent" else f"{changes[name]:+.4f} {metric.unit}".rstrip()
    )
    return f"{verb} {plain(name)} would help most: {much} on {images}."
