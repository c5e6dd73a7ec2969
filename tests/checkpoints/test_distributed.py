"""Checkpoints of several processes: read where the data are plain, else refused with a remedy, which is tried here."""

import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import soup_core as sc
from soup_core.checkpoints import Checkpoint, open_checkpoint
from soup_core.zoo import files_of
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import CLASSES, Deep, made_data, random_deeps, write_zoo


def whole() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "rows.weight": torch.randn(5, 3),
        "columns.weight": torch.randn(4, 5),
        "block.weight": torch.randn(3, 6, 2, 2).bfloat16(),
        "one.bias": torch.randn(1),
        "count": torch.tensor(7),
        "nothing": torch.empty(0, 3),
    }


CUT = {"rows.weight": 0, "columns.weight": 1, "block.weight": 1}


class Chunked(torch.Tensor):
    """A tensor that is saved as two chunks along a dimension, as two processes save their parts of a DTensor."""

    parts: tuple[Tensor, ...]
    dimension: int

    @staticmethod
    def __new__(cls, tensor: Tensor, dimension: int) -> "Chunked":
        made: Chunked = torch.Tensor._make_subclass(cls, tensor)
        made.parts, made.dimension = tensor.chunk(2, dimension), dimension
        return made

    def __create_write_items__(self, fqn: str, _: object) -> list[WriteItem]:
        items = []
        for number, part in enumerate(self.parts):
            before = sum(each.shape[self.dimension] for each in self.parts[:number])
            offsets = torch.Size(before if d == self.dimension else 0 for d in range(part.ndim))
            properties = TensorProperties.create_from_tensor(part)
            data = TensorWriteData(ChunkStorageMetadata(offsets, part.size()), properties, self.size())
            items.append(WriteItem(MetadataIndex(fqn, offsets, number), WriteItemType.SHARD, tensor_data=data))
        return items

    def __get_tensor_shard__(self, index: MetadataIndex) -> Tensor:
        return self.parts[index.index or 0]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process of two saves: their folder of chunks, and files of its own of DTensors, its parts and its copies."""
    folder = tmp_path_factory.mktemp("two")
    state = {name: Chunked(tensor, CUT[name]) if name in CUT else tensor for name, tensor in whole().items()}
    writer = dcp.FileSystemWriter(folder / "two", single_file_per_rank=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        dcp.save({"model": state, "epoch": 3}, storage_writer=writer, no_dist=True)
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (2,))
        for name, placement in (("parts", Shard(0)), ("copies", Replicate())):
            made = {
                key: DTensor.from_local(
                    t[:3] if name == "parts" else t,
                    mesh,
                    [placement],
                    run_check=False,
                    shape=t.shape,
                    stride=t.stride(),
                )
                for key, t in whole().items()
                if t.ndim
            }
            torch.save(made, folder / f"{name}.pt")
    finally:
        dist.destroy_process_group()
    return folder


@pytest.fixture
def copied(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two / "two", tmp_path / "two"))


def is_same(checkpoint: Checkpoint, expected: dict[str, Tensor]) -> bool:
    found = dict(checkpoint.read_all())
    assert found.keys() == expected.keys()
    return all(found[name].dtype == t.dtype and torch.equal(found[name], t) for name, t in expected.items())


def test_a_folder_of_two_processes_is_the_whole_state_dict(two: Path) -> None:
    checkpoint = open_checkpoint(two / "two")
    assert len(list((two / "two").glob("*.distcp"))) > 3
    assert is_same(checkpoint, whole())
    assert "its weights are those under model" in checkpoint.notes
    assert open_checkpoint(two / "two" / ".metadata").digest == checkpoint.digest


def test_the_remedy_of_torch_gives_the_same_weights(two: Path, tmp_path: Path) -> None:
    dcp_to_torch_save(two / "two", tmp_path / "one.pt")
    assert is_same(open_checkpoint(tmp_path / "one.pt"), dict(open_checkpoint(two / "two").read_all()))


def test_tensors_that_are_whole_in_one_process_are_read_and_parts_refused(two: Path) -> None:
    assert is_same(open_checkpoint(two / "copies.pt"), {name: t for name, t in whole().items() if t.ndim})
    with pytest.raises(sc.CheckpointError, match=r"parts\.pt holds a part of rows\.weight alone.*full_tensor\(\)"):
        open_checkpoint(two / "parts.pt")


def saved_alone(folder: Path, state: dict[str, Any]) -> Path:
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_an_optimizer_keeps_is_no_weights(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "step": 7}
    assert is_same(open_checkpoint(saved_alone(tmp_path / "x", state)), network.state_dict())
    assert is_same(open_checkpoint(saved_alone(tmp_path / "y", network.state_dict())), network.state_dict())


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_sweep_of_such_folders_is_a_zoo(tmp_path: Path) -> None:
    files = random_deeps(3)
    expected = sc.open_zoo(write_zoo(tmp_path / "files", files, architecture="test_deep"))
    folder = tmp_path / "sweep"
    for name, tensors in files.items():
        saved_alone(folder / name / "pytorch_model_fsdp_0", {"model": dict(tensors)})
        saved_alone(folder / name / "optimizer_0", {"optimizer": {"state": {"a": torch.ones(3)}}})
    made_data(folder)
    proposal = propose(folder, list(inspect_folder(folder)))
    assert [each.name for each in proposal.members] == [*sorted(set(files) - {"base"}), "base"] or proposal.base
    lines = ["format = 1", 'title = "t"', f'architecture = {{ name = "test_deep", num_classes = {CLASSES} }}']
    lines += ["[data]", 'source = "tensors:data.safetensors"']
    for name in ("m0", "m1", "m2"):
        lines += ["[[ingredients]]", f'name = "{name}"', f'file = "{name}/pytorch_model_fsdp_0"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    zoo = sc.open_zoo(folder)
    soup = sc.uniform_soup(zoo)
    found, wanted = sc.state_dict(zoo, soup), sc.state_dict(expected, soup)
    assert all(torch.equal(found[name], wanted[name]) for name in Deep(CLASSES).state_dict())
    assert folder / "m0" / "pytorch_model_fsdp_0" / "__0_0.distcp" in files_of(folder)


class Metadata:
    """The folder's metadata, to be changed and written again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / ".metadata"
        self.content: Any = pickle.loads(self.file.read_bytes())

    def info(self, name: str = "model.rows.weight") -> Any:
        return next(info for key, info in self.content.storage_data.items() if key.fqn == name)

    def write(self) -> None:
        self.file.write_bytes(pickle.dumps(self.content))


def drop_a_chunk(metadata: Metadata) -> None:
    keys = [key for key in metadata.content.storage_data if key.fqn == "model.columns.weight"]
    del metadata.content.storage_data[keys[0]]


def overlap(metadata: Metadata) -> None:
    first, second = (key for key in metadata.content.storage_data if key.fqn == "model.columns.weight")
    stored = metadata.content.storage_data
    stored[MetadataIndex(second.fqn, first.offset, 5)] = stored.pop(second)


def beyond(metadata: Metadata) -> None:
    metadata.info().length = 10**9


def another_type(metadata: Metadata) -> None:
    metadata.content.state_dict_metadata["model.rows.weight"].properties.dtype = torch.float64


def eight_bits(metadata: Metadata) -> None:
    metadata.content.state_dict_metadata["model.rows.weight"].properties.dtype = torch.float8_e4m3fn


def another_file(metadata: Metadata) -> None:
    metadata.info().relative_path = "../../elsewhere.distcp"


def compressed(metadata: Metadata) -> None:
    metadata.info().transform_descriptors = ["zstd"]


def negative(metadata: Metadata) -> None:
    metadata.info().offset = -1


def other_paths(metadata: Metadata) -> None:
    metadata.content.planner_data["model.rows.weight"] = ("model",)


LIES: dict[Callable[[Metadata], None], str] = {
    drop_a_chunk: "do not fill its shape",
    overlap: "do not fill its shape",
    beyond: "it ends at byte",
    another_type: "something else than its metadata say",
    eight_bits: r"of type torch\.float8_e4m3fn",
    another_file: "which is missing",
    compressed: "compressed chunks, which are not read here; make one file of it, python -m torch.distributed.checkpoint",
    negative: "its metadata cannot be read",
    other_paths: "its metadata cannot be read",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_metadata_that_lie_are_refused(copied: Path, lie: Callable[[Metadata], None]) -> None:
    metadata = Metadata(copied)
    lie(metadata)
    metadata.write()
    with pytest.raises(sc.CheckpointError, match=LIES[lie]) as refusal:
        open_checkpoint(copied)
    assert str(refusal.value).startswith("two ")


def test_row_01_metadata_that_would_run_code_run_none(copied: Path, tmp_path: Path) -> None:
    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'canary'}",)

    (copied / ".metadata").write_bytes(pickle.dumps(Calls()))
    with pytest.raises(sc.CheckpointError, match="contains code"):
        open_checkpoint(copied)
    assert not (tmp_path / "canary").exists()


def test_a_flipped_bit_or_another_chunk_is_noticed(copied: Path) -> None:
    before = open_checkpoint(copied)
    numbers = whole()["rows.weight"][3:].contiguous().numpy().tobytes()
    file = next(file for file in copied.glob("*.distcp") if numbers in file.read_bytes())
    content = bytearray(file.read_bytes())
    content[content.index(numbers)] ^= 1
    file.write_bytes(content)
    with pytest.raises(sc.CheckpointError, match="checksum"):
        open_checkpoint(copied)
    assert is_same(before, whole())  # made before from the sound one


def test_rows_18_and_17_of_a_folder_s_files(copied: Path, tmp_path: Path) -> None:
    file = min(copied.glob("*.distcp"))
    outside = file.rename(tmp_path / "outside")
    file.symlink_to(outside)
    with pytest.raises(sc.CheckpointError, match="lies outside the zoo's folder"):
        open_checkpoint(copied, roots=[copied])
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(sc.CheckpointError, match="is not a regular file"):
        open_checkpoint(copied)


def test_too_many_files_are_refused_with_torch_s_own_remedy(copied: Path) -> None:
    for index in range(260):
        (copied / f"__more_{index}.distcp").touch()
    with pytest.raises(sc.CheckpointError, match=r"in \d+ files.*format_utils dcp_to_torch two FILE"):
        open_checkpoint(copied)


# ---- what is refused with a remedy -------------------------------------------------------------------------------------


@pytest.fixture
def zero(tmp_path: Path) -> Path:
    """The files of DeepSpeed's ZeRO by their names, as its documentation has them."""
    folder = tmp_path / "runs" / "checkpoint-10"
    (folder / "global_step10").mkdir(parents=True)
    (folder / "latest").write_text("global_step10")
    (folder / "zero_to_fp32.py").write_text("raise SystemExit\n")
    for name in ("zero_pp_rank_0_mp_rank_00_model_states.pt", "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        torch.save({"module": {"a": torch.empty(0)}}, folder / "global_step10" / name)
    return folder


@pytest.mark.parametrize("below", [".", "global_step10", "global_step10/zero_pp_rank_0_mp_rank_00_model_states.pt"])
def test_deepspeed_s_folder_is_refused_with_its_own_script(zero: Path, below: str) -> None:
    with pytest.raises(sc.CheckpointError, match=r"DeepSpeed's ZeRO.*run `python zero_to_fp32\.py \. whole"):
        open_checkpoint(zero / below)


def test_deepspeed_s_folder_is_one_line_of_a_scan(zero: Path) -> None:
    (found,) = inspect_folder(zero.parent)
    assert found.file == zero / "global_step10"
    assert "in checkpoint-10 run `python zero_to_fp32.py" in found.reason


def state_of(kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A state_dict that is not plain, and what the remedy in its refusal makes of it."""
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    match kind:
        case "eight bits":
            made: Any = weight.to(torch.float8_e4m3fn)
            return {"a": made}, {"a": made.float()}
        case "sparse":
            made = weight.relu().to_sparse()
            return {"a": made}, {"a": made.to_dense()}
        case _:
            made = torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)
            return {"a": made}, {"a": made.dequantize()}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("eight bits", r"\.float\(\)"), ("sparse", r"\.to_dense\(\)"), ("quantised", r"\.dequantize\(\)")],
)
def test_row_31_weights_that_are_not_plain_are_refused_with_what_makes_them_so(
    tmp_path: Path, kind: str, remedy: str
) -> None:
    state, plain = state_of(kind)
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(sc.CheckpointError, match=rf"x\.pt holds .* as a, .*tensor{remedy}"):
        open_checkpoint(tmp_path / "x.pt")
    torch.save(plain, tmp_path / "x.pt")
    assert is_same(open_checkpoint(tmp_path / "x.pt"), plain)


class Int8Tensor(torch.Tensor):
    """A tensor of whole numbers and a scale that says it is of float32, saved as torchao 0.18's of this name is."""

    qdata: Tensor

    @staticmethod
    def __new__(cls, qdata: Tensor) -> "Int8Tensor":
        made: Int8Tensor = torch.Tensor._make_wrapper_subclass(cls, qdata.shape, dtype=torch.float32)
        made.qdata = qdata
        return made

    @classmethod
    def __torch_dispatch__(cls, *_: Any, **__: Any) -> Any:
        raise NotImplementedError  # nothing is computed with it


def test_a_tensor_of_torchao_s_class_is_told_how_to_be_made_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("torchao.quantization")
    module.Int8Tensor = Int8Tensor
    monkeypatch.setitem(sys.modules, "torchao", ModuleType("torchao"))
    monkeypatch.setitem(sys.modules, "torchao.quantization", module)
    monkeypatch.setattr(Int8Tensor, "__module__", "torchao.quantization")
    torch.save({"a": Int8Tensor(torch.ones(2, 2, dtype=torch.int8)), "b": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(sc.CheckpointError, match=r"quantised weights of torchao, as a.*tensor\.dequantize\(\)"):
        open_checkpoint(tmp_path / "x.pt")
