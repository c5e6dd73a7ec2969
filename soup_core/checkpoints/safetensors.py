"""Checkpoint files: opened, checked, and read tensor by tensor.

Safetensors files are read with pread at the offsets of their own header, never through a memory map: a file that is
cut short under a map kills the process. Format: https://github.com/huggingface/safetensors#format
"""

import copy
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from soup_core.checkpoints.identity import OpenedFile, opened
from soup_core.errors import CheckpointError
from soup_core.runtime.files import Writer, shown, write_together

EXAMINED_AT_ONCE = 1 << 22  # bytes, so that what was read is still in the cache when it is looked at
HEADER_BYTES_AT_MOST = 25_000_000
TENSORS_AT_MOST = 100_000
DIMENSIONS_AT_MOST = 64  # torch's own limit
START_BYTES = 512
EXPECTED = "a safetensors file"
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in its file: bytes from `begin` up to `end`, counted from the file's start."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class Checkpoint:
    """A safetensors file whose header has been checked; tensors are read by name when asked for.

    `tensors` maps each name to its dtype, shape and offsets; `name` is the file's, for people; `notes` say what was done
    to make the file fit; `beside` is what a file of torch.save holds beside its weights, as plain values by their keys:
    settings, epochs, scores; `identity` is that of the file which every later reading must find; `checksums` are the CRC-32
    of all bytes of a tensor, by its name in the file, where the file has them, which safetensors files do not. Raises
    CheckpointError for whatever is not a complete and consistent safetensors file.
    """

    def __init__(self, path: Path) -> None:
        with opened(path, shown(path), expected=EXPECTED) as file:
            self._begin(file)

    @classmethod
    def of_opened(cls, file: OpenedFile) -> "Checkpoint":
        """The checkpoint of a file that is open already. Raises CheckpointError as for a path."""
        checkpoint = cls.__new__(cls)
        checkpoint._begin(file)
        return checkpoint

    def _begin(self, file: OpenedFile) -> None:
        self.path, self.name, self.identity = file.path, file.name, file.identity
        self.size = file.identity.size
        self.notes: tuple[str, ...] = ()
        self.beside: Mapping[str, Any] = MappingProxyType({})
        self.checksums: Mapping[str, int] = MappingProxyType({})
        self.tensors, self.metadata = _parse_header(self.name, file.descriptor, self.size)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole file."""
        return self.examined()[0]

    def examined(self, file: OpenedFile | None = None) -> tuple[str, list[str]]:
        """SHA-256 of the whole file, and the names of the tensors that hold NaN or infinity, in one reading.

        It is opened for this where it is not open already. Raises CheckpointError where it has changed since.
        """
        content = hashlib.sha256()
        block = torch.empty(EXAMINED_AT_ONCE, dtype=torch.uint8)
        broken: dict[str, None] = {}
        placed = sorted(self.tensors.items(), key=lambda item: (item[1].begin, item[1].end))
        header = TensorInfo(torch.uint8, (), 0, min((info.begin for _, info in placed), default=self.size))
        with nullcontext(file.descriptor) if file else self._opened() as descriptor:
            for name, info in [("", header), *placed]:
                for begin in range(info.begin, info.end, len(block)):
                    part = block[: min(len(block), info.end - begin)]
                    self._fill(descriptor, memory_of(part), begin)
                    content.update(memory_of(part))
                    if info.dtype.is_floating_point and not _is_finite(part.view(info.dtype)):
                        broken[name] = None
        return content.hexdigest(), list(broken)

    def renamed(self, names: Mapping[str, str], *notes: str) -> "Checkpoint":
        """The same file with its tensors under other names, old to new; those without a new one are left out."""
        other = copy.copy(self)
        other.tensors = MappingProxyType({new: self.tensors[old] for old, new in names.items()})
        other.notes = (*self.notes, *notes)
        return other

    def noted(self, *notes: str) -> "Checkpoint":
        """The same file with these further notes."""
        other = copy.copy(self)
        other.notes = (*self.notes, *notes)
        return other

    @contextmanager
    def reader(self) -> Iterator["Reader"]:
        """Open the file once for several reads. Raises CheckpointError where it has changed, or cannot be read."""
        with self._opened() as descriptor:
            yield Reader(self, descriptor)

    def read(self, name: str) -> Tensor:
        """Read one tensor into memory of its own, on the CPU, in the file's shape and dtype; raises as `reader`."""
        with self.reader() as read:
            return read(name)

    def read_all(self) -> Iterator[tuple[str, Tensor]]:
        """Read every tensor, in its shape and dtype, one after the other, through one opening; raises as `reader`."""
        with self.reader() as read:
            for name in self.tensors:
                yield name, read(name)

    def _fill(self, descriptor: int, part: memoryview, offset: int) -> None:
        filled = 0
        while filled < len(part):
            count = os.preadv(descriptor, [part[filled:] if filled else part], offset + filled)
            if count == 0:
                raise CheckpointError(f"{self.name} was cut short while it was read; copy it again and reload.")
            filled += count

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the file again and see that it is the one whose header was checked."""
        with opened(self.path, self.name, expected=EXPECTED) as file:
            if file.identity != self.identity:
                raise CheckpointError(f"{self.name} has changed since it was opened; reload the zoo.")
            yield file.descriptor


class Reader:
    """An opened checkpoint. Calling it with a tensor's name reads that tensor into memory of its own."""

    def __init__(self, checkpoint: Checkpoint, descriptor: int) -> None:
        self.checkpoint, self._descriptor = checkpoint, descriptor

    def __call__(self, name: str) -> Tensor:
        """The whole tensor, on the CPU, in the shape and dtype of the file; CheckpointError is raised as by `fill`."""
        info = self.checkpoint.tensors[name]
        tensor = torch.empty(info.shape, dtype=info.dtype)
        if tensor.numel():
            self.fill(name, 0, memory_of(tensor))
        return tensor

    def fill(self, name: str, begin: int, part: memoryview) -> None:
        """Read as many bytes as there are in `part` from element `begin` of a tensor on.

        Raises CheckpointError where the file has been cut short meanwhile.
        """
        info = self.checkpoint.tensors[name]
        self.checkpoint._fill(self._descriptor, part, info.begin + begin * info.dtype.itemsize)


def memory_of(tensor: Tensor) -> memoryview:
    """The bytes that hold a contiguous tensor of any shape on the CPU."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data


def _is_finite(numbers: Tensor) -> bool:
    """Whether none is NaN or infinite: both come out as the least or the greatest, in one pass without a copy."""
    return not len(numbers) or all(map(math.isfinite, torch.stack(torch.aminmax(numbers)).tolist()))


def save(path: Path, tensors: Mapping[str, Tensor], metadata: str) -> None:
    """Write a state_dict as a safetensors file, atomically, with one metadata entry named soup_core.

    Raises SoupError where the disk is full or the folder may not be written. One entry alone, since the format leaves
    the order of several open and the same content shall give the same bytes.
    """
    write_together({path: writer(tensors, {"soup_core": metadata})}, size_of(tensors))


def writer(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> Writer:
    """What writes a state_dict to a place as safetensors, without a second copy of it in memory; it raises OSError."""

    def write(path: Path) -> None:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        try:
            safetensors.torch.save_file(contiguous, path, metadata)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error

    return write


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """The bytes that the tensors of a state_dict take."""
    return sum(tensor.nbytes for tensor in tensors.values())


def _parse_header(file: str, descriptor: int, size: int) -> tuple[Mapping[str, TensorInfo], Mapping[str, str]]:
    start = os.pread(descriptor, START_BYTES, 0)
    if (kind := kind_of(start)) in FOREIGN:
        raise CheckpointError(f"{file} {FOREIGN[kind]}")
    header_bytes = int.from_bytes(start[:8], "little")
    if header_bytes > HEADER_BYTES_AT_MOST:
        raise _damaged(file, f"its header claims {header_bytes:,} bytes, and at most {HEADER_BYTES_AT_MOST:,} are read")
    if 8 + header_bytes > size:
        raise _damaged(file, f"it is incomplete: its header needs {8 + header_bytes:,} bytes, and it has {size:,}")
    try:
        header = json.loads(os.pread(descriptor, header_bytes, 8), object_pairs_hook=without_repetition)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"its header cannot be read ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(file, "its header is not a table of tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(file, "its metadata is not a table of texts")
    if len(header) > TENSORS_AT_MOST:
        raise _damaged(file, f"it lists {len(header):,} tensors, and at most {TENSORS_AT_MOST:,} are read")
    tensors = {name: _tensor_info(file, name, entry, 8 + header_bytes) for name, entry in header.items()}
    expected = 8 + header_bytes
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != expected:
            raise _damaged(
                file, f"the tensor {shown(name)} begins at byte {info.begin:,}, and {expected:,} was expected"
            )
        expected = info.end
    if expected > size:
        raise _damaged(file, f"it is incomplete: its tensors need {expected:,} bytes, and it has {size:,}")
    if expected < size:
        raise _damaged(file, f"{size - expected:,} bytes follow its last tensor")
    return MappingProxyType(tensors), MappingProxyType(metadata)


def _tensor_info(file: str, name: str, entry: Any, data_begin: int) -> TensorInfo:
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise _damaged(file, f"the tensor name {shown(ascii(name))} holds characters that no name has")
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(file, f"the entry of the tensor {shown(name)} lacks its dtype, shape or offsets") from error
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(
            f"{file} holds the tensor {shown(name)} of type {shown(str(dtype))}, which cannot be averaged; expected one of "
            f"{', '.join(DTYPES)}. Save plain weights."
        )
    sizes = [begin, end, *shape] if isinstance(shape, list) else [None]
    if len(sizes) > 2 + DIMENSIONS_AT_MOST or not all(type(value) is int and 0 <= value < 2**62 for value in sizes):
        raise _damaged(file, f"the tensor {shown(name)} has a shape or offsets that are not whole numbers, or too many")
    if math.prod(max(length, 1) for length in shape) >= 2**62:
        raise _damaged(file, f"the tensor {shown(name)} has a shape beyond all measure")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != needed:
        raise _damaged(file, f"the tensor {shown(name)} needs {needed:,} bytes, and its entry gives {end - begin:,}")
    return TensorInfo(DTYPES[dtype], tuple(shape), data_begin + begin, data_begin + end)


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's table, for `object_pairs_hook`. Raises ValueError where a name stands in it twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("the same name stands in it twice")
    return table


def _damaged(file: str, what: str) -> CheckpointError:
    return CheckpointError(f"{file} is not a sound safetensors file: {what}. Copy or save it again.")


def kind_of(start: bytes) -> str:
    """What a file that begins so is, by its content alone: "safetensors", "pickled", or a key of FOREIGN.

    A header of 640 bytes begins as a pickle does, so that the safetensors' own mark is looked for first.
    """
    text = start.lstrip()[:64].lower()
    if not start:
        return "empty"
    if start[4:9] == b"\0\0\0\0{":
        return "safetensors"
    if start.startswith(b"version https://git-lfs"):
        return "pointer"
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "pickled"
    if text.startswith((b"<!doctype", b"<html")):
        return "web page"
    return "safetensors" if start[8:9] == b"{" else "unknown"


FOREIGN = {
    "empty": "is empty; expected a safetensors file. Copy it again.",
    "pointer": "is a Git LFS pointer, not the weights themselves; run `git lfs pull`.",
    "pickled": "is a file of torch.save (.pt, .pth, .bin or .ckpt), and expected was a safetensors file; save its tensors "
    "with safetensors.torch.save_file.",
    "web page": "is a web page, not a safetensors file; the download went wrong, fetch it again.",
    "unknown": "does not look like a safetensors file; expected one saved by safetensors.torch.save_file.",
}
