"""A folder of torch.distributed.checkpoint, written again as safetensors.

`.metadata` is a pickle of what each tensor's chunks are, and where in which file each lies; a chunk is a small file of
torch.save. As in torch/distributed/checkpoint/metadata.py and filesystem.py, https://github.com/pytorch/pytorch.
"""

import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from .conversion import check_size, pieces, write
from .formats import PICKLE_BYTES_AT_MOST, Content, check_storages, opened
from .opcodes import read_pickle
from .source import Source
from .values import NAME_AT_MOST, Named, Opaque, Refused, Storage, Tensor, damaged
from .weights import check_within, state_dict

CHUNKS_AT_MOST = 100_000
CHUNKS_OF_ONE_AT_MOST = 1024
DEPTH = 20  # of the tables that the state_dict was made of
TYPES = {
    "torch float64": ("F64", 8), "torch float32": ("F32", 4), "torch float16": ("F16", 2), "torch bfloat16": ("BF16", 2),
    "torch int64": ("I64", 8), "torch int32": ("I32", 4), "torch int16": ("I16", 2), "torch int8": ("I8", 1),
    "torch uint8": ("U8", 1), "torch bool": ("BOOL", 1),
}  # fmt: skip
MODULE = "torch.distributed.checkpoint.metadata"
TO_ONE_FILE = "make one file of it, python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE"


@dataclass(frozen=True)
class Chunk:
    """Where a block of a tensor begins in it, the file that it lies in, from which byte on, and how many."""

    offsets: tuple[int, ...]
    file: str
    begin: int
    size: int


@dataclass(frozen=True, eq=False)
class Block:
    """An opened chunk: the part of the file, what that holds, and the tensor in it."""

    offsets: tuple[int, ...]
    part: Source
    content: Content
    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Described:
    """The state_dict with a tensor for each, whose storage is called by its name in `chunks`; None for all else."""

    table: dict[Any, Any]
    chunks: Mapping[str, list[Chunk]]


def convert_folder(metadata: int, target: int, files: Mapping[str, int], wanted: str | None) -> int:
    """Write the weights of a folder, by its opened `.metadata` and the opened files by name; gives the bytes written.

    Raises Refused for what is no sound folder of torch.distributed.checkpoint, or holds no weights under `wanted`.
    """
    source = Source(metadata)
    if source.size > PICKLE_BYTES_AT_MOST:
        raise Refused(
            f"has {source.size:,} bytes of metadata, and at most {PICKLE_BYTES_AT_MOST:,} are read; {TO_ONE_FILE}."
        )
    described = _described(read_pickle(io.BytesIO(source.read(0, source.size)), _no_storage))
    sources = {name: Source(descriptor) for name, descriptor in files.items()}
    weights = state_dict(described.table, wanted)
    blocks = {
        tensor.storage.key: _blocks(name, tensor, described.chunks.get(tensor.storage.key, []), sources)
        for name, tensor in weights.tensors.items()
    }
    checked = all(block.content.checked for its in blocks.values() for block in its)
    found = {"weights": weights.place, "tied": [], "checked": checked, "notes": [*weights.notes], "beside": {}}
    check_size(weights.tensors, sum(each.size for each in sources.values()))
    return write(
        target, weights.tensors, found, lambda name, tensor: _numbers(name, tensor, blocks[tensor.storage.key])
    )


def _no_storage(identifier: Any) -> Any:
    raise damaged("its metadata refer to a storage, and hold none")


def _described(metadata: Any) -> Described:
    """What the metadata say, tensor by tensor. Raises Refused where they are not as torch writes them."""
    try:
        state = _attributes(metadata, "Metadata")
        paths = state.get("planner_data") or {}
        chunks = _chunks(state["storage_data"])
        described = Described({}, chunks)
        for name, its in state["state_dict_metadata"].items():
            if not isinstance(name, str) or not isinstance(its, Opaque):
                raise TypeError
            path = paths.get(name, (name,))
            tensor = _tensor(name, its) if its.name == f"{MODULE} TensorStorageMetadata" else None
            _put(described.table, path, tensor)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise damaged("its metadata cannot be read") from error
    return described


def _attributes(found: Any, kind: str) -> dict[Any, Any]:
    if not isinstance(found, Opaque) or found.name.rpartition(" ")[2] != kind:
        raise TypeError
    return found.attributes


def _chunks(stored: dict[Any, Any]) -> dict[str, list[Chunk]]:
    if len(stored) > CHUNKS_AT_MOST:
        raise Refused(f"lists {len(stored):,} chunks, and at most {CHUNKS_AT_MOST:,} are read; {TO_ONE_FILE}.")
    chunks: dict[str, list[Chunk]] = {}
    for key, value in stored.items():
        index, info = _attributes(key, "MetadataIndex"), _attributes(value, "_StorageInfo")
        name, offsets, file = index["fqn"], index.get("offset"), info["relative_path"]
        begin, size = info["offset"], info["length"]
        if offsets is None:  # no tensor
            continue
        if info.get("transform_descriptors"):
            raise Refused(f"holds compressed chunks, which are not read here; {TO_ONE_FILE}.")
        if not isinstance(name, str) or not isinstance(file, str) or not _are_sizes(offsets):
            raise TypeError
        if not _are_sizes((begin, size)):
            raise TypeError
        chunks.setdefault(name, []).append(Chunk(offsets, file, begin, size))
    return chunks


def _are_sizes(numbers: Any) -> bool:
    return isinstance(numbers, tuple) and all(type(n) is int and 0 <= n < 2**62 for n in numbers)


def _tensor(name: str, its: Opaque) -> Tensor:
    """The whole tensor, one element after the other, in a storage of its name."""
    said = its.attributes
    properties, shape = said["properties"], said["size"]
    dtype = properties.state[0] if isinstance(properties, Opaque) and isinstance(properties.state, tuple) else None
    if not isinstance(dtype, Named) or not _are_sizes(shape):
        raise TypeError
    if dtype.name not in TYPES:
        raise Refused(
            f"holds the tensor {name[:NAME_AT_MOST]} of type {dtype.name.replace(' ', '.')[:NAME_AT_MOST]}, which cannot be "
            "averaged; save plain floating-point weights."
        )
    stride = tuple(prod(shape[place + 1 :]) for place in range(len(shape)))
    return Tensor(Storage(name, *TYPES[dtype.name], prod(shape)), 0, shape, stride)


def _put(table: dict[Any, Any], path: Any, value: Any) -> None:
    if (
        not isinstance(path, tuple)
        or not 0 < len(path) <= DEPTH
        or not all(isinstance(key, (str, int)) for key in path)
    ):
        raise TypeError
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value


def _blocks(name: str, tensor: Tensor, chunks: list[Chunk], sources: Mapping[str, Source]) -> list[Block]:
    """A tensor's chunks, opened, in their order; they must fill it exactly."""
    if len(chunks) > CHUNKS_OF_ONE_AT_MOST:
        raise Refused(
            f"holds {name[:NAME_AT_MOST]} in {len(chunks):,} chunks, and at most {CHUNKS_OF_ONE_AT_MOST:,} are read; {TO_ONE_FILE}."
        )
    blocks = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.offsets):
        if chunk.file not in sources:
            raise damaged(f"a chunk of {name[:NAME_AT_MOST]} lies in {chunk.file[:NAME_AT_MOST]!r}, which is missing")
        part = sources[chunk.file].part(chunk.begin, chunk.size)
        content = opened(part)
        its = content.described
        if not isinstance(its, Tensor) or its.storage.dtype != tensor.storage.dtype:
            raise damaged(f"a chunk of {name[:NAME_AT_MOST]} holds something else than its metadata say")
        check_within(name[:NAME_AT_MOST], its)
        check_storages(part, content, [its.storage.key])
        blocks.append(Block(chunk.offsets, part, content, its))
    _check_filled(name, tensor.shape, [(block.offsets, block.tensor.shape) for block in blocks])
    return blocks


def _numbers(name: str, tensor: Tensor, blocks: list[Block]) -> Iterator[bytes | bytearray]:
    """A tensor's elements one after the other, in pieces."""
    if all(block.tensor.shape[1:] == tensor.shape[1:] for block in blocks):  # rows, one block after the other
        for block in blocks:
            yield from pieces(block.part, block.content, name, block.tensor)
        return
    width = tensor.storage.item_bytes
    whole = bytearray(prod(tensor.shape) * width)
    for block in blocks:
        content = b"".join(pieces(block.part, block.content, name, block.tensor))
        *above, last = block.tensor.shape
        for row, index in enumerate(itertools.product(*map(range, above))):
            first = sum((at + i) * step for at, i, step in zip(block.offsets, index, tensor.stride, strict=False))
            place = (first + block.offsets[-1]) * width
            whole[place : place + last * width] = content[row * last * width : (row + 1) * last * width]
    yield whole


def _check_filled(name: str, shape: tuple[int, ...], blocks: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Raise Refused where blocks, by their first element and shape, leave something of a tensor out, or fill it twice."""
    within = all(
        len(at) == len(its) == len(shape) and all(a + n <= whole for a, n, whole in zip(at, its, shape, strict=True))
        for at, its in blocks
    )
    real = [block for block in blocks if prod(block[1])]
    if (
        not within
        or sum(prod(its) for _, its in real) != prod(shape)
        or any(
            all(a < b + m and b < a + n for a, n, b, m in zip(*first, *second, strict=True))
            for first, second in itertools.combinations(real, 2)
        )
    ):
        raise damaged(f"the chunks of {name[:NAME_AT_MOST]} do not fill its shape {shape}")
