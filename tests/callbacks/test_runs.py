"""Runs of a loop of one's own become a zoo; what is wrong is said before the training, and no weights are lost after it."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import soup_core as sc
from soup_core.callbacks import begin_run, record_run, recorded_run
from soup_core.zoo import user_ingredients
from tests import ROOT
from tests.callbacks.sweeps import TRANSFORM, correct, new_network, train
from tests.zoos import CLASSES, SIDE, Linear, made_data

NETWORK = "torchvision:shufflenet_v2_x0_5"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A folder with images as tensors, for made linear models."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    made_data(folder)
    return folder


LINEAR = {"data": "tensors:data.safetensors", "architecture": {"name": "test_linear", "num_classes": CLASSES}}


def moved(model: nn.Module, by: float) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape)
    return model


def test_a_sweep_opens_as_it_was_written_and_counts_as_the_plain_library(tmp_path: Path, photographs: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    shutil.copytree(photographs, folder / "photos")
    counts = {}
    for seed in (1, 2):
        model = new_network()
        how = {"lr": 0.02, "seed": seed, "schedule": [1, 2]}
        with recorded_run(
            folder, model, data="imagefolder:photos", architecture=NETWORK, preprocessing=TRANSFORM, hyperparameters=how
        ) as later:
            train(model, folder / "photos", seed)
            later["epochs"] = 1
        counts[f"run-{seed}"] = [correct(model, folder / "photos", split) for split in ("val", "test")]
    zoo = sc.open_zoo(folder)
    held_out, test = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    found = {name: [each(sc.Soup.single(name)).correct for each in (held_out, test)] for name in zoo.names}
    assert found == counts
    assert held_out(sc.Soup.single(sc.BASE)).correct == correct(new_network(), folder / "photos")
    assert dict(zoo.ingredients[1].hyperparameters) == {"learning_rate": 0.02, "seed": 2, "epochs": 1}
    assert zoo.architecture == {"name": NETWORK, "num_classes": 3}
    assert zoo.base is not None
    assert {user_ingredients.origin_of(each.checkpoint).start_digest for each in zoo.ingredients} == {zoo.base.digest}
    assert sorted(path.name for path in folder.iterdir()) == [
        "base.safetensors", "photos", "run-1.safetensors", "run-2.safetensors", "zoo.toml",
    ]  # fmt: skip


def test_one_line_after_the_training_writes_a_run(sweep: Path) -> None:
    base, model = Linear(CLASSES), Linear(CLASSES)
    torch.save(model.state_dict(), sweep / "elsewhere.pt")
    file = record_run(
        sweep, model, name="mine", base=base.state_dict(), hyperparameters={"lr": 0.1}, title="Mine", **LINEAR
    )
    assert file == sweep / "mine.safetensors"
    assert safetensors.torch.load_file(file)["head.weight"].equal(model.head.weight)
    zoo = sc.open_zoo(sweep)
    assert (zoo.title, zoo.names) == ("Mine", ("mine",))
    again = Path(record_run(sweep, moved(model, 0.1), base=sweep / "base.safetensors") or "")
    assert again.name == "run-1.safetensors"
    assert sc.open_zoo(sweep).names == ("mine", "run-1")


def test_what_a_person_wrote_into_zoo_toml_stays(sweep: Path) -> None:
    record_run(sweep, Linear(CLASSES), **LINEAR)
    file = sweep / "zoo.toml"
    file.write_text("# seen by me\n" + file.read_text())
    record_run(sweep, Linear(CLASSES))
    assert file.read_text().startswith("# seen by me\n")
    assert sc.open_zoo(sweep).names == ("run-1", "run-2")


def test_a_run_that_starts_elsewhere_is_refused_before_it_is_trained(sweep: Path) -> None:
    first, other = Linear(CLASSES), Linear(CLASSES)
    other.head.bias = first.head.bias
    with recorded_run(sweep, first, **LINEAR):
        moved(first, 0.1)
    with pytest.raises(sc.SoupError, match=r"other weights than base\.safetensors.*tensors differ \(head\.weight"):
        begin_run(sweep, other, **LINEAR)
    assert begin_run(sweep, other, base=False).start_digest is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"architecture": {"name": "test_linear", "num_classes": 9}},
            r"head\.weight has shape \(3, 4\), expected \(9, 4\)",
        ),
        ({"architecture": "torchvision:resnet18"}, "is not torchvision:resnet18"),
        ({"architecture": "torchvision:nothing"}, "no classifier 'nothing'"),
        ({"architecture": None}, "Which network is it"),
        ({"data": "tensors:gone.safetensors"}, "There are no images at gone"),
        ({"data": None}, "Which images judge the runs"),
        ({"data": "nonsense"}, r"data, key source"),
        ({"name": "a/b"}, "can be none"),
        ({"name": "base"}, "has a 'base' already"),
        ({"network": "student"}, "no part 'student'"),
    ],
)
def test_what_keeps_a_run_out_is_said_before_it_is_trained(
    sweep: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(sc.SoupError, match=sentence):
        begin_run(sweep, Linear(CLASSES), **{**LINEAR, **options})
    assert not (sweep / "zoo.toml").exists()
    assert not (sweep / "base.safetensors").exists()


def test_image_files_need_to_be_told_what_they_become(sweep: Path, photographs: Path) -> None:
    with pytest.raises(sc.SoupError, match="is not known; say what images become"):
        begin_run(sweep, Linear(CLASSES), **{**LINEAR, "data": f"imagefolder:{photographs}"})


def test_the_network_is_found_within_what_trains_it(sweep: Path) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Linear(CLASSES)
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(CLASSES))

    holder = Holder()
    compiled = {f"module._orig_mod.{name}": tensor for name, tensor in holder.backbone.state_dict().items()}
    for model in (holder, compiled, holder.backbone):
        record_run(sweep, model, **LINEAR)
    plain = holder.backbone.state_dict()
    for number in (1, 2, 3):
        written = safetensors.torch.load_file(sweep / f"run-{number}.safetensors")
        assert {name: tensor.tolist() for name, tensor in written.items()} == {
            name: tensor.tolist() for name, tensor in plain.items()
        }
    twins = nn.ModuleDict({"student": Linear(CLASSES), "teacher": Linear(CLASSES)})
    with pytest.raises(sc.SoupError, match="student, teacher; say which"):
        record_run(sweep, twins)
    record_run(sweep, twins, network="teacher", name="taught")
    assert safetensors.torch.load_file(sweep / "taught.safetensors")["head.bias"].equal(twins["teacher"].head.bias)


def test_tied_weights_are_written_each(sweep: Path) -> None:
    model = Linear(CLASSES)
    state = dict(model.state_dict())
    shared = torch.randn(CLASSES * (SIDE * SIDE + 1))
    state["head.weight"], state["head.bias"] = shared[:-CLASSES].view(CLASSES, -1), shared[-CLASSES:]
    file = record_run(sweep, state, **LINEAR)
    assert safetensors.torch.load_file(str(file))["head.bias"].equal(shared[-CLASSES:])


def test_another_network_or_other_inputs_are_refused(sweep: Path) -> None:
    record_run(sweep, Linear(CLASSES), **LINEAR)
    with pytest.raises(sc.SoupError, match=r"data\.normalize, says None, and this run"):
        record_run(sweep, Linear(CLASSES), preprocessing={"normalize": {"mean": [0.5], "std": [0.5]}})
    with pytest.raises(sc.SoupError, match="expected"):
        record_run(sweep, Linear(CLASSES + 1))
    with pytest.raises(sc.SoupError, match="bundled"):
        record_run(sc.data.ASSETS / "zoos" / "fashion", Linear(CLASSES))
    assert sc.open_zoo(sweep).names == ("run-1",)


def test_weights_that_are_not_finite_are_kept_and_not_listed(sweep: Path) -> None:
    model = Linear(CLASSES)
    with torch.no_grad():
        model.head.bias[0] = torch.nan
    with pytest.warns(UserWarning, match=r"not listed in zoo\.toml: it holds NaN or infinity in head\.bias"):
        file = record_run(sweep, model, **LINEAR)
    assert Path(str(file)).exists()
    assert not (sweep / "zoo.toml").exists()
    record_run(sweep, Linear(CLASSES), **LINEAR)
    assert sc.open_zoo(sweep).names == ("run-2",)


def test_a_run_that_fails_is_not_recorded(sweep: Path) -> None:
    with pytest.raises(RuntimeError), recorded_run(sweep, Linear(CLASSES), **LINEAR):
        raise RuntimeError
    assert [path.name for path in sweep.glob("run-*")] == []


def test_weights_survive_a_zoo_toml_that_takes_no_entry(sweep: Path) -> None:
    model = Linear(CLASSES)
    run = begin_run(sweep, model, **LINEAR)
    (sweep / "zoo.toml").write_text("format = 1\nnonsense")
    with pytest.raises(sc.SoupError, match=r"weights were written to (\S+), but .*zoo\.toml cannot be read") as told:
        run.end(model)
    file = str(told.value).split("written to ")[1].split(",")[0]
    assert safetensors.torch.load_file(file)["head.bias"].equal(model.head.bias)


def test_weights_survive_a_folder_that_cannot_be_written(sweep: Path) -> None:
    model = Linear(CLASSES)
    run = begin_run(sweep, model, **LINEAR)
    shutil.rmtree(sweep)
    sweep.write_text("a file where the folder was")
    with pytest.raises(sc.SoupError, match="not into its zoo") as told:
        run.end(model)
    file = str(told.value).split("written to ")[1].split(",")[0]
    assert safetensors.torch.load_file(file)["head.bias"].equal(model.head.bias)


def test_of_several_processes_the_first_alone_writes(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert record_run(sweep, Linear(CLASSES), **LINEAR) is None
    with recorded_run(sweep, Linear(CLASSES), **LINEAR):
        pass
    assert [path.name for path in sweep.iterdir()] == ["data.safetensors"]


def test_runs_that_end_at_once_in_several_processes_are_all_listed(sweep: Path) -> None:
    script = f"""
        from soup_core import architectures, callbacks
        from tests.zoos import Linear
        architectures.build = lambda name, num_classes, options=None: Linear(num_classes)
        run = callbacks.begin_run({str(sweep)!r}, Linear({CLASSES}), base=False, **{LINEAR!r})
        print(input(), flush=True)
        for _ in range(8):
            run.end(Linear({CLASSES}))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin
    assert other.stdout
    run = begin_run(sweep, Linear(CLASSES), base=False, **LINEAR)
    print("begin", file=other.stdin, flush=True)
    assert other.stdout.readline() == "begin\n"  # it is as far as this process
    for _ in range(8):
        run.end(Linear(CLASSES))
    other.communicate()
    assert other.returncode == 0
    names = sc.open_zoo(sweep).names
    assert sorted(names, key=lambda name: int(name[4:])) == [f"run-{number}" for number in range(1, 17)]
    assert not list(sweep.glob(".*"))
