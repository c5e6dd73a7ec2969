"""Going through the tensors of several checkpoints block by block, on two threads, with bounded memory."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor

from soup_core.checkpoints import Reader, memory_of
from soup_core.runtime.interruption import yield_point
from soup_core.runtime.parallel import in_parallel
from soup_core.zoo import Ingredient

BLOCK = 524_288  # elements that are read at once: two megabytes in float32, which stay in the cache
READING_THREADS = 2
AT_ONCE = 2**26  # elements that are read between two yield points: a quarter of a gigabyte in float32


class Read(Protocol):
    """How a visit reads the block of the k-th member: into `memory` where that is a place of the file's dtype."""

    def __call__(self, k: int, memory: Tensor | None = None, /) -> Tensor: ...  # noqa: D102  (the class says what it is)


_Block = tuple[str, int, int]  # of a tensor, its first element and the one after its last
Visit = Callable[[str, int, int, Read], None]
Staged = Callable[[Reader, str, int, int, Tensor | None], Tensor]


def stream(
    members: Sequence[Ingredient], sizes: Mapping[str, int], visit: Visit, *, device: str = "cpu", block: int = BLOCK
) -> None:
    """Go through tensors of several files in blocks: `visit(name, begin, end, read)` for each, on two threads.

    `sizes` gives the number of elements of each tensor; `read(k)` gives the block of the k-th member, flat, on the
    device, valid until the next `read`. On CUDA blocks are read into pinned memory while the last one travels.
    """
    blocks = [
        (name, begin, min(begin + block, size)) for name, size in sizes.items() for begin in range(0, size, block)
    ]
    threads = max(1, min(READING_THREADS, os.cpu_count() or 1, len(blocks)))
    with ExitStack() as stack:
        readers = [stack.enter_context(member.checkpoint.reader()) for member in members]
        inference = torch.is_inference_mode_enabled()  # a thread of its own begins without it

        def run(staged: Staged, part: list[_Block]) -> None:
            with torch.inference_mode(inference):
                for name, begin, end in part:

                    def read(
                        k: int, memory: Tensor | None = None, /, name: str = name, begin: int = begin, end: int = end
                    ) -> Tensor:
                        return staged(readers[k], name, begin, end, memory)

                    visit(name, begin, end, read)

        with torch.inference_mode(inference):
            staging = [_staging(device, block) for _ in range(threads)]
        for some in _by_size(blocks, AT_ONCE // max(1, len(members))):
            in_parallel([partial(run, staged, some[k::threads]) for k, staged in enumerate(staging)], threads)
            yield_point()


def _by_size(blocks: Sequence[_Block], elements: int) -> Iterator[list[_Block]]:
    """The blocks, in parts of about so many elements."""
    part: list[_Block] = []
    size = 0
    for each in blocks:
        part.append(each)
        size += each[2] - each[1]
        if size >= elements:
            yield part
            part, size = [], 0
    if part:
        yield part


def _staging(device: str, block: int) -> Staged:
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


def sum_dtype(members: Sequence[Ingredient], name: str) -> torch.dtype:
    """In what a tensor is summed: float64 where a member holds it so, else float32."""
    wide = any(member.checkpoint.tensors[name].dtype == torch.float64 for member in members)
    return torch.float64 if wide else torch.float32
