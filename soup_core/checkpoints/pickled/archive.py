"""A zip archive's directory, checked before a member is read: each member once, and none over another.

Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import struct
from dataclasses import dataclass

from .source import Source
from .values import Refused, damaged

MEMBERS_AT_MOST = 100_100  # as many tensors as are read, and torch's own records
END, END_64, LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"
STORED, DEFLATED = 0, 8


@dataclass(frozen=True)
class Member:
    """Where a member's bytes lie, and how many; its CRC-32; and how many bytes it says that it is without compression."""

    begin: int
    size: int
    checksum: int
    method: int
    inflated: int

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are stored as they are."""
        return self.method == STORED and self.size == self.inflated


def members_of(source: Source) -> dict[str, Member]:
    """The archive's members by name, in the order of its directory, each there once, and apart from the others.

    Raises Refused for an archive of which that is not so, for an encrypted one, and for more than MEMBERS_AT_MOST.
    """
    begin, end, count = _directory(source)
    if count > MEMBERS_AT_MOST:
        raise Refused(f"has {count:,} parts, and at most {MEMBERS_AT_MOST:,} are read.")
    directory = source.read(begin, end - begin)
    members: dict[str, Member] = {}
    occupied: list[tuple[int, int]] = []
    place = 0
    for _ in range(count):
        try:
            (
                signature,
                _,
                _,
                flags,
                method,
                _,
                _,
                checksum,
                packed,
                size,
                name_bytes,
                extra_bytes,
                comment_bytes,
                _,
                _,
                _,
                at,
            ) = struct.unpack_from("<4s6H3I5H2I", directory, place)
            name = directory[place + 46 : place + 46 + name_bytes].decode()
            extra = directory[place + 46 + name_bytes : place + 46 + name_bytes + extra_bytes]
            size, packed, at = _wide(extra, size, packed, at)
        except (struct.error, UnicodeDecodeError) as error:
            raise damaged("its directory of parts cannot be read") from error
        if signature != CENTRAL or name_bytes != len(name.encode()):
            raise damaged("its directory of parts cannot be read")
        if name in members:
            raise damaged(f"it holds the part {name[:50]!r} twice")
        if flags & 1:
            raise Refused("is encrypted; save it again without.")
        head = source.read(at, 30)
        local = struct.unpack("<4s5H3I2H", head)
        first = at + 30 + local[9] + local[10]
        if local[0] != LOCAL or local[3] != method or source.read(at + 30, local[9]) != name.encode():
            raise damaged(f"its directory and its part {name[:50]!r} disagree")
        members[name] = Member(first, packed, checksum, method, size)
        occupied.append((at, first + packed))
        place += 46 + name_bytes + extra_bytes + comment_bytes
    if place != len(directory):
        raise damaged("its directory of parts has another length than it says")
    reached = 0
    for first, last in [*sorted(occupied), (begin, end)]:
        if first < reached:
            raise damaged("its parts overlap")
        reached = last
    return members


def _directory(source: Source) -> tuple[int, int, int]:
    """Where the zip's directory begins and ends, and how many members it lists."""
    tail = source.read(max(0, source.size - 98), min(98, source.size)).rjust(98, b"\0")
    record_64, locator, record = tail[:56], tail[56:76], tail[76:]
    signature, *disks, count, size, begin, comment = struct.unpack("<4s4H2IH", record)
    if signature != END or comment or any(disks[:2]):
        raise damaged("its last part, the end of a zip archive, is missing")
    if not locator.startswith(LOCATOR_64):
        return _within(begin, begin + size, source.size - 22), begin + size, count
    signature, *_, count, size, begin = struct.unpack("<4sQ2H2I4Q", record_64)
    if signature != END_64 or struct.unpack("<Q", locator[8:16])[0] != source.size - 98:
        raise damaged("its last part, the end of a zip archive, is missing")
    return _within(begin, begin + size, source.size - 98), begin + size, count


def _within(begin: int, end: int, expected: int) -> int:
    if end != expected:
        raise damaged("its directory of parts does not lie where it says")
    return begin


def _wide(extra: bytes, size: int, packed: int, at: int) -> tuple[int, int, int]:
    """The same three numbers, from the extra field of ZIP64 where they do not fit into 32 bits."""
    numbers = [size, packed, at]
    short = [index for index, number in enumerate(numbers) if number == 0xFFFFFFFF]
    while short and extra:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            for index, number in zip(short, struct.unpack_from(f"<{len(short)}Q", extra, 4), strict=True):
                numbers[index] = number
            break
        extra = extra[4 + length :]
    return numbers[0], numbers[1], numbers[2]
