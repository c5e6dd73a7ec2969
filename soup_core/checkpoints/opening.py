"""Opening a checkpoint whatever its format: the content decides, and what was found out once is remembered.

Safetensors files are read as they are. A file of torch.save goes to a process of its own (see pickled/process.py), which
turns it into safetensors without unpickling; the result lies beside the store, under the digest of the file's content.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from soup_core.checkpoints.pickled import WHOLE
from soup_core.checkpoints.reader import Refused, ask_reader
from soup_core.checkpoints.safetensors import START_BYTES, Checkpoint, kind_of, refusal
from soup_core.errors import CheckpointError, SoupError
from soup_core.runtime.files import home, listed, shown, write_together
from soup_core.runtime.store import default_store

FORMAT = 1  # of what the reading process writes; a higher number has every file read again
MESSAGE_AT_MOST = 2000


class SeveralWeights(CheckpointError):
    """A file holds weights in several places, such as the plain ones and their running average: `places`."""

    def __init__(self, message: str, places: tuple[str, ...]) -> None:
        super().__init__(message)
        self.places = places


class Identity(NamedTuple):
    """What changes whenever a file's content does: the time of the inode's change too, since no user can set it back."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def open_checkpoint(path: Path, weights: str | None = None, *, roots: Sequence[Path] = ()) -> Checkpoint:
    """Open a checkpoint and see that its numbers are finite; read through once, then known by the file's identity.

    `weights` says which part of a file of torch.save is meant where several could be. Where roots are given, the file
    must lie below one of them after links are followed. Raises CheckpointError for whatever cannot be used, with the
    reason.
    """
    name = shown(path)
    try:
        file = Path(os.path.realpath(path, strict=True))
        if roots and not any(file.is_relative_to(os.path.realpath(root)) for root in roots):
            raise CheckpointError(f"{name} lies outside the zoo's folder and those of SOUP_ZOOS; put the file inside.")
        with _opened(file, name) as descriptor:
            identity = _identity(os.fstat(descriptor))
            if kind_of(os.pread(descriptor, START_BYTES, 0)) in ("pickled", "unknown"):
                return _converted(descriptor, identity, name, weights)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} {refusal(error)}") from error
    if weights is not None:
        raise CheckpointError(f"{name} is a safetensors file, which has no parts; take `weights` out of its entry.")
    return _examined(file, identity, name)


def open_likeliest(path: Path, *, roots: Sequence[Path] = ()) -> tuple[Checkpoint, str | None]:
    """As `open_checkpoint`; of weights in several places, the averaged ones that a run is judged by, then the plain ones.

    Gives the place that was taken too, None where there was no choice.
    """
    try:
        return open_checkpoint(path, roots=roots), None
    except SeveralWeights as several:
        place = min(several.places, key=lambda place: ("ema" not in place.lower(), len(place), place))
        return open_checkpoint(path, place, roots=roots), place


@contextmanager
def _opened(file: Path, name: str) -> Iterator[int]:
    """A descriptor of a regular file; nothing else is opened, since a FIFO would wait for a writer."""
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise CheckpointError(f"{name} is not a regular file; expected a safetensors file, or one of torch.save.")
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CheckpointError(f"{name} was replaced while it was opened; reload the zoo.")
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unchanged(status: os.stat_result, identity: Identity, name: str) -> None:
    if _identity(status) != identity:
        raise CheckpointError(f"{name} has changed while it was opened; reload the zoo.")


@lru_cache(maxsize=1024)
def _examined(file: Path, identity: Identity, name: str) -> Checkpoint:
    """A safetensors file with its digest, refused where numbers are not finite."""
    checkpoint = Checkpoint(file, name)
    key = f"safetensors {_text(identity)}"
    known = _recalled(key)
    if known is None:
        digest, broken = checkpoint.examined()
        known = {"digest": digest, "not_finite": broken}
        _unchanged(os.lstat(file), identity, name)
        _remember(key, known)
    if broken := known["not_finite"]:
        raise CheckpointError(
            f"{name} holds NaN or infinity in {listed(map(shown, broken))}; leave this checkpoint out, or train it again."
        )
    checkpoint.digest = known["digest"]
    return checkpoint


def _text(identity: Identity) -> str:
    return " ".join(map(str, identity))


def _recalled(key: str) -> dict[str, Any] | None:
    """What the store knows of a file; a store that cannot be used knows nothing, and files can still be opened."""
    with suppress(SoupError):
        return default_store().file(key)
    return None


def _remember(key: str, known: Mapping[str, Any]) -> None:
    with suppress(SoupError):
        default_store().keep_file(key, known)


def _converted(descriptor: int, identity: Identity, name: str, weights: str | None) -> Checkpoint:
    """The safetensors file made of a file of torch.save, made now where it is not there."""
    key = f"pickled {FORMAT} {json.dumps(weights)} {_text(identity)}"
    known = _recalled(key)
    if known is None or not ("refused" in known or _place(known["content"]).exists()):
        try:
            known = {"content": _convert(descriptor, identity, name, weights)}
        except Refused as refused:
            known = {"refused": shown(str(refused), MESSAGE_AT_MOST), "places": list(refused.places)}
        except CheckpointError:
            raise
        except SoupError as error:
            raise CheckpointError(f"{name} cannot be opened: {error}") from error
        _remember(key, known)
    if "refused" in known:
        if places := known.get("places"):
            raise SeveralWeights(f"{name} {known['refused']}", tuple(places))
        raise CheckpointError(f"{name} {known['refused']}")
    place = _place(known["content"])
    checkpoint = _examined(place, _identity(os.lstat(place)), name)
    found = json.loads(checkpoint.metadata["soup_core"])
    notes = []
    if found["weights"] != WHOLE:
        notes.append(f"its weights are those under {shown(found['weights'])}")
    if not found["checked"]:
        notes.append("it holds no checksums, so that damage could not be noticed")
    return checkpoint.renamed({tensor: tensor for tensor in checkpoint.tensors}, *notes)


def _place(content: str) -> Path:
    return home() / "checkpoints" / f"{content}.safetensors"


def _convert(descriptor: int, identity: Identity, name: str, weights: str | None) -> str:
    """Have a file converted, unless one of the same content was; the digest of its content and of the choice."""
    digest = hashlib.sha256()
    for begin in range(0, identity.size, 1 << 20):
        digest.update(os.pread(descriptor, 1 << 20, begin))
    content = hashlib.sha256(json.dumps([FORMAT, weights, digest.hexdigest()]).encode()).hexdigest()

    def write(place: Path) -> None:
        target = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
        try:
            ask_reader(descriptor, target, identity.size, name, weights)
        finally:
            os.close(target)
        _unchanged(os.fstat(descriptor), identity, name)

    with default_store().claim(f"convert-{content}"):
        _place(content).parent.mkdir(mode=0o700, exist_ok=True)  # the source may be no one else's to read
        if not _place(content).exists():
            write_together({_place(content): write}, identity.size)
    return content
