"""The ready-made story of a zoo in five scenes: what averaging gained, what it was made of, how, why, and the bill."""

from soup_core.analysis.interpolation import error_barrier, line
from soup_core.evaluation import (
    ACCURACY,
    Comparison,
    Evaluation,
    Evaluator,
    Metric,
    best_first,
    compare,
    compare_values,
)
from soup_core.formatting import counts, labels, percent, points, score, score_change, significance
from soup_core.presentation.scenes import Scene
from soup_core.recipes.ensemble import ensemble
from soup_core.recipes.greedy import greedy_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def story(zoo: Zoo, held_out: Evaluator) -> tuple[Scene, ...]:
    """Five scenes whose titles and notes are made of the zoo's numbers: chosen on held-out images, reported on test images.

    Where greedy keeps one model alone, they say that averaging did not help. Names stand in them as they are.
    """
    test = held_out.on("test")
    steps = list(greedy_soup(zoo, held_out))
    soup, first = steps[-1].soup, steps[0].candidate
    best, averaged = test(Soup.single(first)), test(soup)
    gain = compare(averaged, best)
    all_runs, kept = len(zoo.names), len(soup.names)
    singles = held_out.singles()
    worst = singles[best_first(singles)[-1]]
    together = ensemble(test, zoo.names)
    runners_up = [name for name in best_first(singles) if name != first]
    second = next((name for name in runners_up if name in soup.names), runners_up[0] if runners_up else first)
    state = _state(zoo)
    better = "gets more held-out images right"
    if (metric := held_out.metric) is not ACCURACY:
        better = f"is better on the held-out images, by {metric.name}"
    return (
        Scene(
            page="Home",
            state=state,
            title=_headline(all_runs, kept, gain),
            note=_gained(first, kept, best, averaged, gain) + _by_metric(best, averaged),
        ),
        Scene(
            page="Ingredients",
            state=state | {"in": tuple(map(labels(zoo.names), soup.names))},
            title=f"{_count(all_runs)} runs, already paid for",
            note=f"Each mark is one fine-tuned model. On held-out images they reach {score(worst)} to "
            f"{score(singles[first])}{_of(metric)}; usually all but the best are thrown away.",
            pinned=("in",),
        ),
        Scene(
            page="Greedy",
            state=state | {"step": (str(all_runs),)},
            title=f"Keep a model only if it helps: {kept} of {all_runs} {'stays' if kept == 1 else 'stay'}",
            note=f"The best model first; each next one stays only if the average {better}. The test images have no say.",
            pinned=("player",),
        ),
        _why(zoo, held_out, first, second, kept),
        Scene(
            page="Robustness",
            state=state | {"view": ("Cost",)},
            title=f"The bill: one model, where an ensemble runs {all_runs}",
            note=f"An ensemble of all {all_runs} reaches {percent(together)} of the test images, "
            f"{points(compare(together, best))} against the best single model, and costs {all_runs} forward passes an "
            f"image. {'The soup' if kept > 1 else 'The model that was kept'} reaches {percent(averaged)} with one.",
        ),
    )


def _state(zoo: Zoo) -> dict[str, tuple[str, ...]]:
    """What the address of each scene says: the zoo, and the metric where it is not accuracy."""
    return {"zoo": (zoo.name,), **({} if zoo.metric == "accuracy" else {"metric": (zoo.metric,)})}


def _of(metric: Metric) -> str:
    return "" if metric is ACCURACY else f" of {metric.name}"


def _by_metric(best: Evaluation, averaged: Evaluation) -> str:
    """A sentence on the metric that models were chosen by, where that is not accuracy."""
    if averaged.measured is None:
        return ""
    metric, gain = averaged.metric, compare_values(averaged, best)
    return (
        f" By {metric.name}, which chose: {score(best)} and {score(averaged)}, {score_change(gain, metric)}, "
        f"{significance(gain)}."
    )


def _count(number: int) -> str:
    return NUMBERS[number].capitalize() if number < len(NUMBERS) else str(number)


def _headline(runs: int, kept: int, gain: Comparison) -> str:
    many = f"{_count(runs)} run{'' if runs == 1 else 's'}"
    if kept == 1:
        return f"{many}, and no average that beats the best"
    return f"{many}, one model, {100 * gain.difference:+.1f} points, the same cost"


def _gained(first: str, kept: int, best: Evaluation, averaged: Evaluation, gain: Comparison) -> str:
    if kept == 1:
        return (
            f"On the held-out images no average beats {first}, so it is kept alone: {percent(best)} of the test images, "
            f"{counts(best)}."
        )
    return (
        f"The best single model gets {percent(best)} of the test images right, the average of {kept} gets {percent(averaged)}: "
        f"{points(gain)}, {significance(gain)}. It runs as one model."
    )


def _why(zoo: Zoo, held_out: Evaluator, first: str, second: str, kept: int) -> Scene:
    if first == second:
        return Scene(page="Interpolation", state=_state(zoo), title="One run alone", note="A line needs two models.")
    points_on_line = list(line(held_out, Soup.single(first), Soup.single(second)))
    barrier = error_barrier(points_on_line)
    middle = next(point.evaluation for point in points_on_line if point.alpha == 0.5)
    ends = max(
        (point.evaluation for point in points_on_line if point.alpha in (0.0, 1.0)), key=lambda each: each.correct
    )
    better = compare(middle, ends)
    return Scene(
        page="Interpolation",
        state=_state(zoo) | {"a": (first,), "b": (second,)},
        title=_between(barrier.connected, kept),
        note=f"Halfway between {first} and {second} accuracy differs from the better of the two by {points(better)}; on the "
        f"way the error rises at most {100 * barrier.height:.2f} points above a straight line.",
    )


def _between(connected: bool, kept: int) -> str:
    if kept == 1:
        return "No wall between the two best, and yet no gain" if connected else "Why not: a wall between the two best"
    return "Why it works: no wall between them" if connected else "A wall between these two, and yet a gain"
