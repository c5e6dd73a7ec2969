"""The plane through three models: a picture of the landscape that they lie in, coarse first, each cell a mix to take."""

from functools import partial
from itertools import product

import streamlit as st

import soup_core as sc
from pages.shared import address, drawing, scores, work
from pages.shared.context import GREEDY, TAKEN, UNIFORM, Context
from pages.shared.live_chart import Event
from pages.views.interpolation import clicked_mix
from soup_core.analysis.interpolation import Plane, plane_place
from soup_core.charts.geometry import Shown
from soup_core.charts.planes import plane_contour, plane_surface
from soup_core.evaluation import Evaluator, compare_values
from soup_core.formatting import plain, score, score_change
from soup_core.jobs import Progress

RESOLUTION = 21
FEW = 1000
KINDS = {sc.BASE: "base", UNIFORM: "uniform", GREEDY: "greedy", TAKEN: "taken"}
Names = tuple[str, str, str]


def draw(context: Context, names: Names) -> None:
    """Evaluate the plane through three named models, and read any of its cells."""
    held_out = context.evaluator("held_out")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        quantities = scores.quantities(held_out.metric)
        quantity = st.segmented_control(
            "Shown", quantities, default=quantities[0], required=True, **address.bound("shown", of_zoo=False)
        )
        form = st.segmented_control(
            "Drawn as", ("map", "landscape"), default="map", required=True, **address.bound("form", of_zoo=False)
        )
        whole = held_out.total <= FEW or st.toggle(
            f"All {held_out.total:,} images",
            **address.bound("all", of_zoo=False),
            help=f"Else {FEW:,} of them, which is sooner there and less exact.",
        )
    with drawing.waiting("Reading the weights once"):
        evaluate = held_out if whole else context.few(FEW)
        gram = sc.gram(context.zoo, held_out.store)
    with drawing.waiting("Making the three corners"):
        first, second, third = names
        corners = (context.soup_of(first), context.soup_of(second), context.soup_of(third))
    try:
        plane = sc.plane_through(gram, *corners)
    except sc.CoefficientError as error:
        st.markdown(f"**There is no plane to see. {plain(str(error))}**")
        return
    with drawing.errors_shown():
        task = work.task(
            context,
            "plane",
            images=None if whole else FEW,
            corners=[soup.to_json() for soup in corners],
            resolution=RESOLUTION,
        )
        job = work.job_of(context, task, "Evaluate the plane")
    if job is None:
        st.markdown(
            f"**Nothing of this plane is known yet: it takes {RESOLUTION**2} evaluations, which go on when you leave the "
            "page.**"
        )
        return
    with drawing.waiting("Searching the greedy soup for its path"):
        accepted = [step.soup for step in sc.greedy_soup(context.zoo, held_out) if step.accepted]
    path = [plane_place(gram, plane, soup) for soup in accepted]
    soups = {name: context.soup_of(name) for name in context.options if name not in names}
    others = [Shown(name, _kind(name), plane_place(gram, plane, soup)) for name, soup in soups.items()]
    marks = ((first, _kind(first)), (second, _kind(second)), (third, _kind(third)))
    if form == "landscape":
        with drawing.waiting("Evaluating the models beside the plane"):
            own = {soup: evaluate(soup) for soup in (*soups.values(), *accepted, *corners)}

    def show(progress: Progress) -> None:
        if not progress.steps:
            st.info("Here the plane will be, coarse first.")
            return
        if form == "map":
            figure = plane_contour(
                plane, progress.steps, resolution=RESOLUTION, corners=marks, quantity=quantity, others=others, path=path
            )
        else:
            a, b, c = (own[soup] for soup in corners)
            figure = plane_surface(
                plane,
                progress.steps,
                resolution=RESOLUTION,
                corners=marks,
                quantity=quantity,
                evaluations=(a, b, c),
                others=[(shown, own[soups[shown.name]]) for shown in others],
                path=[(position, own[soup]) for position, soup in zip(path, accepted, strict=True)],
            )
        drawing.chart(
            figure,
            f"plane-{form}",
            f"{quantity} on {evaluate.total} held-out images over the plane through {', '.join(names)}.",
            partial(_click, names),
        )
        _read(context, plane, evaluate, names)
        best = max(progress.steps, key=lambda point: (point.evaluation.standing, -point.stride))
        ends_best = max((evaluate(soup) for soup in corners), key=lambda evaluation: evaluation.standing)
        metric = best.evaluation.metric
        so_far = "" if progress.state == "done" else " so far"
        st.markdown(
            f"**The best of {len(progress.steps)} mixes{so_far} has {score(best.evaluation)}{scores.of_metric(metric)} of "
            f"{evaluate.total:,} held-out images, {score_change(compare_values(best.evaluation, ends_best), metric)} against the "
            f"best corner, which flatters it: it was chosen among all of them.**"
        )

    work.follow(job, RESOLUTION**2, "Evaluating the plane", show)


def _click(names: Names, event: Event) -> None:
    """A click on a cell reads the mix there."""
    for point in event["points"] if event["kind"] == "click" else ():
        if len(cell := point.get("customdata") or []) == 5:
            clicked_mix.click(names, float(cell[0]), float(cell[1]))


def _read(context: Context, plane: Plane, evaluate: Evaluator, names: Names) -> None:
    xs, ys = plane.grid(RESOLUTION)
    at = clicked_mix.clicked(names, list(product(xs, ys)))
    if at is None:
        st.caption(
            "Click a cell to read the mix that it stands for, and to take it along. Hollow marks lie off the plane: hover "
            "tells how far."
        )
        return
    shares = dict(zip(names, plane.shares(*at), strict=True))
    clicked_mix.offer(context, shares, plane.soup(*at), evaluate, "held-out")


def _kind(name: str) -> str:
    return KINDS.get(name, "ingredient")
