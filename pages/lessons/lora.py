"""The LoRA trap: averaging adapters' factors apart, against averaging what they multiply to."""

from pathlib import Path

import soup_core as sc
from pages.lessons.lesson import Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core import charts, checkpoints
from soup_core.analysis.lora_trap import averaged_apart, share_off
from soup_core.formatting import points, significance
from soup_core.zoo import user_ingredients

COUNTS = (2, 4, 8)  # adapters that are averaged
PLACE = "lesson of adapters"  # under which the factors' averages are kept, beside no zoo
LORA = "[Hu et al. 2021](https://arxiv.org/abs/2106.09685)"
FROZEN = "[Sun et al. 2024](https://arxiv.org/abs/2403.12313)"


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction(f"Factors apart less products, {COUNTS[-1]} adapters, held-out images", -2.0, 2.0, 0.05)


def made(context: Context) -> tuple[tuple[str, Path], ...]:
    """The factors' averages of the first models as checkpoints, by name; those of an earlier run are not made again."""
    files = []
    for count in COUNTS:
        name = f"apart-{count}-{context.zoo.digest[:12]}"
        file = user_ingredients.folder_of(PLACE) / f"{name}.safetensors"
        if not file.exists():
            checkpoints.save(file, averaged_apart(context.zoo, context.zoo.names[:count]), "")
        files.append((name, file))
    return tuple(files)


def run(context: Context, predicted: Predicted) -> Outcome:
    files = made(context)
    evaluate = context.on(context.zoo.name, files).evaluator("held_out")
    together = {count: evaluate(sc.uniform_soup(context.zoo, context.zoo.names[:count])) for count in COUNTS}
    apart = {count: evaluate(sc.Soup.single(name)) for count, (name, _) in zip(COUNTS, files, strict=True)}
    base = evaluate(sc.Soup.single(sc.BASE))
    most = COUNTS[-1]
    gain = sc.compare(apart[most], together[most])
    weights = dict(checkpoints.Checkpoint(files[-1][1]).read_all())
    off = share_off(context.zoo, context.zoo.names[:most], weights)
    return Outcome(
        near_difference(float(predicted[0]), gain),
        f"{predicted[0]:+.2f} points",
        points(gain),
        charts.together_and_apart(together, apart, base),
        f"Held-out accuracy of the average of {COUNTS[0]} to {most} adapters: of their products, and of their factors apart.",
        meaning(gain, sc.compare(apart[most], base), most),
        f"The mean of the Bs times the mean of the As holds a {most}th of each model's own product B·A, and the rest is "
        f"products of one model's B with another's A, which never met in training: the result lies {100 * off:.0f} % of the "
        f"average's own step away from it. Many factors have one product ({LORA}), so they have no place in common to be "
        "averaged in; their products have. Only where all share one factor, such as an A that is drawn once and frozen "
        f"({FROZEN}), are both the same. So here adapters are merged into the base first, then averaged.",
    )


def meaning(gain: sc.Comparison, over_base: sc.Comparison, count: int) -> str:
    """What the run says, whichever way it went."""
    sentence = (
        f"Averaging the factors of {count} adapters apart differs from averaging their products by {points(gain)}"
    )
    if gain.low <= 0 <= gain.high:
        return f"{sentence}, {significance(gain)}: these images cannot tell the two apart."
    if gain.difference > 0:
        return f"{sentence}: here it happens to do better, on other weights than were trained."
    left = "nothing is left of the gain over the base" if over_base.difference <= 0 else "a part of the gain is lost"
    return f"{sentence}: {left}."


LESSON = Lesson(
    "lora",
    "The LoRA trap",
    "fashion",
    "May adapters be averaged factor by factor?",
    "LoRA keeps a fine-tuning as W + B·A. Here each model's step from the base is split into such factors, without loss. "
    "Averaged are the products, or the Bs and the As apart.",
    ask,
    run,
    lambda context: Link(
        "pages/1_Ingredients.py", "Average the models themselves", {"in": list(context.zoo.names[: COUNTS[-1]])}
    ),
)
