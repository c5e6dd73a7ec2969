"""A file of torch.save, written again as safetensors: https://github.com/huggingface/safetensors#format"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Literal

from . import TIMES_AT_MOST
from .beside import beside
from .formats import Content, check_storages, opened
from .header import header
from .skipped import skipped
from .source import Source
from .values import NAME_AT_MOST, Tensor, damaged
from .weights import Weights, extent, state_dict, ties

FORMATS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def convert(source: int, target: int, wanted: str | None) -> int:
    """Write the state_dict of one opened file into another and return its bytes; the metadata say where it was found.

    Raises Refused for what is no sound file of torch.save with one state_dict, or the one under `wanted`.
    """
    file = Source(source)
    content, weights, found = weights_in(file, wanted)
    check_size(weights.tensors, file.size)
    check_storages(file, content, [tensor.storage.key for tensor in weights.tensors.values()])
    return write(target, weights.tensors, found, lambda name, tensor: pieces(file, content, name, tensor))


def weights_in(file: Source, wanted: str | None) -> tuple[Content, Weights, dict[str, Any]]:
    """What a file holds, the weights that are meant, and what is told of them. Raises Refused as `convert` does."""
    content = opened(file)
    weights = state_dict(content.described, wanted)
    found = {
        "weights": weights.place,
        "tied": ties(weights.tensors),
        "checked": content.checked,
        "notes": [*weights.notes, *skipped(content.described)],
        "beside": beside(content.described),
    }
    return content, weights, found


def check_size(tensors: Mapping[str, Tensor], available: int) -> None:
    """Raise Refused where tensors need far more than the `available` bytes."""
    size = sum(map(size_of, tensors.values()))
    if size > TIMES_AT_MOST * available:
        raise damaged(f"its tensors need {size:,} bytes, and it has {available:,}")


def write(
    target: int,
    tensors: Mapping[str, Tensor],
    found: Mapping[str, object],
    numbers: Callable[[str, Tensor], Iterator[bytes | bytearray]],
) -> int:
    """Write tensors as safetensors, what was found of them in the metadata, and give the bytes that were written.

    `numbers` gives a tensor's elements one after the other, in pieces.
    """
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].storage.item_bytes))
    entries = [(name, it.storage.dtype, it.shape, size_of(it)) for name, it in ordered.items()]
    written = _write(target, header(entries, {"soup_core": json.dumps(found)}))
    for name, tensor in ordered.items():
        written += sum(_write(target, piece) for piece in numbers(name, tensor))
    return written


def size_of(tensor: Tensor) -> int:
    """The bytes of a tensor's numbers."""
    return prod(tensor.shape) * tensor.storage.item_bytes


def pieces(file: Source, content: Content, name: str, tensor: Tensor) -> Iterator[bytes | bytearray]:
    """A tensor's elements one after the other. Raises Refused where its storage is not as long as the tensor says."""
    size, width = size_of(tensor), tensor.storage.item_bytes
    begin = place_of(content, name, tensor)
    if not size:
        return
    if is_contiguous(tensor):
        yield from file.pieces(begin, size)
    else:
        yield _gathered(file.read(begin, extent(tensor) * width), tensor)


def place_of(content: Content, name: str, tensor: Tensor) -> int:
    """The first byte of a tensor in its file. Raises Refused where its storage is not as long as the tensor says."""
    width = tensor.storage.item_bytes
    begin, stored = content.places.get(tensor.storage.key, (0, -1))
    if stored != tensor.storage.elements * width:
        raise damaged(f"the tensor {name[:NAME_AT_MOST]} has no storage of the length that it says")
    return begin + tensor.offset * width if size_of(tensor) else begin


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose elements lie one after the other."""
    return tuple(itertools.accumulate(shape[:0:-1], lambda step, length: step * length, initial=1))[::-1][-len(shape) :]


def is_contiguous(tensor: Tensor) -> bool:
    """Whether a tensor's elements lie one after the other in its storage."""
    lines = zip(tensor.shape, tensor.stride, _strides(tensor.shape), strict=False)
    return 0 in tensor.shape or all(length == 1 or step == expected for length, step, expected in lines)


def _gathered(content: bytes, tensor: Tensor) -> bytearray:
    """The elements one after the other: whole lines along the longest dimension are copied at once."""
    width = tensor.storage.item_bytes
    result = bytearray(prod(tensor.shape) * width)
    source, target = memoryview(content).cast(FORMATS[width]), memoryview(result).cast(FORMATS[width])
    lines = list(zip(tensor.shape, tensor.stride, _strides(tensor.shape), strict=True))
    moving = [line for line in lines if line[1]]
    length, step, target_step = max(moving, default=(1, 1, 1))
    if moving:
        lines.remove((length, step, target_step))
    for index in itertools.product(*(range(count) for count, _, _ in lines)):
        first = sum(i * line[1] for i, line in zip(index, lines, strict=True))
        place = sum(i * line[2] for i, line in zip(index, lines, strict=True))
        last, end = first + (length - 1) * step + 1, place + (length - 1) * target_step + 1
        target[place:end:target_step] = source[first:last:step]
    return result


def _write(target: int, content: bytes | bytearray) -> int:
    part = memoryview(content)
    while part:
        part = part[os.write(target, part) :]
    return len(content)
