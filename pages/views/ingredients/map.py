"""Map: where the ingredients and soups lie in the space of weights, and pairs of them side by side."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, work
from pages.shared.context import GREEDY, UNIFORM, Context
from pages.shared.live_chart import Event
from pages.views.ingredients.selection import Selection, choose, ingredients, toggle_clicked
from soup_core.analysis.pairs import disagreement
from soup_core.charts.geometry import QUANTITIES, Shown, map_scatter, pair_heatmap
from soup_core.formatting import labels, plain
from soup_core.jobs import Progress
from soup_core.soup import uniform
from soup_core.weight_space.gram import Matrix, angles, distances
from soup_core.weight_space.maps import Map, clustered_order, mds_map, pca_map

MAPS = {"PCA": pca_map, "MDS": mds_map}
ACCURACY = "held-out accuracy (%)"
PAIRS = {"Angles": "angle", "Distances": "distance", "Disagreement": "disagreement"}
WORDS = {"angle": "an angle of", "distance": "a distance of", "disagreement": "different answers on"}


def draw(context: Context, chosen: Selection) -> None:
    """Draw the map, then one heatmap of pairs; both are closed by one sentence."""
    zoo, held_out = context.zoo, context.evaluator("held_out")
    if len(zoo.names) < 2:
        st.markdown("**A map of weights needs at least two ingredients; this zoo has one.**")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Map",
            list(MAPS),
            default="PCA",
            required=True,
            **address.bound("map", of_zoo=False),
            help="PCA lays the two axes along which the ingredients' weights spread most; MDS (multidimensional scaling) "
            "keeps distances as well as two axes can, and counts the base as a point.",
        )
        keys = dict.fromkeys(key for each in zoo.ingredients for key in each.hyperparameters)
        colour = st.selectbox(
            "Colour",
            [ACCURACY, *keys],
            **address.bound("colour", of_zoo=True),
            width=240,
            format_func=labels([ACCURACY, *keys], drawing.spaced),
            help="What the ingredients' colours show.",
        )
    waiting = st.empty()
    with drawing.errors_shown(), sc.interruptible(partial(waiting.caption, "Searching the greedy soup for its path")):
        waiting.caption("Reading the weights once")
        gram = sc.gram(zoo, held_out.store)
        accepted = [step.soup for step in sc.greedy_soup(zoo, held_out) if step.accepted]
    waiting.empty()
    weight_map = MAPS[kind](gram)
    drawing.chart(
        scatter(zoo, chosen, weight_map, accepted, colour),
        "places",
        f"{kind} map of {len(zoo.names)} ingredients and soups of them, {len(chosen.names)} filled since they are in the "
        "soup; a click toggles, a drag chooses what it encloses.",
        partial(take, zoo),
    )
    st.caption(
        "Filled marks are in the soup; click one to toggle it, or drag a box to make a soup of what lies inside."
    )
    pairs = st.segmented_control(
        "Pairs",
        list(PAIRS),
        default="Angles",
        required=True,
        **address.bound("pairs", of_zoo=True, of_page=True),
        help="Angles between the differences from the base (without a base, from the ingredients' mean): the wider, the "
        "more there is to average. Distances between the weights. Disagreement: the share of held-out images to which two "
        "models give different classes.",
    )
    position, order = where(chosen, weight_map), clustered_order(zoo.names, angles(gram))
    if pairs == "Disagreement":
        compare_predictions(context, order, position)
    else:
        matrix = angles(gram) if pairs == "Angles" else distances(gram)
        st.markdown(f"**{position} {draw_pairs(zoo.names, matrix, order, PAIRS[pairs])}**")


def scatter(zoo: sc.Zoo, chosen: Selection, weight_map: Map, accepted: Sequence[sc.Soup], colour: str) -> go.Figure:
    """The map with the soups of the zoo, greedy's path and the soup of what is chosen."""
    given = {each.name: each.hyperparameters.get(colour) for each in zoo.ingredients}
    if colour == ACCURACY:
        given = {name: 100 * evaluation.accuracy for name, evaluation in chosen.singles.items()}
    soups = [Shown(UNIFORM, "uniform", weight_map.place(sc.uniform_soup(zoo)))]
    if zoo.base:
        soups.append(Shown("base", "base", weight_map.place(sc.Soup.single(sc.BASE))))
    soups.append(Shown(GREEDY, "greedy", weight_map.place(accepted[-1])))
    yours = placed(chosen)
    return map_scatter(
        weight_map,
        {name: value for name, value in given.items() if value is not None},
        label=colour.replace("_", " "),
        singles=chosen.singles,
        soups=soups,
        path=[weight_map.place(soup) for soup in accepted],
        selected=chosen.names,
        yours=weight_map.place(yours) if yours else None,
    )


def placed(chosen: Selection) -> sc.Soup | None:
    """The chosen soup, where it has a place on a map."""
    return chosen.soup if chosen.batch_norm != "re-estimated" else None


def take(zoo: sc.Zoo, event: Event) -> None:
    """A click toggles an ingredient; a box or a lasso makes a soup of the ingredients inside."""
    toggle_clicked(zoo, event)
    if event["kind"] == "select" and (inside := ingredients(zoo, event)):
        choose(zoo, inside)


def where(chosen: Selection, weight_map: Map) -> str:
    """How far the soup lies from where all began, against its ingredients."""
    share = f"The map shows {100 * sum(weight_map.shares[:2]):.0f} % of the variance."
    yours = placed(chosen)
    if yours is None:
        return f"{share} A soup with nothing in it, or with re-estimated statistics, has no place on it."
    start, start_name = sc.Soup.single(sc.BASE), "the base"
    if not weight_map.gram.has_base:
        start, start_name = uniform(weight_map.gram.names), "the middle of all"
    from_start = [distance(weight_map.gram, start, sc.Soup.single(name)) for name in chosen.names]
    return (
        f"{share} Your soup lies {distance(weight_map.gram, start, yours):.2f} from {start_name}, its ingredients "
        f"{min(from_start):.2f} to {max(from_start):.2f}."
    )


def distance(gram: sc.Gram, a: sc.Soup, b: sc.Soup) -> float:
    """The Euclidean distance between the weights of two soups."""
    return math.sqrt(max(0.0, gram.inner(a, b, a, b)))


def compare_predictions(context: Context, order: Sequence[str], sentence: str) -> None:
    """Follow the job that looks at every ingredient's predictions, and draw where they differ."""

    def show(progress: Progress) -> None:
        names = [each.name for each in progress.steps]
        if len(names) < 2:
            st.info("Where two models' predictions differ stands here once two have been run.")
            return
        among = [name for name in order if name in names]
        pairs_sentence = draw_pairs(names, disagreement(progress.steps), among, "disagreement")
        if progress.state == "done":
            st.markdown(f"**{sentence} {pairs_sentence}**")

    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, "predictions"), "Compare the predictions")
    work.follow(job, len(order), "Comparing predictions", show)


def draw_pairs(names: Sequence[str], matrix: Matrix, order: Sequence[str], quantity: str) -> str:
    """Draw a heatmap of pairs; tells the middle of all, and the two at the ends."""
    kind = QUANTITIES[quantity]
    drawing.chart(
        pair_heatmap(names, matrix, order, quantity=quantity),
        f"pairs-{quantity}",
        f"{kind.title} of each pair of {len(names)} ingredients, like beside like.",
    )
    values = {(a, b): kind.factor * matrix[i, j] for (i, a), (j, b) in combinations(enumerate(names), 2)}
    known = sorted((value, pair) for pair, value in values.items() if not math.isnan(value))
    if not known:
        return "No pair of ingredients can be compared."
    ends = (known[0][0], known[-1][0])
    middle, low, high = (f"{value:{kind.text}}{kind.unit}" for value in (np.median([each[0] for each in known]), *ends))
    closest, widest = (plain(" and ".join(pair)) for _, pair in (known[0], known[-1]))
    return (
        f"Pairs show {WORDS[quantity]} {middle} in the middle, {low} at least ({closest}), {high} at most ({widest})."
    )
