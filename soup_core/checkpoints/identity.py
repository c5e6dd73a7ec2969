"""Opening a file under its identity, by which what is known of it is kept, and a change of it is noticed."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from soup_core.errors import CheckpointError


class Identity(NamedTuple):
    """What changes whenever a file's content does: the time of the inode's change too, since no user can set it back."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """The identity of a file of this status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def __str__(self) -> str:
        return " ".join(map(str, self))


@dataclass(frozen=True)
class OpenedFile:
    """A regular file that is open for reading; two are equal where it is the same content under the same name."""

    path: Path
    name: str
    identity: Identity
    descriptor: int = field(compare=False)

    def check_unchanged(self) -> None:
        """Raise CheckpointError where the file has changed since it was opened, or another lies in its place."""
        if {Identity.of(os.fstat(self.descriptor)), Identity.of(os.lstat(self.path))} != {self.identity}:
            raise CheckpointError(f"{self.name} has changed while it was opened; reload the zoo.")


@contextmanager
def opened(path: Path, name: str, *, expected: str, follow_links: bool = True) -> Iterator[OpenedFile]:
    """Open a regular file, called `name` in messages, and close it at the end.

    Nothing else is opened, since a FIFO would wait for a writer. Raises CheckpointError for what is no regular file, where
    `expected` is what should be there, for what cannot be read, and for an OSError within.
    """
    try:
        if not stat.S_ISREG(os.stat(path, follow_symlinks=follow_links).st_mode):
            raise CheckpointError(f"{name} is not a regular file; expected {expected}.")
        links = 0 if follow_links else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | links)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{name} was replaced while it was opened; reload the zoo.")
            yield OpenedFile(path, name, Identity.of(status), descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} {refusal(error)}") from error


def refusal(error: OSError | ValueError) -> str:
    """Why a file cannot be opened and what to do, as the rest of a sentence that begins with its name."""
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "is missing; put the file there, or take its entry out of zoo.toml."
    if code in (errno.EACCES, errno.EPERM):
        return "may not be read by this user; change its permissions."
    if code == errno.ELOOP:
        return "is a link that leads back to itself; replace it by the file."
    return f"cannot be read ({error.strerror if isinstance(error, OSError) else error})."
