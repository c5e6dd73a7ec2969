"""Files of torch.save read where their tensors lie: nothing is written, nothing is taken on trust, and damage is found."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import soup_core as sc
from soup_core.checkpoints import open_checkpoint, opening, reader
from soup_core.checkpoints.identity import Identity, OpenedFile
from soup_core.checkpoints.in_place import InPlace
from soup_core.checkpoints.pickled.conversion import convert
from soup_core.runtime.store import default_store
from tests.digests import digest_of
from tests.torch_files import legacy, saved


class Network(nn.Module):
    """Tied weights, buffers of whole numbers and of truth values, an empty tensor, one number, half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.outward = nn.Linear(4, 4, bias=False)
        self.outward.weight = self.inward.weight
        self.small = nn.Parameter(torch.randn(5).bfloat16())
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("nothing", torch.empty(0, 3))

    def forward(self, x: Tensor) -> Tensor:
        used = self.small.float().sum() + self.mask.sum() + self.steps + self.nothing.sum()
        return self.outward(self.norm(self.inward(x))) + used


def scripted(network: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(network), file)
    return file.getvalue()


def exported(network: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(network.eval(), (torch.zeros(2, 4),)), file)
    return file.getvalue()


def training(network: nn.Module) -> dict[str, object]:
    """A checkpoint as a script writes it, with Adam's state beside the weights."""
    parameters = list(network.parameters())
    state = {index: {"exp_avg": torch.randn_like(each)} for index, each in enumerate(parameters)}
    optimizer = {"state": state, "param_groups": [{"lr": 1e-3, "params": [*range(len(parameters))]}]}
    return {"model": network.state_dict(), "optimizer": optimizer, "epoch": 3}


WRITERS: dict[str, Callable[[nn.Module], bytes]] = {
    "zip": lambda network: saved(network.state_dict()),
    "older": lambda network: legacy(network.state_dict()),
    "older protocol": lambda network: saved(network.state_dict(), pickle_protocol=4),
    "whole network": saved,
    "whole network, older": legacy,
    "training": lambda network: saved(training(network)),
    "training, older": lambda network: legacy(training(network)),
    "TorchScript": scripted,
    "program": exported,
}


def converted(folder: Path) -> list[Path]:
    return list((folder / "home" / "checkpoints").glob("*"))


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.parametrize("writer", WRITERS)
def test_each_tensor_is_read_bit_by_bit_where_it_lies_and_nothing_is_written(tmp_path: Path, writer: str) -> None:
    torch.manual_seed(0)
    network = Network()
    file = tmp_path / "x.pt"
    file.write_bytes(WRITERS[writer](network))
    expected = network.state_dict()
    checkpoint = open_checkpoint(file)
    found = dict(checkpoint.read_all())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
        info = checkpoint.tensors[name]
        numbers = file.read_bytes()[info.begin : info.end]
        assert numbers == tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(), name
    assert checkpoint.path == file
    assert checkpoint.digest == digest_of(expected)
    assert not converted(tmp_path)


def test_what_torch_loads_is_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    for save_as in (saved, legacy):
        file.write_bytes(save_as(Network().state_dict()))
        expected = torch.load(file)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in open_checkpoint(file).read_all())


def flat() -> dict[str, Tensor]:
    """Tensors that are parts of one storage, one after the other, as cuDNN keeps a recurrent network's."""
    storage = torch.arange(24.0)
    return {"first": storage[:6].view(2, 3), "second": storage[6:18].view(3, 4), "other": torch.zeros(2)}


@pytest.mark.parametrize("save_as", [saved, legacy])
def test_parts_of_one_storage_are_read_in_place(tmp_path: Path, save_as: Callable[[object], bytes]) -> None:
    (tmp_path / "x.pt").write_bytes(save_as(flat()))
    assert all(torch.equal(tensor, flat()[name]) for name, tensor in open_checkpoint(tmp_path / "x.pt").read_all())
    assert not converted(tmp_path)


@pytest.mark.parametrize("save_as", [saved, legacy])
@pytest.mark.parametrize("view", [lambda t: t.T, lambda t: t[:, 1:], lambda t: t[::2]])
def test_a_strided_view_has_the_file_converted(tmp_path: Path, save_as: Any, view: Callable[[Tensor], Tensor]) -> None:
    state = {"weight": torch.arange(12.0).reshape(3, 4)}
    state["view"] = view(state["weight"])
    (tmp_path / "x.pt").write_bytes(save_as(state))
    checkpoint = open_checkpoint(tmp_path / "x.pt")
    assert all(torch.equal(tensor, state[name]) for name, tensor in checkpoint.read_all())
    assert converted(tmp_path) == [checkpoint.path]


def flipped(content: bytes, part: str, byte: int = 0) -> bytes:
    """The same with one bit of a part of the archive changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(f"archive/{part}")
        begin = info.header_offset + 30 + sum(content[info.header_offset + at] for at in (26, 28))
        begin += 256 * sum(content[info.header_offset + at] for at in (27, 29))
        assert archive.read(info)[byte] == content[begin + byte]
    changed = bytearray(content)
    changed[begin + byte] ^= 4
    return bytes(changed)


@pytest.mark.parametrize("examine", [True, False])
def test_row_10_a_flipped_bit_is_found_by_whoever_reads_first(tmp_path: Path, examine: bool) -> None:
    content = saved({"a": torch.arange(300_000.0), "b": torch.ones(2)})
    for byte in (0, 600_003, 1_199_999):
        (tmp_path / "x.pt").write_bytes(flipped(content, "data/0", byte))
        with pytest.raises(sc.CheckpointError, match=r"^x\.pt is damaged: the checksum of a differs; copy it again"):
            assert not open_checkpoint(tmp_path / "x.pt", examine=examine).digest  # which reads


@pytest.mark.parametrize("part", ["data.pkl", "version", "byteorder"])
def test_row_10_a_flipped_bit_beside_the_tensors_is_found_too(tmp_path: Path, part: str) -> None:
    (tmp_path / "x.pt").write_bytes(flipped(saved({"a": torch.arange(6.0)}), part))
    with pytest.raises(sc.CheckpointError, match=f"checksum of its part '{part}' differs"):
        open_checkpoint(tmp_path / "x.pt")


def test_row_10_damage_is_found_in_what_is_converted_and_in_parts_of_a_storage(tmp_path: Path) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    for state in ({"weight": weight, "view": weight.T}, {"view": weight.T}, flat()):
        (tmp_path / "x.pt").write_bytes(flipped(saved(state), "data/0", 20))
        with pytest.raises(sc.CheckpointError, match="checksum of its part 'data/0' differs"):
            open_checkpoint(tmp_path / "x.pt")
    assert not converted(tmp_path)


def test_row_10_damage_where_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    network = Network()
    content = saved(training(network))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        last = max(int(name.rpartition("/")[2]) for name in archive.namelist() if name.startswith("archive/data/"))
    (tmp_path / "x.pt").write_bytes(flipped(content, f"data/{last}"))  # of Adam's
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in open_checkpoint(tmp_path / "x.pt").read_all())


# ---- what is not trusted -------------------------------------------------------------------------------------------------

SIZE = 1000
SOUND = {"a": ["F32", [2, 3], 100, 124, 7], "b": ["I64", [], 124, 132, None], "none": ["F16", [0, 3], 990, 990, 0]}
TOLD = {"weights": ".", "tied": [], "checked": True, "notes": [], "beside": {}}
LIES: dict[str, Any] = {
    "beyond the file": ["F32", [2], 993, 1001, None],
    "before the file": ["F32", [2], -8, 0, None],
    "backwards": ["F32", [2], 108, 100, None],
    "too short": ["F32", [3], 100, 108, None],
    "too long": ["F32", [1], 100, 108, None],
    "no type": ["F8", [8], 100, 108, None],
    "no name of a type": [["F32"], [2], 100, 108, None],
    "a negative length": ["F32", [-2, -1], 100, 108, None],
    "a length of no whole number": ["F32", [2.0], 100, 108, None],
    "a length of truth": ["F32", [True, 2], 100, 108, None],
    "a shape of no list": ["F32", {"2": 2}, 100, 108, None],
    "a shape without end": ["F32", [1] * 65, 100, 104, None],
    "a shape beyond all measure": ["F32", [0, 2**61, 2**61], 100, 100, None],
    "an offset of no number": ["F32", [2], "100", 108, None],
    "an offset of no whole number": ["F32", [2], 100.0, 108.0, None],
    "an endless offset": ["F32", [2], 10**400, 10**400 + 8, None],
    "a wide checksum": ["F32", [2], 100, 108, 2**32],
    "a negative checksum": ["F32", [2], 100, 108, -1],
    "a checksum of no number": ["F32", [2], 100, 108, "7"],
    "no checksum": ["F32", [2], 100, 108],
    "too much": ["F32", [2], 100, 108, None, 1],
    "nothing": None,
    "a text": "F32 2",
}


def opened_by(table: Any) -> InPlace:
    file = OpenedFile(Path("/x.pt"), "x.pt", Identity(1, 2, SIZE, 3, 4), -1)
    return InPlace(file, json.loads(json.dumps(table)))


def test_a_sound_table_is_taken() -> None:
    checkpoint = opened_by({**TOLD, "tensors": SOUND})
    assert checkpoint.tensors["a"].dtype == torch.float32
    assert checkpoint.tensors["a"].shape == (2, 3)
    assert checkpoint.checksums == {"a": 7, "none": 0}


@pytest.mark.parametrize("lie", LIES)
def test_a_table_that_lies_of_a_tensor_is_refused(lie: str) -> None:
    with pytest.raises(sc.CheckpointError, match=r"^x\.pt makes its reader fail"):
        opened_by({**TOLD, "tensors": {**SOUND, "lie": LIES[lie]}})


@pytest.mark.parametrize(
    "table",
    [
        [],
        "table",
        {},
        TOLD,
        {**TOLD, "tensors": []},
        {**TOLD, "tensors": {"a\0": SOUND["a"]}},
        {**TOLD, "tensors": {"a\ud800": SOUND["a"]}},
        {**TOLD, "tensors": {f"t{index}": ["U8", [SIZE], 0, SIZE, None] for index in range(5)}},
        {**TOLD, "tensors": SOUND, "weights": None},
        {**TOLD, "tensors": SOUND, "checked": "no"},
        {**TOLD, "tensors": SOUND, "notes": "abc"},
        {**TOLD, "tensors": SOUND, "notes": [1]},
        {**TOLD, "tensors": SOUND, "tied": {"a": "b"}},
        {**TOLD, "tensors": SOUND, "tied": [[1]]},
        {**TOLD, "tensors": SOUND, "beside": []},
    ],
    ids=lambda table: str(table)[-60:],
)
def test_a_table_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(sc.CheckpointError, match=r"^x\.pt makes its reader fail"):
        opened_by(table)


def test_row_25_a_table_of_too_many_tensors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(opened_by({**TOLD, "tensors": SOUND}).tensors) == 3
    monkeypatch.setattr("soup_core.checkpoints.in_place.TENSORS_AT_MOST", 2)
    with pytest.raises(sc.CheckpointError, match="makes its reader fail"):
        opened_by({**TOLD, "tensors": SOUND})


numbers = st.integers(-(2**65), 2**65) | st.integers(0, SIZE) | st.floats() | st.none() | st.text(max_size=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, max_size=4), numbers, numbers, numbers, st.sampled_from(["F32", "U8", "I64", "x"]))
def test_whatever_a_table_says_nothing_beyond_the_file_is_read(
    shape: list[Any], begin: Any, end: Any, checksum: Any, dtype: str
) -> None:
    try:
        checkpoint = opened_by({**TOLD, "tensors": {"a": [dtype, shape, begin, end, checksum]}})
    except sc.CheckpointError:
        return
    info = checkpoint.tensors["a"]
    assert 0 <= info.begin <= info.end <= SIZE
    assert torch.empty(info.shape, dtype=info.dtype, device="meta").nbytes == info.end - info.begin


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"7", b"null", b'{"table": {}}\n{}', b"[" * 100_000, b"\xff", b'{"table": [1]}', b"{}" * 9],
)
def test_an_answer_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """What a child says that a file has taken over; the next file is read by another process."""
    (tmp_path / "x.pt").write_bytes(saved({"a": torch.ones(2)}))
    begun = reader._process._begun

    def lying() -> Any:
        process, ours = begun()
        ours.close()
        ours, theirs = reader.socket.socketpair()
        with theirs:
            theirs.sendall(answer + b"\n")
        return process, ours

    reader._process.end()
    monkeypatch.setattr(reader._process, "_begun", lying)
    with pytest.raises(sc.CheckpointError, match=r"makes its reader fail|could not be read in time"):
        open_checkpoint(tmp_path / "x.pt")
    monkeypatch.undo()
    reader._process.end()
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "other"))
    opening._in_place.cache_clear()
    assert open_checkpoint(tmp_path / "x.pt").read("a").tolist() == [1, 1]


# ---- what is remembered --------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files of which the reading process is asked from here on."""
    names: list[str] = []
    ask = opening.ask_reader
    monkeypatch.setattr(opening, "ask_reader", lambda *given: names.append(given[3]) or ask(*given))
    return names


def again(file: Path) -> Any:
    """As another process opens it: nothing is known but what the store holds."""
    opening._in_place.cache_clear()
    opening._examined.cache_clear()
    return open_checkpoint(file)


def test_a_file_is_asked_about_once_for_all_processes(tmp_path: Path, asked: list[str]) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(saved(Network().state_dict()))
    first = open_checkpoint(file)
    second = again(file)
    assert asked == ["x.pt"]
    assert (second.tensors, second.metadata, second.checksums) == (first.tensors, first.metadata, first.checksums)


def test_of_a_table_beyond_measure_the_process_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setattr(opening, "KEPT_AT_MOST", 200)
    file = tmp_path / "x.pt"
    file.write_bytes(saved(Network().state_dict()))
    assert open_checkpoint(file).digest == again(file).digest
    assert asked == ["x.pt", "x.pt"]


def as_an_older_release(file: Path) -> tuple[Path, str]:
    """Convert a file and keep what is known of it, as releases did that read none in place; gives SHA-256 too."""
    folder = opening._converted_file("c").parent
    folder.mkdir(parents=True, exist_ok=True)
    target = opening._converted_file("c")
    with open(file, "rb") as source, open(target, "wb") as written:
        convert(source.fileno(), written.fileno(), None)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    store = default_store()
    store.keep_file(f"pickled 2 null {Identity.of(os.stat(file))}", {"content": "c"})
    store.keep_file(f"safetensors {Identity.of(os.stat(target))}", {"digest": digest, "not_finite": []})
    return target, digest


@pytest.mark.parametrize("content", ["network", "training"])
def test_what_older_records_call_a_file_is_found_with_and_without_the_file_that_they_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(saved(training(Network()) if content == "training" else Network()))
    target, digest = as_an_older_release(file)
    monkeypatch.setattr("soup_core.checkpoints.examining.HASHED_TOO", 0)
    assert open_checkpoint(file).earlier_digest == digest
    target.unlink()
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "other"))
    unknown = again(file)
    assert unknown.earlier_digest is None
    assert not unknown.is_named_by(digest[::-1])
    renamed = again(file).renamed({name: f"module.{name}" for name in unknown.tensors})
    assert renamed.is_named_by(digest)
    monkeypatch.undo()
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "third"))
    assert again(file).earlier_digest == digest  # of a small file it is found at once
