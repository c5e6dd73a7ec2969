"""Making ingredients: one training run, the random search for its hyperparameters, and where what comes out is kept."""

from soup_core.finetune.augmentation import augment, augmentations_for
from soup_core.finetune.hyperparameters import Hyperparameters, Space, checked, random_search, space_of, usual
from soup_core.finetune.training import Epoch, Source, learning_rate_share, tensor_source, train, training_precision

__all__ = [
    "Epoch",
    "Hyperparameters",
    "Source",
    "Space",
    "augment",
    "augmentations_for",
    "checked",
    "learning_rate_share",
    "random_search",
    "space_of",
    "tensor_source",
    "train",
    "training_precision",
    "usual",
]
