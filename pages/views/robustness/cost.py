"""The bill: what a soup costs at inference, and what an ensemble and every other recipe."""

from collections.abc import Sequence

import streamlit as st

import soup_core as sc
from pages.shared import drawing
from pages.shared.context import GREEDY, Context
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.formatting import points


def file_megabytes(zoo: sc.Zoo) -> float:
    """The mean size of an ingredient's file, which is a soup's too."""
    return sum(each.file.stat().st_size for each in zoo.ingredients) / len(zoo.ingredients) / 1e6


def numbers(context: Context, entries: Sequence[sc.RecipeResult] = ()) -> None:
    """Draw one model's bill, a soup's, with that of an ensemble of all beneath it, as measured with the entries."""
    one = entries[0].cost if entries else context.cost()
    together = [entry.cost for entry in entries if entry.recipe == "ensemble"]
    many, size = (together or [one.of(len(context.zoo.names))])[0], file_megabytes(context.zoo)
    st.caption(f"One model, a soup; beneath, an ensemble of all {many.models}")
    rows = (
        ("Parameters", f"{one.parameters:,}", f"{many.parameters:,}"),
        ("File size", f"{size:.2f} MB", f"{size * many.models:.2f} MB"),
        ("Time an image", f"{1e6 * one.seconds_per_image:.0f} µs", f"{1e6 * many.seconds_per_image:.0f} µs"),
        ("Memory", f"{one.megabytes:.2f} MB", f"{many.megabytes:.2f} MB"),
    )
    explained = "Measured for one model; an ensemble runs all of its models."
    with st.container(horizontal=True):
        for label, soup, ensemble in rows:
            st.metric(label, soup, ensemble, delta_color="off", delta_arrow="off", help=explained, width=150)
    if sentence := context.evaluator("held_out").way_in_words:
        st.caption(sentence)


def recipes(context: Context, entries: Sequence[sc.RecipeResult]) -> None:
    """Draw the bill, and every recipe's against its test accuracy."""
    size, count = file_megabytes(context.zoo), len(context.zoo.names)
    with drawing.errors_shown():
        numbers(context, entries)
        report = context.evaluator("test")
        best = report(sc.Soup.single(best_first(context.singles())[0]))
        greedy = report(context.soup_of(GREEDY))
    if not entries:
        st.info("Here the recipes will stand one by one, each with its accuracy and its cost.")
        return
    drawing.chart(
        charts.cost_chart(entries, best),
        "bill",
        f"Test accuracy of {len(entries)} recipes against the models run for an image.",
    )
    table = [
        {
            "recipe": entry.about.name,
            "test": charts.percent(entry.test),
            "over the best single": points(sc.compare(entry.test, best)),
            "models run": entry.cost.models,
            "parameters": f"{entry.cost.parameters:,}",
            "files": f"{size * entry.cost.models:.2f} MB",
            "time an image": f"{1e6 * entry.cost.seconds_per_image:.0f} µs",
            "memory": f"{entry.cost.megabytes:.2f} MB",
        }
        for entry in entries
    ]
    st.dataframe(
        table,
        hide_index=True,
        column_config={"recipe": st.column_config.TextColumn(width=130)},
        alt="Every recipe with its test accuracy and its cost.",
    )
    together = [entry.test for entry in entries if entry.recipe == "ensemble"]
    rival = f", and differs by {points(sc.compare(together[0], best))}" if together else ""
    st.markdown(
        f"**At the cost of one model greedy soup differs from the best single by {points(sc.compare(greedy, best))} "
        f"on the test images; an ensemble of all {count} costs {count} forward passes an image and {count} "
        f"files{rival}.**"
    )
