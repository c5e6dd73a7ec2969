"""The zoo trained on icons: a base that knows other things, fine-tuned on thin drawings, judged on filled ones as well.

`python -m soup_core.finetune.icons` makes the pictures.
"""

from dataclasses import replace
from pathlib import Path

from soup_core.data import ICONS, bundled_set
from soup_core.data.packed_images import is_packed, read_packed
from soup_core.errors import DataError
from soup_core.finetune import Hyperparameters, Space, random_search
from soup_core.finetune.bundled.plans import Parts, Plan, PlannedRun, Pretraining, TrainingSet

SPACE = Space(learning_rates=(2e-3, 4e-3), epochs=(10, 12), augmentations=("affine", "shift+affine"))


def parts(folder: Path) -> Parts:
    """The icons of other concepts, "pretrain", of a folder, and the bundled ones to train on: uint8 N×1×28×28, int64 N.

    Raises DataError where they are damaged.
    """
    pictures = {"pretrain": read_packed(folder, "pretrain"), "train": read_packed(ICONS, "train")}
    return {part: (packed.tensor, labels) for part, (packed, labels) in pictures.items()}


def check(folder: Path) -> None:
    """Raise DataError where a folder does not hold the icons to pretrain on."""
    if not is_packed(folder, ("pretrain",)):
        raise DataError(
            f"{folder} holds no icons to pretrain on, pretrain.png; make them by python -m soup_core.finetune.icons."
        )


def icons(seed: int) -> Plan:
    """Eight fine-tunings of one base, each at one learning rate, as a loop without a schedule trains.

    Rates that decay make better single models and leave less to average. Pictures are never inverted, since one run that saw
    some would suit filled icons and leave the others behind.
    """
    bundled = bundled_set("icons")
    assert bundled is not None, "it is one of them"
    before = Hyperparameters(3e-3, 0.01, 12, augmentation="shift", seed=1000 * seed)
    probe = Hyperparameters(1e-2, 0.01, 10, augmentation="shift", seed=1000 * seed)
    base = PlannedRun("base", "train", probe, pretraining=Pretraining("pretrain", before))
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", replace(hyperparameters, schedule="constant"), start="base")
        for index, hyperparameters in enumerate(random_search(8, seed=1000 * seed, space=SPACE), 1)
    ]
    trains_on = TrainingSet("icons", len(bundled.classes), parts, check)
    return Plan(
        "Icons: eight fine-tunings of one base, each at one learning rate",
        {"hidden": 64},
        (base, *runs),
        trains_on,
        "float16",
    )
