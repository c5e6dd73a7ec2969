"""The greedy search in numbers and words: where it stands, what each candidate did, and how much its order decides."""

import streamlit as st

import soup_core as sc
from pages.shared.context import Context
from soup_core import charts
from soup_core.formatting import plain, points
from soup_core.jobs import Progress


def selection_gap(context: Context, first: sc.Soup, last: sc.Soup) -> str:
    """What the soup gains over the first model where it was chosen, and less of it where it was not."""
    gains = [
        sc.compare(context.evaluator(split)(last), context.evaluator(split)(first)) for split in ("held_out", "test")
    ]
    things = context.zoo.data.things
    gap = 100 * (gains[0].difference - gains[1].difference)
    return (
        f"On the held-out {things}, which chose it, the soup gains {100 * gains[0].difference:+.2f} points; on the test "
        f"{things} {points(gains[1])}. The selection gap, the first less the second, is {gap:+.2f} points."
    )


def describe(steps: list[sc.GreedyStep], current: sc.GreedyStep) -> None:
    """The soup so far, and the candidate of the current step."""
    best = next(step.evaluation for step in reversed(steps) if step.accepted and step.evaluation)
    first, second, third = st.columns(3)
    first.metric("Greedy soup so far", charts.percent(best), help=charts.counts(best))
    second.metric("Ingredients in it", f"{len(current.soup.names)} of {len(steps)} tried")
    verdict = "accepted" if current.accepted else "rejected" if current.evaluation else "rejected early"
    total = best.total
    value = f"{100 * current.correct_at_most / total:.2f} %"
    third.metric(
        f"{plain(current.candidate)}: {verdict}",
        value if current.evaluation else f"≤ {value}",
        help=f"{'' if current.evaluation else 'At most '}{current.correct_at_most:,} of {total:,} images; "
        f"{current.images_evaluated:,} were run now.",
    )


def meaning(steps: list[sc.GreedyStep], current: sc.GreedyStep, count: int) -> str:
    """What the current step means, in a search over so many candidates."""
    accepted = [step for step in steps if step.accepted]
    if current.index == 0:
        return f"The search starts from {plain(current.candidate)}."
    if len(steps) == count:
        gain = accepted[-1].correct_at_most - accepted[0].correct_at_most
        return f"Of {count} ingredients greedy keeps {len(accepted)}: {gain:+d} held-out images over its first model."
    if current.accepted:
        return f"With {plain(current.candidate)} in, the average gets more held-out images right, so it stays."
    if current.evaluation is None:
        return f"{plain(current.candidate)} had already missed too many images to win, so the rest was not run."
    return f"With {plain(current.candidate)} in, the average gets no better, so it is left out."


def draw_band(progress: Progress) -> None:
    """Between which accuracies the searches in shuffled orders end."""
    if progress.steps:
        finals = sorted(step.correct[-1] / step.total for step in progress.steps)
        st.markdown(
            f"Of {len(finals)} shuffled orders the lowest ends at {100 * finals[0]:.2f} %, the highest at "
            f"{100 * finals[-1]:.2f} %."
        )
