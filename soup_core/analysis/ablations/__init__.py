"""What a soup owes to the number of its ingredients, to each of them, and to the images that chose it."""

from soup_core.analysis.ablations.gap import SIZES, GapStep, greedy_on, selection_gap
from soup_core.analysis.ablations.left_out import LeftOut, leave_one_out
from soup_core.analysis.ablations.number import (
    Averaged,
    NumberBandStep,
    NumberStep,
    number_averaged,
    number_averaged_band,
)
from soup_core.analysis.ablations.shapley_values import ShapleyStep, shapley

__all__ = [
    "SIZES",
    "Averaged",
    "GapStep",
    "LeftOut",
    "NumberBandStep",
    "NumberStep",
    "ShapleyStep",
    "greedy_on",
    "leave_one_out",
    "number_averaged",
    "number_averaged_band",
    "selection_gap",
    "shapley",
]
