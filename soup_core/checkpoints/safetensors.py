"""Checkpoint files: opened, checked, and read tensor by tensor.

Safetensors files are read with pread at the offsets of their own header, never through a memory map: a file that is
cut short under a map kills the process. Format: https://github.com/huggingface/safetensors#format
"""

import copy
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from soup_core.checkpoints.content import RUN, SCHEME, Block, Content, Examination, Found
from soup_core.checkpoints.identity import OpenedFile, opened
from soup_core.errors import CheckpointError
from soup_core.runtime.files import Writer, listed, shown, write_together

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
    of all bytes of a tensor, by its name in the file, where the file has them, which safetensors files do not;
    `names_in_file` gives by name what the file calls a tensor. Raises CheckpointError for whatever is not a complete and
    consistent safetensors file.
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
        self.tensors, self.metadata = _parse_header(self.name, file.descriptor, self.size)
        self.names_in_file: Mapping[str, str] = MappingProxyType({name: name for name in self.tensors})
        self.checksums: Mapping[str, int] = MappingProxyType({})
        self.examination = Examination(Content(self.tensors, self.checksums))

    @property
    def leaves(self) -> tuple["Checkpoint", ...]:
        """The checkpoints of one file each that this one is made of."""
        return (self,)

    @property
    def is_examined(self) -> bool:
        """Whether what all its files hold is known."""
        return all(leaf.examination.found is not None for leaf in self.leaves)

    @property
    def digest(self) -> str:
        """Of the content, as `Content` makes it; the file is read through where that was not done yet, and remembered.

        Raises CheckpointError as `check` does, and where the file has changed.
        """
        found = self.examined()
        self.check()
        return found.digest

    @property
    def earlier_digest(self) -> str | None:
        """The SHA-256 by which older records name the file, None where it is not known."""
        return self.examination.earlier_digest

    def is_named_by(self, digest: str) -> bool:
        """Whether a record's digest is this one's, or the SHA-256 by which older records name the file; raises as `digest`.

        For the latter the file is read once more where it is not known.
        """
        if digest in (self.digest, self.earlier_digest):
            return True
        if digest.startswith(SCHEME) or self.earlier_digest or self.leaves != (self,):
            return False
        self.examination.earlier_digest = self.sha256()
        return digest == self.earlier_digest

    def sha256(self) -> str:
        """By which older records name the file; it is read for that. Raises CheckpointError where it has changed."""
        content, block = hashlib.sha256(), bytearray(1 << 20)
        with self._opened() as descriptor:
            for begin in range(0, self.size, len(block)):
                part = memoryview(block)[: self.size - begin]
                self._fill(descriptor, part, begin)
                content.update(part)
        return content.hexdigest()

    def examined(self) -> Found:
        """What the file holds; what of it was not read yet is read now. Raises CheckpointError where it has changed."""
        self.take(list(self.missing()))
        return self.conclude()

    def missing(self) -> Iterator[Block]:
        """The blocks that are not read yet for the examination of the file."""
        content = self.examination.content
        return content.missing() if content else iter(())

    def take(self, blocks: Sequence[Block]) -> None:
        """Read these blocks for the examination of the file. Raises CheckpointError where it has changed."""
        content = self.examination.content
        if not blocks or content is None:
            return
        memory = torch.empty(8 * RUN, dtype=torch.uint8)
        with self._opened() as descriptor:
            for name, begin, end in blocks:
                info = content.tensors[name]
                part = memory_of(memory[: (end - begin) * info.dtype.itemsize])
                self._fill(descriptor, part, info.begin + begin * info.dtype.itemsize)
                content.add(name, begin, part)

    def conclude(self) -> Found:
        """End the examination of a file all of which was read, and remember what it holds.

        Raises CheckpointError where it has changed meanwhile; then nothing is remembered.
        """
        known = self.examination
        with known.lock:
            if known.found is None:
                assert known.content is not None
                with self._opened():
                    found = known.content.found()
                if known.keep:
                    known.keep(found)
                known.found, known.content = found, None
            return known.found

    def check(self, *, examine: bool = False) -> None:
        """Raise CheckpointError where a file is known to hold NaN or infinity, or not to be as its checksums say.

        To `examine` is to read first what was not read yet, and to raise where that is not possible.
        """
        for leaf in self.leaves:
            found = leaf.examined() if examine else leaf.examination.found
            if found and found.damaged:
                raise CheckpointError(
                    f"{leaf.name} is damaged: the checksum of {listed(map(shown, found.damaged))} differs; copy it again."
                )
            if found and found.not_finite:
                raise CheckpointError(
                    f"{leaf.name} holds NaN or infinity in {listed(map(shown, found.not_finite))}; leave this checkpoint "
                    "out, or train it again."
                )

    def renamed(self, names: Mapping[str, str], *notes: str) -> "Checkpoint":
        """The same file with its tensors under other names, old to new; those without a new one are left out."""
        other = copy.copy(self)
        other.tensors = MappingProxyType({new: self.tensors[old] for old, new in names.items()})
        other.names_in_file = MappingProxyType({new: self.names_in_file.get(old, old) for old, new in names.items()})
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
        known = checkpoint.examination
        self._content = known.content if known.keep else None  # where no one remembers it, nothing is to be found out

    def __call__(self, name: str) -> Tensor:
        """The whole tensor, on the CPU, in the shape and dtype of the file; CheckpointError is raised as by `fill`."""
        info = self.checkpoint.tensors[name]
        tensor = torch.empty(info.shape, dtype=info.dtype)
        if tensor.numel():
            self.fill(name, 0, memory_of(tensor))
        return tensor

    def fill(self, name: str, begin: int, part: memoryview) -> None:
        """Read as many bytes as there are in `part` from element `begin` of a tensor on.

        What is read counts for the examination of the file, where that was begun. Raises CheckpointError where the file
        has been cut short meanwhile.
        """
        info = self.checkpoint.tensors[name]
        self.checkpoint._fill(self._descriptor, part, info.begin + begin * info.dtype.itemsize)
        if self._content is not None:
            self._content.add(self.checkpoint.names_in_file[name], begin, part)


def memory_of(tensor: Tensor) -> memoryview:
    """The bytes that hold a contiguous tensor of any shape on the CPU."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data


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
    if "\0" in name or not (name.isascii() or all(not "\ud800" <= character <= "\udfff" for character in name)):
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
