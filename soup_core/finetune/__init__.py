"""Making ingredients: one training run, the random search for its hyperparameters, and where what comes out is kept."""

from soup_core.finetune.augmentation import augment, augmentations_for
from soup_core.finetune.destinations import Beside, Destination, Inside
from soup_core.finetune.hyperparameters import (
    EPOCHS_AT_MOST,
    RATE_AT_MOST,
    Hyperparameters,
    Space,
    checked,
    random_search,
    space_of,
    usual,
    with_given,
)
from soup_core.finetune.new_zoo import downloaded, header, make_base, planned_zoo, with_base
from soup_core.finetune.sweep import FinetuneRun, FinetuneStep, finetune, start_of, training_images
from soup_core.finetune.training import (
    Epoch,
    ImageSource,
    learning_rate_share,
    tensor_source,
    token_source,
    train,
    training_precision,
)

__all__ = [
    "EPOCHS_AT_MOST",
    "RATE_AT_MOST",
    "Beside",
    "Destination",
    "Epoch",
    "FinetuneRun",
    "FinetuneStep",
    "Hyperparameters",
    "ImageSource",
    "Inside",
    "Space",
    "augment",
    "augmentations_for",
    "checked",
    "downloaded",
    "finetune",
    "header",
    "learning_rate_share",
    "make_base",
    "planned_zoo",
    "random_search",
    "space_of",
    "start_of",
    "tensor_source",
    "token_source",
    "train",
    "training_images",
    "training_precision",
    "usual",
    "with_base",
    "with_given",
]
