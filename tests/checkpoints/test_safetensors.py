"""Rows of FAULTS: what a safetensors file may not be, and that the rest of the zoo goes on."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

import soup_core as sc
from soup_core.checkpoints import Checkpoint
from soup_core.runtime.files import write_atomically
from tests.zoos import random_linears, write_zoo

GOOD = save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])})


def raw(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


BAD = {
    "row_13_truncated": (GOOD[:-3], "incomplete"),
    "row_14_empty": (b"", "is empty"),
    "row_14_text": (b"hello, this is no checkpoint", "does not look like"),
    "row_14_html": (b"<!DOCTYPE html><html></html>", "web page"),
    "row_15_lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "row_16_zip": (b"PK\x03\x04 whatever is inside", r"torch\.save"),
    "row_16_pickle": (b"\x80\x02cposix\nsystem\n", r"torch\.save"),
    "row_23_huge_header": ((10**15).to_bytes(8, "little") + b"{}", "header claims"),
    "row_23_lying_header": ((500).to_bytes(8, "little") + b"{}", "incomplete"),
    "row_23_overlap": (raw({"a": entry(0, 4), "b": entry(2, 6)}, b"123456"), "begins at"),
    "row_23_hole": (raw({"a": entry(0, 2), "b": entry(4, 6)}, b"123456"), "begins at"),
    "row_23_trailing": (GOOD + b"more", "follow its last tensor"),
    "row_23_negative": (raw({"a": entry(-4, 0)}, b""), "not whole numbers"),
    "row_08_many_elements": (raw({"a": entry(0, 4, [2**40])}, b"1234"), "needs 1,099,511,627,776 bytes"),
    "row_23_no_table": (raw([1, 2]), "does not look like"),
    "row_23_no_json": (raw(b"{not json"), "cannot be read"),
    "row_23_deep": (raw(b"{" + b'"a":{' * 50_000), "cannot be read"),
    "row_24_twice": (raw(b'{"a":%s,"a":%s}' % ((json.dumps(entry(0, 2)).encode(),) * 2), b"12"), "twice"),
    "row_22_nul": (raw({"a\0b": entry(0, 2)}, b"12"), "characters"),
    "row_22_surrogate": (raw(b'{"\\ud800": %s}' % json.dumps(entry(0, 2)).encode(), b"12"), "characters"),
    "row_25_many": (raw({f"t{i}": entry(0, 0) for i in range(100_001)}), "100,001 tensors"),
    "row_23_dimensions": (raw({"a": entry(0, 0, [0] + [2**61] * 100)}), "too many"),
    "row_23_beyond_all_measure": (raw({"a": entry(0, 0, [0, 2**61, 2**61])}), "beyond all measure"),
    "row_23_type": (raw({"a": {**entry(0, 1), "dtype": ["U8"]}}, b"1"), "of type"),
    "row_23_lacks": (raw({"a": {"dtype": "U8", "shape": [1]}}, b"1"), "lacks its dtype, shape or offsets"),
    "row_31_complex": (raw({"a": entry(0, 8, [1], "C64")}, b"12345678"), "cannot be averaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    file = tmp_path / "bad.safetensors"
    file.write_bytes(content)
    with pytest.raises(sc.CheckpointError, match=message) as refusal:
        Checkpoint(file)
    assert "bad.safetensors" in str(refusal.value)


def test_a_good_file_is_read_as_safetensors_reads_it(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(4).bfloat16(),
        "whole": torch.arange(7),
        "nothing": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        "flag": torch.tensor([True, False]),
    }
    save_file(tensors, tmp_path / "a.safetensors", {"k": "v"})
    checkpoint = Checkpoint(tmp_path / "a.safetensors")
    assert all(torch.equal(checkpoint.read(name), tensor) for name, tensor in tensors.items())
    assert {name: t.dtype for name, t in checkpoint.read_all()} == {name: t.dtype for name, t in tensors.items()}
    assert checkpoint.metadata == {"k": "v"}


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_begins_as_a_pickle_does_is_read(tmp_path: Path, length: int) -> None:
    text = json.dumps({"a": entry(0, 2)}).encode().ljust(length)
    (tmp_path / "a.safetensors").write_bytes(raw(text, b"12"))
    assert Checkpoint(tmp_path / "a.safetensors").read("a").tolist() == [49, 50]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_header_is_read_or_refused_but_never_fails_otherwise(data: st.DataObject) -> None:
    import tempfile

    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.safetensors"
        file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        try:
            outcome = str(len(list(Checkpoint(file).read_all())))
        except sc.CheckpointError as refusal:
            outcome = str(refusal)
        assert outcome.isdecimal() or outcome.startswith("m.safetensors ")


@pytest.mark.parametrize("kind", ["row_17_fifo", "row_17_folder", "row_18_loop", "row_20_vanished"])
def test_what_is_no_regular_file_is_never_opened(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    if kind == "row_17_fifo":
        os.mkfifo(file)
    elif kind == "row_17_folder":
        file.mkdir()
    elif kind == "row_18_loop":
        file.symlink_to(file)
    with pytest.raises(sc.CheckpointError, match=r"x\.safetensors (is|cannot)"):
        Checkpoint(file)


def test_row_19_a_file_replaced_or_cut_while_in_use_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(GOOD)
    checkpoint = Checkpoint(file)
    with checkpoint.reader() as read:
        os.truncate(file, len(GOOD) - 16)
        with pytest.raises(sc.CheckpointError, match="cut short"):
            [read(name) for name in checkpoint.tensors]
    file.write_bytes(GOOD + b" ")
    with pytest.raises(sc.CheckpointError, match="has changed"):
        checkpoint.read("a")


def test_row_39_and_40_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    write_atomically(file, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(sc.SoupError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


Break = Callable[[Path], object]
FAULTY: dict[str, tuple[Break, str]] = {
    "row_20_missing": (lambda file: file.unlink(), "is missing"),
    "row_13_truncated": (lambda file: os.truncate(file, 100), "incomplete"),
    "row_26_nan": (lambda file: _save(file, {"head.bias": torch.full((3,), torch.nan)}), r"NaN or infinity in head\.bias"),
    "row_27_shape": (lambda file: _save(file, {"head.bias": torch.zeros(4)}), r"head\.bias has shape \(4,\).*\(3,\)"),
    "row_28_extra": (lambda file: _save(file, {"more": torch.zeros(1)}), "beyond the architecture, more"),
    "row_28_lacks": (lambda file: save_file({"head.bias": torch.zeros(3)}, file), r"lacks head\.weight"),
    "row_31_integer": (lambda file: _save(file, {"head.bias": torch.zeros(3).long()}), "int64"),
}  # fmt: skip


def _save(file: Path, changed: dict[str, torch.Tensor]) -> None:
    save_file({**random_linears(1)["m0"], **changed}, file)


@pytest.mark.parametrize("case", FAULTY)
def test_the_rest_of_the_zoo_still_works(case: str, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", random_linears(3))
    damage, message = FAULTY[case]
    damage(folder / "m1.safetensors")
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("m0", "m2")
    assert [excluded.name for excluded in zoo.excluded] == ["m1"]
    with pytest.raises(sc.CoefficientError, match=message):
        sc.uniform_soup(zoo, ["m0", "m1"])
    assert list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))[-1].soup.names


ZOO_FAULTS = {
    "wrong key": ('title = "A made zoo"', 'titel = "x"', r"zoo\.toml, key title: Field required"),
    "wrong type": ("num_classes = 3", 'num_classes = "three"', r"num_classes.*'three'"),
    "unknown source": ("tensors:data", "cloud:data", r"key data\.source: .*; found 'cloud:data"),
    "unknown network": ("test_linear", "resnet_unheard_of", "architecture 'resnet_unheard_of' is unknown"),
    "unknown torchvision network": ("test_linear", "torchvision:resnet_of_nobody", "no classifier 'resnet_of_nobody'"),
    "name twice": ('"m1"', '"m0"', "name of its own; 'm0' stands twice"),
    "not toml": ("format = 1", "format = = 1", "cannot be read as TOML: .* line 1, column 10"),
    "other format": ("format = 1", "format = 2", "key format: .*equal to 1; found 2"),
    "named as a key of a soup": ('"m1"', '"tensors"', 'no ingredient may be named "tensors"'),
    "named as the base": ('"m1"', '"base"', 'no ingredient may be named "base"'),
    "named as the statistics of a soup": ('"m1"', '"batch_norm"', 'no ingredient may be named "batch_norm"'),
}


@pytest.mark.parametrize("case", ZOO_FAULTS)
def test_a_faulty_zoo_toml_is_named_with_its_key(case: str, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", random_linears(2))
    before, after, message = ZOO_FAULTS[case]
    text = (folder / "zoo.toml").read_text()
    assert before in text
    (folder / "zoo.toml").write_text(text.replace(before, after, 1))
    with pytest.raises(sc.ZooError, match=message):
        sc.open_zoo(folder)


def test_torchvision_architectures_are_built(tmp_path: Path) -> None:
    from soup_core import architectures

    module = architectures.meta_module("torchvision:resnet18", 7)
    assert module.state_dict()["fc.weight"].shape == (7, 512)
