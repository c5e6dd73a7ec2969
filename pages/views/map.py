"""Map: where the ingredients and soups lie in the space of weights, and pairs of them side by side."""

from collections.abc import Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

import soup_core as sc
from pages.shared import page
from pages.shared.live_chart import Event
from pages.views.selection import Selection, choose, toggle
from soup_core.charts.geometry import Shown, map_scatter
from soup_core.geometry import Map, angles, clustered_order, distances, mds_map, pca_map
from soup_core.zoo import Value

MAPS = {"PCA": pca_map, "MDS": mds_map}
ACCURACY = "held-out accuracy (%)"
PAIRS = ("Angles", "Distances", "Disagreement")
BLURRED = 1  # the last row of a ranking is only as sure as its numbers, so ties are not told


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
            format_func=lambda key: page.plain(key.replace("_", " ")), help="What the ingredients' colours show.",
        )  # fmt: skip
    waiting = st.empty()
    with page.errors_shown(), sc.interruptible(partial(waiting.caption, "Searching the greedy soup for its path")):
        waiting.caption("Reading the weights once")
        gram = sc.gram(zoo, held_out.store)
        accepted = [step.soup for step in sc.greedy_soup(zoo, held_out) if step.accepted]
    waiting.empty()
    places = MAPS[kind](gram)
    page.chart(
        scatter(here, chosen, places, accepted, colour), "map",
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
    quantity, matrix, unit = ("angle", apart, "°") if pairs == "Angles" else ("distance", distances(gram), "")
    draw_pairs(zoo.names, matrix, order, quantity)
    st.markdown(f"**{told} {spread(zoo.names, matrix, quantity, unit)}**")


def scatter(
    here: page.Context, chosen: Selection, places: Map, accepted: Sequence[sc.Soup], colour: str
) -> go.Figure:
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
    """How far from where all began the soup lies, against its ingredients."""
    share = f"The map shows {100 * sum(places.shares[:2]):.0f} % of what sets the weights apart."
    if not is_placed(chosen) or chosen.soup is None:
        return f"{share} A soup of none, or with re-estimated statistics, has no place on it."
    gram = places.gram
    start = sc.Soup({sc.BASE: 1.0}) if gram.has_base else sc.uniform_soup_of(gram)
    return share
