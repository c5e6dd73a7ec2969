"""The plane through three models: a picture of the landscape that they lie in, coarse first, each cell a mix to take."""

import streamlit as st

import soup_core as sc
from pages.shared import page, work
from pages.shared.live_chart import Event
from soup_core import charts
from soup_core.charts.geometry import Shown
from soup_core.charts.planes import plane_contour, plane_surface
from soup_core.evaluation import Evaluator
from soup_core.interpolation import Plane, plane_place
from soup_core.jobs import Progress

RESOLUTION = 21
FEW = 1000
AT = "plane:at"


def draw(here: page.Context, names: tuple[str, str, str]) -> None:
    """Evaluate the plane through three named models, and read any of its cells."""
    held_out = here.evaluator("held_out")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        quantity = st.segmented_control("Shown", ("accuracy", "loss"), default="accuracy", required=True,
                                        key="shown", bind="query-params")  # fmt: skip
        form = st.segmented_control("Drawn as", ("map", "landscape"), default="map", required=True, key="form",
                                    bind="query-params")  # fmt: skip
        whole = held_out.total <= FEW or st.toggle(
            f"All {held_out.total:,} images", key="all", bind="query-params",
            help=f"Else {FEW:,} of them, which is sooner there and less exact.",
        )  # fmt: skip
    with page.errors_shown():
        first, second, third = names
        corners = (here.soup_of(first), here.soup_of(second), here.soup_of(third))
        gram = sc.gram(here.zoo, held_out.store)
        plane = sc.plane_through(gram, *corners)
        *_, last = steps = list(sc.greedy_soup(here.zoo, held_out))
        path = [plane_place(gram, plane, step.soup) for step in steps if step.accepted]
        others = [
            Shown(name, "ingredient", plane_place(gram, plane, sc.Soup({name: 1.0})))
            for name in here.zoo.names if name not in names
        ]  # fmt: skip
        others += [
            Shown(option, kind, plane_place(gram, plane, soup))
            for option, kind, soup in ((page.UNIFORM, "uniform", sc.uniform_soup(here.zoo)),
                                       (page.GREEDY, "greedy", last.soup)) if option not in names
        ]  # fmt: skip
        evaluate = held_out if whole else here.few(FEW)
        wanted = work.task(
            here, "plane", images=None if whole else FEW, corners=[soup.to_json() for soup in corners],
            resolution=RESOLUTION,
        )  # fmt: skip
        job = work.job_of(here, wanted, "Evaluate the plane")
    if job is None:
        st.info(f"A plane takes {RESOLUTION**2} evaluations; it goes on when you leave the page.")
        return
    marks = ((first, _kind(first)), (second, _kind(second)), (third, _kind(third)))

    def show(progress: Progress) -> None:
        if not progress.steps:
            st.info("Here the plane will be, coarse first.")
            return
        if form == "map":
            figure = plane_contour(plane, progress.steps, resolution=RESOLUTION, corners=marks, quantity=quantity,
                                   others=others, path=path)  # fmt: skip
        else:
            a, b, c = (evaluate(soup) for soup in corners)
            figure = plane_surface(plane, progress.steps, resolution=RESOLUTION, corners=marks, quantity=quantity,
                                   evaluations=(a, b, c))  # fmt: skip
        page.chart(
            figure, f"plane-{form}",
            f"{quantity} on {evaluate.total} held-out images over the plane through {', '.join(names)}.", _take,
        )  # fmt: skip
        _read(plane, evaluate, names)
        best = max(progress.steps, key=lambda point: (point.evaluation.correct, -point.stride))
        ends_best = max((evaluate(soup) for soup in corners), key=lambda evaluation: evaluation.correct)
        so_far = "" if progress.state == "done" else " so far"
        st.markdown(
            f"**The best of {len(progress.steps)} mixes{so_far} has {charts.percent(best.evaluation)} of "
            f"{evaluate.total:,} held-out images, {page.points(sc.compare(best.evaluation, ends_best))} against the "
            f"best corner, which flatters it: it was chosen among all of them.**"
        )

    work.follow(job, RESOLUTION**2, "Evaluating the plane", show)


def _take(event: Event) -> None:
    cells = [point["customdata"] for point in event["points"] if len(point.get("customdata") or []) == 5]
    if cells:
        st.session_state[AT] = (float(cells[0][0]), float(cells[0][1]))


def _read(plane: Plane, evaluate: Evaluator, names: tuple[str, str, str]) -> None:
    """What the clicked cell is: its mix, its accuracy, and the soup to take along."""
    if AT not in st.session_state:
        st.caption(
            "Click a cell to read the mix that it stands for. Hollow marks lie off the plane: hover tells how far."
        )
        return
    x, y = st.session_state[AT]
    soup = plane.soup(x, y)
    with page.errors_shown():
        evaluation = evaluate(soup)
    third = y / plane.height
    second = (x - third * plane.lean) / plane.width
    shares = ", ".join(
        f"{share:.2f} × {page.plain(name)}"
        for name, share in zip(names, (1 - second - third, second, third), strict=True)
    )
    left, right = st.columns([1, 2])
    left.metric("This mix, held-out", charts.percent(evaluation), help=charts.counts(evaluation))
    right.markdown(shares)
    right.download_button("Take it as a soup", soup.to_json(), "soup.json", "application/json",
                          help="A file that `python -m soup_core evaluate ZOO --soup FILE` reads.")  # fmt: skip


def _kind(name: str) -> str:
    return {sc.BASE: "base", page.UNIFORM: "uniform", page.GREEDY: "greedy"}.get(name, "ingredient")
