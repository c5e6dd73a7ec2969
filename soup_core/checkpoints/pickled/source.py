"""A file by its descriptor: parts of it, and their checksums."""

import os
import zlib
from collections.abc import Iterator

from .values import damaged

PIECE = 1 << 22


class Source:
    """A file of a known size, read by pread; what is not there is refused."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, begin: int, count: int) -> bytes:
        """So many bytes from a place on."""
        return b"".join(self.pieces(begin, count))

    def pieces(self, begin: int, count: int) -> Iterator[bytes]:
        """The same in pieces of a few megabytes. Raises Refused where the file ends before."""
        end = begin + count
        if begin < 0 or count < 0 or end > self.size:
            raise damaged(f"it ends at byte {self.size:,}, before what it should hold")
        while begin < end:
            piece = os.pread(self.descriptor, min(PIECE, end - begin), begin)
            if not piece:
                raise damaged("it was cut short while it was read")
            begin += len(piece)
            yield piece

    def checksum(self, begin: int, count: int) -> int:
        """CRC-32 of so many bytes from a place on."""
        found = 0
        for piece in self.pieces(begin, count):
            found = zlib.crc32(piece, found)
        return found
