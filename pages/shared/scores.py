"""The metric that soups are selected by: its chooser, and how a number and a difference by it are shown on any page."""

from contextlib import suppress
from typing import Literal

import streamlit as st

import soup_core as sc
from pages.shared import address
from soup_core.evaluation import ACCURACY, METRICS, Metric
from soup_core.formatting import score_change
from soup_core.zoo import MetricKey


def chooser(zoo: sc.Zoo) -> MetricKey:
    """The metric that is chosen in the sidebar, of those that suit the zoo's images; at first the zoo's own."""
    grouped = False
    with suppress(sc.SoupError):  # whoever asks for the images is told
        grouped = zoo.data.has_groups("held_out")
    return chosen(zoo.metric, int(zoo.architecture["num_classes"]), grouped)


def chosen(own: MetricKey, outputs: int, grouped: bool) -> MetricKey:
    """The metric that is chosen in the sidebar, of those that suit so many outputs of images in groups or not."""
    offered = [key for key, metric in METRICS.items() if key == own or metric.fits(outputs, grouped)]
    meanings = "  \n".join(f"**{key}**: {METRICS[key].meaning}" for key in offered)
    metric: MetricKey = st.selectbox(
        "Select by",
        offered,
        offered.index(own),
        **address.bound("metric", of_zoo=True),
        help=f"What makes one soup better than another, on the held-out images.  \n{meanings}",
    )
    return metric


def label(what: str, evaluation: sc.Evaluation) -> str:
    """What a number is of, with the metric's name where it is not accuracy."""
    return what if evaluation.metric is ACCURACY else f"{what}: {evaluation.metric.name}"


def of_metric(metric: Metric) -> str:
    """ " of balanced accuracy": of what a difference is, where that is not accuracy."""
    return "" if metric is ACCURACY else f" of {metric.name}"


def tone(difference: sc.Estimate, metric: Metric) -> Literal["off", "normal", "inverse"]:
    """The colour of a difference beneath a number: grey where chance alone explains it, else by what is better."""
    if difference.spans_zero:
        return "off"
    return "normal" if metric.higher_is_better else "inverse"


def is_gain(difference: sc.Estimate, metric: Metric) -> bool:
    """Whether a difference is for the better, and more than chance explains."""
    return difference.low > 0 if metric.higher_is_better else difference.high < 0


def quantities(metric: Metric) -> tuple[str, ...]:
    """What a chart may show of mixes: accuracy, loss, and the metric that is selected by, where it is neither."""
    return ("accuracy", "loss") if metric.key in ("accuracy", "log-loss") else (metric.key, "loss", "accuracy")


def by_name(difference: sc.Estimate, metric: Metric) -> str:
    """A difference with its interval, and the metric's name where it is not accuracy."""
    return (
        score_change(difference, metric) if metric is ACCURACY else f"{metric.name} {score_change(difference, metric)}"
    )


def short_change(difference: sc.Estimate, metric: Metric) -> str:
    """A difference without its interval."""
    if metric.unit == "percent":
        return f"{100 * difference.value:+.2f} points"
    return f"{difference.value:+.4f} {metric.unit}".rstrip()


def test_in_words(difference: sc.Estimate) -> str:
    """What stands behind an interval: McNemar's p, or resampling."""
    if isinstance(difference, sc.Comparison):
        return f"McNemar p = {difference.p_value:.2g}"
    return "the images resampled 1,000 times"
