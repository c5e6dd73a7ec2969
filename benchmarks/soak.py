"""Damaged and hostile files by the thousand against the loader: `make soak`, or python -m benchmarks.soak --files 1000

Sound files of seven kinds are changed by a seeded mutator and opened as any file is; each is read in a process forked for
it alone. Exits with 1 where the loader fails in any way but by refusing, takes over five seconds, or where code from a
file runs; the files that did are kept in build/soak.
"""

import argparse
import collections
import datetime
import functools
import io
import json
import os
import pathlib
import pickle
import random
import shutil
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.checkpoints import open_checkpoint, opening

HANG = 5.0
KEPT = Path(__file__).resolve().parent.parent / "build" / "soak"
CANARY = "canary"
INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def tensors() -> dict[str, Tensor]:
    """A small state_dict of several types, with a view and two names for one tensor."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, generator=generator)
    return {
        "weight": weight,
        "tied": weight,
        "half": torch.randn(5, generator=generator).half(),
        "view": weight.T[1:],
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
    }


def in_place() -> dict[str, Tensor]:
    """The same with a view that lies in one piece, so that nothing has to be converted; its storages are the same."""
    state = tensors()
    return {**state, "view": state["weight"][1:]}


def saved(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


class Network(nn.Module):
    """A whole network whose state_dict is that of the sound files, with attributes of several classes."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in state.items():
            if name in ("weight", "tied", "view"):
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self._buffers[name] = tensor  # "half" is a method's name, and no other way would take it
        self.tied = self.weight
        self.register_buffer("mask", torch.ones(3), persistent=False)
        self.register_parameter("bias", None)
        self.none, self.relu = None, nn.ReLU()
        self.settings = argparse.Namespace(lr=0.1)


def with_objects(state: Mapping[str, Tensor]) -> dict[object, object]:
    """A sound state_dict among what scripts put beside it, made of instructions of most kinds."""
    log: collections.defaultdict[str, list[float]] = collections.defaultdict(list)
    log["loss"] = [1.0, 0.5]
    settings = argparse.Namespace(model="resnet18", lr=0.1, root=pathlib.PurePosixPath("/data"), betas=(0.9, 0.99))
    numbers: dict[object, object] = {"best": np.float64(71.5), "seen": {1, 2}, "frozen": frozenset([3]), (1, 2): "pair"}
    objects = {"milestones": collections.Counter([3, 3]), "log": log, "date": datetime.date(2026, 1, 2), **numbers}
    partial = functools.partial(nn.functional.relu, inplace=True)
    return {
        "args": settings,
        "state_dict": dict(state),
        "epoch": 3,
        "act": partial,
        "rng": torch.get_rng_state(),
        **objects,
    }


def zipped(pickled: bytes, content: object) -> bytes:
    """The zip of a sound file with another pickle, and a checksum that is right."""
    file = io.BytesIO()
    sound = saved(content)
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name == "archive/data.pkl" else old.read(name))
    return file.getvalue()


def data_pickle(content: object, **options: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(saved(content, **options))) as archive:
        return archive.read("archive/data.pkl")


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps({name: 1}, 2) + data_pickle(tensors())
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def hostile_parts() -> list[bytes]:
    """Runs of opcodes that would run code, claim memory or upset the stack of whatever unpickles them."""
    command = f"touch {CANARY}".encode()
    short = b"X" + struct.pack("<I", len(command)) + command
    return [
        b"cposix\nsystem\n" + short + b"\x85R",
        b"cos\nsystem\n" + short + b"\x85R0",
        b"(iposix\nsystem\n",
        b"(cposix\nsystem\n" + short + b"o",
        b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R",
        b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R",
        b"\x8c\x05posix\x8c\x06system\x93" + short + b"\x85R",
        b"ctorch\nFloatTensor\nK@\x85R",
        b"\x82\x01",
        b"\x97",
        b"\x96" + b"\xff" * 8,
        b"ccollections\nOrderedDict\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR",
        b"\x81",
        b"\x92",
        b"b",
        b"s",
        b"u",
        b"a",
        b"e",
        b"t",
        b"(",
        b"0",
        b"1",
        b"2",
        b"N",
        b"}",
        b"]",
        b")",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"Q",
        b".",
        b"h\x00",
        b"q\x00",
        b"\x94",
        b"\x8f",
        b"\x90",
        b"K\xff",
        b"M\xff\xff",
        b"J\xff\xff\xff\xff",
        b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"I99999999999\n",
        b"L1L\n",
        b"G" + b"\x7f\xf0" + b"\0" * 6,
        b"V\\ud800\n",
        b"S'a'\n",
        b"Ppersid\n",
        b"X\xff\xff\xff\xff",
        b"\x8d" + b"\xff" * 8,
        b"\x95" + b"\xff" * 8,
        b"cargparse\nNamespace\n)\x81",
        b"cargparse\nNamespace\n)\x81}b",
        b"cargparse\nNamespace\n)}\x92",
        b"(iargparse\nNamespace\n",
        b"(cargparse\nNamespace\no",
        b"c__builtin__\nset\n](K\x01e\x85R",
        b"c__builtin__\ngetattr\ncargparse\nNamespace\nX\x01\x00\x00\x00a\x86R",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"X\x08\x00\x00\x00_modules",
        b"X\x08\x00\x00\x00_buffers",
        b"X\x0b\x00\x00\x00_parameters",
    ]


PARTS = hostile_parts()


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content after one to four changes: bits, fields, parts moved, lost, doubled, or opcodes put in."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        place = chance.randrange(len(changed) + 1)
        length = min(chance.choice((1, 2, 4, 8, 30, 200)), len(changed) - place)
        match chance.randrange(9):
            case 0 | 1:
                for _ in range(chance.choice((1, 1, 2, 8))):
                    if changed:
                        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 2:
                size = chance.choice((1, 2, 4, 8))
                number = chance.choice((*INTERESTING, len(changed), chance.getrandbits(64))) % 2 ** (8 * size)
                changed[place : place + size] = number.to_bytes(size, "little")
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + length]
            case 5:
                other = chance.randrange(len(changed) + 1)
                changed[other : other + length] = changed[place : place + length]
            case 6:
                changed[place:place] = chance.choice(PARTS)
            case 7:
                part = chance.choice(PARTS)
                changed[place : place + len(part)] = part
            case 8:
                changed = changed[:place] if chance.random() < 0.5 else changed + chance.randbytes(length)
    return bytes(changed)


@dataclass(frozen=True)
class Kind:
    """Sound contents, what becomes of them once mutated, whether they are opened, and whether checksums cover them."""

    name: str
    contents: tuple[bytes, ...]
    finished: tuple[Callable[[bytes], bytes], ...] = (bytes,)
    opened: bool = True
    covered: bool = False

    def mutant(self, index: int, seed: int) -> bytes:
        """The file of that number, never one that is sound."""
        chance = random.Random(f"{self.name} {seed} {index}")
        content = chance.choice(self.contents)
        while (changed := mutated(content, chance)) in self.contents:
            pass
        return chance.choice(self.finished)(changed)


def kinds() -> list[Kind]:
    """Each of files that have to be converted, and of such that are read in place."""
    state, whole = states = tensors(), in_place()
    apart = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    old = {"_use_new_zipfile_serialization": False}
    objects, network = functools.partial(zipped, content=with_objects(state)), Network(state)
    plain = functools.partial(zipped, content=state)
    return [
        Kind(
            "zip",
            (
                *map(saved, states),
                *(saved({"state_dict": each, "epoch": 3}) for each in states),
                *(saved(each, pickle_protocol=4) for each in states),
            ),
            covered=True,
        ),
        Kind(
            "pickle", (*map(data_pickle, states), data_pickle(whole, pickle_protocol=4)), (plain, plain, plain, bytes)
        ),
        Kind(
            "objects",
            (
                *(data_pickle(with_objects(each)) for each in states),
                data_pickle(with_objects(state), pickle_protocol=4),
            ),
            (objects,),
        ),
        Kind(
            "networks",
            (
                *(data_pickle(Network(each)) for each in states),
                data_pickle({"epoch": 3, "ema": network}, pickle_protocol=4),
            ),
            (functools.partial(zipped, content=network),),
        ),
        Kind(
            "legacy",
            (
                *(saved(each, **old) for each in states),
                saved({"model": whole}, **old),
                *(saved(with_objects(each), **old) for each in states),
            ),
        ),
        Kind("tar", (tar(),), opened=False),
        Kind("safetensors", (safetensors.torch.save(apart), safetensors.torch.save(apart, {"format": "pt"}))),
    ]


@dataclass
class Outcome:
    """How many files of a kind ended how, and what went wrong."""

    files: int = 0
    refused: int = 0
    unchanged: int = 0
    changed: int = 0
    in_place: int = 0
    worst: float = 0.0
    failures: list[str] = field(default_factory=list)


def is_sound(found: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a sound file."""
    return any(_is_same(found, expected) for expected in (tensors(), in_place()))


def _is_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor) for name, tensor in expected.items()
    )


@contextmanager
def own_home() -> Iterator[Path]:
    """A folder for files and the store, in memory where there is a place, which code from a file would leave its mark in."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name, patch.dict(os.environ, {"SOUP_HOME": f"{name}/home"}):
        yield Path(name)


def tried(kind: Kind, count: int, seed: int = 0, *, tell: bool = False) -> Outcome:
    """Open so many mutants of a kind, each as a new file."""
    outcome = Outcome()
    with own_home() as folder:
        for index in range(count):
            content = kind.mutant(index, seed)
            file = folder / f"{index}.pt"
            file.write_bytes(content)
            start = time.perf_counter()
            failure = _failure(kind, file, outcome)
            took = time.perf_counter() - start
            file.unlink()
            outcome.files += 1
            outcome.worst = max(outcome.worst, took)
            if took > HANG:
                failure = f"took {took:.1f} s"
            if any(place.exists() for place in (folder / CANARY, Path(CANARY), Path("/", CANARY))):
                failure = "ran code"
            if failure:
                outcome.failures.append(f"{kind.name} {index}: {failure}")
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / f"{kind.name}-{seed}-{index}").write_bytes(content)
            if tell and outcome.files % 10_000 == 0:
                print(f"{kind.name}: {outcome.files:,}, {len(outcome.failures)} failures", file=sys.stderr, flush=True)
    return outcome


def _failure(kind: Kind, file: Path, outcome: Outcome) -> str | None:
    """Open a file and count how it ended; what went wrong, or None."""
    try:
        checkpoint = open_checkpoint(file)
        found = dict(checkpoint.read_all())
    except sc.CheckpointError as refusal:
        outcome.refused += 1
        said = str(refusal)
        if not said.startswith(f"{file.name} ") or not said.isprintable():
            return f"said {said!a:.300}"
        ended = ("its reader fail", "tried to run", "in time", "takes longer", "cannot be opened")
        return said if any(words in said for words in ended) else None
    except BaseException:
        return traceback.format_exc()
    shutil.rmtree(file.parent / "home" / "checkpoints", ignore_errors=True)
    opening._examined.cache_clear()
    opening._in_place.cache_clear()
    outcome.in_place += checkpoint.path == file and kind.name != "safetensors"
    if not kind.opened:
        return "was opened"
    if is_sound(found):
        outcome.unchanged += 1
        return None
    outcome.changed += 1
    return "was opened with other numbers, though checksums cover them" if kind.covered else None


def table(outcomes: Mapping[str, Outcome]) -> list[str]:
    """The outcomes as a Markdown table."""
    header = [
        "kind",
        "files",
        "refused",
        "opened, unchanged",
        "opened, changed where no checksum covers",
        "of these read in place",
        "failures",
        "worst",
    ]
    lines = [header, ["---"] * len(header)]
    lines += [
        [
            name,
            f"{it.files:,}",
            f"{it.refused:,}",
            f"{it.unchanged:,}",
            f"{it.changed:,}",
            f"{it.in_place:,}",
            str(len(it.failures)),
            f"{1000 * it.worst:.0f} ms",
        ]
        for name, it in outcomes.items()
    ]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def main() -> None:
    """Try all kinds, print the table and what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    every = {kind.name: kind for kind in kinds()}
    parser.add_argument("--kinds", nargs="+", choices=list(every), default=list(every))
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    outcomes = {name: tried(every[name], given.files, given.seed, tell=True) for name in given.kinds}
    print("\n".join(table(outcomes)))
    print(f"\nseed {given.seed}, {time.perf_counter() - start:.0f} s")
    failures = [failure for outcome in outcomes.values() for failure in outcome.failures]
    for failure in failures[:20]:
        print(json.dumps(failure))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
