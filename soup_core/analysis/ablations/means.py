"""A mean over samples and its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special


@dataclass(frozen=True)
class Mean:
    """The mean of independent samples and its standard error, which is NaN for one sample."""

    value: float
    standard_error: float
    samples: int

    @property
    def reach(self) -> float:
        """Half of the 95 % interval, by Student's t; NaN for one sample."""
        if self.samples < 2:
            return math.nan
        return self.standard_error * float(special.stdtrit(self.samples - 1, 0.975))


def mean_of(samples: Sequence[float] | NDArray[np.float64]) -> Mean:
    """The mean of samples with its standard error, NaN for a single one."""
    count = len(samples)
    error = float(np.std(samples, ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return Mean(float(np.mean(samples)), error, count)
