"""What torch.save has written since 2016: a zip archive, before it a run of pickles, before that a tar archive.

The zip archive is checked before its pickle is looked at: stored members, each once, none over another, each with the
bytes of its checksum; but a storage is compared with its own where it is read, so that its bytes are read once, and of a
file's further gigabytes, an optimizer's state, none. Damage there changes no tensor that is taken. Layout as in torch/serialization.py, https://github.com/pytorch/pytorch; the archive's as in
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pickletools import genops
from typing import Any

from . import programs
from .archive import LOCAL, Member, members_of
from .code import contains_code
from .opcodes import read_pickle
from .rebuilding import STORAGES
from .scripted import SAVE, classes_in, is_text, scripted
from .source import Source
from .values import PLAIN, Named, Opaque, Refused, Storage, damaged

PICKLE_BYTES_AT_MOST = 25_000_000
TEXT_BYTES_AT_MOST = 5_000_000
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
TAR_BLOCK = 512
DATA = "data/"  # the storages of a zip are its parts of such names


@dataclass(frozen=True)
class Content:
    """What a file describes, where the bytes of each storage lie by its key, and whether there are checksums of them.

    `checksums` are the CRC-32 of storages by their keys, which are not compared yet: see `check_storages`.
    """

    described: Any
    places: Mapping[str, tuple[int, int]]
    checked: bool
    checksums: Mapping[str, int] = field(default_factory=dict)


def opened(source: Source) -> Content:
    """What a file of torch.save describes. Raises Refused for every other file."""
    start = source.read(0, min(source.size, TAR_BLOCK))
    if start.startswith(LOCAL):
        return _zip(source)
    if start[257:262] == b"ustar":
        raise _tar(source)
    stream = io.BytesIO(source.read(0, min(source.size, PICKLE_BYTES_AT_MOST)))
    if start[:1] != b"\x80" and not _is_pickle(stream):
        raise Refused("does not look like a checkpoint; expected a safetensors file, or one of torch.save.")
    stream.seek(0)
    if read_pickle(stream, _no_object) != MAGIC_NUMBER:
        raise Refused(f"is a plain pickle, without weights of torch.save; {PLAIN}.")
    return _legacy(source, stream)


def check_storages(source: Source, content: Content, keys: Iterable[str]) -> None:
    """Read these storages of a file. Raises Refused where one has other bytes than its checksum says."""
    for key in dict.fromkeys(keys):
        if key in content.checksums and source.checksum(*content.places[key]) != content.checksums[key]:
            raise _differs(key if key.startswith(DATA) else DATA + key)


def _differs(part: str) -> Refused:
    return damaged(f"the checksum of its part {part[:50]!r} differs")


def _is_pickle(stream: io.BytesIO) -> bool:
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in genops(stream))
    except ValueError:
        return False


def _no_object(identifier: Any) -> Any:
    raise damaged("it refers to a storage where there is none")


def _storages(known: dict[str, Storage]) -> Callable[[Any], Any]:
    """Storages by what a pickle says of them, each remembered in `known` by its key; a network's class is its name."""

    def storage(identifier: Any) -> Any:
        kind, dtype, key, _, *rest = identifier
        if kind == "module" and isinstance(dtype, (Named, Opaque)):  # a network's class, and its source as a text
            return dtype
        elements, *view = rest
        if kind != "storage" or not isinstance(dtype, Named) or view not in ([], [None]):
            raise ValueError
        if not isinstance(key, str) or type(elements) is not int or not 0 <= elements < 2**62:
            raise ValueError
        said = Storage(key, *STORAGES[dtype.name], elements)
        if known.setdefault(key, said) != said:
            raise damaged("it describes one storage in two ways")
        return said

    return storage


# ---- zip -------------------------------------------------------------------------------------------------------------


def _zip(source: Source) -> Content:
    members = members_of(source)
    root = next(iter(members), "").partition("/")[0] + "/"
    names = [name.removeprefix(root) for name in members]
    is_program = programs.is_program(names)
    if not is_program and (f"{root}data.pkl" not in members or not all(name.startswith(root) for name in members)):
        raise Refused("is a zip archive, but not one of torch.save; expected a file of weights.")
    checked = _check(source, members, root)
    if is_program:
        return _program(source, {name.removeprefix(root): member for name, member in members.items()}, checked)
    pickle = members[f"{root}data.pkl"]
    if pickle.size > PICKLE_BYTES_AT_MOST:
        raise Refused(f"has {pickle.size:,} bytes of pickle, and at most {PICKLE_BYTES_AT_MOST:,} are read; {PLAIN}.")
    described = read_pickle(io.BytesIO(source.read(pickle.begin, pickle.size)), _storages({}))
    data = {name.removeprefix(root + DATA): m for name, m in members.items() if name.startswith(root + DATA)}
    return _content(described, data, checked)


def _content(described: Any, storages: Mapping[str, Member], checked: bool) -> Content:
    places = {key: (member.begin, member.size) for key, member in storages.items()}
    return Content(described, places, checked, {key: m.checksum for key, m in storages.items()} if checked else {})


def _check(source: Source, members: Mapping[str, Member], root: str) -> bool:
    """See that parts are stored as they are, sound, and little-endian; whether they have checksums to see it by.

    Those that may hold numbers are not read.
    """
    if packed := [name for name, m in members.items() if not m.is_stored and not is_text(name[len(root) :])]:
        raise Refused(f"holds a compressed part, {packed[0][:50]!r}, which torch.save never writes; save it again.")
    checked = any(member.checksum for member in members.values())
    for name, member in members.items():
        part = name[len(root) :]
        if checked and member.is_stored and not part.startswith(DATA) and part != programs.STATE_WITHIN:
            _check_part(source, part, member)
    order = members.get(f"{root}byteorder")
    if order and source.read(order.begin, min(order.size, 10)) != b"little":
        raise Refused("says that its bytes are not in little-endian order, which is not read here; save it again.")
    return checked


def _check_part(source: Source, name: str, member: Member) -> None:
    if source.checksum(member.begin, member.size) != member.checksum:
        raise _differs(name)


def _program(source: Source, members: Mapping[str, Member], checked: bool) -> Content:
    """The weights of a program, which may keep them in a file of torch.save within (.pt2 of torch 2.1 to 2.7)."""
    if "data.pkl" in members:
        return _scripted(source, members, checked)
    if inner := members.get(programs.STATE_WITHIN):
        content = opened(source.part(inner.begin, inner.size))
        if checked and not content.checked:
            _check_part(source, programs.STATE_WITHIN, inner)
        within = {key: (inner.begin + begin, size) for key, (begin, size) in content.places.items()}
        return Content(content.described, within, checked or content.checked, content.checksums)

    def read(name: str) -> bytes:
        member = members[name]
        if member.size > PICKLE_BYTES_AT_MOST:
            raise Refused(f"has {member.size:,} bytes of {name[:50]!r}, and at most {PICKLE_BYTES_AT_MOST:,} are read.")
        if checked:
            _check_part(source, name, member)
        return source.read(member.begin, member.size)

    places = {name: (member.begin, member.size) for name, member in members.items()}
    return _content(programs.exported(read, places), members, checked)


def _scripted(source: Source, members: Mapping[str, Member], checked: bool) -> Content:
    pickle = members["data.pkl"]
    texts = {name: member for name, member in members.items() if is_text(name) and name.endswith(".py")}
    if pickle.size + sum(member.size for member in texts.values()) > PICKLE_BYTES_AT_MOST:
        raise Refused(
            f"is a program (TorchScript) of more than {PICKLE_BYTES_AT_MOST:,} bytes of pickle and text; {SAVE}."
        )
    described = read_pickle(io.BytesIO(source.read(pickle.begin, pickle.size)), _storages({}))
    classes = classes_in({name: _text(source, member) for name, member in texts.items()})
    data = {name.removeprefix(DATA): member for name, member in members.items() if name.startswith(DATA)}
    return _content(scripted(described, classes), data, checked)


def _text(source: Source, member: Member) -> str:
    """The text of a part, inflated as far as a text may be long; its checksum is of what it inflates to."""
    content = source.read(member.begin, member.size)
    try:
        if not member.is_stored:
            inflating = zlib.decompressobj(-zlib.MAX_WBITS)
            content = inflating.decompress(content, TEXT_BYTES_AT_MOST)
            if not inflating.eof:
                raise Refused(f"is a program with a text of more than {TEXT_BYTES_AT_MOST:,} bytes; {SAVE}.")
            if member.checksum and zlib.crc32(content) != member.checksum:
                raise damaged("the checksum of a text differs")
        return content.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise damaged("a text of its program cannot be read") from error


# ---- before 2020: pickles, then storages one after the other ----------------------------------------------------------


def _legacy(source: Source, stream: io.BytesIO) -> Content:
    protocol, system = read_pickle(stream, _no_object), read_pickle(stream, _no_object)
    if protocol != LEGACY_PROTOCOL or not isinstance(system, dict):
        raise damaged("it has no header of torch.save")
    if system.get("little_endian") is not True:
        raise Refused("says that its bytes are not in little-endian order, which is not read here; save it again.")
    known: dict[str, Storage] = {}
    described = read_pickle(stream, _storages(known))
    keys = read_pickle(stream, _no_object)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise damaged("its list of storages cannot be read")
    if len(set(keys)) < len(keys) or set(keys) != known.keys():
        raise damaged("its list of storages differs from its tensors'")
    return Content(described, _places(source, stream.tell(), [known[key] for key in keys]), False)


def _places(source: Source, place: int, storages: list[Storage]) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for storage in storages:
        if int.from_bytes(source.read(place, 8), "little") != storage.elements:
            raise damaged("a storage has another length than its tensors say")
        size = storage.elements * storage.item_bytes
        places[storage.key] = (place + 8, size)
        place += 8 + size
    if place > source.size:
        raise damaged(f"it ends at byte {source.size:,}, before what it should hold")
    if place < source.size:
        raise damaged(f"{source.size - place:,} bytes follow its last storage")
    return places


# ---- before 2017: a tar archive ----------------------------------------------------------------------------------------


def _tar(source: Source) -> Refused:
    """Why it is not opened: torch itself reads such a file only by running what it names."""
    for _, begin, size in _tar_members(source):
        content = io.BytesIO(source.read(begin, min(size, PICKLE_BYTES_AT_MOST)))
        try:
            named = [str(argument) for opcode, argument, _ in genops(content) if opcode.name in ("GLOBAL", "INST")]
        except ValueError:
            continue
        if foreign := [name for name in named if not name.startswith(("torch ", "torch.", "collections "))]:
            return contains_code(foreign[0])
    return Refused(
        f"is a tar archive, as PyTorch wrote before 2017; load it with a PyTorch of that time, then {PLAIN}."
    )


def _tar_members(source: Source, at_most: int = 1000) -> Iterator[tuple[str, int, int]]:
    place = 0
    for _ in range(at_most):
        if place + TAR_BLOCK > source.size:
            return
        head = source.read(place, TAR_BLOCK)
        try:
            size = int(head[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            return
        begin = place + TAR_BLOCK
        yield head[:100].rstrip(b"\0").decode("latin-1"), begin, max(0, min(size, source.size - begin))
        place = begin + -(-size // TAR_BLOCK) * TAR_BLOCK
        if place <= begin - TAR_BLOCK:
            return
