"""The bill: what a soup costs at inference, and what an ensemble and every other recipe."""

from collections.abc import Sequence

import streamlit as st

import soup_core as sc
from pages.shared import page
from soup_core import charts


def file_megabytes(zoo: sc.Zoo) -> float:
    """The mean size of an ingredient's file, which is a soup's too."""
    return sum(each.file.stat().st_size for each in zoo.ingredients) / len(zoo.ingredients) / 1e6


def numbers(here: page.Context) -> None:
    """Draw one model's bill, a soup's, with that of an ensemble of all beneath it."""
    one, many, size = here.cost(), here.cost().of(len(here.zoo.names)), file_megabytes(here.zoo)
    rows = (
        ("Parameters", f"{one.parameters:,}", f"{many.parameters:,}"),
        ("File size", f"{size:.2f} MB", f"{size * many.models:.2f} MB"),
        ("Time an image", f"{1e6 * one.seconds_per_image:.0f} µs", f"{1e6 * many.seconds_per_image:.0f} µs"),
        ("Memory for weights", f"{one.megabytes:.2f} MB", f"{many.megabytes:.2f} MB"),
    )
    for column, (label, soup, ensemble) in zip(st.columns(4), rows, strict=True):
        column.metric(f"{label}, soup", soup, f"ensemble {ensemble}", delta_color="off", delta_arrow="off",
                      help="Measured for one model; an ensemble runs all of its models.")  # fmt: skip


def recipes(here: page.Context, entries: Sequence[sc.Entry]) -> None:
    """Draw the recipes' measured bills against their test accuracy."""
    size, count = file_megabytes(here.zoo), len(here.zoo.names)
    with page.errors_shown():
        singles = here.singles()
        best = here.evaluator("test")(sc.Soup({min(singles, key=lambda name: (-singles[name].correct, name)): 1.0}))
    page.chart(charts.cost_chart(entries, best), f"cost-{len(entries)}",
               f"Test accuracy of {len(entries)} recipes against the models run for an image.")  # fmt: skip
    table = [
        {"recipe": entry.about.name, "test": charts.percent(entry.test),
         "against the best single": page.points(sc.compare(entry.test, best)), "models run": entry.cost.models,
         "parameters": entry.cost.parameters, "files": f"{size * entry.cost.models:.2f} MB",
         "time an image": f"{1e6 * entry.cost.seconds_per_image:.0f} µs",
         "memory for weights": f"{entry.cost.megabytes:.2f} MB"}
        for entry in entries
    ]  # fmt: skip
    st.dataframe(table, hide_index=True, alt="Every recipe with its test accuracy and its cost.")
    st.markdown(
        f"**A soup costs one model whatever is in it; an ensemble of all {count} costs {count} forward passes an image "
        f"and {count} files.**"
    )
