import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from soup_core.checkpoints import numpy_files
from soup_core.checkpoints.numpy_files import WHOLE, NumpyFile
from soup_core.errors import CheckpointError

NUMBERS = np.random.default_rng(0).normal(size=(11, 3))


def npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text: str, rest: bytes = b"") -> bytes:
    return numpy_files.MAGIC + b"\1\0" + struct.pack("<H", len(text)) + text.encode("latin-1") + rest


def zipped(folder: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / "made.npz", "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder / "made.npz"


def read_all(path: Path) -> None:
    file = NumpyFile(path)
    for name in file.arrays:
        file.read(name)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        read_all(path)
    sentence = str(refused.value)
    assert sentence.startswith(path.name)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "<i8", ">i4", "|u1", "<u8", "|b1", "<U5"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_as_numpy_reads_them(dtype: str, order: Any, save: Any, tmp_path: Path) -> None:
    arrays = {"a": np.abs(10 * NUMBERS).astype(dtype, order=order), "none": np.zeros((0, 4), dtype), "one": NUMBERS[0]}
    save(tmp_path / "made.npz", **arrays)
    np.save(tmp_path / "made.npy", arrays["a"])
    file = NumpyFile(tmp_path / "made.npz")
    with np.load(tmp_path / "made.npz", allow_pickle=False) as expected:
        assert list(file.arrays) == expected.files
        for name in expected.files:
            np.testing.assert_array_equal(file.read(name), expected[name])
            assert file.arrays[name].shape == expected[name].shape
    np.testing.assert_array_equal(NumpyFile(tmp_path / "made.npy").read(WHOLE), np.load(tmp_path / "made.npy"))


class Evil:
    """Unpickled it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_an_array_of_objects_is_never_unpickled_row_1(tmp_path: Path) -> None:
    array = np.array([Evil(tmp_path / "made it")], dtype=object)
    (tmp_path / "a.npy").write_bytes(npy(array))
    assert "Python objects" in refusal(tmp_path / "a.npy")
    assert "Python objects" in refusal(zipped(tmp_path, {"a.npy": npy(array)}))
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(Evil(tmp_path / "made it")))  # which numpy.load would take
    refusal(tmp_path / "pickled.npy")
    assert not (tmp_path / "made it").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused_row_4(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made.npz", "w") as archive:
        archive.writestr("a.npy", npy(NUMBERS))
        archive.writestr("a.npy", npy(NUMBERS + 1))
    assert "twice" in refusal(tmp_path / "made.npz")


def test_a_bomb_is_refused_before_it_is_inflated_row_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "SMALL_BYTES", 10_000)
    made = zipped(tmp_path, {"a.npy": npy(np.zeros((1000, 1000)))}, zipfile.ZIP_DEFLATED)
    assert made.stat().st_size < 20_000
    inflated: list[int] = []
    monkeypatch.setattr(numpy_files, "_pieces", lambda *given: inflated.append(1) or iter(()))
    assert "more than 100 times" in refusal(made)
    assert not inflated


@pytest.mark.parametrize("stated", [40, 8 * NUMBERS.size, 10**6])
def test_what_inflates_to_another_size_than_stated_is_refused(stated: int, tmp_path: Path) -> None:
    made = zipped(tmp_path, {"a.npy": npy(NUMBERS)}, zipfile.ZIP_DEFLATED)
    content = bytearray(made.read_bytes())
    at = content.rindex(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", stated)
    made.write_bytes(content)
    refusal(made)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_refused_row_10(compression: int, tmp_path: Path) -> None:
    made = zipped(tmp_path, {"a.npy": npy(NUMBERS)}, compression)
    content = bytearray(made.read_bytes())
    content[250] ^= 1
    made.write_bytes(content)
    refusal(made)


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    assert "compressed in a way" in refusal(zipped(tmp_path, {"a.npy": npy(NUMBERS)}, zipfile.ZIP_LZMA))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_file_cut_short_anywhere_is_refused_row_13(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, NUMBERS)
    else:
        np.savez_compressed(path, a=NUMBERS)
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 11), len(whole) - 1}:
        path.write_bytes(whole[:length])
        refusal(path)
    path.write_bytes(whole + b"\0")
    refusal(path)


def test_a_file_replaced_meanwhile_is_refused_row_19(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, NUMBERS)
    file = NumpyFile(path)
    np.save(path, NUMBERS + 1)
    with pytest.raises(CheckpointError, match="has changed"):
        file.read(WHOLE)


def test_what_is_no_regular_file_is_never_opened_row_17(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npy")
    assert "not a regular file" in refusal(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "(" * 9000,
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)",
        "{'descr': '<f8', 'fortran_order': False}",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3, -4)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3L, 4L)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (281474976710655, 281474976710655, 281474976710655)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824, 4)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (12,)}",
        "{'descr': '|V8', 'fortran_order': False, 'shape': (12,)}",
        "{'descr': '<c16', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '<f16', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': 'S8', 'fortran_order': False, 'shape': (12,)}",
        "__import__('os').getcwd()",
    ],
)
def test_a_header_that_lies_is_refused_row_25(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(header(text, bytes(96)))
    refusal(tmp_path / "a.npy")
    refusal(zipped(tmp_path, {"a.npy": header(text, bytes(96))}, zipfile.ZIP_DEFLATED))


def test_a_header_of_the_same_kind_that_tells_the_truth_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)}", bytes(96)))
    np.testing.assert_array_equal(NumpyFile(tmp_path / "a.npy").read(WHOLE), np.zeros((3, 4)))


def test_other_files_are_told_what_they_look_like(tmp_path: Path) -> None:
    for name, content in {
        "empty.npy": b"",
        "text.npy": b"hello",
        "version.npy": numpy_files.MAGIC + b"\3\0" + bytes(99),
    }.items():
        (tmp_path / name).write_bytes(content)
        refusal(tmp_path / name)
    assert "part 'data.pkl'" in refusal(zipped(tmp_path, {"data.pkl": b""}))
    assert "missing" in refusal(tmp_path / "not there.npz")
