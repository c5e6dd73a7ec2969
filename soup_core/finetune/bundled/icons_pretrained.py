"""The paper's own setting, small: a network pre-trained on photographs, fine-tuned on icons, judged on filled ones as well.

The start is torchvision's MobileNetV2 of ImageNet; the pictures are the bundled icons.
"""

from pathlib import Path

from soup_core.data import ICONS, bundled_set
from soup_core.data.packed_images import read_packed
from soup_core.finetune import Hyperparameters, Space, random_search
from soup_core.finetune.bundled.plans import Elsewhere, Parts, Plan, PlannedRun, TrainingSet
from soup_core.finetune.imagenet_start import blocks_of_imagenet, imagenet_file

SPACE = Space(learning_rates=(7e-4, 2e-3), epochs=(8, 12), augmentations=("shift", "affine"))
SIDE = 32  # pixels: a run's held-out accuracy was 79.7 at their own 28, 81.5 at 32, 81.9 at 40, which takes half as long again


def parts(folder: Path) -> Parts:
    """The bundled icons to train on, whatever the folder: uint8 N×1×28×28, int64 N. Raises DataError where they are damaged."""
    packed, labels = read_packed(ICONS, "train")
    return {"train": (packed.tensor, labels)}


def check(folder: Path) -> None:
    """Raise DataError where a folder does not hold MobileNetV2's weights, and say where to get them."""
    imagenet_file(folder)


def icons_pretrained(seed: int) -> Plan:
    """Seven fine-tunings of one base, which itself is one of MobileNetV2 on the same pictures, cut short.

    Runs that part after some epochs together end where averages between them are good; those that parted at the weights
    of ImageNet did not (Frankle et al. 2020, arXiv 1912.05671), nor those with learning rates of 3e-3 and more.
    """
    bundled = bundled_set("icons")
    assert bundled is not None, "it is one of them"
    probe = Hyperparameters(2e-2, 0.01, 10, augmentation="shift", seed=1000 * seed)
    together = Hyperparameters(3e-3, 0.01, 12, augmentation="affine", seed=1000 * seed)
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", hyperparameters, start="base")
        for index, hyperparameters in enumerate(random_search(7, seed=1000 * seed, space=SPACE), 1)
    ]
    return Plan(
        "Icons: seven fine-tunings of a MobileNetV2 of ImageNet",
        {"side": SIDE},
        (PlannedRun("base", "train", together), *runs),
        TrainingSet("icons", len(bundled.classes), parts, check),
        "float16",
        network="mobilenet_v2_blocks",
        starts_from=Elsewhere(blocks_of_imagenet, probe),
    )
