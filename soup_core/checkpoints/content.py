"""What a checkpoint holds, found out block by block: a digest, what is not finite, what differs from its checksum.

The blocks may come in any order and from several threads, so that whoever reads them for an average finds this out in
the same reading.
"""

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from blake3 import blake3
from torch import Tensor

try:
    from isal.isal_zlib import crc32  # the same numbers as zlib's at many times the speed
except ImportError:  # where there is no wheel for a machine
    from zlib import crc32

if TYPE_CHECKING:
    from soup_core.checkpoints.safetensors import TensorInfo

RUN = 131_072  # elements of a tensor that are hashed at once: half a megabyte in float32, which stays in the cache
Block = tuple[str, int, int]  # of a tensor, its first element and the one after its last
SCHEME = "b3-"  # begins every digest made as `Content` says, so that none is taken for another, or for a SHA-256
POLYNOMIAL = 0xEDB88320  # of CRC-32, in the order of bits that zip files have


@dataclass(frozen=True)
class Found:
    """A checkpoint's digest, and the names of the tensors that are broken, in the file's order.

    `not_finite` hold NaN or infinity, `damaged` have another CRC-32 than their file says.
    """

    digest: str
    not_finite: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclass
class Examination:
    """How far the reading of a file has come, for all checkpoints that are made of it under whatever names.

    `content` takes the blocks that are read until `found` is there. `keep` remembers that for other processes.
    `earlier_digest` is the SHA-256 by which older records name the file, where that is known.
    """

    content: "Content | None"
    found: Found | None = None
    keep: Callable[[Found], None] | None = None
    earlier_digest: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Content:
    """Takes the blocks of a checkpoint's tensors, in any order, from any thread; `found` then says what they are.

    The digest is of the tensors, whatever file holds them: BLAKE3 (blake3.pdf, O'Connor et al. 2020) of each run of RUN
    elements as little-endian bytes, the last run being shorter; of a tensor, BLAKE3 of its runs' 32-byte digests one
    after the other; of the checkpoint, BLAKE3 of the JSON text, ASCII and without spaces, of the list of
    [name, dtype, shape, digest of the tensor in hexadecimal] in the order of the names, where the dtype is as in torch,
    without "torch.". It is written as SCHEME and 64 hexadecimal digits.

    `checksums` are the CRC-32 of all bytes of a tensor, by name, of those that have one.
    """

    def __init__(
        self, tensors: Mapping[str, "TensorInfo"], checksums: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self.tensors, self._checksums = tensors, checksums
        self._digests: dict[tuple[str, int], bytes] = {}
        self._crcs: dict[tuple[str, int], int] = {}
        self._not_finite: set[str] = set()

    def add(self, name: str, begin: int, part: memoryview) -> None:
        """Take the bytes of a tensor from element `begin` on, as far as they are whole runs; others are left out.

        `part` is contiguous memory that may be written to, so that torch takes it as it is; it is only read.
        """
        info = self.tensors[name]
        size, item, checked = math.prod(info.shape), info.dtype.itemsize, name in self._checksums
        end = begin + len(part) // item
        for first in range(-(-begin // RUN) * RUN, end, RUN):
            run, last = first // RUN, min(first + RUN, size)
            if last > end or (name, run) in self._digests:
                continue
            block = part[(first - begin) * item : (last - begin) * item]
            if (
                info.dtype.is_floating_point
                and name not in self._not_finite
                and not is_finite(torch.frombuffer(block, dtype=info.dtype))
            ):
                self._not_finite.add(name)
            if checked:
                self._crcs[name, run] = crc32(block)
            self._digests[name, run] = blake3(block).digest()

    def missing(self) -> Iterator[Block]:
        """The blocks that were not added: as `Block` says."""
        for name, info in self.tensors.items():
            size = math.prod(info.shape)
            for begin in range(0, size, RUN):
                if (name, begin // RUN) not in self._digests:
                    yield name, begin, min(begin + RUN, size)

    def found(self) -> Found:
        """What the blocks say; every one must have been added."""
        assert not any(self.missing()), "a digest is of all tensors"
        tensors = [
            [name, str(info.dtype).removeprefix("torch."), list(info.shape), self._tensor_digest(name)]
            for name, info in sorted(self.tensors.items())
        ]
        digest = blake3(json.dumps(tensors, separators=(",", ":")).encode()).hexdigest()
        damaged = (name for name in self.tensors if name in self._checksums and not self._is_as_checked(name))
        not_finite = (name for name in self.tensors if name in self._not_finite)
        return Found(SCHEME + digest, tuple(not_finite), tuple(damaged))

    def _tensor_digest(self, name: str) -> str:
        return blake3(b"".join(self._digests[name, run] for run in range(self._runs(name)))).hexdigest()

    def _is_as_checked(self, name: str) -> bool:
        info = self.tensors[name]
        size, checksum = math.prod(info.shape), 0
        for run in range(self._runs(name)):
            elements = min(RUN, size - run * RUN)
            checksum = crc32_of_both(checksum, self._crcs[name, run], elements * info.dtype.itemsize)
        return checksum == self._checksums[name]

    def _runs(self, name: str) -> int:
        return -(-math.prod(self.tensors[name].shape) // RUN)


def is_finite(numbers: Tensor) -> bool:
    """Whether no number (N) is NaN or infinite: either poisons a sum, and where one only overflowed each is looked at."""
    return math.isfinite(float(numbers.sum())) or bool(numbers.isfinite().all())


def crc32_of_both(first: int, second: int, length: int) -> int:
    """CRC-32 of bytes that follow others, by the CRC-32 of each and the number of the following ones.

    >>> crc32_of_both(crc32(b"check"), crc32(b"point"), 5) == crc32(b"checkpoint")
    True
    """
    return _product(first, _power(8 * length)) ^ second


def _product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2) modulo CRC-32's, whose highest power has the lowest bit."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=256)
def _power(exponent: int) -> int:
    """x to that power, modulo CRC-32's polynomial."""
    power, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power
