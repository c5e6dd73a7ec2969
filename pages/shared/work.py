"""Long work on a page: started, followed with its progress, cancelled; it goes on without the page."""

from collections.abc import Callable
from typing import Any

import streamlit as st

import soup_core as sc
from pages.shared import caching, pulse, session
from pages.shared.context import Context
from soup_core.formatting import plain
from soup_core.jobs import Job, Progress, Task

PAINT_SECONDS = 1.0  # a browser's for a page that it has not seen before
SMALL_GIGABYTES = 0.5  # zoos up to this size are worked on without being asked


def task(context: Context, recipe: str, *, images: int | None = None, **arguments: Any) -> Task:
    """A recipe on the open zoo, on so many of the held-out images or all, computed as the sidebar says."""
    computing = context.device, context.precision, context.memory
    return Task(recipe, context.zoo.name, *computing, images, arguments, context.zoo.metric)


def job_of(context: Context, task: Task, start: str | None = None, *, rest: float = 0.0) -> Job | None:
    """The job of a task: the one there is, stopped or not, or one started now, which rests first for so many seconds.

    With `start`, the words of a button, a large zoo's job is started only when that is pressed; until then None. Who has
    asked for a file of scenes has asked for their work.
    """
    jobs = caching.jobs()
    job = jobs.find(task, context.zoo)
    if job is None and (
        start is None
        or st.session_state.get(session.RENDERING, False)
        or sc.bank_size(context.zoo) <= SMALL_GIGABYTES
        or st.button(start, type="primary")
    ):
        job = jobs.submit(task, context.zoo, rest=rest)
    return job


def follow(job: Job | None, total: int, what: str, draw: Callable[[Progress], None]) -> None:
    """Draw the job's steps as they come, with its progress beneath; ended ones are drawn once.

    Where there is no job yet, say that it waits to be started.
    """
    if job is None:
        st.markdown("**On a zoo of this size this takes a while; it goes on when you leave the page.**")
        return
    over = job.progress().ended
    drawn: tuple[object, ...] = ()

    def changed() -> bool:
        return drawn != _seen(job.progress())

    @st.fragment(key=(panel_key := f"work-{job.key}"))
    def panel() -> None:
        nonlocal drawn
        progress = job.progress()
        drawn = _seen(progress)
        # Each in a container, or else the button would be another one whenever more or less is drawn above it.
        shown, controls = st.container(), st.container()
        with shown:
            draw(progress)
        if progress.ended and progress.state != "done":
            message, button = controls.columns([4, 1], vertical_alignment="center")
            message.warning(plain(progress.message), icon=":material/pause:")
            if button.button("Go on", key=f"go-{job.key}", width="stretch"):
                caching.jobs().submit(job.task, job.zoo)
                st.rerun()
        elif not progress.ended:
            message, button = controls.columns([4, 1], vertical_alignment="center")
            message.progress(min(1.0, progress.steps_done / total), text=_words(progress, total, what))
            button.button(
                "Stop",
                key=f"stop-{job.key}",
                on_click=caching.jobs().cancel,
                args=(job,),
                disabled=progress.state == "cancelling",
                width="stretch",
            )
        if progress.ended and not over:
            st.rerun()

    panel()
    if not over:
        pulse.watch(job.key, changed, panel_key)


def _seen(progress: Progress) -> tuple[object, ...]:
    """What a picture of the work shows; it is drawn anew where this is another."""
    return progress.state, progress.steps_done, len(progress.steps)


def _words(progress: Progress, total: int, what: str) -> str:
    if progress.state == "queued":
        return f"{what}: waits for other work"
    if progress.state == "cancelling":
        return f"{what}: stopping"
    words = f"{what}: {progress.steps_done} of {total}"
    if progress.rate:
        left = max(0, total - progress.steps_done) / progress.rate
        rate = f"{progress.rate:.1f} a second" if progress.rate >= 1 else f"{1 / progress.rate:.1f} s each"
        words += f", {rate}, about {left:.0f} s left"
    return words
