"""Reading checkpoint files through once: what they hold is found on two threads, and remembered by the files' identities."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from soup_core.checkpoints.content import RUN, Block, Found
from soup_core.checkpoints.safetensors import Checkpoint
from soup_core.errors import CheckpointError, SoupError
from soup_core.runtime.parallel import in_parallel
from soup_core.runtime.store import default_store

THREADS = 2
PART = 256 * RUN  # elements that a thread reads of one file after the other: 134 megabytes in float32
HASHED_TOO = 8_000_000  # bytes of a file whose SHA-256 is found as well, by which older records name it


def recalled(key: str) -> dict[str, Any] | None:
    """What the store knows of a file; a store that cannot be used knows nothing, and files can still be opened."""
    with suppress(SoupError):
        return default_store().file(key)
    return None


def remember(key: str, known: Mapping[str, Any]) -> None:
    """Keep what is known of a file, where the store can be used."""
    with suppress(SoupError):
        default_store().keep_file(key, known)


def with_examination(checkpoint: Checkpoint, key: str, earlier: Callable[[], str | None]) -> Checkpoint:
    """The same checkpoint, just opened, with what is known of its file under a key, or what is found later kept there.

    `earlier` gives the SHA-256 by which older records name the file, where it is known; that of a small file is found.
    """
    known = recalled(key)
    if known is None:
        earlier_digest = earlier()
        if earlier_digest is None and checkpoint.size <= HASHED_TOO:
            earlier_digest = checkpoint.sha256()
        checkpoint.examination.keep = partial(_keep, key, earlier_digest)
        checkpoint.examination.earlier_digest = earlier_digest
    else:
        found = Found(known["digest"], tuple(known["not_finite"]), tuple(known["damaged"]))
        checkpoint.examination.content, checkpoint.examination.found = None, found
        checkpoint.examination.earlier_digest = known["earlier"]
    return checkpoint


def _keep(key: str, earlier_digest: str | None, found: Found) -> None:
    told = {"digest": found.digest, "not_finite": found.not_finite, "damaged": found.damaged}
    remember(key, {**told, "earlier": earlier_digest})


def read_through(checkpoints: Iterable[Checkpoint]) -> None:
    """Read through, on two threads, what of these files was not read yet; each is remembered once it is through.

    What is found is told by their `check`; a file that cannot be read, or has changed, is left as it was, which shows again
    when its digest is asked for.
    """
    leaves = {id(leaf.examination): leaf for each in checkpoints for leaf in each.leaves if not leaf.is_examined}
    parts = [(leaf, part) for leaf in leaves.values() for part in _parts(leaf)]
    waiting = Counter(id(leaf.examination) for leaf, _ in parts)
    lock = threading.Lock()

    def read(leaf: Checkpoint, part: list[Block]) -> None:
        with suppress(CheckpointError):
            leaf.take(part)
            with lock:
                waiting[id(leaf.examination)] -= 1
                is_last = not waiting[id(leaf.examination)]
            if is_last:
                leaf.conclude()

    threads = min(THREADS, os.cpu_count() or 1)
    for begin in range(0, len(parts), 2 * threads):  # others who read have their turn in between
        in_parallel([partial(read, *part) for part in parts[begin : begin + 2 * threads]], threads)


def _parts(leaf: Checkpoint) -> Iterator[list[Block]]:
    """The blocks that are missing, in parts of about PART elements; one part at least, since the file must be concluded."""
    part: list[Block] = []
    size = 0
    for block in leaf.missing():
        part.append(block)
        size += block[2] - block[1]
        if size >= PART:
            yield part
            part, size = [], 0
    if part or not size:
        yield part
