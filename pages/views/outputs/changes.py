"""What changed between two models of a zoo of outputs, or their ensembles: confusion counts and gains by class."""

import streamlit as st

import soup_core as sc
from pages.shared import address
from pages.shared.outputs import Outputs
from pages.views.robustness.changes import draw_classes, draw_numbers
from soup_core.analysis.confusion import class_gains, confusion_difference
from soup_core.analysis.outputs import member_logits
from soup_core.evaluation import best_first, measure
from soup_core.formatting import labels, plain, points
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.soup import Soup, uniform

ALL, GREEDY = "ensemble of all", "greedy ensemble"


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
    draw_numbers(a, b, comparison, "images")
    difference, gains = confusion_difference(ours, theirs, numbers), class_gains(ours, theirs, numbers)
    draw_classes(a, b, difference, gains, classes, "images")
    most = max(gains, key=lambda label: abs(gains[label].difference))
    where = f"most on {plain(classes[most])}, by {points(gains[most])}"
    st.markdown(
        f"**Against {plain(b)}, {plain(a)} differs by {points(comparison)}; "
        f"{where if gains[most].difference else 'on each class as many images are gained as lost'}.**"
    )
