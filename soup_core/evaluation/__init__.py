"""A soup and a split become counts, loss and calibration error; a comparison carries an interval."""

from soup_core.evaluation.evaluation import (
    CALIBRATION_BINS,
    Evaluation,
    ImageOrder,
    Trial,
    best_first,
    hardest_first,
    measure,
    measure_parts,
    row_blocks,
)
from soup_core.evaluation.evaluator import Evaluator
from soup_core.evaluation.statistics import (
    DRAWS,
    Comparison,
    Estimate,
    accuracy_interval,
    compare,
    compare_bits,
    estimate,
    paired_mean,
    resampled_means,
    sample_mean,
    wilson,
)

__all__ = [
    "CALIBRATION_BINS",
    "DRAWS",
    "Comparison",
    "Estimate",
    "Evaluation",
    "Evaluator",
    "ImageOrder",
    "Trial",
    "accuracy_interval",
    "best_first",
    "compare",
    "compare_bits",
    "estimate",
    "hardest_first",
    "measure",
    "measure_parts",
    "paired_mean",
    "resampled_means",
    "row_blocks",
    "sample_mean",
    "wilson",
]
