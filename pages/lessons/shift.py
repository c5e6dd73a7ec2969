"""Robustness under shift: greedy soup and the best single model on a handful of corrupted test images."""

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near
from pages.shared.context import Context
from soup_core import charts
from soup_core.analysis.robustness import ComparedModel, entry_of
from soup_core.formatting import points, significance

SHIFTS = ("noise-3", "blur-3", "contrast-3", "rotation-3", "occlusion-3")


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction(
        "Shifts on which greedy soup gets more images right", 0.0, float(len(SHIFTS)), 1.0, shown="%d"
    )


def run(context: Context, predicted: Predicted) -> Outcome:
    steps = list(sc.greedy_soup(context.zoo, context.evaluator("held_out")))
    members = (ComparedModel("ingredient", steps[0].soup, best=True), ComparedModel("greedy", steps[-1].soup))
    evaluations: list[dict[str, sc.Evaluation]] = [{}, {}]
    for split in ("test", *(f"test:{shift}" for shift in SHIFTS)):
        evaluate = context.evaluator(split)
        for its, member in zip(evaluations, members, strict=True):
            its[split] = evaluate(member.soup)
    best, greedy = map(entry_of, members, evaluations)
    pairs = {shift: sc.compare(greedy.shifts[shift], best.shifts[shift]) for shift in SHIFTS}
    ahead = sum(pair.difference > 0 for pair in pairs.values())
    lead, clean = greedy.lead(best), sc.compare(greedy.test, best.test)
    certain = {shift for shift, pair in pairs.items() if not pair.spans_zero}
    by_shift = "; ".join(f"{shift.rpartition('-')[0]} {points(pair)}" for shift, pair in pairs.items())
    return Outcome(
        near(float(predicted[0]), ahead, ahead, 3.0),
        f"{predicted[0]:.0f} of {len(SHIFTS)}",
        f"{ahead} of {len(SHIFTS)}",
        charts.relative_drops([best, greedy]),
        f"The share of accuracy that each of {len(SHIFTS)} shifts takes from the best single model and from greedy soup.",
        f"Greedy soup is ahead on {ahead} of {len(SHIFTS)} shifts, on their mean by {points(lead)}, {significance(lead)}; without shift by "
        f"{points(clean)}.",
        f"By shift: {by_shift}; {len(certain)} of these are more than chance explains. A mean can hide that a soup wins on one "
        f"shift and loses on another. In {PAPER} greedy soup gains on the mean over five natural shifts of ImageNet; these "
        "here are made corruptions at severity 3. Mixing the base back in is another way to keep its robustness, WiSE-FT "
        "([Wortsman et al. 2021](https://arxiv.org/abs/2109.01903)).",
    )


LESSON = Lesson(
    "shift",
    "Under shift",
    "fashion",
    "Is the soup ahead of the best model when the images change?",
    "The same test images, once each with noise, blur, less contrast, turned, and with a part covered. Neither model was "
    "chosen on such images.",
    ask,
    run,
    lambda context: Link("pages/5_Robustness.py", "All shifts, at every severity", {"view": "Shifts"}),
)
