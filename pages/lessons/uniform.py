"""Uniform can lose: averaging one model after another, the best first, until all are in."""

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, Number, Outcome, Said, near_difference, sure
from pages.shared import page
from soup_core.ablations import number_averaged
from soup_core.charts.ablations import number_averaged_curve


def ask(here: page.Context) -> Number:
    return Number("Average of all less the best single model, on the held-out images", -2.0, 2.0, 0.05)


def run(here: page.Context, said: Said) -> Outcome:
    steps = list(number_averaged(here.zoo, here.evaluator("held_out")))
    first, last, test = steps[0], steps[-1], here.evaluator("test")
    gain = sc.compare(last.held_out.soup, first.held_out.soup)
    peak = max(steps, key=lambda step: (step.held_out.soup.correct, -step.count))
    return Outcome(
        near_difference(float(said[0]), gain),
        f"{said[0]:+.2f} points",
        page.points(gain),
        number_averaged_curve(steps, models=len(steps)),
        f"Held-out accuracy of the average of the first models, up to all {len(steps)}.",
        meaning(gain, len(steps)),
        f"Of these averages that of the first {peak.count} is best, by "
        f"{page.points(sc.compare(peak.held_out.soup, last.held_out.soup))} over that of all. A weak model moves the "
        "average as far as a good one, which is why greedy asks each before it lets it in. But the held-out images also "
        "chose the best single model, which flatters it: on the test images the average of all differs from it by "
        f"{page.points(sc.compare(test(last.soup), test(first.soup)))} ({PAPER}).",
    )


def meaning(gain: sc.Comparison, models: int) -> str:
    """What the run says, whichever way it went."""
    told = f"The average of all {models} differs from the best single model by {page.points(gain)}, {sure(gain)}"
    if gain.high < 0 or gain.low > 0:
        return f"{told}: it {'loses' if gain.high < 0 else 'wins'} here."
    return (
        f"{told}: {'it is behind, but these images cannot tell' if gain.difference < 0 else 'it does not lose here'}."
    )


LESSON = Lesson(
    "uniform", "Uniform can lose", "fashion",
    "Does the average of all models beat the best one?",
    "Uniform soup averages every model, good and bad. Order them by held-out accuracy, best first, and average the first "
    "one, two, three, until all are in.",
    ask, run, lambda here: Link("pages/1_Ingredients.py", "Average one after another",
                                {"view": "Ablations", "ablation": "How many"}),
)  # fmt: skip
