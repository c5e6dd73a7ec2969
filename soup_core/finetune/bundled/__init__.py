"""The bundled zoos, built from seeds."""

from soup_core.finetune.bundled.building import BuildStep, build
from soup_core.finetune.bundled.fashion_mnist import BUNDLED_SPLITS, bundle_images, fetch_images
from soup_core.finetune.bundled.plans import Elsewhere, Plan, PlannedRun, Pretraining, TrainingSet
from soup_core.finetune.bundled.registry import BUNDLED_SEEDS, PLANS

__all__ = [
    "BUNDLED_SEEDS",
    "BUNDLED_SPLITS",
    "PLANS",
    "BuildStep",
    "Elsewhere",
    "Plan",
    "PlannedRun",
    "Pretraining",
    "TrainingSet",
    "build",
    "bundle_images",
    "fetch_images",
]
