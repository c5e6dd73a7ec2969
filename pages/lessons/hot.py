"""Too hot a learning rate: two short fine-tunings at each of several rates, trained now, and the average of each two."""

import streamlit as st

import soup_core as sc
from pages.lessons.lesson import PAPER, Choice, Lesson, Link, Outcome, Predicted
from pages.shared.context import Context
from soup_core import charts
from soup_core.finetune import Beside, Hyperparameters, finetune
from soup_core.formatting import points
from soup_core.zoo import user_ingredients

RATES = (0.001, 0.008, 0.064)
SEEDS = (1, 2)
EPOCHS = 1
NEVER = "at none of them"
PLACE = "lesson of learning rates"  # under which the fine-tunings are kept, beside no zoo


def ask(context: Context) -> Choice:
    return Choice("The first rate at which the average is worse than both", (*map("{:g}".format, RATES), NEVER))


def fine_tunings(context: Context) -> dict[float, list[str]]:
    """The names of the fine-tunings by rate; a run that diverged left none. Those of an earlier run are not trained again."""
    wanted = [
        Hyperparameters(rate, 0.01, EPOCHS, augmentation="flip+shift", seed=seed) for rate in RATES for seed in SEEDS
    ]
    evaluate = context.evaluator("held_out")
    runs = finetune(context.zoo, evaluate, hyperparameters=wanted, place=Beside(context.zoo, PLACE, evaluate.store))
    bar, ends = st.empty(), {}
    for step in runs:
        ends[step.run] = step
        bar.progress((step.run - 1 + step.epoch / EPOCHS) / step.runs, f"Fine-tuning: {step.run} of {step.runs}")
    bar.empty()
    names: dict[float, list[str]] = {rate: [] for rate in RATES}
    for step in ends.values():
        names[step.hyperparameters.learning_rate] += [step.name] if step.name else []
    return names


def compared(context: Context, names: dict[float, list[str]]) -> dict[float, sc.Comparison]:
    """By rate, the average of the two fine-tunings against the worse of them; a rate whose runs diverged is left out."""
    files = tuple(
        (name, user_ingredients.folder_of(PLACE) / f"{name}.safetensors") for both in names.values() for name in both
    )
    evaluate = context.on(context.zoo.name, files).evaluator("held_out")
    gains = {}
    for rate, (*both,) in names.items():
        if len(both) == len(SEEDS):
            worse = min((evaluate(sc.Soup.single(name)) for name in both), key=lambda each: each.correct)
            gains[rate] = sc.compare(evaluate(sc.Soup({name: 1 / len(both) for name in both})), worse)
    return gains


def first_failing(gains: dict[float, sc.Comparison]) -> str:
    """The first rate at which the average is worse than both by more than chance, or at which nothing was left to average."""
    failing = (rate for rate in RATES if rate not in gains or gains[rate].high < 0)
    return next(map("{:g}".format, failing), NEVER)


def score(predicted: str, right: str) -> int:
    """100 for the right rate, 50 for the one beside it."""
    options = [*map("{:g}".format, RATES), NEVER]
    return max(0, 100 - 50 * abs(options.index(predicted) - options.index(right)))


def run(context: Context, predicted: Predicted) -> Outcome:
    gains = compared(context, fine_tunings(context))
    right = first_failing(gains)
    return Outcome(
        score(str(predicted[0]), right),
        str(predicted[0]),
        right,
        charts.middle_by_rate(gains),
        f"The average of two fine-tunings less the worse of them, at {len(gains)} learning rates.",
        meaning(gains, right),
        why(gains, right),
    )


def meaning(gains: dict[float, sc.Comparison], right: str) -> str:
    """What the run says, whichever way it went."""
    if not gains:
        return "At none of these rates did both runs end in usable weights."
    sentence = ", ".join(f"at {rate:g} by {points(gain)}" for rate, gain in gains.items())
    sentence = f"The average differs from the worse of the two {sentence}"
    if right == NEVER:
        return f"{sentence}: none of these rates was too hot."
    broken = "" if averaged(gains, right) else ", since a run there left no usable weights"
    return f"{sentence}: {right} is the first that is too hot{broken}."


def why(gains: dict[float, sc.Comparison], right: str) -> str:
    """Why the average fails at the first rate that is too hot, or what was seen where none is."""
    if right == NEVER:
        reason = "At no rate is the average worse than both runs by more than chance explains, so here nothing is seen to part them."
    elif averaged(gains, right):
        reason = f"At {right} the two runs left the base for places of their own, and their average lies on the wall between."
    else:
        reason = f"At {right} a run broke down: its numbers were no longer finite, so there were no two to average."
    return (
        f"{reason} In the paper fine-tunings at a high learning rate may lie in different valleys, and greedy soup is there to "
        f"leave them out ({PAPER}). These were short runs, of {EPOCHS} epoch{'s' if EPOCHS > 1 else ''}; longer ones may go "
        "further from the base."
    )


def averaged(gains: dict[float, sc.Comparison], right: str) -> bool:
    """Whether both runs at a rate ended in weights that could be averaged."""
    return right in map("{:g}".format, gains)


LESSON = Lesson(
    "hot",
    "Too hot",
    "fashion",
    "From which learning rate on, if any, does the average of two fine-tunings fail?",
    "At each rate the base is fine-tuned twice, now, in some seconds; only the seed differs, which orders and augments the "
    "images. Then the two are averaged, and compared with the worse of them.",
    ask,
    run,
    lambda context: Link("pages/6_Train.py", "Fine-tune at a rate of your own"),
)
