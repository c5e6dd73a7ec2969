"""An ablation that is a job: its steps drawn as they come, closed by a sentence; and a mean as such a sentence says it."""

from collections.abc import Callable
from math import isnan
from typing import Any

import streamlit as st

from pages.shared import drawing, work
from pages.shared.context import Context
from soup_core.evaluation import Estimate
from soup_core.formatting import points
from soup_core.jobs import Progress


def follow(
    context: Context, recipe: str, total: int, words: tuple[str, str, str], show: Callable[[Any], str], **arguments: Any
) -> None:
    """Follow a recipe's job, whose steps `show` draws; the sentence that it gives closes the view once the job is done.

    `words` stand on the button that starts it where the zoo is large, beside its progress, and where no step is yet.
    """
    start, what, waiting = words

    def panel(progress: Progress) -> None:
        if not progress.steps:
            st.info(waiting)
            return
        sentence = show(progress.steps)
        if progress.state == "done":
            st.markdown(f"**{sentence}**")

    with drawing.errors_shown():
        job = work.job_of(context, work.task(context, recipe, **arguments), start)
    work.follow(job, total, what, panel)


def mean_in_words(mean: Estimate) -> str:
    return f"{100 * mean.value:+.2f} points, drawn once" if isnan(mean.low) else points(mean)
