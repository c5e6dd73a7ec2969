"""Results and names in words, the same on a page and in a file: accuracies, differences, names as literal Markdown."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from soup_core.evaluation import Estimate, Evaluation, Metric
from soup_core.runtime.files import listed as listed


def visible(text: str) -> str:
    """Text without what is not seen: line breaks, control characters and direction marks become spaces."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)


def plain(text: str) -> str:
    """Text as literal Markdown: no markup, link, image, formula or direction mark survives in it.

    Ordinary names (letters, digits, dots, hyphens, underscores within) stay as they are, since a widget's labels are
    also what the address holds.
    """
    escaped = re.sub(r"([!-,/:-@\[-^`{-~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", visible(text))
    # Bare addresses are made links even where their marks are escaped; a word joiner, which is not seen, parts them.
    escaped = re.sub(r"(?i)(www|:)(?=\\?[./])|(?=\\?@)", lambda match: f"{match[0]}\u2060", escaped)
    return re.sub(r"^(\s*\d*)([-+.])", r"\1\\\2", escaped)


def labels(options: Iterable[str], say: Callable[[str], str] = plain) -> Callable[[str], str]:
    """How a chooser, and so the address, names its options: those that would read the same are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}
    for option in options:
        label = each = say(option)
        while each in taken:
            each = f"{label} ({next(numbers.setdefault(label, count(2)))})"
        names[option] = each
        taken.add(each)
    return lambda option: names.get(option, say(option))


def percent(evaluation: Evaluation) -> str:
    """An accuracy in percent: two decimals from 1,000 images on, else one.

    >>> percent(Evaluation(108, 120, 0.0, 0.0, b"")), percent(Evaluation(4512, 5000, 0.0, 0.0, b""))
    ('90.0 %', '90.24 %')
    """
    return f"{100 * evaluation.accuracy:.{2 if evaluation.total >= 1000 else 1}f} %"


def counts(evaluation: Evaluation) -> str:
    """The counts behind an accuracy."""
    return f"{evaluation.correct:,} of {evaluation.total:,} images"


def score(evaluation: Evaluation) -> str:
    """The value of the metric that an evaluation is judged by, without its name: of accuracy what `percent` says."""
    return score_of(evaluation.value, evaluation.metric, 2 if evaluation.total >= 1000 else 1)


def score_of(value: float, metric: Metric, decimals: int = 2) -> str:
    """A metric's value: a share in percent with so many decimals, others with four, and their unit."""
    return f"{100 * value:.{decimals}f} %" if metric.unit == "percent" else f"{value:.4f} {metric.unit}".rstrip()


def score_change(estimate: Estimate, metric: Metric) -> str:
    """A difference in a metric's value with sign and interval: in points, or in its own unit."""
    if metric.unit == "percent":
        return points(estimate)
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{estimate.value:+.4f}{unit} ({score_bounds(estimate, metric)})"


def score_bounds(estimate: Estimate, metric: Metric) -> str:
    """The bounds of a metric's interval: in percent or points, or in its own unit."""
    return interval(estimate) if metric.unit == "percent" else f"{estimate.low:.4f} to {estimate.high:.4f}"


def duration(seconds: float) -> str:
    """A time to wait in the unit that says most.

    >>> duration(0.4), duration(75), duration(7300)
    ('1 s', '1 min', '2 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 3600 else f"{round(seconds / 3600)} h"


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """The bounds of an interval in percent or points: "0.25 to 0.88"."""
    return f"{100 * estimate.low:.{decimals}f} to {100 * estimate.high:.{decimals}f}"


def points(estimate: Estimate, decimals: int = 2) -> str:
    """A difference in points with sign and interval.

    >>> points(Estimate(0.0056, 0.0025, 0.0088))
    '+0.56 points (0.25 to 0.88)'
    """
    return f"{100 * estimate.value:+.{decimals}f} points ({interval(estimate, decimals)})"


def significance(estimate: Estimate) -> str:
    """Whether a difference is more than chance, by its interval."""
    return "within what chance explains" if estimate.spans_zero else "more than chance explains"
