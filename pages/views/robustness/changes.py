"""What changed between two models on the test images: confusion counts, gains by class, and the images themselves."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from torch import Tensor

import soup_core as sc
from pages.shared import address, caching, drawing
from pages.shared.context import GREEDY, Context
from pages.shared.live_chart import Event
from pages.shared.sentences import sentences
from soup_core import charts
from soup_core.analysis.confusion import class_gains, confusion_difference, decided_by_one, most_changed
from soup_core.data import Split
from soup_core.evaluation import best_first
from soup_core.formatting import interval, plain, points

PICTURES = 6
SHOWN_CLASSES = 24  # more have no room for their names beneath half a page
SIDE = 112  # pixels of a picture on the page
SENTENCE_WIDTH = 320
ANY = "any"


def draw(context: Context) -> None:
    """Choose two models and a cell of the confusion difference; draw counts, gains by class, and the images."""
    zoo = context.zoo
    options = context.options
    with drawing.errors_shown():
        best, classes = best_first(context.singles())[0], _class_names(context.evaluator("test"))
    for key in ("a", "b"):
        address.named_in_address(
            key, tuple(options), {each.name: f"is left out: {each.reason}" for each in zoo.excluded}
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a = st.selectbox("Model", options, options.index(GREEDY), **address.bound("a", of_zoo=True))
        b = st.selectbox("against", options, options.index(best), **address.bound("b", of_zoo=True))
        true = st.selectbox("True class", [ANY, *classes], **address.bound("true", of_zoo=True))
        predicted = st.selectbox(
            "Predicted class",
            [ANY, *classes],
            **address.bound("predicted", of_zoo=True),
            help=f"Shows the {zoo.data.things} of which only one of the two says so.",
        )
    with drawing.errors_shown():
        evaluate, soups = context.evaluator("test"), [context.soup_of(each) for each in (a, b)]
        evaluations = [evaluate(soup) for soup in soups]
        ours, theirs = (
            caching.probabilities(
                context.zoo_key, "test", context.device, context.precision, context.memory, soup.to_json()
            )
            for soup in soups
        )
    labels, comparison = evaluate.data.labels, sc.compare(*evaluations)
    cell = {
        "true": None if true == ANY else classes.index(true),
        "predicted": None if predicted == ANY else classes.index(predicted),
    }
    gained, lost = decided_by_one(ours, theirs, labels, **cell)
    draw_numbers(a, b, comparison, zoo.data.things)
    if soups[0] == soups[1]:
        st.info(f"Both are the same model. Choose two different ones to see which {zoo.data.things} change.")
        st.markdown(
            f"**{plain(a)} and {plain(b)} are the same model: they differ by {points(comparison)}, and on no {zoo.data.thing}.**"
        )
        return
    gains, difference = class_gains(ours, theirs, labels), confusion_difference(ours, theirs, labels)
    draw_classes(a, b, difference, gains, classes, zoo.data.things, partial(_show_cell, classes))
    what = "the right class" if predicted == ANY else predicted
    for name, indices in ((a, gained), (b, lost)):
        st.markdown(f"Only {plain(name)} says {plain(what)}: {len(indices):,} {zoo.data.things}, the surest first")
        if indices:
            _gallery(evaluate.data, indices[:PICTURES], {a: ours, b: theirs}, classes)
    most = max(gains, key=lambda label: abs(gains[label].difference))
    where = f"most on {plain(classes[most])}, by {points(gains[most])}"
    equal = f"on each class as many {zoo.data.things} are gained as lost"
    st.markdown(
        f"**Against {plain(b)}, {plain(a)} differs by {points(comparison)}; "
        f"{where if gains[most].difference else equal}.**"
    )


def _show_cell(classes: Sequence[str], event: Event) -> None:
    """A click on a cell of the confusion counts chooses its two classes."""
    if event["kind"] == "click" and event["points"]:
        true, predicted, *_ = event["points"][0]["customdata"]
        st.session_state.update({"true": classes[true], "predicted": classes[predicted]})


def _class_names(evaluate: sc.Evaluator) -> list[str]:
    """The names of the outputs that are judged, in their order; their numbers where nobody has named them."""
    names, count = evaluate.zoo.data.classes, int(evaluate.zoo.architecture["num_classes"])
    return [names[output] if len(names) == count else str(output) for output in evaluate.outputs]


def _gallery(split: Split, indices: Sequence[int], says: dict[str, Tensor], classes: Sequence[str]) -> None:
    """Draw some images with each model's probabilities of the true class and of those predicted."""
    with st.container(horizontal=True, gap="xsmall"):
        for index in indices:
            if split.tokens is not None:
                _sentence(split, index, says, classes)
                continue
            pixels = split.images[index]
            larger = max(1, SIDE // pixels.shape[-1])
            pixels = pixels.repeat_interleave(larger, 1).repeat_interleave(larger, 2).permute(1, 2, 0)
            true, told = _told(split, index, says, classes)
            lines = [classes[true], *(line for who, shares in told.items() for line in (f"{who}:", *shares))]
            st.image(
                (pixels if pixels.shape[2] == 3 else pixels[..., 0]).numpy(),  # one channel is shown in grey
                caption="  \n".join(map(plain, lines)),
                width=SIDE,
                output_format="PNG",
                alt=f"{classes[true]}; " + "; ".join(f"{who}: {', '.join(shares)}" for who, shares in told.items()),
            )


def _told(
    split: Split, index: int, says: dict[str, Tensor], classes: Sequence[str]
) -> tuple[int, dict[str, list[str]]]:
    """The true class of an image or text, and each model's probabilities of it and of those predicted, in words."""
    true = int(split.labels[index])
    named = list(dict.fromkeys([true, *(int(each[index].argmax()) for each in says.values())]))
    return true, {
        who: [f"{classes[label]} {100 * float(each[index, label]):.0f}\u00a0%" for label in named]
        for who, each in says.items()
    }


def _sentence(split: Split, index: int, says: dict[str, Tensor], classes: Sequence[str]) -> None:
    """Write a text, its true class, and each model's probabilities, all as literal text."""
    true, told = _told(split, index, says, classes)
    with st.container(border=True, width=SENTENCE_WIDTH):
        for each in sentences(split, index):
            st.markdown(f"“{plain(each)}”")
        lines = [f"True: {classes[true]}", *(f"{who}: {', '.join(shares)}" for who, shares in told.items())]
        st.caption("  \n".join(map(plain, lines)))


def draw_numbers(a: str, b: str, comparison: sc.Comparison, things: str) -> None:
    """Draw what only one of two models has right, and their difference on the test split; `things` are images or texts."""
    first, second, third = st.columns(3)
    first.metric(f"Only {plain(a)} is right", f"{comparison.gained:,} {things}")
    second.metric(f"Only {plain(b)} is right", f"{comparison.lost:,} {things}")
    third.metric(
        "Difference, test",
        f"{100 * comparison.difference:+.2f} points",
        interval(comparison),
        delta_color="off",
        delta_arrow="off",
        help=f"95 % interval, paired; McNemar p = {comparison.p_value:.2g}.",
    )


def draw_classes(
    a: str,
    b: str,
    difference: NDArray[np.int64],
    gains: Mapping[int, sc.Comparison],
    classes: Sequence[str],
    things: str,
    on_cell: Callable[[Event], None] | None = None,
) -> None:
    """Draw the classes about which two models differ most: a heat map of the difference, and each one's gain."""
    among = most_changed(difference, SHOWN_CLASSES)
    if len(among) < len(classes):
        st.caption(f"Of {len(classes):,} classes these {len(among)} are drawn, about which the two differ most.")
    left, right = st.columns([3, 2])
    with left:
        drawing.chart(
            charts.confusion_heatmap(difference, classes, among),
            "confusion",
            f"How many more {things} of each true class {a} takes for each class than {b}.",
            on_cell,
        )
    with right:
        drawing.chart(
            charts.class_gain_bars({label: gains[label] for label in among if label in gains}, classes),
            "gains",
            f"Gain in accuracy of {a} over {b} on each class.",
        )
