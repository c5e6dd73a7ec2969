"""Rows of FAULTS on files of torch.save, made here as an attacker or an accident would make them."""

import argparse
import collections
import copyreg
import datetime
import enum
import errno
import functools
import io
import json
import math
import os
import pathlib
import pickle
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

import soup_core as sc
from soup_core import checkpoints
from soup_core.checkpoints import fitting, identity, open_checkpoint, opening, reader
from soup_core.checkpoints.pickled import BROKE_OUT, opcodes
from soup_core.checkpoints.pickled.conversion import convert
from soup_core.checkpoints.pickled.formats import MAGIC_NUMBER
from soup_core.checkpoints.pickled.values import Refused
from soup_core.runtime.files import shown
from soup_core.runtime.store import default_store
from tests.digests import digest_of
from tests.torch_files import legacy, saved
from tests.zoos import CLASSES, random_linears, write_zoo

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2]), "c": torch.tensor(2.5).half()}

VIEWED = {**STATE, "transposed": STATE["a"].T}  # which has to be converted to be read


def rezipped(content: bytes, change: Callable[[dict[str, bytes]], object], **options: Any) -> bytes:
    """The same archive with other members, and checksums that are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
    change(members)
    return zipped(members, **options)


def zipped(members: Mapping[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as new:
        for name, data in members.items():
            new.writestr(f"archive/{name}", data)
    return file.getvalue()


def same(checkpoint: checkpoints.Checkpoint, expected: Mapping[str, Tensor]) -> bool:
    found = dict(checkpoint.read_all())
    assert found.keys() == expected.keys()
    return all(found[name].dtype == t.dtype and torch.equal(found[name], t) for name, t in expected.items())


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Write a file, and give the message with which it is refused."""

    def refuse(content: bytes, message: str, name: str = "x.pt", weights: str | None = None) -> str:
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(sc.CheckpointError, match=message) as refusal:
            open_checkpoint(file, weights)
        text = str(refusal.value)
        assert text.startswith(f"{name} ")
        assert "weights_" + "only" not in text
        assert not list((tmp_path / "home" / "checkpoints").glob("*"))
        return text

    return refuse


@pytest.fixture
def opens(tmp_path: Path) -> Callable[..., checkpoints.Checkpoint]:
    """Write a file and open it."""

    def open_it(content: bytes, name: str = "x.pt", weights: str | None = None) -> checkpoints.Checkpoint:
        (tmp_path / name).write_bytes(content)
        return open_checkpoint(tmp_path / name, weights)

    return open_it


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("way", ["zip", "legacy"])
def test_what_torch_saves_is_read_as_torch_reads_it(opens: Any, way: str, protocol: int) -> None:
    tensors = {
        **STATE,
        "double": torch.randn(3, dtype=torch.float64),
        "brain": torch.randn(4).bfloat16(),
        "scalar": torch.tensor(1.0),
        "nothing": torch.empty(0, 3),
        "flag": torch.tensor([True, False]),
        "byte": torch.arange(3, dtype=torch.uint8),
        "short": torch.arange(3, dtype=torch.int16),
        "int": torch.arange(3, dtype=torch.int32),
        "char": torch.ones(2).to(torch.int8),
        "view": torch.arange(24.0).reshape(2, 3, 4)[:, 1:, ::2],
        "transposed": torch.randn(5, 7).T,
        "channels_last": torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last),
        "permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
        "repeated": torch.arange(8.0).as_strided((3, 2), (0, 1), 1),
        "diagonal": torch.randn(5, 5).diagonal(),
    }
    content = saved(tensors, pickle_protocol=protocol, _use_new_zipfile_serialization=way == "zip")
    assert same(opens(content), tensors)
    if protocol == 2:  # torch warns of others
        assert same(opens(content), torch.load(io.BytesIO(content)))


def test_a_module_s_own_state_dict_and_parameters_are_read(opens: Any) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert same(opens(saved(module.state_dict()), "a.pt"), module.state_dict())
    parameters = dict(module.named_parameters())
    assert same(opens(saved(parameters), "b.pt"), {name: p.detach() for name, p in parameters.items()})


# ---- rows 1 to 16: what a file holds -----------------------------------------------------------------------------------


class Calls:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def tar_of(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def with_code(way: str, evil: object) -> bytes:
    if way.startswith("raw"):
        return pickle.dumps(evil, int(way[-1]))
    if way == "tar":
        first = pickle.dumps({"protocol_version": 1000}, 2)
        return tar_of({"sys_info": first, "pickle": pickle.dumps(evil, 2), "storages": b"", "tensors": b""})
    return saved({"state_dict": STATE, "x": evil}) if way == "zip" else legacy({"state_dict": STATE, "x": evil})


@pytest.mark.parametrize("way", ["raw 0", "raw 1", "raw 2", "raw 4", "raw 5", "zip", "legacy", "tar"])
def test_row_01_a_pickle_that_calls_os_system_is_refused_and_runs_nothing(
    tmp_path: Path, refused: Any, way: str
) -> None:
    canary = tmp_path / "canary"
    content = with_code(way, Calls(os.system, f"touch {canary}"))
    assert "posix.system" in refused(content, "contains code")
    assert not canary.exists()
    if way.startswith("raw"):  # what it would have done
        pickle.loads(content)
        assert canary.exists()


WAYS_TO_SAVE = [saved, legacy, lambda content: saved(content, pickle_protocol=4)]
CODE: dict[str, tuple[Callable[[], object], str]] = {
    "eval": (lambda: Calls(eval, "1"), "builtin.*eval"),
    "open": (lambda: Calls(open, "/etc/passwd"), r"io\.open|builtin.*open"),
    "a name as if torch's": (lambda: Calls(torch.hub.load, "a", "b"), r"torch\.hub\.load"),
    "a function that is not called": (lambda: argparse.Namespace(then=os.system), r"posix\.system"),
    "a partial call": (lambda: functools.partial(os.system, "true"), r"posix\.system"),
    "what a pickle would load": (lambda: Calls(pickle.loads, b"N."), r"ickle\.loads"),
}


@pytest.mark.parametrize("case", CODE)
@pytest.mark.parametrize("save_as", WAYS_TO_SAVE)
def test_row_01_what_runs_code_beside_the_weights_is_refused_and_named(
    refused: Any, case: str, save_as: Callable[[object], bytes]
) -> None:
    make, name = CODE[case]
    assert "contains code" in refused(save_as({"state_dict": STATE, "args": make()}), name)


class Colour(enum.Enum):
    RED = "red"


class Slotted:
    __slots__ = ("lr",)

    def __init__(self) -> None:
        self.lr = 0.1


def _log() -> collections.defaultdict[str, list[float]]:
    log = collections.defaultdict(list)
    log["loss"] = [1.0, 0.5]
    return log


# What scripts put beside the weights: what it is, the class that the note names (none where it is plain), and its data.
BESIDE: dict[str, tuple[Callable[[], object], str | None, object]] = {
    "settings": (lambda: argparse.Namespace(model="resnet18", lr=0.1), "argparse.Namespace", {"model": "resnet18", "lr": 0.1}),
    "a numpy scalar": (lambda: np.float64(71.25), None, 71.25),
    "a small numpy scalar": (lambda: np.float32(0.5), None, 0.5),
    "a count of numpy": (lambda: np.int64(7), None, 7),
    "a numpy array": (lambda: np.ones(3), "numpy.*_reconstruct", None),
    "a path": (lambda: pathlib.PurePosixPath("/data") / "x", "pathlib.*PurePosixPath", "/data/x"),
    "a date": (lambda: datetime.datetime(2026, 1, 2), "datetime.datetime", None),
    "a counter": (lambda: collections.Counter([10, 10, 20]), "collections.Counter", None),
    "a log": (_log, "collections.defaultdict", {"loss": [1.0, 0.5]}),
    "a set": (lambda: {"conv1", "conv2"}, None, None),
    "a frozen set": (lambda: frozenset([1]), None, None),
    "a type of numbers": (lambda: torch.bfloat16, None, "torch.bfloat16"),
    "a constant": (lambda: Colour.RED, "test_opening.Colour", None),
    "slots": (Slotted, "test_opening.Slotted", {"lr": 0.1}),
    "a partial call": (lambda: functools.partial(nn.functional.relu, inplace=True), "functools.partial", None),
    "a function": (lambda: nn.functional.relu, "torch.nn.functional.relu", None),
    "a class": (lambda: nn.Linear, "torch.nn.modules.linear.Linear", None),
    "a method": (lambda: pathlib.PurePosixPath("a").with_name, "getattr", None),
    "a generator": (lambda: random.Random(0), "random.Random", None),
    "bytes": (lambda: b"abc", None, None),
    "a bytearray": (lambda: bytearray(b"abc"), "bytearray", None),
    "a table by pairs": (lambda: {(1, 2): 3, "a": 4}, None, {"a": 4}),
    "a table by objects": (lambda: {Colour.RED: 3, "a": 4}, None, {"a": 4}),
    "of two arguments": (lambda: Calls(complex, 1, 2), "complex", None),
    "of no class": (lambda: Calls(copyreg._reconstructor, Slotted, object, None), "test_opening.Slotted", None),
    "a range": (lambda: range(3), "range", None),
    "a number as a name": (lambda: {2**20_000: 3, "a": 4}, None, {"int": 3, "a": 4}),
    "nothing": (dict, None, {}),
}  # fmt: skip


@pytest.mark.parametrize("save_as", WAYS_TO_SAVE)
def test_row_02_objects_beside_the_weights_are_passed_over_and_told(opens: Any, save_as: Any) -> None:
    for index, (case, (make, name, data)) in enumerate(BESIDE.items()):
        checkpoint = opens(save_as({"state_dict": STATE, "epoch": 3, "args": make()}), f"{index}.pt")
        assert same(checkpoint, STATE), case
        assert dict(checkpoint.beside) == {"epoch": 3, **({"args": data} if data is not None else {})}, case
        told = [note for note in checkpoint.notes if "none was built" in note]
        assert len(told) == (name is not None), (case, told)
        assert not told or re.search(rf"args \(\S*{name}\)$", told[0]), (case, told)


def test_row_02_objects_among_the_tensors_are_passed_over_and_those_that_hold_tensors_refused(
    opens: Any, refused: Any
) -> None:
    unknown = Calls(Slotted, torch.zeros(2))
    assert "test_opening.Slotted where a tensor is expected" in refused(
        saved({"state_dict": {**STATE, "d": unknown}}), "under d an object"
    )
    hidden = argparse.Namespace(state_dict=STATE)
    assert "argparse.Namespace" in refused(saved(hidden), "an object in which no weights were found", "z.pt")
    refused(saved({"a": hidden}), "no state_dict", "z.pt")
    flat = {**STATE, "args": argparse.Namespace(lr=1.0), "best": np.float64(1.0)}
    assert same(opens(saved(flat)), STATE)
    assert same(opens(saved({"state_dict": STATE, "ema": unknown}), "y.pt"), STATE)


def test_row_02_a_subclass_of_tensor_is_not_taken_for_a_plain_one(opens: Any, refused: Any) -> None:
    class_of_its_own = torch.arange(2.0).as_subclass(OfItsOwn)
    refused(saved({**STATE, "d": class_of_its_own}), "under d an object of .*OfItsOwn")
    marked = torch.arange(2.0)
    marked.note = "a tensor with an attribute"
    assert same(opens(saved({**STATE, "d": marked})), {**STATE, "d": torch.arange(2.0)})


class OfItsOwn(Tensor):
    pass


@pytest.mark.parametrize(
    "pickled",
    [
        b"(iargparse\nNamespace\n",
        b"(cargparse\nNamespace\no",
        b"cargparse\nNamespace\n)\x81}b",
        b"cargparse\nNamespace\n)}\x92",
        b"\x82\x01",
        b"\x83\x01\x02",
        b"(]\x82\x01o",
        b"cbuiltins\nset\n](K\x01K\x02e\x85R",
        b"\x8f(K\x01K\x02\x90",
        b"(K\x01\x91",
        b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab",
        b"K\x01K\x022000",
        b"(K\x01K\x021N",
        b"(K\x01K\x02000N",
    ],
    ids=lambda pickled: pickled.hex()[:24],
)
def test_row_02_each_way_of_a_pickle_to_make_an_object_makes_none(opens: Any, refused: Any, pickled: bytes) -> None:
    def changed(members: dict[str, bytes]) -> None:
        members["data.pkl"] = members["data.pkl"].replace(b"X\x04\x00\x00\x00HERE", pickled)

    content = rezipped(saved({"state_dict": STATE, "x": "HERE"}), changed)
    if pickled in (b"(]\x82\x01o", b"K\x01K\x022000"):  # which no pickler writes, and unpickling refuses too
        refused(content, "damaged")
    else:
        assert same(opens(content), STATE)


def test_row_03_a_program_without_weights_is_refused(refused: Any) -> None:
    refused(
        zipped({"archive_format": b"pt2", "models/model.json": b"{}", "data/weights/weight_0": b""}), "is a program"
    )
    refused(zipped({"data.pkl": pickle.dumps({}, 2), "code/__torch__.py": b""}), "of different programs")


def test_row_04_duplicate_members_are_refused_before_the_pickle_is_read(refused: Any) -> None:
    file = io.BytesIO(saved(STATE))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("archive/data.pkl", pickle.dumps(Calls(os.system, "true")))
    refused(file.getvalue(), "'archive/data.pkl' twice")


def test_row_04_parts_that_overlap_are_refused(refused: Any, opens: Any) -> None:
    inner = rezipped(saved(STATE), lambda members: None)
    with zipfile.ZipFile(io.BytesIO(inner)) as archive:
        end = archive.start_dir
        names = {info.filename: info for info in archive.infolist()}
    whole = bytearray(inner)
    # One part, at the very start, whose data are all the others; each has a checksum that is right.
    outer = zipped({"all": inner[:end]})
    with zipfile.ZipFile(io.BytesIO(outer)) as archive:
        begin, start = archive.start_dir, archive.start_dir - end
        directory = outer[begin:-22]
    for record, info in zip(directory_records(bytes(whole[end:-22])), names.values(), strict=True):
        directory += record[:42] + struct.pack("<I", info.header_offset + start) + record[46:]
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(names) + 1, len(names) + 1, len(directory), begin, 0)
    refused(outer[:begin] + directory + tail, "overlap")
    assert same(opens(inner, "inner.pt"), STATE)


def directory_records(directory: bytes) -> Iterator[bytes]:
    while directory:
        length = 46 + sum(struct.unpack_from("<3H", directory, 28))
        yield directory[:length]
        directory = directory[length:]


def test_row_05_a_deflated_member_is_refused_before_it_is_inflated(refused: Any, tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(10_000_000)}
    content = rezipped(saved(tensors), lambda members: None, compression=zipfile.ZIP_DEFLATED)
    assert len(content) < 100_000
    refused(content, "compressed")
    with open(tmp_path / "x.pt", "rb") as file:
        tracemalloc.start()
        try:
            with pytest.raises(Refused, match="compressed"):
                convert(file.fileno(), file.fileno(), None)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < len(content)


def test_an_encrypted_member_is_refused(refused: Any) -> None:
    content = bytearray(saved(STATE))
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag in the archive's directory
    refused(bytes(content), r"is encrypted; save it again without\.")


def test_a_pickle_of_too_many_instructions_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "INSTRUCTIONS_AT_MOST", 4)
    stream = io.BytesIO(pickle.dumps([1, 2, 3], 2))
    with pytest.raises(Refused, match="holds more than 4 instructions of pickle"):
        opcodes.read_pickle(stream, lambda _: None)
    monkeypatch.setattr(opcodes, "INSTRUCTIONS_AT_MOST", 20)
    stream.seek(0)
    assert opcodes.read_pickle(stream, lambda _: None) == [1, 2, 3]


@pytest.mark.parametrize(("function", "arguments"), [(bytearray, (2**31,)), (torch.FloatTensor, (64,))])
def test_row_06_and_07_memory_claimed_by_the_pickle_is_refused(
    refused: Any, function: Callable[..., Any], arguments: tuple[int, ...]
) -> None:
    refused(saved({"a": torch.zeros(2), "b": Calls(function, *arguments)}), "bytearray|FloatTensor")


class View:
    """A tensor that claims what it likes of a storage of four float32 numbers."""

    def __init__(self, elements: Any, offset: Any, shape: Any, stride: Any) -> None:
        self.elements, self.view = elements, (offset, shape, stride)

    def __reduce__(self) -> tuple[Any, ...]:
        hooks: OrderedDict[str, object] = OrderedDict()
        return torch._utils._rebuild_tensor_v2, (Four(self.elements), *self.view, False, hooks)


class Four:
    def __init__(self, elements: Any) -> None:
        self.elements = elements


class Pickler(pickle.Pickler):
    def persistent_id(self, found: Any) -> Any:
        return ("storage", torch.FloatStorage, "0", "cpu", found.elements) if isinstance(found, Four) else None


def claiming(*views: View) -> bytes:
    file = io.BytesIO()
    Pickler(file, 2).dump({f"t{index}": view for index, view in enumerate(views)})
    return zipped({"data.pkl": file.getvalue(), "byteorder": b"little", "data/0": struct.pack("<4f", 1, 2, 3, 4)})


def test_a_made_view_is_read(opens: Any) -> None:
    assert same(opens(claiming(View(4, 1, (3,), (1,)))), {"t0": torch.tensor([2.0, 3.0, 4.0])})


def test_row_08_a_view_of_more_elements_than_its_storage_is_refused(refused: Any) -> None:
    assert "1,099,511" not in refused(
        saved({"a": torch.zeros(1).expand(2**40)}), "more elements than its storage holds"
    )
    refused(claiming(View(4, 0, (5,), (0,))), "more elements")


@pytest.mark.parametrize(
    "view",
    [
        View(5, 0, (4,), (1,)),
        View(3, 0, (3,), (1,)),
        View(4, 1, (4,), (1,)),
        View(4, 0, (2, 2), (4, 1)),
        View(4, -1, (2,), (1,)),
        View(4, 0, (2,), (-1,)),
        View(4, 0, (2,), (1, 1)),
        View(4, 0, (2.0,), (1,)),
        View(-4, 0, (2,), (1,)),
        View("4", 0, (2,), (1,)),
        View(4, 0, (True,), (1,)),
        View(2**70, 0, (2,), (1,)),
        View(4, 2**63, (1,), (1,)),
        View(4, 0, (1,) * 65, (1,) * 65),
        View(4, 4, (1,), (1,)),
    ],
    ids=lambda view: f"{view.elements} {view.view}"[:40],
)
def test_row_09_lying_counts_offsets_and_strides_are_refused(refused: Any, view: View) -> None:
    refused(claiming(view), "damaged")


def test_row_09_a_storage_of_another_length_than_said_is_refused(refused: Any) -> None:
    refused(rezipped(saved(STATE), lambda members: members.update({"data/0": b"1234"})), "damaged")
    refused(rezipped(saved(STATE), lambda members: members.pop("data/0")), "damaged")
    refused(claiming(View(4, 0, (2,), (1,)), View(2, 0, (2,), (1,))), "in two ways")


@pytest.mark.parametrize("change", [(b"]q\x00X", b"]q\x00K"), (b"\x06\0\0\0\0\0\0\0\0\0", b"\x05\0\0\0\0\0\0\0\0\0")])
def test_row_09_a_list_of_storages_that_lies_is_refused(refused: Any, change: tuple[bytes, bytes]) -> None:
    content = legacy({"a": torch.arange(6.0)})
    assert content.count(change[0]) == 1
    refused(content.replace(*change), "damaged")


def test_row_10_one_flipped_bit_in_a_storage_is_noticed(refused: Any) -> None:
    content = saved(STATE)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        storage = archive.read("archive/data/0")
    begin = content.index(storage)
    for place in (begin, begin + 7, begin + len(storage) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        refused(bytes(flipped), "checksum of a differs; copy it again")


def test_row_11_a_zip_without_checksums_is_opened_and_says_so(opens: Any) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        content = saved(STATE)
    finally:
        torch.serialization.set_crc32_options(True)
    checkpoint = opens(content)
    assert same(checkpoint, STATE)
    assert any("no checksums" in note for note in checkpoint.notes)
    assert opens(saved(STATE), "sound.pt").notes == ()


@pytest.mark.parametrize("order", [b"big", b"middle", b"", b"little "])
def test_row_12_a_forged_byte_order_is_refused(refused: Any, order: bytes) -> None:
    refused(rezipped(saved(STATE), lambda members: members.update(byteorder=order)), "little-endian")
    forged = legacy(STATE).replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    refused(forged, "little-endian")


@pytest.mark.parametrize("save_as", [saved, legacy, save])
def test_row_13_truncated_at_any_byte_is_refused(refused: Any, save_as: Callable[[Any], bytes]) -> None:
    content = save_as({"weight": torch.arange(20.0), "bias": torch.zeros(3)})
    lengths = {*range(1, len(content), 13), *range(len(content) - 30, len(content)), *range(1, 40)}
    for length in lengths:
        assert "incomplete" in refused(content[:length], "incomplete|does not look like") or length < 60


@pytest.mark.parametrize("name", ["x.pt", "x.ckpt", "x.bin", "x.safetensors"])
@pytest.mark.parametrize(
    ("row", "content", "message"),
    [
        (14, b"", "is empty"),
        (14, b"hello, this is no checkpoint\n", "does not look like"),
        (14, b"checkpoint\nepoch 3\n", "not look like"),
        (14, b"<!DOCTYPE html><html></html>", "web page"),
        (14, b"\n<html>404</html>", "web page"),
        (14, b"\0" * 600, "does not look like"),
        (15, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
    ],
)
def test_row_14_and_15_what_is_no_checkpoint_is_told(
    refused: Any, name: str, row: int, content: bytes, message: str
) -> None:
    refused(content, message, name)


def test_row_14_other_archives_and_pickles_are_told(refused: Any) -> None:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    refused(file.getvalue(), "not one of torch.save")
    refused(zipped({"a.txt": b"hello"}), "not one of torch.save")
    refused(pickle.dumps({"a": 1}), "plain pickle")
    refused(pickle.dumps(MAGIC_NUMBER, 2) + pickle.dumps(7, 2) + pickle.dumps({}, 2), "no header")
    refused(tar_of({"sys_info": pickle.dumps({}), "pickle": b"\x80\x02ctorch\nFloatTensor\nq\0."}), "before 2017")


def test_row_16_the_content_decides_not_the_name(opens: Any) -> None:
    for name in ("x.pt", "x.bin", "x.safetensors", "x"):
        for content in (saved(STATE), legacy(STATE), save(STATE)):
            assert same(opens(content, name), STATE)


# ---- rows 17 to 20: where a file lies ----------------------------------------------------------------------------------


@pytest.fixture
def never_opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that are opened from here on."""
    paths: list[str] = []
    original = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: paths.append(str(path)) or original(path, *rest, **more)
    )
    yield paths
    assert not paths


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device", "a link to a fifo"])
def test_row_17_what_is_no_regular_file_is_never_opened(tmp_path: Path, never_opened: list[str], kind: str) -> None:
    file = tmp_path / "x.pt"
    if "fifo" in kind:
        os.mkfifo(tmp_path / "fifo" if "link" in kind else file)
    if "link" in kind:
        file.symlink_to(tmp_path / "fifo")
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "socket":
            listening.bind(str(file))
        with pytest.raises(sc.CheckpointError, match=r"x\.pt is not a regular file"):
            open_checkpoint(file)


@pytest.mark.parametrize("kind", ["loop", "link", "folder link", "dots", "absolute"])
def test_row_18_a_way_out_of_the_allowed_folders_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never_opened: list[str], kind: str
) -> None:
    (root := tmp_path / "root").mkdir()
    outside = tmp_path / "outside.pt"
    outside.write_bytes(saved(STATE))
    path = root / "x.pt"
    if kind == "loop":
        path.symlink_to(path)
    elif kind == "link":
        path.symlink_to(outside)
    elif kind == "folder link":
        (root / "inner").symlink_to(tmp_path)
        path = root / "inner" / "outside.pt"
    elif kind == "dots":
        path = root / ".." / "outside.pt"
    else:
        path = outside
    with pytest.raises(sc.CheckpointError, match="back to itself" if kind == "loop" else "outside the zoo's folder"):
        open_checkpoint(path, roots=[root])


def test_row_18_a_zoo_reaches_its_own_folder_and_those_of_the_operator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_zoo(tmp_path / "zoos" / "z", random_linears(3))
    (folder / "m1.safetensors").rename(tmp_path / "m1.safetensors")
    (folder / "m1.safetensors").symlink_to(tmp_path / "m1.safetensors")
    (folder / "m2.safetensors").rename(folder.parent / "shared.safetensors")
    (folder / "m2.safetensors").symlink_to(folder.parent / "shared.safetensors")
    monkeypatch.setenv("SOUP_ZOOS", str(tmp_path / "zoos"))
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("m0", "m2")
    assert "outside the zoo's folder" in zoo.excluded[0].reason
    monkeypatch.delenv("SOUP_ZOOS")
    assert sc.open_zoo(folder).names == ("m0",)


@pytest.mark.parametrize("state", [STATE, VIEWED], ids=["in place", "converted"])
def test_row_19_a_file_replaced_while_its_reader_reads_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]
) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(saved(state))
    ask = reader._process.ask

    def cut(source: int, target: int | None, *rest: Any) -> Any:
        answer = ask(source, target, *rest)
        if target is not None or state is STATE:
            os.truncate(file, 100)
        return answer

    monkeypatch.setattr(reader._process, "ask", cut)
    with pytest.raises(sc.CheckpointError, match="has changed while it was opened"):
        open_checkpoint(file)
    assert not list((tmp_path / "home").glob("checkpoints/*"))


def test_row_19_what_was_converted_outlives_its_source(tmp_path: Path, opens: Any) -> None:
    checkpoint = opens(saved(VIEWED))
    os.truncate(tmp_path / "x.pt", 10)
    assert same(checkpoint, VIEWED)
    with pytest.raises(sc.CheckpointError, match=r"x\.pt is damaged or incomplete"):
        open_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_row_20_no_permission_and_vanished_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file = tmp_path / f"x.{suffix}"
    with pytest.raises(sc.CheckpointError, match=rf"x\.{suffix} is missing"):
        open_checkpoint(file)
    file.write_bytes(saved(STATE) if suffix == "pt" else save(STATE))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(sc.CheckpointError, match=rf"x\.{suffix} may not be read by this user"):
        open_checkpoint(file)


# ---- rows 21 and 22, 25 to 35: which weights a file holds ---------------------------------------------------------------


@pytest.mark.parametrize("save_as", [saved, legacy])
def test_row_21_a_table_that_holds_itself_is_refused(refused: Any, save_as: Callable[[object], bytes]) -> None:
    table: dict[str, object] = {"state_dict": STATE}
    table["self"] = table
    refused(save_as(table), "holds itself")


def test_row_21_unwrapping_ends_three_levels_deep(opens: Any, refused: Any) -> None:
    deep: dict[str, Any] = STATE
    for level in range(3):
        deep = {f"level{level}": deep}
    for content in ({"one more": deep}, {"a": [STATE]}, {"a": 1}, {}):
        refused(saved(content), "no state_dict up to 3 levels", "y.pt")
    for content in ([STATE], torch.zeros(3), 7):
        refused(saved(content), "not a state_dict", "z.pt")
    very: Any = 1
    for _ in range(400):
        very = {"a": very}
    refused(saved(very), "no state_dict", "v.pt")
    assert opens(saved(deep)).notes == ("its weights are those under level2.level1.level0",)


@pytest.mark.parametrize("name", [0, None, 1.5, b"a", ("a", "b"), "a\0b", "\ud800", "a\udc80"])
def test_row_22_names_that_no_tensor_has_are_refused(refused: Any, name: Any) -> None:
    refused(
        saved({"a": torch.zeros(2), name: torch.zeros(2)}), "not by a text|characters that no name has|contains code"
    )


def test_row_22_the_name_that_safetensors_keeps_for_itself_is_refused(refused: Any) -> None:
    refused(saved({"__metadata__": torch.zeros(2)}), "__metadata__")


def test_row_25_more_than_can_be_read_is_refused_within_a_second(tmp_path: Path) -> None:
    count = struct.pack("<Q", 200_000)
    many = bytearray(saved(STATE))
    many[-98 + 24 : -98 + 40] = count * 2
    long = rezipped(
        saved(STATE), lambda members: members.update({"data.pkl": b"\x80\x02" + b"N0" * 13_000_000 + b"N."})
    )
    shared = torch.zeros(1)
    parts = {f"t{index}": shared for index in range(100_001)}
    file = tmp_path / "x.pt"
    for content, message in (
        (bytes(many), "200,000 parts"),
        (long, "25,000,000"),
        (saved(parts), "100,001 tensors|2,000,000"),
    ):
        file.write_bytes(content)
        descriptor = os.open(file, os.O_RDWR)
        start = time.process_time()
        with pytest.raises(Refused, match=message):
            convert(descriptor, descriptor, None)
        assert time.process_time() - start < 10  # a fraction of a second; what is read in whole takes minutes
        os.close(descriptor)


def zoo_of(folder: Path, contents: Mapping[str, bytes], like: Mapping[str, Mapping[str, Tensor]]) -> sc.Zoo:
    """A zoo whose files have other content."""
    write_zoo(folder, like)
    for name, content in contents.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    return sc.open_zoo(folder)


def test_files_of_torch_save_and_safetensors_make_one_soup(tmp_path: Path) -> None:
    files = random_linears(4)
    plain = sc.open_zoo(write_zoo(tmp_path / "plain", files))
    mixed = zoo_of(tmp_path / "mixed", {"m1": saved(files["m1"]), "m2": legacy({"model": files["m2"]})}, files)
    expected, found = (sc.state_dict(zoo, sc.uniform_soup(zoo)) for zoo in (plain, mixed))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert sc.Evaluator(mixed)(sc.uniform_soup(mixed)) == sc.Evaluator(plain)(sc.uniform_soup(plain))


FAULTY: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "row_26_nan": (lambda t: {**t, "head.bias": torch.full((3,), math.nan)}, r"NaN or infinity in head\.bias"),
    "row_27_shape": (lambda t: {**t, "head.bias": torch.zeros(4)}, r"head\.bias has shape \(4,\).*\(3,\)"),
    "row_28_extra": (lambda t: {**t, "more": torch.zeros(1)}, "beyond the architecture, more"),
    "row_28_lacks": (lambda t: {"head.bias": t["head.bias"]}, r"lacks head\.weight"),
    "row_28_lacks_unprefixed": (lambda t: {"module.head.bias": t["head.bias"]}, r"lacks head\.weight"),
    "row_31_integer": (lambda t: {**t, "head.bias": torch.zeros(3).long()}, "int64"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTY)
def test_the_rest_of_the_zoo_still_works(tmp_path: Path, case: str) -> None:
    files = random_linears(3)
    change, message = FAULTY[case]
    zoo = zoo_of(tmp_path / "z", {"m1": saved({"state_dict": change(files["m1"])})}, files)
    assert zoo.names == ("m0", "m2")
    with pytest.raises(sc.CoefficientError, match=message):
        sc.uniform_soup(zoo, ["m0", "m1"])
    assert sc.Evaluator(zoo)(sc.uniform_soup(zoo)).total == 120


def test_row_28_the_first_five_names_are_told(tmp_path: Path) -> None:
    files = random_linears(2)
    more = {f"more{index}": torch.zeros(1) for index in range(9)}
    reason = zoo_of(tmp_path / "z", {"m1": saved({**files["m1"], **more})}, files).excluded[0].reason
    assert "more0, more1, more2, more3, more4 and 4 more" in reason


OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize(
    "wrapped",
    [
        {"state_dict": STATE, "epoch": 3, "best_acc1": torch.tensor(80.1), "optimizer": OPTIMIZER},
        {"model": STATE, "optimizer": OPTIMIZER, "epoch": 3, "name": "x", "rates": [0.1, (1, 2)], "nothing": None},
        {"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER, "loss": torch.tensor(0.5)},
        {"state_dict": STATE, "swa": {"buffer": torch.zeros(9), "param_groups": []}},
        {"module": STATE},
        {"model": {"state_dict": STATE}},
        {
            "state_dict": STATE,
            "callbacks": {"best": {"best_model_score": torch.tensor(0.9)}},
            "optimizer_states": [OPTIMIZER],
        },
        {"model": STATE, "model_ema": STATE},
        {**STATE, "epoch": 3, "dtype": torch.float32, "size": torch.Size([2]), "device": torch.device("cpu")},
    ],
)
def test_row_29_wrapped_weights_are_found(opens: Any, wrapped: dict[str, object]) -> None:
    assert same(opens(saved(wrapped)), STATE)
    assert same(opens(legacy(wrapped), "y.pt"), STATE)


@pytest.mark.parametrize("names", [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("model", "ema.module")])
def test_row_29_two_that_fit_are_asked_about(opens: Any, refused: Any, names: tuple[str, str]) -> None:
    other = {name: tensor + 1 for name, tensor in STATE.items()}
    first, second = names
    outer, _, inner = second.partition(".")
    content = saved({first: STATE, outer: {inner: other} if inner else other, "optimizer": OPTIMIZER})
    message = refused(content, "several places")
    assert first in message
    assert second in message
    assert "zoo.toml" in message
    refused(content, "no weights under 'nothing'", weights="nothing")
    assert same(opens(content, weights=first), STATE)
    assert same(opens(content, weights=second), other)
    found = json.loads(opens(content, weights=second).metadata["soup_core"])
    assert found["weights"] == second


def test_row_29_the_zoo_says_which_weights_are_meant(tmp_path: Path) -> None:
    files = {**random_linears(3), "base": random_linears(1, seed=9)["m0"]}
    folder = tmp_path / "z"
    content = saved({"state_dict": files["m0"], "state_dict_ema": files["m1"]})
    assert "m1" not in zoo_of(folder, {"m1": content}, files).names
    text = (folder / "zoo.toml").read_text()
    chosen = text.replace('file = "m1.safetensors"', 'file = "m1.safetensors"\nweights = "state_dict_ema"')
    chosen = chosen.replace('"base.safetensors"', '{ file = "m1.safetensors", weights = "state_dict" }')
    (folder / "zoo.toml").write_text(chosen)
    zoo = sc.open_zoo(folder)
    assert zoo.base is not None
    assert same(zoo.by_name["m1"].checkpoint, files["m1"])
    assert same(zoo.base.checkpoint, files["m0"])
    assert zoo.base.digest != zoo.by_name["m1"].digest
    (folder / "zoo.toml").write_text(text.replace('file = "m0.safetensors"', 'file = "m0.safetensors"\nweights = "x"'))
    assert "take `weights` out" in sc.open_zoo(folder).excluded[0].reason


@pytest.mark.parametrize("save_as", [saved, save])
@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.", "model.module."]
)
def test_row_30_prefixes_that_all_names_carry_are_taken_off(
    tmp_path: Path, save_as: Callable[[Any], bytes], prefix: str
) -> None:
    files = random_linears(2)
    content = save_as({prefix + name: tensor for name, tensor in files["m1"].items()})
    zoo = zoo_of(tmp_path / "z", {"m1": content}, files)
    assert same(zoo.by_name["m1"].checkpoint, files["m1"])
    assert any("taken off" in note for note in zoo.by_name["m1"].checkpoint.notes)
    assert zoo.by_name["m0"].checkpoint.notes == ()
    theta = sc.state_dict(zoo, sc.Soup({"m1": 1.0}))
    assert all(torch.equal(theta[name], tensor) for name, tensor in files["m1"].items())


def test_row_30_what_wraps_a_part_and_what_counts_averages_is_taken_off(opens: Any) -> None:
    content = saved({"n_averaged": torch.tensor(3), "module.a._orig_mod.w": torch.ones(2)})
    assert set(fitting(opens(content), {"a.w"}).tensors) == {"a.w"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("module.a", "b"), ("a", "b")), (("model.a", "model.b"), ("model.a", "model.c")), (("a", "b"), ("c",))],
)
def test_row_30_a_prefix_of_some_or_of_the_architecture_itself_stays(
    opens: Any, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    checkpoint = opens(saved({name: torch.zeros(2) for name in names}))
    assert set(fitting(checkpoint, expected).tensors) == set(names)


def test_row_30_names_that_become_one_are_refused(opens: Any) -> None:
    checkpoint = opens(saved({"_orig_mod.a": torch.zeros(2), "a": torch.zeros(2), "b": torch.zeros(1)}))
    with pytest.raises(sc.CheckpointError, match=r"x\.pt holds both _orig_mod\.a and a"):
        fitting(checkpoint, {"a", "b"})


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.ones(2, dtype=torch.complex64), "complex"),
        (lambda: torch.ones(2).to(torch.float8_e4m3fn), "8-bit"),
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse"),
        (lambda: torch.empty(2, device="meta"), "meta"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
    ],
)
def test_row_31_weights_that_cannot_be_averaged_are_refused_with_the_reason(
    refused: Any, make: Callable[[], Tensor], reason: str
) -> None:
    refused(saved({"a": torch.zeros(2), "b": make()}), reason)


def test_row_31_a_view_that_negates_its_storage_is_refused(refused: Any) -> None:
    negated = torch.ones(2, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    refused(saved({"a": negated.detach().clone().to(torch.float32), "b": negated}), "negated|complex")
    refused(
        rezipped(saved({"b": torch.ones(2)}), lambda m: m.update({"data.pkl": with_metadata(m["data.pkl"])})), "negated"
    )


def with_metadata(pickled: bytes) -> bytes:
    """The same, with a last argument that says that the tensor's numbers are to be negated."""
    hooks = b")Rq"
    at = pickled.index(hooks, pickled.index(b"OrderedDict")) + len(hooks) + 1
    return pickled[:at] + b"}X\x03\0\0\0neg\x88s" + pickled[at:]


def test_row_32_types_together_are_averaged_in_float32(tmp_path: Path) -> None:
    files = {
        f"m{index}": {
            "head.weight": torch.full((CLASSES, 4), 40_000.0).to(dtype),
            "head.bias": torch.ones(CLASSES).to(dtype),
        }
        for index, dtype in enumerate([torch.float32, torch.float16, torch.bfloat16])
    }
    zoo = zoo_of(tmp_path / "z", {name: saved(file) for name, file in files.items()}, random_linears(3))
    expected = sum(file["head.weight"].float() for file in files.values()) / 3
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    torch.testing.assert_close(theta["head.weight"], expected, rtol=1e-6, atol=0)
    only_half = sc.state_dict(zoo, sc.Soup({"m1": 0.5, "m2": 0.5}))["head.weight"]
    assert bool(torch.isfinite(only_half).all())


def test_row_33_integer_buffers_of_a_pickled_file_are_the_first_ones(tmp_path: Path) -> None:
    def file(count: int) -> dict[str, Tensor]:
        norm = {
            "norm.weight": torch.ones(1),
            "norm.bias": torch.zeros(1),
            "norm.running_mean": torch.zeros(1),
            "norm.running_var": torch.ones(1),
            "norm.num_batches_tracked": torch.tensor(count),
        }
        return {**norm, **random_linears(1)["m0"]}

    files = {"a": file(7), "b": file(11)}
    folder = write_zoo(tmp_path / "z", files, architecture="test_buffers")
    for name, tensors in files.items():
        (folder / f"{name}.safetensors").write_bytes(saved(tensors))
    zoo = sc.open_zoo(folder)
    assert sc.state_dict(zoo, sc.uniform_soup(zoo))["norm.num_batches_tracked"].item() == 7


class Tied(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.outward.weight = self.inward.weight


@pytest.mark.parametrize("save_as", [saved, legacy])
def test_row_34_tied_tensors_stay_tied_and_the_exported_file_loads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_as: Callable[[object], bytes]
) -> None:
    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Tied(num_classes))
    states = {name: Tied(CLASSES).state_dict() for name in "ab"}
    apart = {name: {key: tensor.clone() for key, tensor in state.items()} for name, state in states.items()}
    zoo = zoo_of(tmp_path / "z", {name: save_as(state) for name, state in states.items()}, apart)
    metadata = json.loads(zoo.by_name["a"].checkpoint.metadata["soup_core"])
    assert metadata["tied"] == [["inward.weight", "outward.weight"]]
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    torch.testing.assert_close(theta["inward.weight"], (apart["a"]["inward.weight"] + apart["b"]["inward.weight"]) / 2)
    assert torch.equal(theta["inward.weight"], theta["outward.weight"])
    checkpoints.save(tmp_path / "soup.safetensors", theta, "{}")
    module = Tied(CLASSES)
    module.load_state_dict(dict(open_checkpoint(tmp_path / "soup.safetensors").read_all()), strict=True)
    assert module.inward.weight is module.outward.weight
    assert torch.equal(module.inward.weight, theta["inward.weight"])


def test_row_34_what_is_tied_a_thousand_times_is_not_written_a_thousand_times(refused: Any) -> None:
    shared = torch.zeros(1000)
    refused(saved({f"t{index}": shared for index in range(1000)}), "its tensors need 4,000,000 bytes")


def test_row_35_two_identical_files_are_warned_about(tmp_path: Path) -> None:
    files = random_linears(3)
    zoo = zoo_of(tmp_path / "z", {"m2": saved({"state_dict": files["m0"]})}, files)
    found = {finding.what: finding for finding in sc.preflight_checks(zoo, sc.Evaluator(zoo))}["duplicates"]
    assert (found.verdict, found.names) == ("notice", ("m0", "m2"))


def test_plain_values_beside_the_weights_are_kept_as_data(opens: Any) -> None:
    settings = {"lr": 1e-3, "betas": (0.9, 0.999), "name": "resnet18", "amp": True, "nothing": None}
    deep: Any = 1
    for _ in range(6):
        deep = {"deeper": deep}
    odd = {"nan": math.nan, "large": 2**80, "score": torch.tensor(3.0), "list": [1, torch.zeros(1)], "text": "x" * 3000}
    classes = {0: "ant", 1: "b\ud800e"}
    table = {"state_dict": STATE, "hyper_parameters": settings, "epoch": 3, "classes": classes, "deep": deep, **odd}
    kept = {"hyper_parameters": {**settings, "betas": [0.9, 0.999]}, "epoch": 3}
    assert opens(saved(table)).beside == {**kept, "classes": {"0": "ant", "1": "b\ufffde"}}
    assert opens(saved(STATE), "plain.pt").beside == {}


def test_of_more_values_than_are_kept_the_smallest_are(opens: Any) -> None:
    log = [float(index) for index in range(900)]
    table = {"state_dict": STATE, **{f"log{index}": log for index in range(12)}, "epoch": 3}
    beside = opens(saved(table)).beside
    assert beside["epoch"] == 3
    assert 2 < len(beside) < 13
    assert len(json.dumps(dict(beside))) <= 65_536


# ---- rows 36 and 37: names -----------------------------------------------------------------------------------------------

HOSTILE = "![x](http://evil/x.png)<img src=x>%{y}\n\x1b[31m\u202eabc\u2028"


def test_row_36_hostile_names_are_one_line_of_text_in_messages(tmp_path: Path, refused: Any) -> None:
    file = tmp_path / (HOSTILE.replace("/", "∕") + "x" * 100)
    file.write_bytes(saved({"state_dict": 1}))
    messages = []
    with pytest.raises(sc.CheckpointError, match="no state_dict") as refusal:
        open_checkpoint(file)
    messages.append(str(refusal.value))
    huge = {HOSTILE * 3000: torch.zeros(1).expand(2)}
    messages.append(refused(saved(huge), "more elements"))
    messages.append(
        refused(saved({HOSTILE: STATE, "b": {name: tensor + 1 for name, tensor in STATE.items()}}), "several places")
    )
    files = random_linears(2)
    excluded = zoo_of(tmp_path / "z", {"m1": saved({**files["m1"], HOSTILE: torch.zeros(1)})}, files).excluded
    messages.append(excluded[0].reason)
    excluded = zoo_of(
        tmp_path / "y", {"m1": save({**files["m1"], HOSTILE: torch.full((1,), math.nan)})}, files
    ).excluded
    messages.append(excluded[0].reason)
    for message in messages:
        assert message.isprintable()
        assert len(message) < 1200
        assert "![x](http:" in message


def test_row_37_a_file_name_that_is_not_utf8_is_shown_with_replacements_and_loaded(tmp_path: Path) -> None:
    assert shown(Path(os.fsdecode(b"/a/caf\xe9.pt"))) == "caf\ufffd.pt"
    for content in (saved(STATE), save(STATE)):
        path = os.fsencode(tmp_path) + b"/caf\xe9.pt"
        Path(os.fsdecode(path)).write_bytes(content)
        checkpoint = open_checkpoint(Path(os.fsdecode(path)))
        assert checkpoint.name == "caf\ufffd.pt"
        assert same(checkpoint, STATE)
        Path(os.fsdecode(path)).write_bytes(b"")
        with pytest.raises(sc.CheckpointError, match=r"^caf.\.pt is empty") as refusal:
            open_checkpoint(Path(os.fsdecode(path)))
        str(refusal.value).encode()


# ---- what is remembered --------------------------------------------------------------------------------------------------


@pytest.fixture
def examinations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read through or converted from here on."""
    names: list[str] = []
    take, ask = checkpoints.Checkpoint.take, reader.ask_reader

    def taken(checkpoint: checkpoints.Checkpoint, blocks: Any) -> None:
        names.extend([checkpoint.name] if blocks else [])
        take(checkpoint, blocks)

    def asked(source: int, target: int | None, size: int, name: str, *more: Any) -> Any:
        names.append(f"{'asked about' if target is None else 'converted'} {name}")
        return ask(source, target, size, name, *more)

    monkeypatch.setattr(checkpoints.Checkpoint, "take", taken)
    monkeypatch.setattr(opening, "ask_reader", asked)
    return names


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_every_opening_of_a_file_finds_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file, found, of = tmp_path / f"x.{suffix}", [], identity.Identity.of
    file.write_bytes(saved(STATE) if suffix == "pt" else save(STATE))
    monkeypatch.setattr(identity.Identity, "of", lambda status: found.append(of(status)) or found[-1])
    checkpoint = open_checkpoint(file)
    inodes = {each.inode for each in found}
    assert inodes == {file.stat().st_ino, checkpoint.path.stat().st_ino}
    assert len(set(found)) == len(inodes)
    assert checkpoint.digest == digest_of(STATE)
    assert str(checkpoint.identity).split()[2] == str(checkpoint.path.stat().st_size)


def test_row_19_a_file_whose_time_was_set_back_is_another(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(save(STATE))
    checkpoint, before = open_checkpoint(file), file.stat()
    file.write_bytes(save({name: tensor + 1 for name, tensor in STATE.items()}))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(sc.CheckpointError, match=r"x\.safetensors has changed since it was opened; reload the zoo"):
        list(checkpoint.read_all())
    assert open_checkpoint(file).digest != checkpoint.digest


def test_row_19_a_file_replaced_while_it_is_read_through_is_refused_and_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, take = tmp_path / "x.safetensors", checkpoints.Checkpoint.take
    file.write_bytes(save(STATE))
    (other := tmp_path / "other").write_bytes(save(STATE))

    def replaced(checkpoint: checkpoints.Checkpoint, blocks: Any) -> None:
        take(checkpoint, blocks)
        if blocks:
            os.replace(other, file)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "take", replaced)
        with pytest.raises(sc.CheckpointError, match=r"x\.safetensors has changed since it was opened"):
            open_checkpoint(file)
    assert default_store().file(f"content {identity.Identity.of(file.stat())}") is None
    assert open_checkpoint(file).digest == digest_of(STATE)


def forget() -> None:
    """As another process: nothing is known but what the store holds."""
    opening._examined.cache_clear()


def test_a_file_is_read_through_once_for_all_processes(tmp_path: Path, examinations: list[str]) -> None:
    files = random_linears(3)
    bad = saved({"state_dict": {**files["m2"], "head.bias": torch.full((3,), math.nan)}})
    zoo = zoo_of(tmp_path / "z", {"m1": saved(files["m1"]), "m2": bad}, files)
    assert examinations[:2] == ["asked about m1.safetensors", "asked about m2.safetensors"]
    assert sorted(examinations[2:]) == ["m0.safetensors", "m1.safetensors", "m2.safetensors"]  # on two threads
    forget()
    again = sc.open_zoo(tmp_path / "z")
    assert again.digest == zoo.digest
    assert again.excluded == zoo.excluded
    assert len(examinations) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk", "does not look like"),
        (pickle.dumps(Calls(os.system, "true")), "contains code"),
        (saved([1]), "holds a list, not a state_dict"),
    ],
)
def test_what_was_refused_is_remembered_too(
    tmp_path: Path, refused: Any, examinations: list[str], content: bytes, message: str
) -> None:
    first = refused(content, message)
    file = tmp_path / "x.pt"
    with pytest.raises(sc.CheckpointError, match=message) as again:
        open_checkpoint(file)
    assert str(again.value) == first
    assert examinations == ["asked about x.pt"]


def test_a_change_is_noticed_though_size_and_time_are_the_same(tmp_path: Path, opens: Any) -> None:
    for make in (save, saved):
        opens(make({"a": torch.zeros(2)}))
        before = os.stat(tmp_path / "x.pt")
        with open(tmp_path / "x.pt", "r+b") as file:
            file.write(make({"a": torch.ones(2)}))
        os.utime(tmp_path / "x.pt", ns=(before.st_atime_ns, before.st_mtime_ns))
        forget()
        assert open_checkpoint(tmp_path / "x.pt").read("a").tolist() == [1, 1]


def test_the_same_content_elsewhere_is_not_converted_again(opens: Any, examinations: list[str]) -> None:
    first = opens(saved(VIEWED), "a.pt")
    second = opens(saved(VIEWED), "b.pt")
    assert first.digest == second.digest
    assert (first.name, second.name) == ("a.pt", "b.pt")
    assert [name for name in examinations if name.startswith("converted")] == ["converted a.pt"]


def test_a_converted_file_that_is_gone_or_damaged_is_noticed(tmp_path: Path, opens: Any) -> None:
    checkpoint = opens(saved(VIEWED))
    checkpoint.path.unlink()
    forget()
    again = open_checkpoint(tmp_path / "x.pt")
    assert same(again, VIEWED)
    os.truncate(again.path, 60)
    with pytest.raises(sc.CheckpointError, match=r"x\.pt has changed"):
        again.read("a")


def test_files_are_opened_where_the_store_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: Any, refused: Any
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "file" / "home"))
    for content in (save(STATE), saved(STATE)):
        assert same(opens(content), STATE)
    refused(saved(VIEWED), "cannot be opened: The record of evaluations in")


def test_row_40_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: Any
) -> None:
    monkeypatch.setattr(
        reader._process, "ask", lambda _, target, *__: {"table": None} if target is None else {"failed": 28}
    )
    with pytest.raises(sc.CheckpointError, match=r"No space left on device.*needs 0\.0 MB"):
        opens(saved(VIEWED))
    assert not list((tmp_path / "home" / "checkpoints").iterdir())
    monkeypatch.undo()
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "home"))
    assert same(open_checkpoint(tmp_path / "x.pt"), VIEWED)


def test_what_was_converted_is_its_users_alone_to_read(opens: Any) -> None:
    assert opens(saved(VIEWED)).path.parent.stat().st_mode & 0o077 == 0


def test_a_damaged_record_of_files_counts_as_none(tmp_path: Path, opens: Any) -> None:
    opens(save(STATE))
    default_store()._connection.execute("UPDATE files SET known = '{'")
    forget()
    assert same(open_checkpoint(tmp_path / "x.pt"), STATE)


# ---- the process that reads ----------------------------------------------------------------------------------------------


def confined(tmp_path: Path, code: str, size: int = 0) -> int:
    """How code ends that runs where the reading process reads, in which it may do nothing but read and write."""
    folder = str(Path(opening.__file__).parent)
    begin = f"import sys; sys.path.insert(0, {folder!r}); import os, socket, subprocess, pickled.process as p\n"
    begin += f"p.SECONDS = 1\np._confine({size})\n"
    with open(tmp_path / "written", "wb") as file:
        command = [sys.executable, "-I", "-S", "-c", begin + code]
        return subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=False, timeout=60).returncode


@pytest.mark.parametrize(
    "code",
    [
        "os.system('true')",
        "open('/tmp/canary-of-the-reader', 'w')",
        "os.open('/etc/passwd', os.O_RDONLY)",
        "socket.socket()",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "eval('1')",
        "import http",
        "os.fork()",
        "os.kill(1, 0)",
    ],
)
def test_a_reader_that_does_more_than_read_ends_at_once(tmp_path: Path, code: str) -> None:
    assert confined(tmp_path, code) == BROKE_OUT
    assert not Path("/tmp/canary-of-the-reader").exists()


LIMITS = {
    "memory": ("try: bytes(2**31)\nexcept MemoryError: os._exit(7)", 0, 7),
    "memory, for a larger file": ("bytes(2**31); os._exit(7)", 2**30, 7),
    "bytes written": ("try: os.pwrite(1, b'x', 2**27)\nexcept OSError as e: os._exit(e.errno)", 0, errno.EFBIG),
    "bytes written, for a larger file": ("os.pwrite(1, b'x', 2**27); os._exit(7)", 2**26, 7),
    "processor time": ("while True: pass", 0, -signal.SIGXCPU),
}


@pytest.mark.parametrize("what", LIMITS)
def test_a_reader_has_limits(tmp_path: Path, what: str) -> None:
    code, size, status = LIMITS[what]
    assert confined(tmp_path, code, size) == status


def test_a_reader_that_breaks_out_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Any) -> None:
    for died, message in (
        (97, "contains code"),
        (-signal.SIGXCPU, "takes longer"),
        (-signal.SIGSEGV, "makes its reader fail"),
        (1, "fail"),
    ):
        monkeypatch.setattr(reader._process, "ask", lambda *_, died=died: {"died": died})
        refused(saved({**STATE, "died": torch.tensor(died)}), message)


def test_a_reader_that_hangs_is_ended_and_the_next_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: Any
) -> None:
    opens(saved(STATE), "first.pt")
    assert reader._process._running is not None
    os.kill(reader._process._running[0].pid, signal.SIGSTOP)
    monkeypatch.setattr(reader, "SECONDS", 0.3)
    with pytest.raises(sc.CheckpointError, match=r"x\.pt could not be read in time"):
        opens(saved({"b": torch.zeros(2)}))
    assert reader._process._running is None
    monkeypatch.setattr(reader, "SECONDS", 30)
    assert same(open_checkpoint(tmp_path / "x.pt"), {"b": torch.zeros(2)})


def test_a_reader_that_was_killed_begins_anew(opens: Any) -> None:
    opens(saved(STATE), "first.pt")
    assert reader._process._running is not None
    os.kill(reader._process._running[0].pid, signal.SIGKILL)
    reader._process._running[0].wait()
    assert same(opens(saved({"b": torch.zeros(2)})), {"b": torch.zeros(2)})


def test_files_are_opened_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = [tmp_path / f"{index}.pt" for index in range(12)]
    for index, file in enumerate(files):
        file.write_bytes(saved({"a": torch.full((3,), float(index // 2))}))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(open_checkpoint, files))
    assert [checkpoint.read("a")[0].item() for checkpoint in found] == [index // 2 for index in range(12)]


# ---- the whole repository ------------------------------------------------------------------------------------------------


def test_what_runs_code_from_files_is_nowhere_in_the_repository() -> None:
    import ast

    banned = {"weights_only", "add_safe_globals", "safe_globals", "mmap", "unsafe_allow_html"}
    in_product = banned | {
        "use_container_width",
        "pickle",
        "Unpickler",
        "find_class",
        "memmap",
        "from_file",
        "safe_open",
    }
    root = Path(sc.__file__).parent.parent
    product = [*root.glob("soup_core/**/*.py"), *root.glob("pages/**/*.py"), root / "app.py"]
    for path in {*product, *root.glob("benchmarks/**/*.py"), *root.glob("tests/**/*.py")}:
        used: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            used |= {node.arg} if isinstance(node, ast.keyword) and node.arg else set()
            used |= {node.attr} if isinstance(node, ast.Attribute) else set()
            used |= {name.name for name in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
            used |= (
                {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
                if isinstance(node, ast.Dict)
                else set()
            )
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.jit.load", "joblib.load"):
                assert path not in product, path
        assert not used & (in_product if path in product else banned), path
