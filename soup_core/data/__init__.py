"""The images that judge a zoo: splits, where they come from, how they are decoded and changed."""

from soup_core.data.bundled_sets import (
    ASSETS,
    BUNDLED_SETS,
    FASHION_MNIST,
    FASHION_NORMALIZATION,
    ICONS,
    BundledSet,
    bundled_set,
)
from soup_core.data.class_names import Outputs, classes_of, matched, natural_order, same_in_natural_order, text_order
from soup_core.data.preprocessing import Interpolation, Normalization, Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.shifts import SHIFTS, shifted
from soup_core.data.sources import HeldOut, class_folder_names, operator_folders, split_folders
from soup_core.data.splits import PLAIN_SPLITS, UNNORMALIZED, UNNORMALIZED_COLOUR, Data, Split
from soup_core.data.tokens import Tokens

__all__ = [
    "ASSETS",
    "BUNDLED_SETS",
    "FASHION_MNIST",
    "FASHION_NORMALIZATION",
    "ICONS",
    "PLAIN_SPLITS",
    "SHIFTS",
    "UNNORMALIZED",
    "UNNORMALIZED_COLOUR",
    "BundledSet",
    "Data",
    "HeldOut",
    "Interpolation",
    "Normalization",
    "Outputs",
    "Preprocessing",
    "Processor",
    "Split",
    "Tokens",
    "bundled_set",
    "class_folder_names",
    "classes_of",
    "matched",
    "natural_order",
    "operator_folders",
    "same_in_natural_order",
    "shifted",
    "split_folders",
    "text_order",
]
