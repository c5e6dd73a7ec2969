"""The bundled zoos' plans by name, and which build of each is the bundled one."""

from collections.abc import Callable

from soup_core.finetune.bundled.fashion_mnist import fashion, fashion_batchnorm, fashion_scratch, fashion_trajectory
from soup_core.finetune.bundled.icons import icons
from soup_core.finetune.bundled.icons_pretrained import icons_pretrained
from soup_core.finetune.bundled.plans import Plan

PLANS: dict[str, Callable[[int], Plan]] = {
    "fashion": fashion,
    "fashion-scratch": fashion_scratch,
    "fashion-trajectory": fashion_trajectory,
    "fashion-batchnorm": fashion_batchnorm,
    "icons": icons,
    "icons-pretrained": icons_pretrained,
}


# Of builds 0, 1 and 2 of these, the one with the median gain of greedy on the held-out images is bundled; the other zoos
# have one build.
BUNDLED_SEEDS = {"fashion": 2, "icons": 2}
