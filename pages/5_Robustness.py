"""Robustness: models on shifted images, their calibration, what changed from one to the other, and what each costs."""

from collections.abc import Callable

import streamlit as st

from pages.shared import address, drawing, page, work
from pages.views.outputs import robustness as outputs_robustness
from pages.views.robustness import calibration, changes, under_shift
from pages.views.robustness import cost as cost_view
from pages.views.robustness.numbers import SHOWN
from soup_core.analysis.face_off import recipes_of
from soup_core.analysis.robustness import RobustnessResult, latest, models_of, steps_of
from soup_core.jobs import Progress

context = page.begin("Robustness", "What averaging does beyond test accuracy.", on_outputs=outputs_robustness.draw)
zoo = context.zoo


def followed(recipe: str, total: int, what: str, draw: Callable[[Progress], None]) -> bool:
    """Draw what the job of a recipe has computed; say whether it was started."""
    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, recipe), f"{what}: start")
    if job is None:
        st.info("On a zoo of this size it takes a while; it goes on when you leave the page.")
    else:
        work.follow(job, total, what, draw)
    return job is not None


def shifted(draw: Callable[[tuple[RobustnessResult, ...], dict[str, RobustnessResult]], None]) -> None:
    def drawn(progress: Progress) -> None:
        entries = latest(progress.steps)
        if entries:
            leading = {each.member.role: each for each in entries if each.member.role in SHOWN}
            draw(entries, leading)
        else:
            st.info(
                f"Here the models will stand, soups first, once they were run on some {zoo.data.things} of every shift."
            )

    if not zoo.data.shifts():
        st.info(
            "This zoo has no shift: those that can be made are made of images. Texts of another kind with the same classes are "
            "one; name their file under [data.shifts] in zoo.toml, or put it beside those of the splits."
        )
        st.markdown("**Without a shift nothing can be said of robustness.**")
        return
    followed("robustness", steps_of(zoo), f"Running models on shifted {zoo.data.things}", drawn)


def cost() -> None:
    if not followed(
        "face-off", recipes_of(zoo), "Comparing recipes", lambda progress: cost_view.recipes(context, progress.steps)
    ):
        with drawing.errors_shown():
            cost_view.numbers(context)


VIEWS: dict[str, Callable[[], object]] = {
    "Figure": lambda: shifted(under_shift.figure),
    "Shifts": lambda: shifted(under_shift.shifts),
    "Calibration": lambda: followed("calibration", models_of(zoo), "Measuring calibration", calibration.draw),
    "What changed": lambda: changes.draw(context),
    "Cost": cost,
}
view = st.segmented_control(
    "View", list(VIEWS), default="Figure", required=True, **address.bound("view", of_zoo=False, of_page=True)
)
VIEWS[view]()
