"""All checkpoints of a zoo in one device's memory: any average is then one matrix-vector product."""

import math
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from soup_core.errors import SoupError
from soup_core.runtime import settings
from soup_core.runtime.devices import exactly
from soup_core.runtime.interruption import exclusive, yield_point
from soup_core.weight_space.running_sum import RunningSum
from soup_core.weight_space.streaming import sum_dtype
from soup_core.zoo import Zoo

FEW = 8  # rows whose weighted sum is read straight from them; more, and equal weights, are summed from the last such sum on
RUNNING_SUMS = 2  # of the parameters, and of the buffers


class Bank:
    """All of a zoo's checkpoints on one device: a row each, every floating tensor a run of columns, float32 or wider."""

    def __init__(self, zoo: Zoo, device: str = "cpu") -> None:
        self.device = device
        self._shapes = {name: zoo.tensors[name].shape for name in zoo.floating}  # not the zoo: _banks is weak in it
        members = list(zoo.by_name.values())
        self._row = {member.name: index for index, member in enumerate(members)}
        self._columns: dict[str, slice] = {}
        end = 0
        for name in zoo.floating:
            begin, end = end, end + self._shapes[name].numel()
            self._columns[name] = slice(begin, end)
        self._rows = torch.empty(len(members), end, dtype=_bank_dtype(zoo), device=device)
        self._running: dict[tuple[int, int], RunningSum] = {}
        self._running_lock = threading.Lock()
        for member, row in zip(members, self._rows, strict=True):
            yield_point()
            for name, tensor in member.checkpoint.read_all():
                if name in self._columns:
                    row[self._columns[name]] = tensor.reshape(-1).to(device)

    def average(self, weights: Mapping[str, Mapping[str, float]]) -> dict[str, Tensor]:
        """The tensors, in their shapes, that these weights give: a matrix-vector product a run that shares them.

        In float32 without TF32, or wider.
        """
        totals: dict[str, Tensor] = {}
        for mix, run in groupby(weights, key=lambda name: weights[name]):
            names = list(run)
            begin, end = self._columns[names[0]].start, self._columns[names[-1]].stop
            flat = self._mixed(mix, slice(begin, end))
            for name, part in zip(names, flat.split([self._shapes[name].numel() for name in names]), strict=True):
                totals[name] = part.view(self._shapes[name])
        return totals

    def _mixed(self, mix: Mapping[str, float], columns: slice) -> Tensor:
        with exactly("float32", self.device):
            return self._product(mix, columns)

    def _product(self, mix: Mapping[str, float], columns: slice) -> Tensor:
        if len(mix) == 1 or (len(mix) <= FEW and self.device == "cpu"):
            (first, weight), *others = mix.items()
            total = self._rows[self._row[first], columns] * weight
            for member, weight in others:
                total.add_(self._rows[self._row[member], columns], alpha=weight)
            return total
        if self.device == "cpu" and self._rows.dtype == torch.float32 and _is_mean(mix):
            return self._mean(mix, columns)
        column = torch.tensor([mix.get(member, 0.0) for member in self._row], dtype=self._rows.dtype)
        return torch.mv(self._rows[:, columns].T, column.to(self.device))

    def _mean(self, mix: Mapping[str, float], columns: slice) -> Tensor:
        """The plain average of some rows, from the last one's sum: a soup that differs in one ingredient costs one row."""
        run = columns.start, columns.stop
        with self._running_lock:
            if run not in self._running:
                while len(self._running) >= RUNNING_SUMS:
                    del self._running[next(iter(self._running))]
                within = [each for each in self._columns.values() if run[0] <= each.start and each.stop <= run[1]]
                self._running[run] = RunningSum(self._rows, within)
            total = self._running[run].over([self._row[member] for member in mix])
            return (total / len(mix)).to(self._rows.dtype)

    def inner_products(self, names: Sequence[str], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `inner_products`: gradients of the tensors' shapes, to float64 values (K,) each, on the CPU."""
        rows = [self._row[name] for name in names]
        found = torch.stack(
            [
                torch.mv(self._rows[:, self._columns[name]], gradient.reshape(-1).to(self._rows.dtype))
                for name, gradient in gradients.items()
            ]
        )
        return dict(zip(gradients, found.double().cpu()[:, rows], strict=True))


def _is_mean(mix: Mapping[str, float]) -> bool:
    """Whether all weights are one over their number."""
    return all(math.isclose(weight * len(mix), 1, rel_tol=1e-14) for weight in mix.values())


_banks: WeakKeyDictionary[Zoo, dict[str, Bank]] = WeakKeyDictionary()
_banks_lock = threading.Lock()
_dtypes: WeakKeyDictionary[Zoo, torch.dtype] = WeakKeyDictionary()


def resident_bank(zoo: Zoo, device: str, memory: float | None = None) -> Bank | None:
    """The zoo's bank on a device, made once, where it takes no more than `memory` gigabytes; else None, and one streams.

    Without `memory` the budget is SOUP_MEMORY, or 2.
    """
    if bank_size(zoo) > memory_budget(memory):
        return None
    with exclusive("banks", partial(_banks_lock.acquire, blocking=False), _banks_lock.release):
        banks = _banks.setdefault(zoo, {})
        if device not in banks:
            banks[device] = Bank(zoo, device)
        return banks[device]


def bank_size(zoo: Zoo) -> float:
    """Gigabytes that all of a zoo's checkpoints take in float32, or in float64 where a tensor of one is."""
    return 1e-9 * _bank_dtype(zoo).itemsize * len(zoo.by_name) * sum(zoo.tensors[name].numel() for name in zoo.floating)


def _bank_dtype(zoo: Zoo) -> torch.dtype:
    if zoo not in _dtypes:  # asked for with each soup, and looked for in every tensor of every file
        dtypes = {sum_dtype(tuple(zoo.by_name.values()), name) for name in zoo.floating}
        _dtypes[zoo] = torch.float64 if torch.float64 in dtypes else torch.float32
    return _dtypes[zoo]


def memory_budget(memory: float | None = None) -> float:
    """Gigabytes that a bank may take: as given, else SOUP_MEMORY. Raises SoupError where that is no number of at least 0."""
    if memory is None:
        return settings.MEMORY()
    try:
        return settings.gigabytes(memory, zero=True)
    except ValueError:
        raise SoupError(f"The memory budget is a number of gigabytes, at least 0; found {memory!r}.") from None
