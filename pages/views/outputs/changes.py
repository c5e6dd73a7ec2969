"""What changed between two models of a zoo of outputs, or their ensembles: confusion counts and gains by class."""

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing
from pages.shared.outputs import Outputs
from soup_core import charts
from soup_core.analysis.confusion import class_gains, confusion_difference, most_changed
from soup_core.analysis.outputs import member_logits
from soup_core.evaluation import best_first, measure
from soup_core.formatting import interval, labels, plain, points
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.soup import Soup, uniform

ALL, GREEDY = "ensemble of all", "greedy ensemble"
SHOWN_CLASSES = 24  # more have no room for their names beneath half a page


def draw(outputs: Outputs) -> None:
    """Choose two of the models and ensembles, and draw where they differ on the test images."""
    zoo, held_out, test = outputs.zoo, outputs.evaluator("held_out"), outputs.evaluator("test")
    options = [*zoo.names, *(name for name in (ALL, GREEDY) if name not in zoo.names)]
    best = best_first(held_out.singles())[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = labels(options)
        a = st.selectbox("Model", options, len(options) - 1, **address.bound("a", of_zoo=True), format_func=shown)
        b = st.selectbox("against", options, options.index(best), **address.bound("b", of_zoo=True), format_func=shown)

    def members(option: str) -> Soup:
        if option in zoo.by_name:
            return Soup.single(option)
        if option == ALL:
            return uniform(zoo.names)
        *_, last = greedy_ensemble(zoo, held_out)
        return last.soup

    ours, theirs = (member_logits(test, members(option)) for option in (a, b))
    numbers, classes = test.data.labels, zoo.class_names
    comparison = sc.compare(measure(ours, numbers), measure(theirs, numbers))
    first, second, third = st.columns(3)
    first.metric(f"Only {plain(a)} is right", f"{comparison.gained:,} images")
    second.metric(f"Only {plain(b)} is right", f"{comparison.lost:,} images")
    third.metric(
        "Difference, test",
        f"{100 * comparison.difference:+.2f} points",
        interval(comparison),
        delta_color="off",
        delta_arrow="off",
        help=f"95 % interval, paired; McNemar p = {comparison.p_value:.2g}.",
    )
    difference, gains = confusion_difference(ours, theirs, numbers), class_gains(ours, theirs, numbers)
    among = most_changed(difference, SHOWN_CLASSES)
    if len(among) < len(classes):
        st.caption(f"Of {len(classes):,} classes these {len(among)} are drawn, about which the two differ most.")
    left, right = st.columns([3, 2])
    with left:
        drawing.chart(
            charts.confusion_heatmap(difference, classes, among),
            "confusion",
            f"How many more images of each true class {a} takes for each class than {b}.",
        )
    with right:
        drawing.chart(
            charts.class_gain_bars({label: gains[label] for label in among if label in gains}, classes),
            "gains",
            f"Gain in accuracy of {a} over {b} on each class.",
        )
    most = max(gains, key=lambda label: abs(gains[label].difference))
    where = f"most on {plain(classes[most])}, by {points(gains[most])}"
    st.markdown(
        f"**Against {plain(b)}, {plain(a)} differs by {points(comparison)}; "
        f"{where if gains[most].difference else 'on each class as many images are gained as lost'}.**"
    )
