"""The sum of checkpoints of which the next one asked for differs in few: it costs those few, however many are summed.

Every number is first rounded to a multiple of one power of two a tensor, so small that float64 holds any sum of such
multiples exactly: a sum is then the same to the last bit whatever was summed before it, and in whatever order.
"""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor


class RunningSum:
    """Sums of a bank's rows (K×P, float32, on the CPU) over runs of columns, a tensor's each; the last sum is kept.

    What rounding takes from a number is at most 2**-53 of K times the tensor's largest, far below float32's own.
    """

    def __init__(self, rows: Tensor, columns: Sequence[slice]) -> None:
        self._rows, self._columns = rows, columns
        self._members: set[int] = set()
        self._total = torch.zeros(columns[-1].stop - columns[0].start, dtype=torch.float64)
        run = rows[:, columns[0].start : columns[-1].stop]
        largest = torch.maximum(run.amax(0), -run.amin(0))
        sizes = [each.stop - each.start for each in columns]
        self._shifts = [_shift(float(part.max()), len(rows)) for part in largest.split(sizes)]

    def over(self, members: Collection[int]) -> Tensor:
        """The sum of these rows: float64, (P,), to be read before the next is asked for."""
        wanted = set(members)
        if len(wanted) <= len(wanted ^ self._members):
            self._total.zero_()
            self._members = set()
        for member in sorted(wanted ^ self._members):
            self._add(member, 1 if member in wanted else -1)
        self._members = wanted
        return self._total

    def _add(self, member: int, sign: int) -> None:
        start = self._columns[0].start
        for columns, shift in zip(self._columns, self._shifts, strict=True):
            part = self._rows[member, columns].double()
            part.add_(shift).sub_(shift)  # what is lost in the large sum is below the multiple
            self._total[columns.start - start : columns.stop - start].add_(part, alpha=sign)


def _shift(largest: float, count: int) -> float:
    """What to add to numbers up to the `largest` and take away, so that they become multiples of which any `count` sum exactly."""
    if not largest:
        return 0.0
    _, exponent = math.frexp(largest * (count + 1))  # below 2**exponent
    return 1.5 * 2.0**exponent
