"""Arrays in files of numpy, .npy and .npz, read as data: all that a file claims is checked before memory is taken for it.

Nothing is unpickled, and an array of Python objects, which is a pickle, is refused. Format:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soup_core.checkpoints.identity import opened
from soup_core.checkpoints.pickled.archive import DEFLATED, LOCAL, Member, members_of
from soup_core.checkpoints.pickled.source import PIECE, Source
from soup_core.checkpoints.pickled.values import Refused, damaged
from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

MAGIC = b"\x93NUMPY"
EXPECTED = "a file of numpy (.npy or .npz)"
HEADER_BYTES_AT_MOST = 10_000  # numpy's own limit
DIMENSIONS_AT_MOST = 8
ARRAY_BYTES_AT_MOST = 8_000_000_000
# A compressed array may be so many times its bytes in the file, or so large: numbers that networks give do not shrink to a
# hundredth, while a megabyte of deflate can inflate to a thousand. Labels in order can, and are small.
TIMES_AT_MOST = 100
SMALL_BYTES = 64_000_000
NUMBERS = re.compile(r"[<>=|]?(f[248]|[iu][1248]|b1)")
TEXTS = re.compile(r"[<>=|]?U\d{1,4}")
WHOLE = ""  # the name of the only array of a .npy


@dataclass(frozen=True)
class ArrayInfo:
    """What an array's header says: its type as numpy writes it, its shape, its order, and how many bytes the header takes."""

    type: str
    shape: tuple[int, ...]
    is_fortran: bool
    header_bytes: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements."""
        return np.dtype(self.type)

    @property
    def size(self) -> int:
        """All bytes, with those of the header."""
        return self.header_bytes + math.prod(self.shape) * self.dtype.itemsize


class NumpyFile:
    """A .npy or .npz whose headers have been checked; arrays are read by name when asked for.

    `arrays` are by name, that of a .npy by WHOLE. Raises CheckpointError for what is no such file, damaged or incomplete,
    holds an array twice, or Python objects, and for an array beyond what is read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, shown(path)
        with opened(path, self.name, expected=EXPECTED) as file, self._in_words():
            self._identity = file.identity
            source = Source(file.descriptor)
            self._members = _parts(source)
            self.arrays: Mapping[str, ArrayInfo] = MappingProxyType(
                {name: _checked_header(source, name, member) for name, member in self._members.items()}
            )

    def read(self, name: str) -> NDArray[Any]:
        """An array in memory of its own, in the order of its elements and the machine's order of bytes.

        Raises CheckpointError where the file has changed, or its checksum differs.
        """
        info, member = self.arrays[name], self._members[name]
        content, filled, checksum = np.empty(info.size, np.uint8), 0, 0
        with opened(self.path, self.name, expected=EXPECTED) as file, self._in_words():
            if file.identity != self._identity:
                raise CheckpointError(f"{self.name} has changed since it was opened; reload the zoo.")
            for piece in _pieces(Source(file.descriptor), member):
                content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                checksum, filled = zlib.crc32(piece, checksum), filled + len(piece)
            if filled != info.size or (member.checksum is not None and checksum != member.checksum):
                raise damaged(f"{_called(name)} is not as its checksum says")
        numbers = content[info.header_bytes :].view(info.dtype)
        ordered = numbers.reshape(info.shape, order="F" if info.is_fortran else "C")
        return np.ascontiguousarray(ordered, info.dtype.newbyteorder("="))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except Refused as refused:
            raise CheckpointError(f"{self.name} {refused}") from refused


@dataclass(frozen=True)
class _Part:
    """Where the bytes of an array's own file lie, whether they are deflated, how many they are, and their CRC-32 if known."""

    begin: int
    stored_bytes: int
    is_deflated: bool
    size: int
    checksum: int | None


def is_numpy(start: bytes) -> bool:
    """Whether a file that begins so may be one of numpy, by its content alone; a zip archive may be one."""
    return start.startswith((MAGIC, LOCAL))


def _parts(source: Source) -> dict[str, _Part]:
    start = source.read(0, min(source.size, len(MAGIC)))
    if start == MAGIC:
        return {WHOLE: _Part(0, source.size, False, source.size, None)}
    if not start.startswith(LOCAL):
        raise Refused(f"is empty; expected {EXPECTED}." if not start else f"does not look like {EXPECTED}.")
    parts = {}
    for name, member in members_of(source).items():
        if not name.endswith(".npy"):
            raise Refused(f"is a zip archive with a part {shown(name, 50)!r}, which numpy.savez does not write.")
        parts[name.removesuffix(".npy")] = _part(name, member)
    return parts


def _part(name: str, member: Member) -> _Part:
    if not member.is_stored and member.method != DEFLATED:
        raise Refused(f"has {_called(name)} compressed in a way that numpy does not; save it again by numpy.savez.")
    if not member.is_stored and member.inflated > max(SMALL_BYTES, TIMES_AT_MOST * member.size):
        raise Refused(
            f"would inflate {_called(name)} from {member.size:,} bytes to {member.inflated:,}, more than {TIMES_AT_MOST} times "
            "as many; save it by numpy.savez, without compression."
        )
    return _Part(member.begin, member.size, not member.is_stored, member.inflated, member.checksum)


def _checked_header(source: Source, name: str, part: _Part) -> ArrayInfo:
    begin = b""
    for piece in _pieces(source, part, HEADER_BYTES_AT_MOST + len(MAGIC) + 6):
        begin += piece
    info = _header(name, begin[: part.size])
    if info.size > ARRAY_BYTES_AT_MOST:
        raise Refused(
            f"claims {info.size:,} bytes for {_called(name)}, and at most {ARRAY_BYTES_AT_MOST:,} are read; split the data."
        )
    if info.size != part.size:
        raise damaged(f"{_called(name)} needs {info.size:,} bytes, and has {part.size:,}")
    return info


def _header(name: str, begin: bytes) -> ArrayInfo:
    """What an array's first bytes say. Raises Refused where that is not the header of an array of numbers or short texts."""
    version = tuple(begin[len(MAGIC) : len(MAGIC) + 2])
    if not begin.startswith(MAGIC) or version not in ((1, 0), (2, 0)):
        raise damaged(f"{_called(name)} has no header of numpy's version 1 or 2")
    kind, first = ("<H", len(MAGIC) + 4) if version == (1, 0) else ("<I", len(MAGIC) + 6)
    try:
        (length,) = struct.unpack_from(kind, begin, len(MAGIC) + 2)
        text = begin[first : first + length].decode("latin-1") if length <= HEADER_BYTES_AT_MOST else ""
        table: Any = ast.literal_eval(text.strip()) if len(begin) >= first + length else None
        described, is_fortran, shape = (table[key] for key in ("descr", "fortran_order", "shape"))
    except (struct.error, ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise damaged(f"the header of {_called(name)} cannot be read") from error
    if not isinstance(described, str) or not (NUMBERS.fullmatch(described) or TEXTS.fullmatch(described)):
        objects = "Python objects, which would have to be unpickled" if "O" in str(described) else str(described)[:50]
        raise Refused(f"holds {objects} in {_called(name)}; expected plain numbers. Save them as such.")
    sizes = shape if isinstance(shape, tuple) and len(shape) <= DIMENSIONS_AT_MOST else (None,)
    if type(is_fortran) is not bool or not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        raise damaged(
            f"the header of {_called(name)} has a shape that is none, or of more than {DIMENSIONS_AT_MOST} sides"
        )
    return ArrayInfo(described, tuple(sizes), is_fortran, first + length)


def _pieces(source: Source, part: _Part, at_most: int | None = None) -> Iterator[bytes]:
    """The bytes of an array's own file, header first, in pieces; with `at_most` about so many of the first ones.

    Raises Refused where they are more or fewer than the archive says.
    """
    wanted = part.size if at_most is None else min(at_most, part.size)
    if not part.is_deflated:
        yield from source.pieces(part.begin, wanted)
        return
    inflating, made = zlib.decompressobj(-zlib.MAX_WBITS), 0
    packed = source.pieces(part.begin, part.stored_bytes)
    try:
        while made < wanted or (at_most is None and not inflating.eof):
            given = inflating.unconsumed_tail or next(packed, b"")
            piece = inflating.decompress(given, min(PIECE, wanted - made + 1))
            if not piece and not given:
                raise damaged("a compressed array ends before what it should hold")
            made += len(piece)
            if made > part.size:
                raise damaged("a compressed array holds more than the archive says")
            yield piece
    except zlib.error as error:
        raise damaged("a compressed array cannot be inflated") from error


def _called(name: str) -> str:
    return f"the array {shown(name.removesuffix('.npy'), 50)}" if name else "the array"
