"""Map: where the ingredients and soups lie in the space of weights, and pairs of them side by side."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import page, work
from pages.shared.live_chart import Event
from pages.views.selection import Selection, choose, toggle
from soup_core.charts.geometry import QUANTITIES, Shown, map_scatter, pair_heatmap
from soup_core.geometry import Map, Matrix, angles, clustered_order, distances, mds_map, pca_map
from soup_core.jobs import Progress
from soup_core.pairs import disagreement
from soup_core.soup import uniform
from soup_core.zoo import Value

MAPS = {"PCA": pca_map, "MDS": mds_map}
ACCURACY = "held-out accuracy (%)"
PAIRS = ("Angles", "Distances", "Disagreement")
WORDS = {"angle": "an angle of", "distance": "a distance of", "disagreement": "different answers on"}


def draw(here: page.Context, chosen: Selection) -> None:
    """Draw the map, then one heatmap of pairs; both are closed by one sentence."""
    zoo, held_out = here.zoo, here.evaluator("held_out")
    if len(zoo.names) < 2:
        st.info("A map of weights needs at least two ingredients; this zoo has one.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Map", list(MAPS), default="PCA", required=True, key="map", bind="query-params",
            help="PCA lays the two axes along which the ingredients' weights spread most; MDS (multidimensional scaling) "
            "keeps distances as well as two axes can, and counts the base as a point.",
        )  # fmt: skip
        keys = dict.fromkeys(key for each in zoo.ingredients for key in each.hyperparameters)
        colour = st.selectbox(
            "Colour", [ACCURACY, *keys], key="colour", bind="query-params", width=240,
            format_func=lambda key: key.replace("_", " "), help="What the ingredients' colours show.",
        )  # fmt: skip
    waiting = st.empty()
    with page.errors_shown(), sc.interruptible(partial(waiting.caption, "Searching the greedy soup for its path")):
        waiting.caption("Reading the weights once")
        gram = sc.gram(zoo, held_out.store)
        accepted = [step.soup for step in sc.greedy_soup(zoo, held_out) if step.accepted]
    waiting.empty()
    places = MAPS[kind](gram)
    page.chart(
        scatter(here, chosen, places, accepted, colour), "places",
        f"{kind} map of {len(zoo.names)} ingredients and soups of them; a click toggles, a drag chooses what it encloses.",
        partial(take, zoo),
    )  # fmt: skip
    st.caption(
        f"The two axes hold {100 * sum(places.shares[:2]):.0f} % of the variance of the weights. Filled diamonds are in the "
        "soup; click one to toggle it, or drag a box to make a soup of what lies inside."
    )
    told = where(chosen, places)
    pairs = st.segmented_control(
        "Pairs", PAIRS, default="Angles", required=True, key="pairs", bind="query-params",
        help="Angles between the differences from the base (without a base, from the ingredients' mean): the wider, the "
        "more there is to average. Distances between the weights. Disagreement: the share of held-out images to which two "
        "models give different classes.",
    )  # fmt: skip
    apart = angles(gram)
    order = clustered_order(zoo.names, apart)
    if pairs == "Disagreement":
        compare_predictions(here, order, told)
        return
    quantity, matrix = ("angle", apart) if pairs == "Angles" else ("distance", distances(gram))
    draw_pairs(zoo.names, matrix, order, quantity)
    st.markdown(f"**{told} {spread(zoo.names, matrix, quantity)}**")


def scatter(here: page.Context, chosen: Selection, places: Map, accepted: Sequence[sc.Soup], colour: str) -> go.Figure:
    """The map with ingredients in the soup filled and the others hollow, ready for a box to be dragged."""
    zoo = here.zoo
    values: dict[str, Value] = {}
    for each in zoo.ingredients:
        if colour == ACCURACY:
            values[each.name] = 100 * chosen.singles[each.name].accuracy
        elif colour in each.hyperparameters:
            values[each.name] = each.hyperparameters[colour]
    soups = [Shown(f"uniform soup of all {len(zoo.names)}", "uniform", places.place(sc.uniform_soup(zoo)))]
    if zoo.base:
        soups.append(Shown("base", "base", places.place(sc.Soup({sc.BASE: 1.0}))))
    soups.append(Shown("greedy soup", "greedy", places.place(accepted[-1])))
    if is_placed(chosen) and chosen.soup:
        soups.append(Shown("your soup", "uniform", places.place(chosen.soup)))
    figure = map_scatter(
        places, values, label=colour.replace("_", " "), singles=chosen.singles, soups=soups,
        path=[places.place(soup) for soup in accepted],
    )  # fmt: skip
    for trace in figure.data:
        names = [row[0] for row in trace.customdata]
        if set(names) <= set(zoo.names):
            filled = str(trace.marker.symbol).removesuffix("-open")
            trace.marker.symbol = [filled if name in chosen.names else f"{filled}-open" for name in names]
            trace.marker.line.width = 2
    # Your soup is a uniform one too: its circle is larger, so that both are seen where they meet.
    figure.update_traces(marker={"size": 20, "opacity": 0.6}, selector={"name": "your soup"})
    return figure.update_layout(dragmode="select")


def is_placed(chosen: Selection) -> bool:
    return chosen.soup is not None and chosen.batch_norm != "re-estimated"


def take(zoo: sc.Zoo, event: Event) -> None:
    """A click toggles an ingredient; a box or a lasso makes a soup of the ingredients inside."""
    names = [point["customdata"][0] for point in event["points"] if point["customdata"][0] in zoo.by_name]
    if event["kind"] == "click":
        toggle(zoo, names)
    elif event["kind"] == "select" and names:
        choose(zoo, names)


def where(chosen: Selection, places: Map) -> str:
    """How far the soup lies from where all began, against its ingredients."""
    share = f"The map shows {100 * sum(places.shares[:2]):.0f} % of the variance."
    if not is_placed(chosen) or chosen.soup is None:
        return f"{share} A soup with nothing in it, or with re-estimated statistics, has no place on it."
    start, said = (
        (sc.Soup({sc.BASE: 1.0}), "the base")
        if places.gram.has_base
        else (uniform(places.gram.names), "the middle of all")
    )
    from_start = [distance(places.gram, start, sc.Soup({name: 1.0})) for name in chosen.names]
    return (
        f"{share} Your soup lies {distance(places.gram, start, chosen.soup):.2f} from {said}, its ingredients "
        f"{min(from_start):.2f} to {max(from_start):.2f}."
    )


def distance(gram: sc.Gram, a: sc.Soup, b: sc.Soup) -> float:
    """The Euclidean distance between the weights of two soups."""
    return math.sqrt(max(0.0, gram.inner(a, b, a, b)))


def draw_pairs(names: Sequence[str], matrix: Matrix, order: Sequence[str], quantity: str) -> None:
    page.chart(
        pair_heatmap(names, matrix, order, quantity=quantity), f"pairs-{quantity}",
        f"{QUANTITIES[quantity].title} of each pair of {len(names)} ingredients, like beside like.",
    )  # fmt: skip


def compare_predictions(here: page.Context, order: Sequence[str], told: str) -> None:
    """Follow the job that looks at every ingredient's predictions, and draw where they differ."""
    with page.errors_shown():
        job = work.job_of(here, work.task(here, "predictions"), "Compare the predictions")

    def show(progress: Progress) -> None:
        found = progress.steps
        if len(found) < 2:
            st.info("Where two models' predictions differ stands here once two have been run.")
            return
        names = [each.name for each in found]
        matrix = disagreement(found)
        draw_pairs(names, matrix, [name for name in order if name in names], "disagreement")
        if progress.state == "done":
            st.markdown(f"**{told} {spread(names, matrix, 'disagreement')}**")

    if job is None:
        st.info("On a zoo of this size every model's predictions take a while; press the button to look at them.")
    else:
        work.follow(job, len(order), "Comparing predictions", show)


def spread(names: Sequence[str], matrix: Matrix, quantity: str) -> str:
    """The middle of all pairs, and the two pairs at the ends."""
    kind = QUANTITIES[quantity]
    values = {(a, b): kind.factor * matrix[i, j] for (i, a), (j, b) in combinations(enumerate(names), 2)}
    known = {pair: value for pair, value in values.items() if not math.isnan(value)}
    if not known:
        return "No pair of ingredients can be compared."
    least, most = min(known, key=lambda pair: known[pair]), max(known, key=lambda pair: known[pair])
    middle, low, high = (
        f"{value:{kind.text}}{kind.unit}" for value in (np.median(list(known.values())), known[least], known[most])
    )
    closest, widest = (page.plain(" and ".join(pair)) for pair in (least, most))
    return (
        f"Pairs show {WORDS[quantity]} {middle} in the middle, {low} at least ({closest}), {high} at most ({widest})."
    )
