"""The one averaging kernel: coefficients and checkpoints become a state_dict, streamed from the files or from a bank.

Sums run in float32 or wider and are cast once, at the end (Wortsman et al. 2022, arXiv 2203.05482, equation 1).
"""

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from soup_core.checkpoints import Reader, memory_of
from soup_core.errors import CheckpointError, CoefficientError, SoupError
from soup_core.soup import Soup
from soup_core.zoo import Ingredient, Zoo

REESTIMATION_BATCH = 500
BLOCK = 524_288  # elements that are read at once: two megabytes in float32, which stay in the cache
PIECE = 32_768  # up to so many elements torch adds on the calling thread alone
READING_THREADS = 2
MEMORY = 2.0  # gigabytes that a bank may take where nobody says otherwise


def state_dict(zoo: Zoo, soup: Soup, device: str = "cpu", bank: "Bank | None" = None) -> dict[str, Tensor]:
    """Average the zoo's checkpoints by a soup's coefficients: from the bank, or streamed block by block from the files.

    Gives the architecture's tensors by name, in their own shapes and in the first ingredient's dtypes. Streaming holds
    the average and a block a thread, however many ingredients there are. Integer and boolean tensors are the first
    ingredient's, in the zoo's order. Other buffers are averaged with coefficients scaled to sum to one; BatchNorm's
    running statistics follow the soup's choice. Raises CoefficientError for unknown names, CheckpointError where a file
    has changed or a cast overflows.
    """
    members = zoo.members(soup)
    weights = {name: _weights(zoo, soup, name, members) for name in zoo.floating}
    totals = bank.average(weights) if bank else _streamed(zoo, weights, members, device)
    theta: dict[str, Tensor] = {}
    for name in zoo.tensors:
        first = next(member for member in members if member.name in soup.of(name))
        if name in totals:
            theta[name] = _cast(totals[name], first.checkpoint.tensors[name].dtype, name)
        else:
            theta[name] = first.checkpoint.read(name).to(device)
    if soup.batch_norm == "re-estimated":
        theta = reestimated(zoo, theta, device)
    return theta


def inner_products(
    zoo: Zoo, names: Sequence[str], gradients: Mapping[str, Tensor], bank: "Bank | None" = None
) -> dict[str, Tensor]:
    """For each tensor, the inner products of its gradient with that tensor of each of the K names: float64, (K,).

    A gradient has its tensor's shape, and its device is where the blocks go. The gradient of a loss at the average, in
    the coefficient of ingredient k, is the sum of the k-th over all tensors. Blocks are streamed from the files, so
    that no second model is held, or taken from the bank. Raises CheckpointError where a file has changed.
    """
    if bank:
        return bank.inner_products(names, gradients)
    members = [zoo.by_name[name] for name in names]
    flat = {name: gradient.reshape(-1) for name, gradient in gradients.items()}
    products = {name: torch.zeros(len(members), dtype=torch.float64) for name in gradients}
    lock = threading.Lock()

    device = str(next(iter(flat.values())).device)
    piece = PIECE if device == "cpu" else BLOCK

    def add(name: str, begin: int, end: int, read: Read) -> None:
        gradient = flat[name][begin:end].split(piece)

        def product(block: Tensor) -> Tensor:
            parts = [torch.dot(a, b.to(a.dtype)) for a, b in zip(gradient, block.split(piece), strict=True)]
            return torch.stack(parts).double().sum()

        found = torch.stack([product(read(k)) for k in range(len(members))]).cpu()
        with lock:
            products[name] += found

    stream(members, {name: len(gradient) for name, gradient in flat.items()}, add, device=device)
    return products


class Read(Protocol):
    """How a visit reads the block of the k-th member: into `memory` where that is a place of the file's dtype."""

    def __call__(self, k: int, memory: Tensor | None = None, /) -> Tensor: ...  # noqa: D102


Visit = Callable[[str, int, int, Read], None]


def stream(
    members: Sequence[Ingredient], sizes: Mapping[str, int], visit: Visit, *, device: str = "cpu", block: int = BLOCK
) -> None:
    """Go through tensors of several files in blocks: `visit(name, begin, end, read)` for each, on two threads.

    `sizes` gives the number of elements of each tensor; `read(k)` gives the block of the k-th member, flat, on the
    device, valid until the next `read`. On CUDA blocks are read into pinned memory while the last one travels.
    """
    places = [
        (name, begin, min(begin + block, size)) for name, size in sizes.items() for begin in range(0, size, block)
    ]
    threads = max(1, min(READING_THREADS, os.cpu_count() or 1, len(places)))
    with ExitStack() as stack:
        readers = [stack.enter_context(member.checkpoint.reader()) for member in members]
        inference = torch.is_inference_mode_enabled()  # a thread of its own begins without it

        def run(part: list[tuple[str, int, int]]) -> None:
            with torch.inference_mode(inference):
                staged = _staging(device, block)
                for name, begin, end in part:

                    def read(
                        k: int, memory: Tensor | None = None, /, name: str = name, begin: int = begin, end: int = end
                    ) -> Tensor:
                        return staged(readers[k], name, begin, end, memory)

                    visit(name, begin, end, read)

        if threads == 1:
            return run(places)
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(run, [places[start::threads] for start in range(threads)]):
                pass


def _staging(device: str, block: int) -> Callable[[Reader, str, int, int, Tensor | None], Tensor]:
    """One thread's way of reading blocks onto a device."""
    if not device.startswith("cuda"):
        place = _place(torch.empty(8 * block, dtype=torch.uint8))

        def read(reader: Reader, name: str, begin: int, end: int, memory: Tensor | None) -> Tensor:
            dtype = reader.checkpoint.tensors[name].dtype
            if memory is not None and memory.dtype == dtype:
                found, part = memory, memory_of(memory)
            else:
                found, part = place(dtype, end - begin)
            reader.fill(name, begin, part)
            return found

        return read
    places = [_place(torch.empty(8 * block, dtype=torch.uint8, pin_memory=True)) for _ in range(2)]
    copied = [torch.cuda.Event() for _ in places]

    def staged(reader: Reader, name: str, begin: int, end: int, memory: Tensor | None) -> Tensor:
        places.reverse()
        copied.reverse()
        copied[0].synchronize()
        pinned, part = places[0](reader.checkpoint.tensors[name].dtype, end - begin)
        reader.fill(name, begin, part)
        found = pinned.to(device, non_blocking=True)
        copied[0].record(torch.cuda.current_stream(device))
        return found

    return staged


def _place(memory: Tensor) -> Callable[[torch.dtype, int], tuple[Tensor, memoryview]]:
    """Memory that is used again and again: as so many elements of a dtype, and as the bytes of these."""

    @cache
    def as_elements(dtype: torch.dtype, count: int) -> tuple[Tensor, memoryview]:
        tensor = memory[: count * dtype.itemsize].view(dtype)
        return tensor, memory_of(tensor)

    return as_elements


def _streamed(
    zoo: Zoo, weights: Mapping[str, Mapping[str, float]], members: Sequence[Ingredient], device: str
) -> dict[str, Tensor]:
    totals = {
        name: torch.empty(zoo.tensors[name].shape, dtype=_sum_dtype(members, name), device=device) for name in weights
    }
    flat = {name: total.view(-1) for name, total in totals.items()}

    def add(name: str, begin: int, end: int, read: Read) -> None:
        whole = flat[name][begin:end]
        total = whole.split(PIECE)
        used = [(index, weights[name][m.name]) for index, m in enumerate(members) if m.name in weights[name]]
        (first, coefficient), *others = used
        if (found := read(first, whole)) is not whole:
            whole.copy_(found)
        torch._foreach_mul_(total, coefficient)
        parts: tuple[Tensor, ...] = ()
        for index, coefficient in others:
            if (block := read(index)) is not found or not parts:  # files of one dtype are read into the same place
                found, parts = block, block.split(PIECE)
            torch._foreach_add_(total, parts, alpha=coefficient)

    stream(members, {name: len(total) for name, total in flat.items()}, add, device=device)
    return totals


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
        for member, row in zip(members, self._rows, strict=True):
            for name, tensor in member.checkpoint.read_all():
                if name in self._columns:
                    row[self._columns[name]] = tensor.reshape(-1).to(device)

    def average(self, weights: Mapping[str, Mapping[str, float]]) -> dict[str, Tensor]:
        """The tensors, in their shapes, that these weights give: a matrix-vector product a run that shares them."""
        totals: dict[str, Tensor] = {}
        for mix, run in groupby(weights, key=lambda name: weights[name]):
            names = list(run)
            begin, end = self._columns[names[0]].start, self._columns[names[-1]].stop
            flat = self._mixed(mix, slice(begin, end))
            for name, part in zip(names, flat.split([self._shapes[name].numel() for name in names]), strict=True):
                totals[name] = part.view(self._shapes[name])
        return totals

    def _mixed(self, mix: Mapping[str, float], columns: slice) -> Tensor:
        if len(mix) == 1:
            ((member, weight),) = mix.items()
            return self._rows[self._row[member], columns] * weight
        column = torch.zeros(len(self._row), dtype=self._rows.dtype)
        for member, weight in mix.items():
            column[self._row[member]] = weight
        return torch.mv(self._rows[:, columns].T, column.to(self.device))

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


_banks: WeakKeyDictionary[Zoo, dict[str, Bank]] = WeakKeyDictionary()
_banks_lock = threading.Lock()


def resident_bank(zoo: Zoo, device: str, memory: float | None = None) -> Bank | None:
    """The zoo's bank on a device, made once, where it takes no more than `memory` gigabytes; else None, and one streams.

    Without `memory` the budget is SOUP_MEMORY, or 2.
    """
    if bank_size(zoo) > memory_budget(memory):
        return None
    with _banks_lock:
        banks = _banks.setdefault(zoo, {})
        if device not in banks:
            banks[device] = Bank(zoo, device)
        return banks[device]


def bank_size(zoo: Zoo) -> float:
    """Gigabytes that all of a zoo's checkpoints take in float32, or in float64 where a tensor of one is."""
    return 1e-9 * _bank_dtype(zoo).itemsize * len(zoo.by_name) * sum(zoo.tensors[name].numel() for name in zoo.floating)


def _bank_dtype(zoo: Zoo) -> torch.dtype:
    dtypes = {_sum_dtype(tuple(zoo.by_name.values()), name) for name in zoo.floating}
    return torch.float64 if torch.float64 in dtypes else torch.float32


def memory_budget(memory: float | None = None) -> float:
    """Gigabytes that a bank may take. Raises SoupError where that is no number of at least 0."""
    given = os.environ.get("SOUP_MEMORY", MEMORY) if memory is None else memory
    try:
        budget = float(given)
        if not budget >= 0:
            raise ValueError
    except ValueError:
        raise SoupError(f"The memory budget is a number of gigabytes, at least 0; found {given!r}.") from None
    return budget


def reestimated(zoo: Zoo, theta: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    """Replace BatchNorm's running statistics in a state_dict by those of the fine-tuning images under these weights.

    Shapes and dtypes stay. Batches are of nearly equal size, and what is random in the network (dropout) is seeded:
    twice gives the same.
    """
    if not zoo.has_batch_norm:
        return dict(theta)
    module = zoo.module().to(device)
    module.load_state_dict(theta, strict=True)
    images = zoo.data.split("train").images
    parts = images.tensor_split(-(-len(images) // REESTIMATION_BATCH))
    batches = (zoo.data.normalization(part.to(device)) for part in parts)
    with torch.no_grad(), torch.random.fork_rng([device] if device != "cpu" else []):
        torch.manual_seed(0)
        torch.optim.swa_utils.update_bn(batches, module, device=torch.device(device))
    buffers = {name: tensor.detach().to(theta[name].dtype) for name, tensor in module.named_buffers() if name in theta}
    return {**theta, **buffers}


def _weights(zoo: Zoo, soup: Soup, name: str, members: Sequence[Ingredient]) -> Mapping[str, float]:
    coefficients = soup.of(name)
    if name not in zoo.buffers:
        return coefficients
    if soup.batch_norm == "first":
        return {next(member.name for member in members if member.name in coefficients): 1.0}
    total = math.fsum(coefficients.values())
    if abs(total) < 1e-9:
        raise CoefficientError(
            f"The coefficients for the statistics in {name} sum to zero, and they must be scaled to sum to one; "
            "choose another soup, or the first ingredient's statistics."
        )
    return {member: coefficient / total for member, coefficient in coefficients.items()}


def _sum_dtype(members: Sequence[Ingredient], name: str) -> torch.dtype:
    wide = any(member.checkpoint.tensors[name].dtype == torch.float64 for member in members)
    return torch.float64 if wide else torch.float32


def _cast(total: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    result = total.to(dtype)
    if dtype.itemsize < total.dtype.itemsize and not bool(torch.isfinite(result).all() | ~torch.isfinite(total).all()):
        raise CheckpointError(
            f"The average of {name} is too large for {str(dtype).removeprefix('torch.')}; save the checkpoints in "
            "float32."
        )
    return result
