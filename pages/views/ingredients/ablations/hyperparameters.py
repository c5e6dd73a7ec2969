"""Hyperparameters: a line an ingredient across all of them to its accuracy; brushes on the axes make the selection."""

import json
from functools import partial

import numpy as np
import streamlit as st

import soup_core as sc
from pages.shared import address, drawing
from pages.shared.context import Context
from pages.shared.live_chart import Event
from pages.views.ingredients.selection import BRUSHES, Brushes, Selection, brush, brushes
from soup_core import charts
from soup_core.analysis.parallel_coordinates import HyperparameterTable, hyperparameter_table
from soup_core.charts.ablations import brushed, parallel_coordinates
from soup_core.formatting import points


def draw(context: Context, chosen: Selection) -> None:
    """Draw parallel coordinates with the brushes that made the selection, for as long as nothing else has changed it."""
    with drawing.errors_shown():
        table = hyperparameter_table(context.zoo, context.evaluator("held_out"))
    if len(table.axes) == 1:  # held-out accuracy alone
        st.markdown("**There is no hyperparameter in which these ingredients differ, so none to lay side by side.**")
        return
    take_address(context.zoo, table)
    drawn = brushes()
    address.tell_address(BRUSHES, json.dumps(drawn.ranges) if drawn else None)
    drawing.chart(
        parallel_coordinates(table, selected=chosen.names, ranges=drawn.ranges if drawn else {}),
        "hyperparameters",
        f"{len(table.names)} ingredients across {len(table.axes) - 1} hyperparameters to held-out accuracy; "
        f"{len(chosen.names)} are in the soup, {len(drawn.ranges) if drawn else 0} axes are brushed.",
        partial(take_brushed, context.zoo, table),
    )
    st.markdown(f"**{meaning(chosen, bool(drawn))}**")


def take_address(zoo: sc.Zoo, table: HyperparameterTable) -> None:
    """The brushes that an address holds; what was chosen before them it does not say, so that is all."""
    if BRUSHES in st.session_state or BRUSHES not in st.query_params:
        return
    axes, ranges = {axis.name for axis in table.axes}, {}
    try:
        for name, given in json.loads(st.query_params[BRUSHES]).items():
            pairs = np.reshape(np.array(given, float), (-1, 2))
            if name in axes and len(pairs) and np.isfinite(pairs).all():
                ranges[name] = pairs.tolist() if len(pairs) > 1 else pairs[0].tolist()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return
    if ranges:
        st.session_state[BRUSHES] = Brushes(ranges, brushed(table, ranges), list(zoo.names))


def take_brushed(zoo: sc.Zoo, table: HyperparameterTable, event: Event) -> None:
    if event["kind"] == "brush":
        ranges = {each["name"]: each["range"] for each in event["dimensions"] if each["range"]}
        brush(zoo, ranges, brushed(table, ranges))


def meaning(chosen: Selection, is_brushed: bool) -> str:
    """What the chosen have one by one, and what their soup has."""
    if chosen.evaluation is None and is_brushed:
        return "No ingredient lies inside every brush; draw one wider, or click it to take it away."
    if chosen.evaluation is None:
        return "Nothing is in the soup; drag along an axis to put in the ingredients that pass there."
    accuracies = [chosen.singles[name].accuracy for name in chosen.names]
    where = "inside the brushes" if is_brushed else "in the soup"
    comparison = sc.compare(chosen.evaluation, chosen.singles[chosen.order[0]])
    return (
        f"The {len(chosen.names)} {where} have {100 * min(accuracies):.2f} to {100 * max(accuracies):.2f} % one by one; "
        f"their soup has {charts.percent(chosen.evaluation)}, {points(comparison)} against the best single model."
    )
