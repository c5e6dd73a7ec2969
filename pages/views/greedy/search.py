"""The greedy search in numbers and words: where it stands, what each candidate did, and how much its order decides."""

import math

import streamlit as st

import soup_core as sc
from pages.shared import scores
from pages.shared.context import Context
from soup_core import charts
from soup_core.evaluation import Metric, compare_values
from soup_core.formatting import plain, score, score_change, score_of
from soup_core.jobs import Progress


def selection_gap(context: Context, first: sc.Soup, last: sc.Soup) -> str:
    """What the soup gains over the first model where it was chosen, and less of it where it was not."""
    things = context.zoo.data.things
    pairs = [[context.evaluator(split)(soup) for soup in (last, first)] for split in ("held_out", "test")]
    gains, metric = [compare_values(*pair) for pair in pairs], pairs[0][0].metric
    if pairs[1][0].metric is not metric:
        return f"By {metric.name}, which the test {things} cannot tell, the soup gains {scores.short_change(gains[0], metric)}."
    gap = sc.Estimate(gains[0].value - gains[1].value, math.nan, math.nan)
    gain = scores.short_change(gains[0], metric)
    return (
        f"On the held-out {things}, which chose it, the soup gains {gain}{scores.of_metric(metric)}; on the test {things} "
        f"{score_change(gains[1], metric)}. The selection gap, the first less the second, is {scores.short_change(gap, metric)}."
    )


def describe(steps: list[sc.GreedyStep], current: sc.GreedyStep) -> None:
    """The soup so far, and the candidate of the current step."""
    best = next(step.evaluation for step in reversed(steps) if step.accepted and step.evaluation)
    first, second, third = st.columns(3)
    first.metric(scores.label("Greedy soup so far", best), score(best), help=charts.counts(best))
    second.metric("Ingredients in it", f"{len(current.soup.names)} of {len(steps)} tried")
    verdict = "accepted" if current.accepted else "rejected" if current.evaluation else "rejected early"
    total = best.total
    at_most = current.correct_at_most / total if current.value_at_most is None else current.value_at_most
    value = score_of(at_most, best.metric)
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
        first, last = accepted[0].evaluation, accepted[-1].evaluation
        if first and last and last.measured:
            risen = sc.Estimate(last.value - first.value, math.nan, math.nan)
            return (
                f"Of {count} ingredients greedy keeps {len(accepted)}: {last.metric.name} "
                f"{scores.short_change(risen, last.metric)} on held-out images over its first model."
            )
        return f"Of {count} ingredients greedy keeps {len(accepted)}: {gain:+d} held-out images over its first model."
    if current.accepted and current.value_at_most is not None:
        return f"With {plain(current.candidate)} in, the average gets better on held-out images, so it stays."
    if current.accepted:
        return f"With {plain(current.candidate)} in, the average gets more held-out images right, so it stays."
    if current.evaluation is None:
        return f"{plain(current.candidate)} had already missed too many images to win, so the rest was not run."
    return f"With {plain(current.candidate)} in, the average gets no better, so it is left out."


def draw_band(progress: Progress, metric: Metric) -> None:
    """Between which accuracies, or values of another metric, the searches in shuffled orders end."""
    if progress.steps:
        finals = sorted(step.values[-1] if step.values else step.correct[-1] / step.total for step in progress.steps)
        lowest, highest = (score_of(value, metric) for value in (finals[0], finals[-1]))
        st.markdown(f"Of {len(finals)} shuffled orders the lowest ends at {lowest}, the highest at {highest}.")
