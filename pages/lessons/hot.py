"""Too hot a learning rate: two short fine-tunings at each of several rates, made now, and the average of each two."""

import streamlit as st

import soup_core as sc
from pages.lessons.lesson import PAPER, Choice, Lesson, Link, Outcome, Said
from pages.shared import page
from soup_core import added, charts
from soup_core.finetune import Beside, Hyperparameters, finetune

RATES = (0.001, 0.008, 0.064)
SEEDS = (1, 2)
EPOCHS = 1
NEVER = "at none of them"
PLACE = "lesson of learning rates"  # under which the fine-tunings are kept, beside no zoo


def ask(here: page.Context) -> Choice:
    return Choice("The first rate at which the average is worse than both", (*map("{:g}".format, RATES), NEVER))


def made(here: page.Context) -> dict[float, list[str]]:
    """The names of the fine-tunings by rate; a run that diverged left none. What was made before is not made again."""
    wanted = [
        Hyperparameters(rate, 0.01, EPOCHS, augmentation="flip+shift", seed=seed) for rate in RATES for seed in SEEDS
    ]
    evaluate = here.evaluator("held_out")
    runs = finetune(here.zoo, evaluate, hyperparameters=wanted, place=Beside(here.zoo, PLACE, evaluate.store))
    bar, ends = st.empty(), {}
    for step in runs:
        ends[step.run] = step
        bar.progress(step.run / step.runs, f"Fine-tuning: {step.run} of {step.runs}")
    bar.empty()
    names: dict[float, list[str]] = {rate: [] for rate in RATES}
    for step in ends.values():
        names[step.hyperparameters.learning_rate] += [step.name] if step.name else []
    return names


def compared(here: page.Context, names: dict[float, list[str]]) -> dict[float, sc.Comparison]:
    """By rate, the average of the two fine-tunings against the worse of them; a rate whose runs diverged is left out."""
    files = tuple((name, added.folder_of(PLACE) / f"{name}.safetensors") for both in names.values() for name in both)
    evaluate = here.on(here.zoo.name, files).evaluator("held_out")
    found = {}
    for rate, (*both,) in names.items():
        if len(both) == len(SEEDS):
            worse = min((evaluate(sc.Soup({name: 1.0})) for name in both), key=lambda each: each.correct)
            found[rate] = sc.compare(evaluate(sc.Soup({name: 1 / len(both) for name in both})), worse)
    return found


def first_failing(found: dict[float, sc.Comparison]) -> str:
    """The first rate at which the average is worse than both by more than chance, or at which nothing was left to average."""
    failing = (rate for rate in RATES if rate not in found or found[rate].high < 0)
    return next(map("{:g}".format, failing), NEVER)


def score(said: str, right: str) -> int:
    """100 for the right rate, 50 for the one beside it."""
    places = [*map("{:g}".format, RATES), NEVER]
    return max(0, 100 - 50 * abs(places.index(said) - places.index(right)))


def run(here: page.Context, said: Said) -> Outcome:
    found = compared(here, made(here))
    right = first_failing(found)
    return Outcome(
        score(str(said[0]), right),
        str(said[0]),
        right,
        charts.middle_by_rate(found),
        f"The average of two fine-tunings less the worse of them, at {len(found)} learning rates.",
        meaning(found, right),
        "A small learning rate stays near the base, where both runs end in one valley. A large one leaves it, each run to a "
        f"place of its own, and their average lies on the wall between. The paper sees this too, and greedy leaves such "
        f"models out ({PAPER}). These were short runs, of "
        f"{EPOCHS} epoch{'s' if EPOCHS > 1 else ''}; longer ones go further.",
    )  # fmt: skip


def meaning(found: dict[float, sc.Comparison], right: str) -> str:
    """What the run says, whichever way it went."""
    if not found:
        return "At none of these rates did the runs end in usable weights."
    coolest, hottest = min(found), max(found)
    told = f"At {coolest:g} the average differs from the worse of the two by {page.points(found[coolest])}"
    if hottest > coolest:
        told += f", at {hottest:g} by {page.points(found[hottest])}"
    if right == NEVER:
        return f"{told}: none of these rates was too hot."
    return f"{told}: {right} is the first that is too hot."


LESSON = Lesson(
    "hot", "Too hot", "fashion",
    "From which learning rate on do two fine-tunings no longer soup?",
    "At each rate the base is fine-tuned twice, now, in some seconds; only the order of the images differs. Then the two are "
    "averaged, and compared with the worse of them.",
    ask, run, lambda here: Link("pages/6_Train.py", "Fine-tune at a rate of your own"),
)  # fmt: skip
