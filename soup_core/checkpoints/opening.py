"""Opening a checkpoint whatever its format: the content decides, and what was found out once is remembered.

Safetensors files are read as they are. A file of torch.save goes to a process of its own (see pickled/process.py), which
says without unpickling where its tensors lie, so that they are read there. Where one does not lie there as it is, such as a
transposed view, the process turns the file into safetensors, beside the store under the digest of the file's content.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from soup_core.checkpoints.examining import read_through, recalled, remember, with_examination
from soup_core.checkpoints.folders import CHUNKS, CONSOLIDATED, METADATA, check_not_zero, checkpoint_folder
from soup_core.checkpoints.identity import Identity, OpenedFile, opened, refusal
from soup_core.checkpoints.in_place import InPlace
from soup_core.checkpoints.joined import Joined
from soup_core.checkpoints.pickled import FILES_AT_MOST, MESSAGE_BYTES, WHOLE
from soup_core.checkpoints.reader import Refused, ask_reader
from soup_core.checkpoints.safetensors import START_BYTES, Checkpoint, kind_of
from soup_core.checkpoints.shards import check_listed, check_no_shard, is_index, tensors_by_shard
from soup_core.errors import CheckpointError, SoupError
from soup_core.runtime.files import home, listed, shown, write_together
from soup_core.runtime.store import default_store

FORMAT = 2  # of what the reading process writes; a higher number has every file converted again
TABLE_FORMAT = 1  # of its table of tensors; a higher number has every file asked about again
KEPT_AT_MOST = 1 << 20  # bytes of such a table; of a larger one the process is asked again
MESSAGE_AT_MOST = 2000
NO_FILES: Mapping[str, OpenedFile] = MappingProxyType({})
EXPECTED = "a safetensors file, or one of torch.save"


class SeveralWeights(CheckpointError):
    """A file holds weights in several places, such as the plain ones and their running average.

    `places` are these, first the one to take where nothing else decides, and `why` is the reason to.
    """

    def __init__(self, message: str, places: tuple[str, ...], why: str = "") -> None:
        super().__init__(message)
        self.places, self.why = places, why


def open_checkpoint(
    path: Path, weights: str | None = None, *, roots: Sequence[Path] = (), examine: bool = True
) -> Checkpoint:
    """Open a checkpoint and see that its numbers are finite; read through once, then known by the file's identity.

    Without `examine` a file that is not known yet is not read through: that comes with the first reading of its tensors,
    or when its digest is asked for. `weights` says which part of a file of torch.save is meant where several could be. Where roots are given, the file
    must lie below one of them after links are followed. An index of shards is opened with all of them, a folder of
    torch.distributed.checkpoint by its own name or by that of its `.metadata`. Raises
    CheckpointError for whatever cannot be used, with the reason.
    """
    check_no_shard(path)
    check_not_zero(path)
    folder = path.parent if path.name == METADATA else path
    is_folder = checkpoint_folder(folder) == "distributed"
    checkpoint = _of_folder(folder, weights, roots) if is_folder else _open(path, weights, roots)
    if examine:
        read_through([checkpoint])
    checkpoint.check(examine=examine)
    return checkpoint


def _open(path: Path, weights: str | None, roots: Sequence[Path]) -> Checkpoint:
    name, file = shown(path), _within(path, roots)
    with opened(file, name, expected=EXPECTED, follow_links=False) as source:
        start = os.pread(source.descriptor, START_BYTES, 0)
        if is_index(start):
            return _of_shards(source, path, weights, roots)
        if kind_of(start) in ("pickled", "unknown"):
            return _of_torch(source, weights)
        if weights is not None:
            raise CheckpointError(f"{name} is a safetensors file, which has no parts; take `weights` out of its entry.")
        return _examined(source)


def _within(path: Path, roots: Sequence[Path]) -> Path:
    """The file itself, links followed. Raises CheckpointError where it is not there, or lies below none of the roots."""
    name = shown(path)
    try:
        file = Path(os.path.realpath(path, strict=True))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} {refusal(error)}") from error
    if roots and not any(file.is_relative_to(os.path.realpath(root)) for root in roots):
        raise CheckpointError(f"{name} lies outside the zoo's folder and those of SOUP_ZOOS; put the file inside.")
    return file


def open_likeliest(path: Path, *, roots: Sequence[Path] = ()) -> tuple[Checkpoint, str | None]:
    """As `open_checkpoint`; of weights in several places, those that a run is judged by, such as their running average.

    Gives the part that was taken too, None where there was no choice; a note of the checkpoint then says why. Raises
    CheckpointError as it does.
    """
    try:
        return open_checkpoint(path, roots=roots), None
    except SeveralWeights as several:
        part, *others = several.places
        note = f"those under {listed(map(shown, others))} were passed over: {several.why}"
        return open_checkpoint(path, part, roots=roots).noted(note), part


def _of_shards(index: OpenedFile, path: Path, weights: str | None, roots: Sequence[Path]) -> Checkpoint:
    """The shards beside `path`, which may be a link to the opened index, as one checkpoint."""
    if weights is not None:
        raise CheckpointError(
            f"{index.name} is an index of shards, which has no parts; take `weights` out of its entry."
        )
    listed_tensors = tensors_by_shard(index)
    parts = {}
    for shard, expected in listed_tensors.items():
        if not os.path.lexists(path.parent / shard):
            raise CheckpointError(
                f"{index.name} lists the shard {shown(shard)}, which is missing; put all {len(listed_tensors)} beside it."
            )
        parts[shard] = _open(path.parent / shard, None, roots)
        check_listed(index.name, shard, parts[shard].tensors, expected, len(listed_tensors))
    return Joined(index, parts)


def _of_folder(folder: Path, weights: str | None, roots: Sequence[Path]) -> Checkpoint:
    """A folder of torch.distributed.checkpoint, by the file that tells of its others."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(CHUNKS))
    if len(names) > FILES_AT_MOST or sum(len(name) + 4 for name in names) > MESSAGE_BYTES // 2:
        raise CheckpointError(
            f"{shown(folder)} is a checkpoint in {len(names)} files, and at most {FILES_AT_MOST} are read; make one file of it, "
            f"{CONSOLIDATED} {shown(folder)} FILE."
        )
    with ExitStack() as stack:
        metadata, *files = (
            stack.enter_context(
                opened(_within(folder / name, roots), shown(folder), expected=EXPECTED, follow_links=False)
            )
            for name in (METADATA, *names)
        )
        return _of_torch(metadata, weights, dict(zip(names, files, strict=True)))


@lru_cache(maxsize=1024)
def _examined(file: OpenedFile) -> Checkpoint:
    """A safetensors file with what is known of what it holds."""
    checkpoint = Checkpoint.of_opened(file)
    return with_examination(checkpoint, f"content {file.identity}", lambda: _earlier_digest(file.identity))


def _earlier_digest(identity: Identity) -> str | None:
    """The SHA-256 that an older release has found of a safetensors file, None where it has not."""
    known = recalled(f"safetensors {identity}")
    return known["digest"] if known else None


def _of_torch(source: OpenedFile, weights: str | None, files: Mapping[str, OpenedFile] = NO_FILES) -> Checkpoint:
    """A file of torch.save, or a folder of several by the one that tells of them, read in place where that is possible."""
    checkpoint = (None if files else _in_place(source, weights)) or _converted(source, weights, files)
    origin = json.loads(checkpoint.metadata["soup_core"])
    notes = []
    if origin["weights"] != WHOLE:
        notes.append(f"its weights are those under {shown(origin['weights'])}")
    if not origin["checked"]:
        notes.append("it holds no checksums, so that damage could not be noticed")
    other = checkpoint.noted(*notes, *(shown(note, MESSAGE_AT_MOST) for note in origin["notes"]))
    other.beside = MappingProxyType(origin["beside"])
    return other


@lru_cache(maxsize=1024)
def _in_place(source: OpenedFile, weights: str | None) -> Checkpoint | None:
    """A file of torch.save whose tensors are read where they lie; None where one of them has to be converted."""
    choice = f"{json.dumps(weights)} {source.identity}"
    key = f"in place {TABLE_FORMAT} {choice}"
    known = recalled(key)
    if known is None:
        known = _asked(lambda: {"table": _table(source, weights)})
        if len(json.dumps(known)) <= KEPT_AT_MOST:
            remember(key, known)
    _check_not_refused(source, known)
    if known["table"] is None:
        return None
    checkpoint = InPlace(source, known["table"])
    return with_examination(checkpoint, f"content {choice}", lambda: _earlier_digest_of_converted(choice))


def _table(source: OpenedFile, weights: str | None) -> dict[str, Any] | None:
    table = ask_reader(source.descriptor, None, source.identity.size, source.name, weights)
    source.check_unchanged()
    return table


def _earlier_digest_of_converted(choice: str) -> str | None:
    """The same of the file that an older release made of one of torch.save."""
    known = recalled(f"pickled {FORMAT} {choice}")
    with suppress(OSError):
        if known and "content" in known:
            return _earlier_digest(Identity.of(os.stat(_converted_file(known["content"]))))
    return None


def _asked(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What asking the reading process gives, or what there is to remember of its refusal."""
    try:
        return ask()
    except Refused as refused:
        return {"refused": shown(str(refused), MESSAGE_AT_MOST), "places": list(refused.places), "why": refused.why}


def _check_not_refused(source: OpenedFile, known: Mapping[str, Any]) -> None:
    if "refused" in known:
        if places := known.get("places"):
            raise SeveralWeights(f"{source.name} {known['refused']}", tuple(places), known["why"])
        raise CheckpointError(f"{source.name} {known['refused']}")


def _converted(source: OpenedFile, weights: str | None, files: Mapping[str, OpenedFile]) -> Checkpoint:
    """The safetensors file made of a file of torch.save, and of those that it tells of, made now where it is not there."""
    identities = " ".join(str(each.identity) for each in (source, *files.values()))
    name, key = source.name, f"pickled {FORMAT} {json.dumps(weights)} {identities}"
    known = recalled(key)
    if known is None or not ("refused" in known or _converted_file(known["content"]).exists()):
        try:
            known = _asked(lambda: {"content": _convert(source, weights, files)})
        except CheckpointError:
            raise
        except SoupError as error:
            raise CheckpointError(f"{name} cannot be opened: {error}") from error
        remember(key, known)
    _check_not_refused(source, known)
    with opened(_converted_file(known["content"]), name, expected=EXPECTED, follow_links=False) as converted:
        return _examined(converted)


def _converted_file(content: str) -> Path:
    return home() / "checkpoints" / f"{content}.safetensors"


def _convert(source: OpenedFile, weights: str | None, files: Mapping[str, OpenedFile]) -> str:
    """Have a file converted, unless one of the same content was; the digest of its content and of the choice."""
    digests = [_digest(source), *([name, _digest(file)] for name, file in files.items())]
    content = hashlib.sha256(json.dumps([FORMAT, weights, *digests]).encode()).hexdigest()
    size = source.identity.size + sum(file.identity.size for file in files.values())
    descriptors = {name: file.descriptor for name, file in files.items()}
    converted = _converted_file(content)

    def write(temporary: Path) -> None:
        target = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC)
        try:
            ask_reader(source.descriptor, target, size, source.name, weights, descriptors)
        finally:
            os.close(target)
        for each in (source, *files.values()):
            each.check_unchanged()

    with default_store().claim(f"convert-{content}"):
        converted.parent.mkdir(mode=0o700, exist_ok=True)  # the source may be no one else's to read
        if not converted.exists():
            write_together({converted: write}, size)
    return content


def _digest(file: OpenedFile) -> str:
    digest = hashlib.sha256()
    for begin in range(0, file.identity.size, 1 << 20):
        digest.update(os.pread(file.descriptor, 1 << 20, begin))
    return digest.hexdigest()
