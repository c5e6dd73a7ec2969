"""A soup and a split become counts, loss and calibration error; a comparison carries an interval."""

from soup_core.evaluation.evaluation import (
    CALIBRATION_BINS,
    Evaluation,
    ImageOrder,
    Judge,
    Trial,
    best_first,
    hardest_first,
    measure,
    measure_parts,
    row_blocks,
)
from soup_core.evaluation.evaluator import Evaluator
from soup_core.evaluation.limits import surpasses
from soup_core.evaluation.metrics import ACCURACY, METRICS, Metric, Truth
from soup_core.evaluation.model_outputs import ModelOutputs, OutputsEvaluator
from soup_core.evaluation.statistics import (
    DRAWS,
    Comparison,
    Estimate,
    accuracy_interval,
    compare,
    compare_bits,
    compare_values,
    estimate,
    paired_mean,
    resampled_means,
    sample_mean,
    value_interval,
    wilson,
)

__all__ = [
    "ACCURACY",
    "CALIBRATION_BINS",
    "DRAWS",
    "METRICS",
    "Comparison",
    "Estimate",
    "Evaluation",
    "Evaluator",
    "ImageOrder",
    "Judge",
    "Metric",
    "ModelOutputs",
    "OutputsEvaluator",
    "Trial",
    "Truth",
    "accuracy_interval",
    "best_first",
    "compare",
    "compare_bits",
    "compare_values",
    "estimate",
    "hardest_first",
    "measure",
    "measure_parts",
    "paired_mean",
    "resampled_means",
    "row_blocks",
    "sample_mean",
    "surpasses",
    "value_interval",
    "wilson",
]
