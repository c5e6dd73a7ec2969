"""Out of it and back: what was exported loads elsewhere, scores the same, survives a kill, and says what it is made of."""

import csv
import io
import json
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import soup_core as sc
from soup_core import architectures, cli, export
from soup_core.checkpoints import Checkpoint
from soup_core.recipes.greedy import GreedyStep
from tests import ROOT
from tests.digests import digest_of
from tests.zoos import CLASSES, linears_around_zero, random_linears, write_zoo

Make = Callable[..., Path]
Exported = tuple[sc.Zoo, bytes, bytes]
EXPORTED = ("soup", "soup.md", "soup.py")


def put_images(folder: Path, *shape: int, images: int = 60) -> None:
    """Replace a made zoo's images by random ones of another shape."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for split in ("held_out", "test", "train"):
        tensors[f"{split}.images"] = torch.randint(0, 256, (images, *shape), generator=generator, dtype=torch.uint8)
        tensors[f"{split}.labels"] = torch.randint(0, CLASSES, (images,), generator=generator)
    safetensors.torch.save_file(tensors, folder / "data.safetensors")


def noisy(module: nn.Module, count: int = 2) -> dict[str, dict[str, Tensor]]:
    """State_dicts about that of a module, with running statistics of their own."""
    generator = torch.Generator().manual_seed(2)
    return {
        f"m{index}": {
            name: tensor + 0.05 * torch.rand(tensor.shape, generator=generator)
            if tensor.is_floating_point()
            else tensor
            for name, tensor in module.state_dict().items()
        }
        for index in range(count)
    }


def made(folder: Path, architecture: str, *shape: int, count: int = 2) -> sc.Zoo:
    """A zoo of noisy copies of an architecture, on random images."""
    torch.manual_seed(0)
    write_zoo(folder, noisy(architectures.build(architecture, CLASSES), count), architecture=architecture)
    put_images(folder, *shape)
    return sc.open_zoo(folder)


def out(zoo: sc.Zoo, soup: sc.Soup | None = None, **options: Any) -> sc.Export:
    return sc.Export(soup or sc.uniform_soup(zoo), sc.Evaluator(zoo, device="cpu"), **options)


def same(model: nn.Module, exported: sc.Export) -> None:
    """The plain model gives the evaluator's logits, and the same images right."""
    held_out = exported.held_out
    with torch.inference_mode():
        logits = model.eval()(held_out.zoo.data.normalization(held_out.data.images))
    torch.testing.assert_close(logits, held_out.logits(exported.soup), atol=1e-5, rtol=1e-5)
    right = (logits.argmax(1) == held_out.data.labels).numpy()
    assert right.tolist() == held_out(exported.soup).bits().tolist()
    assert 0 < right.sum() < len(right)


def loaded_as_the_card_says(folder: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Run the code that the card gives, where the file is."""
    code = re.search(r"```python\n(.*?)\n```", (folder / f"{file}.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(folder)
    place: dict[str, Any] = {}
    exec(code[1], place)
    model = place["model"]
    assert isinstance(model, nn.Module)
    return model


@pytest.mark.parametrize("format", ["safetensors", "torchvision"])
def test_a_resnet_with_batch_norm_loads_strictly_into_torchvision(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import resnet18

    zoo = made(tmp_path / "z", "torchvision:resnet18", 3, 32, 32)
    exported = out(zoo, format=format)
    sc.export_soup(exported, tmp_path / "out" / "soup")
    plain = resnet18(num_classes=CLASSES)
    file = tmp_path / "out" / "soup"
    theta = safetensors.torch.load_file(file) if format == "safetensors" else torch.load(file)
    plain.load_state_dict(theta, strict=True)
    same(plain, exported)
    same(loaded_as_the_card_says(tmp_path / "out", "soup", monkeypatch), exported)


@pytest.mark.parametrize("statistics", ["averaged", "re-estimated", "first"])
def test_the_bundled_network_loads_with_each_choice_of_statistics(
    statistics: Any, tmp_path: Path, deep_zoo: Make
) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    exported = out(zoo, sc.uniform_soup(zoo, batch_norm=statistics))
    sc.export_soup(exported, tmp_path / "soup")
    module = zoo.module()
    module.load_state_dict(safetensors.torch.load_file(tmp_path / "soup"), strict=True)
    same(module, exported)
    assert json.loads(exported.recipe)["batch_norm"] == statistics


def test_fashion_cnn_loads_as_its_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = made(tmp_path / "z", "fashion_cnn", 1, 28, 28)
    exported = out(zoo)
    sc.export_soup(exported, tmp_path / "a soup")
    same(loaded_as_the_card_says(tmp_path, "a soup", monkeypatch), exported)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_timm_loads_what_is_exported_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")

    def build(name: str, num_classes: int, options: object = None) -> nn.Module:
        model: nn.Module = timm.create_model("test_resnet", num_classes=num_classes)
        return model

    monkeypatch.setattr(architectures, "build", build)
    zoo = made(tmp_path / "z", "timm:test_resnet", 3, 32, 32)
    for format in ("timm", "safetensors"):
        exported = out(zoo, format=format)
        file = tmp_path / "out" / f"soup.{'safetensors' if format == 'safetensors' else 'pth'}"
        sc.export_soup(exported, file)
        same(timm.create_model("test_resnet", num_classes=CLASSES, checkpoint_path=str(file)), exported)
        same(loaded_as_the_card_says(file.parent, file.name, monkeypatch), exported)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("wrapped", [False, True])
def test_transformers_loads_the_exported_folder(wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=8,
        patch_size=4,
        num_labels=CLASSES,
    )

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.ViTForImageClassification(config)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.model(images).logits
            return logits

    if wrapped:
        monkeypatch.setattr(architectures, "build", lambda name, num_classes, options=None: Logits())
    else:
        config.save_pretrained(tmp_path / "z" / "vit")
        monkeypatch.chdir(tmp_path / "z")
    zoo = made(tmp_path / "z", "test_vit" if wrapped else "transformers:vit", 3, 8, 8)
    exported = out(zoo, format="transformers")
    written = sc.export_soup(exported, tmp_path / "soup")
    assert {path.relative_to(tmp_path).as_posix() for path in written} == {
        "soup/model.safetensors",
        "soup/config.json",
        "soup.md",
        "soup.py",
    }
    model, told = transformers.ViTForImageClassification.from_pretrained(tmp_path / "soup", output_loading_info=True)
    assert {"missing_keys", "unexpected_keys", "mismatched_keys"} <= set(told)
    assert not any(told.values()), told
    by_card = loaded_as_the_card_says(tmp_path, "soup", monkeypatch)
    for loaded in (model, by_card):
        plain = Logits()
        plain.model.load_state_dict(loaded.state_dict(), strict=True)
        same(plain, exported)


def test_a_format_that_does_not_suit_is_refused_in_one_sentence(linear_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    for format, words in (
        ("timm", "is for an architecture timm:NAME"),
        ("torchvision", "take safetensors"),
        ("transformers", "take safetensors"),
        ("onnx", "one of safetensors"),
    ):
        with pytest.raises(sc.SoupError, match=words):
            sc.export_soup(out(zoo, format=format), tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


def test_a_checkpoint_of_the_zoo_is_not_overwritten(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    before = zoo.by_name["m0"].file.read_bytes()
    with pytest.raises(sc.SoupError, match="another name"):
        sc.export_soup(out(zoo), zoo.folder / "." / "m0.safetensors")
    assert zoo.by_name["m0"].file.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_row_32_the_files_dtype_is_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    files = {name: {key: value.to(dtype) for key, value in m.items()} for name, m in random_linears(3).items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    sc.export_soup(out(zoo), tmp_path / "soup")
    found = safetensors.torch.load_file(tmp_path / "soup")
    for name, tensor in found.items():
        mean = torch.stack([model[name].double() for model in files.values()]).mean(0)
        assert tensor.dtype == dtype
        assert torch.equal(tensor, mean.float().to(dtype))
    module = zoo.module()
    module.load_state_dict(found, strict=True)
    same(module, out(zoo))


def test_row_32_an_overflow_on_the_cast_is_reported(tmp_path: Path) -> None:
    models = {
        name: {key: torch.full_like(value, 40_000).half() for key, value in model.items()}
        for name, model in random_linears(2).items()
    }
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", models))
    sc.export_soup(out(zoo), tmp_path / "mean")
    assert torch.equal(safetensors.torch.load_file(tmp_path / "mean")["head.bias"], models["m0"]["head.bias"])
    with pytest.raises(sc.CheckpointError, match=r"head\.\w+ is too large for float16"):
        export.weights(zoo, sc.Soup({"m0": 1.0, "m1": 1.0}))


@pytest.mark.parametrize("format", ["safetensors", "torchvision"])
def test_row_34_tied_tensors_load_again(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.outward = nn.Linear(4, 4), nn.Linear(4, 4)
            self.outward.weight = self.inward.weight

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.outward(self.inward(images.flatten(1)).tanh())[:, :CLASSES]
            return logits

    monkeypatch.setattr(architectures, "build", lambda name, num_classes, options=None: Tied())
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", noisy(Tied(), 3), architecture="torchvision:tied"))
    # one of the two names has coefficients of its own, as a soup learned tensor by tensor gives it
    soup = sc.Soup({"m0": 0.5, "m1": 0.5}, {"outward.weight": {"m2": 1.0}})
    exported = out(zoo, soup, format=format)
    sc.export_soup(exported, tmp_path / "soup")
    file = tmp_path / "soup"
    theta = safetensors.torch.load_file(file) if format == "safetensors" else torch.load(file)
    assert torch.equal(theta["inward.weight"], theta["outward.weight"])
    module = Tied()
    module.load_state_dict(theta, strict=True)
    same(module, exported)


KILLED = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
import soup_core as sc

zoo, path, rounds = sc.open_zoo(sys.argv[1]), Path(sys.argv[2]) / "soup", int(sys.argv[3])
left = []
held_out = sc.Evaluator(zoo, device="cpu")
exports = [sc.Export(sc.Soup({name: 1.0}), held_out) for name in zoo.names]
for each in exports:
    sc.export_soup(each, path)
whole = {hashlib.sha256(sc.export.safetensors_bytes(each)).hexdigest() for each in exports}
chance = random.Random(39)
while rounds > 0 or not left:  # until a kill came while a temporary file was being written
    rounds -= 1
    child = os.fork()
    if child == 0:
        while True:
            for each in exports:
                sc.export_soup(each, path)
    time.sleep(chance.uniform(0.002, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in whole
    left = [each.name for each in path.parent.iterdir() if each.name.startswith(".")]
    seen = {each.name for each in path.parent.iterdir() if not each.name.startswith(".")}
    assert seen == {"soup", "soup.md", "soup.py"}, seen
"""


def run_python(*arguments: str, cwd: Path, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_row_39_a_kill_in_the_middle_leaves_a_whole_file(tmp_path: Path) -> None:
    zoo = made(tmp_path / "z", "fashion_cnn", 1, 28, 28)
    (tmp_path / "out").mkdir()
    run_python("-c", KILLED, str(zoo.folder), str(tmp_path / "out"), "20", cwd=tmp_path)


@pytest.mark.parametrize("written_before", range(3))
def test_row_40_a_full_disk_at_each_file_leaves_the_old_ones(
    written_before: int, linear_zoo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    (tmp_path / "out").mkdir()
    sc.export_soup(out(zoo, sc.Soup({"m0": 1.0})), tmp_path / "out" / "soup")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    new = out(zoo)
    assert new.recipe
    calls = iter(range(100))
    sync = os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == written_before:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(sc.SoupError, match=r"No space left on device\); it needs \d+\.\d MB"):
        sc.export_soup(new, tmp_path / "out" / "soup")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert set(before) == set(EXPORTED)


@pytest.mark.parametrize("format", ["safetensors", "torchvision"])
def test_row_40_a_file_that_finds_no_room_is_not_begun(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses to let a file grow, in the middle of the library's own writing."""
    build = architectures.build
    monkeypatch.setattr(
        architectures, "build", lambda name, num_classes, options=None: build("fashion_cnn", num_classes)
    )
    zoo = made(tmp_path / "z", "torchvision:stand-in", 1, 28, 28)
    new = out(zoo, format=format)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "soup").write_bytes(b"old")
    assert new.recipe
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(sc.SoupError, match=r"File too large.*; it needs \d\.\d MB"):
            sc.export_soup(new, tmp_path / "out" / "soup")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()] == [("soup", b"old")]


def test_row_40_a_place_that_is_none_is_one_sentence(linear_zoo: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    zoo = sc.open_zoo(linear_zoo(2))
    for place in (tmp_path / "file" / "soup", tmp_path / "folder"):
        with pytest.raises(sc.SoupError, match="could not be written"):
            sc.export_soup(out(zoo), place)
    assert list((tmp_path / "folder").iterdir()) == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def learned_like(zoo: sc.Zoo) -> sc.Soup:
    """Coefficients for the model, others for one tensor, and another choice of statistics."""
    return sc.Soup({"m0": 0.3, "m1": 0.7}, {"head.weight": {"m2": 1 / 3, "base": 2 / 3}}, "first")


def test_the_script_and_the_command_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as a reader of the card would: a soup that its names say, and one whose coefficients are in the card."""
    zoo = made(tmp_path / "zoo of mine", "fashion_cnn", 1, 28, 28, count=3)
    mixed = sc.Soup({"m0": 0.1, "m1": 0.2, "m2": 0.7}, {"head.bias": {"m1": 1.0}}, "first")
    for number, soup in enumerate((sc.uniform_soup(zoo, ["m0", "m2"]), mixed)):
        folder = tmp_path / str(number)
        exported = out(zoo, soup, test=sc.Evaluator(zoo, "test", "cpu"), title="Soup of the day")
        sc.export_soup(exported, folder / "a soup")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        told = re.search(r"```\npython -m soup_core (.*)\npython '(a soup.py)'\n```", before["a soup.md"].decode())
        assert told is not None
        (folder / "a soup").unlink()
        monkeypatch.chdir(folder)
        cli.application()(shlex.split(told[1]), standalone_mode=False)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "a soup").unlink()
    run_python(told[2], cwd=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_recipe_card_and_file_all_bring_the_soup_back(deep_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    for soup in (sc.uniform_soup(zoo), learned_like(zoo)):
        exported = out(zoo, soup)
        sc.export_soup(exported, tmp_path / "soup")
        card = (tmp_path / "soup.md").read_bytes()
        for content in (
            exported.recipe.encode(),
            card,
            card.replace(b"\n", b"\r\n"),
            (tmp_path / "soup").read_bytes(),
            export.read_recipe(tmp_path / "soup"),
            soup.to_json().encode(),
            json.dumps({"soup": json.loads(soup.to_json())}).encode(),
        ):
            assert sc.imported(content, zoo) == soup


def test_the_metadata_says_what_the_soup_is_made_of(deep_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    soup = learned_like(zoo)
    test = sc.Evaluator(zoo, "test", "cpu")
    sc.export_soup(out(zoo, soup, test=test), tmp_path / "soup")
    told = json.loads(Checkpoint(tmp_path / "soup").metadata["soup_core"])
    assert sc.Soup.from_json(json.dumps(told["soup"])) == soup
    assert {name: entry["digest"] for name, entry in told["ingredients"].items()} == {
        name: digest_of(safetensors.torch.load_file(zoo.by_name[name].file)) for name in soup.names
    }
    assert told["batch_norm"] == "first"
    assert told["made_by"] == {"soup_core": sc.__version__, "torch": torch.__version__}
    singles = {name: sc.Evaluator(zoo)(sc.Soup({name: 1.0})).correct for name in zoo.names}
    best = min(singles, key=lambda name: (-singles[name], name))
    for split, evaluate in (("held_out", sc.Evaluator(zoo)), ("test", test)):
        found, single = evaluate(soup), evaluate(sc.Soup({best: 1.0}))
        said = told["accuracy"][split]
        assert (said["correct"], said["total"]) == (found.correct, found.total)
        assert tuple(said["interval"]) == sc.accuracy_interval(found)
        assert (said["best_single"]["name"], said["best_single"]["correct"]) == (best, single.correct)
        assert list(said["against_best_single"]) == ["difference", "p_value", "gained", "lost", "interval"]
        assert said["against_best_single"]["difference"] == (found.correct - single.correct) / found.total
        assert said["against_best_single"]["interval"] == [
            sc.compare(found, single).low,
            sc.compare(found, single).high,
        ]
        assert told["splits"][split] == {"digest": evaluate.data.digest, "images": found.total}


def test_the_test_images_are_not_loaded_unless_asked_for(
    linear_zoo: Make, tmp_path: Path, splits_asked: list[str]
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    sc.export_soup(out(zoo), tmp_path / "soup")
    assert set(splits_asked) == {"held_out"}
    assert "| test |" not in (tmp_path / "soup.md").read_text()
    assert "were not asked" in (tmp_path / "soup.md").read_text()


def test_an_infinite_hyperparameter_is_still_json(linear_zoo: Make) -> None:
    folder = linear_zoo(2)
    text = (folder / "zoo.toml").read_text().replace("learning_rate = 0.1", "learning_rate = inf", 1)
    (folder / "zoo.toml").write_text(text)
    told = json.loads(out(sc.open_zoo(folder)).recipe)
    assert told["ingredients"]["m0"]["hyperparameters"]["learning_rate"] == "inf"


def test_the_card_lists_counts_ingredients_and_the_paper(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    exported = out(zoo, sc.Soup({"m1": 0.25, "m3": 0.75}))
    text = export.model_card(exported, "soup")
    found = exported.held_out(exported.soup)
    assert text.startswith("# Soup of 2 ingredients\n")
    assert f"{found.correct} of {found.total}: {100 * found.accuracy:.1f} %" in text
    assert "| m1 | 0.25 | 0.1 | m1.safetensors |" in text
    assert "| m3 | 0.75 | 0.1 | m3.safetensors |" in text
    assert "2203.05482" in text
    assert sc.title_of(sc.Soup({"m1": 1.0})) == "m1"
    assert sc.title_of(sc.uniform_soup(zoo)) == "Uniform soup of 4 ingredients"
    assert sc.title_of(sc.uniform_soup(zoo), "Greedy soup") == "Greedy soup of 4 ingredients"


HOSTILE = "![x](http://192.0.2.1/x.png) <img src=x> | **b** ```\\n# h {0} {title} % ' \\\" \\u202e"


def test_row_36_hostile_names_stay_literal(tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", random_linears(3))
    text = (folder / "zoo.toml").read_text().replace('name = "m0"', f'name = "{HOSTILE}"')
    (folder / "zoo.toml").write_text(text.replace("A made zoo", HOSTILE), encoding="utf-8")
    zoo = sc.open_zoo(folder)
    name = zoo.names[0]
    exported = out(zoo, sc.uniform_soup(zoo, [name, "m1"]), title=name)
    sc.export_soup(exported, tmp_path / "out" / "so`u|p")
    card = (tmp_path / "out" / "so`u|p.md").read_text()
    prose = re.sub(r"```.*?\n```", "", card, flags=re.DOTALL)
    assert prose.count("[") - prose.count("\\[") == 3  # the link, the mean and the deviation
    assert "<img" not in prose.replace("\\<", "")
    assert "\u202e" not in card
    for line in card.splitlines():
        if line.startswith("| ") and "safetensors" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert sc.imported(card.encode(), zoo) == exported.soup
    compile((tmp_path / "out" / "so`u|p.py").read_text(), "script", "exec")
    assert "so`u|p.md" in export.command(exported, "so`u|p")  # a name that does not fit a line is taken from the card


def test_an_import_names_what_does_not_fit(linear_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    recipe = json.loads(out(zoo).recipe)
    other = sc.open_zoo(linear_zoo(3, seed=5))
    with pytest.raises(sc.CoefficientError, match="m0 is another file than the one in the zoo"):
        sc.imported(json.dumps(recipe).encode(), other)
    with pytest.raises(sc.CoefficientError, match="no ingredient 'm2'"):
        sc.imported(json.dumps(recipe).encode(), sc.open_zoo(linear_zoo(2)))
    recipe["soup"]["tensors"] = {"tail.weight": {"m0": 1.0}}
    with pytest.raises(sc.CoefficientError, match=r"no tensor 'tail\.weight'"):
        sc.imported(json.dumps(recipe).encode(), zoo)


def header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


BAD: Mapping[str, bytes] = {
    "empty": b"",
    "text": b"a soup",
    "a list": b"[1, 2]",
    "not UTF-8": b"\xff\xfe\x00\x01",
    "deep": b"[" * 100_000,
    "deep within": b'{"soup": ' + b'{"a": ' * 100_000,
    "twice the same name": b'{"m0": 1.0, "m0": 0.5}',
    "not finite": b'{"m0": NaN}',
    "a huge number": b'{"m0": 1' + b"0" * 400 + b"}",
    "a number of many digits": b'{"m0": ' + b"1" * 100_000 + b"}",
    "a surrogate": b'{"\\ud800": 1.0}',
    "nothing": b'{"soup": {}}',
    "text for a number": b'{"soup": {"m0": "1"}}',
    "tensors that are none": b'{"soup": {"m0": 1, "tensors": [1]}}',
    "statistics that are none": b'{"soup": {"m0": 1, "batch_norm": {"a": 1}}}',
    "a digest that is none": b'{"soup": {"m0": 1}, "ingredients": {"m0": {"digest": ["\\ud800"]}}}',
    "a checkpoint without a recipe": header(b'{"__metadata__":{"format":"pt"}}'),
    "metadata that is none": header(b'{"__metadata__":[1]}'),
    "a recipe that is none": header(b'{"__metadata__":{"soup_core":"[]"}}'),
    "a header that lies": (10**6).to_bytes(8, "little") + b'{"__metadata__"',
    "a card without a recipe": b"# Soup\n\n```json\n```\n",
    "too large": b'{"m0": 1.0}' + b" " * export.RECIPE_BYTES_AT_MOST,
}
NO_RECIPE = "There is no recipe of a soup in this file; expected .*Found b"
WORDS = {
    "not finite": "coefficient of m0 must be a finite number; found nan",
    "a huge number": "A soup is a JSON object .*too large",
    "a surrogate": "There is no ingredient",
    "nothing": "at least one ingredient with a coefficient other than zero",
    "text for a number": "coefficient of m0 must be a finite number; found '1'",
    "tensors that are none": "A soup is a JSON object",
    "statistics that are none": "one of averaged, re-estimated, first; found {'a': 1}",
    "a digest that is none": "m0 is another file than the one in the zoo",
    "a list": f"{NO_RECIPE}.*no table of names and values",
    "twice the same name": f"{NO_RECIPE}.*the same name stands in it twice",
    "a recipe that is none": f"{NO_RECIPE}.*no table of names and values",
    "too large": f"{NO_RECIPE}.*more than 8 MB",
}


@pytest.mark.parametrize("case", BAD)
def test_a_hostile_import_is_one_sentence(case: str, linear_zoo: Make) -> None:
    with pytest.raises(sc.CoefficientError, match=WORDS.get(case, NO_RECIPE)) as error:
        sc.imported(BAD[case], sc.open_zoo(linear_zoo(2)))
    str(error.value).encode()  # can be shown
    assert len(str(error.value)) < 600


@pytest.fixture
def exported(linear_zoo: Make) -> Exported:
    """A zoo, and a soup of it as a file of weights and as a recipe."""
    zoo = sc.open_zoo(linear_zoo(2))
    return zoo, export.safetensors_bytes(out(zoo)), out(zoo).recipe.encode()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_recipe_damaged_anywhere_is_read_or_refused(data: st.DataObject, exported: Exported) -> None:
    zoo, *files = exported
    whole = data.draw(st.sampled_from(files))
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + data.draw(st.binary(max_size=4)) + whole[place + data.draw(st.integers(0, 4)) :]
    try:
        assert isinstance(sc.imported(damaged, zoo), sc.Soup)
    except sc.SoupError as error:
        str(error).encode()


def test_results_as_csv_keep_every_number(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    held_out = sc.Evaluator(zoo)
    singles = {name: held_out(sc.Soup({name: 1.0})) for name in zoo.names}
    rows = list(csv.DictReader(io.StringIO(export.csv_text(export.ingredient_rows(zoo, singles)))))
    assert [row["name"] for row in rows] == list(zoo.names)
    for row in rows:
        assert int(row["held_out_correct"]) == singles[row["name"]].correct
        assert float(row["held_out_accuracy"]) == singles[row["name"]].accuracy
        assert float(row["learning_rate"]) == 0.1
        assert row["digest"] == zoo.by_name[row["name"]].digest
    steps: list[GreedyStep] = list(sc.greedy_soup(zoo, held_out))
    walked = list(csv.DictReader(io.StringIO(export.csv_text(map(export.step_row, steps)))))
    assert [row["candidate"] for row in walked] == [step.candidate for step in steps]
    assert [row["correct"] for row in walked] == [
        str(step.evaluation.correct) if step.evaluation else "" for step in steps
    ]
    assert walked[-1]["ingredients"].split("; ") == list(steps[-1].soup.names)


def test_the_face_off_as_csv(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", linears_around_zero(3)))
    held_out, test = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    best = test(sc.Soup({"m0": 1.0}))
    uniform = next(sc.face_off(zoo, held_out))
    (row,) = csv.DictReader(io.StringIO(export.csv_text(export.entry_rows([uniform], best))))
    comparison = sc.compare(test(uniform.soup), best)
    assert row["recipe"] == "Uniform soup"
    assert int(row["test_correct"]) == test(uniform.soup).correct
    assert [float(row[f"test_{key}"]) for key in ("difference", "p_value")] == [
        comparison.difference,
        comparison.p_value,
    ]
    assert int(row["models"]) == 1
    figures = [
        "correct",
        "total",
        "accuracy",
        "low",
        "high",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "gained",
        "lost",
    ]
    assert [key for key in row if key.startswith("test_")] == [f"test_{key}" for key in figures]
    assert (float(row["test_low"]), float(row["test_high"])) == sc.accuracy_interval(test(uniform.soup))
    assert (float(row["test_difference_low"]), float(row["test_difference_high"])) == (comparison.low, comparison.high)
    assert [int(row["test_gained"]), int(row["test_lost"])] == [comparison.gained, comparison.lost]


def test_a_cell_is_no_formula() -> None:
    cells = [
        "=1+1",
        "+1 000",
        "-cmd",
        "@SUM(A1)",
        "\t=1",
        "-0.5",
        "+1e-3",
        "-",
        "plain",
        -2.5,
        None,
        'a,"b"\nc',
        "-1;=1",
    ]
    rows = [{"=head": cell} for cell in cells]
    found = [row[0] if row else "" for row in csv.reader(io.StringIO(export.csv_text(rows)))]
    assert found == [
        "'=head",
        "'=1+1",
        "'+1 000",
        "'-cmd",
        "'@SUM(A1)",
        "'\t=1",
        "-0.5",
        "+1e-3",
        "'-",
        "plain",
        "-2.5",
        "",
        'a,"b"\nc',
        "'-1;=1",
    ]


def test_rows_of_different_keys_share_their_heads() -> None:
    assert export.csv_text([{"a": 1}, {"b": ["x", "y"]}]) == "a,b\r\n1,\r\n,x; y\r\n"


def test_a_hyperparameter_that_is_named_as_a_column_keeps_apart(linear_zoo: Make) -> None:
    folder = linear_zoo(2)
    (folder / "zoo.toml").write_text((folder / "zoo.toml").read_text().replace("learning_rate", "digest"))
    zoo = sc.open_zoo(folder)
    held_out = sc.Evaluator(zoo)
    rows = export.ingredient_rows(zoo, {name: held_out(sc.Soup({name: 1.0})) for name in zoo.names})
    assert rows[0]["digest"] == zoo.by_name["m0"].digest
    assert rows[0]["hyperparameter digest"] == 0.1


def test_nothing_is_evaluated_before_it_is_needed(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    exported = out(zoo)
    assert replace(exported, title="another").title == "another"
    assert export.command(exported, "soup")
    assert not evaluated
    assert exported.recipe
    assert evaluated


def test_the_python_of_a_soup_makes_its_weights(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo())
    for soup in (
        sc.uniform_soup(zoo),
        sc.Soup({"m0": 0.3, "m4": 0.7}),
        sc.Soup({"m0": 1.0}, {"head.bias": {"m1": 1.0}}),
    ):
        names: dict[str, Any] = {}
        exec(export.python(sc.Export(soup, sc.Evaluator(zoo))), names)
        expected = sc.state_dict(zoo, soup)
        assert all(torch.equal(expected[key], names["theta"][key]) for key in expected)
        assert names["evaluation"] == sc.Evaluator(zoo)(soup)


def test_a_table_in_markdown_holds_names_as_text() -> None:
    rows = [{"name": "a|b <i>", "names": ["x", "_y_"], "share": 0.5}, {"name": "c", "further": None}]
    assert export.markdown_table(rows) == "\n".join(
        (
            "| name | names | share | further |",
            "| --- | --- | --- | --- |",
            "| a\\|b \\<i\\> | x\\, \\_y\\_ | 0.5 |  |",
            "| c |  |  |  |",
        )
    )
