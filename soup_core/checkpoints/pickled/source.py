"""A file by its descriptor: parts of it, and their checksums."""

import os
import zlib
from collections.abc import Iterator

from .values import damaged

PIECE = 1 << 22


class Source:
    """A file of a known size, or a part of one that begins at `first`, read by pread; what is not there is refused."""

    def __init__(self, descriptor: int, first: int = 0, size: int | None = None) -> None:
        self.descriptor, self.first = descriptor, first
        self.size = os.fstat(descriptor).st_size - first if size is None else size

    def read(self, begin: int, count: int) -> bytes:
        """So many bytes from a place on."""
        return b"".join(self.pieces(begin, count))

    def pieces(self, begin: int, count: int) -> Iterator[bytes]:
        """The same in pieces of a few megabytes. Raises Refused where the file ends before."""
        end = begin + count
        if begin < 0 or count < 0 or end > self.size:
            raise damaged(f"it ends at byte {self.size:,}, before what it should hold")
        while begin < end:
            piece = os.pread(self.descriptor, min(PIECE, end - begin), self.first + begin)
            if not piece:
                raise damaged("it was cut short while it was read")
            begin += len(piece)
            yield piece

    def part(self, begin: int, size: int) -> "Source":
        """A part of it as a source of its own. Raises Refused where the file ends before."""
        if begin < 0 or size < 0 or begin + size > self.size:
            raise damaged(f"it ends at byte {self.size:,}, before what it should hold")
        return Source(self.descriptor, self.first + begin, size)

    def checksum(self, begin: int, count: int) -> int:
        """CRC-32 of so many bytes from a place on."""
        found = 0
        for piece in self.pieces(begin, count):
            found = zlib.crc32(piece, found)
        return found
