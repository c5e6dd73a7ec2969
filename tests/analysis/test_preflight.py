"""Will it soup: right on the bundled zoos, and on made failures whose cause is known."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.analysis.preflight import CAUSES, Finding, diagnose, overall, preflight_checks
from soup_core.analysis.preflight.checks import _against
from soup_core.weight_space.permutation import alignment
from tests.zoos import CLASSES, Deep, made_data, vector, write_zoo

Files = dict[str, dict[str, Tensor]]


def trained(
    folder: Path, seed: int, start: Mapping[str, Tensor] | None = None, steps: int = 60, rate: float = 0.003
) -> dict[str, Tensor]:
    """A `Deep` trained on the made training images, in batches of 30 drawn by the seed."""
    file = folder / "data.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made_data(folder)
    data = safetensors.torch.load_file(file)
    images, labels = data["train.images"].float() / 255, data["train.labels"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Deep(CLASSES)
        if start:
            module.load_state_dict(start)
        optimizer = torch.optim.Adam(module.parameters(), rate)
        for _ in range(steps):
            batch = torch.randint(len(labels), (30,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(images[batch]), labels[batch]).backward()
            optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Four fine-tunings of one base, and the base."""
    folder = tmp_path_factory.mktemp("good")
    base = trained(folder, 0, steps=200, rate=0.01)
    return {**{f"m{seed}": trained(folder, seed, base) for seed in range(1, 5)}, "base": base}


Check = Callable[..., dict[str, Finding]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(files: Files, names: list[str] | None = None, **options: int) -> dict[str, Finding]:
        zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", files, architecture="test_deep"))
        found = list(preflight_checks(zoo, sc.Evaluator(zoo), names, **options))
        assert {each.what for each in found} <= set(CAUSES)
        assert len({each.what for each in found}) == len(found)
        assert all("\n" not in each.sentence and each.sentence.endswith(".") for each in found)
        return {each.what: each for each in found}

    return run


def permuted(tensors: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """The same function with its channels and its hidden units in another order."""
    generator = torch.Generator().manual_seed(seed)
    channels, units = torch.randperm(5, generator=generator), torch.randperm(32, generator=generator)
    found = dict(tensors)
    for name in ("stem.weight", "stem.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
        found[name] = tensors[name][channels]
    found["hidden.weight"] = tensors["hidden.weight"].view(32, 5, 9)[:, channels].reshape(32, 45)[units]
    found["hidden.bias"] = tensors["hidden.bias"][units]
    found["head.weight"] = tensors["head.weight"][:, units]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fashion", "good"),
        ("fashion-trajectory", "good"),
        ("fashion-batchnorm", "good"),
        ("fashion-scratch", "warning"),
    ],
)
def test_bundled_zoos(name: str, expected: str, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(name)
    found = list(preflight_checks(zoo, sc.Evaluator(zoo), pairs=3, images=300))
    assert overall(found).verdict == expected
    warned = {each.what for each in found if each.verdict == "warning"}
    assert warned == ({"shared start", "barrier", "average"} if name == "fashion-scratch" else set())
    assert ("batch norm" in {each.what for each in found}) == (name == "fashion-batchnorm")
    assert set(splits_asked) == {"held_out", *(["train"] if name == "fashion-batchnorm" else [])}


def test_two_that_moved_unequally_far_still_pass() -> None:
    """The longest and the shortest difference from the base in fashion: 0.68 and 0.18 of its length."""
    zoo = sc.open_zoo("fashion")
    found = list(preflight_checks(zoo, sc.Evaluator(zoo), ["ft-11", "ft-13"], images=200))
    assert {each.what: each.verdict for each in found}["lengths"] == "good"
    assert overall(found).verdict == "good"


def test_good_ones_pass(check: Check, good: Files) -> None:
    found = check(good)
    assert set(found) == {
        "fit",
        "duplicates",
        "shared start",
        "layers",
        "lengths",
        "scale",
        "angles",
        "learning rate",
        "accuracy",
        "barrier",
        "batch norm",
        "average",
    }
    assert not [each for each in found.values() if each.verdict == "warning"]
    assert overall(found.values()).verdict != "warning"
    assert "norm.num_batches_tracked" in found["fit"].sentence


def test_numbers_are_those_of_the_weights(check: Check, good: Files) -> None:
    found = check(good)
    matrices = ["stem.weight", "hidden.weight", "head.weight"]
    raw = torch.stack([vector(good[f"m{seed}"], matrices) for seed in range(1, 5)])
    cosine = (raw @ raw.T) / torch.outer(raw.norm(dim=1), raw.norm(dim=1))
    pairs = cosine[*torch.triu_indices(4, 4, 1)]
    assert f"are {pairs.min():.2f} to {pairs.max():.2f} " in found["shared start"].sentence
    base = vector(good["base"])
    lengths = torch.stack([(vector(good[f"m{seed}"]) - base).norm() for seed in range(1, 5)])
    relative = lengths / base.norm()
    assert f"are {relative.min():.2f} to {relative.max():.2f} of its length" in found["shared start"].sentence


def test_permuted_network(check: Check, good: Files, tmp_path: Path) -> None:
    files = {**good, "m2": permuted(good["m2"])}
    found = check(files)
    assert found["shared start"].verdict == "warning"
    assert found["shared start"].names == ("m2",)
    assert (found["neurons"].verdict, found["neurons"].names) == ("warning", ("m2",))
    assert overall(found.values()).verdict != "good"


def test_permutation_is_undone_exactly(good: Files, tmp_path: Path) -> None:
    files = {"a": good["m1"], "b": permuted(good["m1"]), "c": good["m1"]}
    zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", files, architecture="test_deep"))
    evaluate = sc.Evaluator(zoo)
    assert torch.allclose(evaluate.logits(sc.Soup({"a": 1.0})), evaluate.logits(sc.Soup({"b": 1.0})), atol=1e-5)
    found = alignment(zoo, "b", "a")
    tensors = list(found.tensors)
    a, b = vector(files["a"], tensors), vector(files["b"], tensors)
    assert {"hidden.weight", "head.weight"} <= set(tensors)
    assert found.before == pytest.approx(float(a @ b / (a.norm() * b.norm())))
    assert found.after == pytest.approx(1.0)
    assert alignment(zoo, "c", "a").tensors == ()


@pytest.mark.parametrize("based", [True, False])
def test_another_start(check: Check, good: Files, tmp_path: Path, based: bool) -> None:
    files = {**good, "m3": trained(tmp_path / "zoo", 99, steps=200, rate=0.01)}
    if not based:
        del files["base"]
    found = check(files)
    assert (found["shared start"].verdict, found["shared start"].names) == ("warning", ("m3",))
    assert found["neurons"].verdict == "notice"
    assert ("angles" in found) == based


def test_a_base_that_is_none(check: Check, good: Files, tmp_path: Path) -> None:
    found = check({**good, "base": trained(tmp_path / "zoo", 99)})
    assert found["shared start"].verdict != "warning"
    assert found["base"].names == ("base",)


@pytest.mark.parametrize("based", [True, False])
def test_thirty_times_the_weights(check: Check, good: Files, based: bool) -> None:
    files = {**good, "m4": {**good["m4"]}}
    for name in files["m4"]:
        if name.endswith(("weight", "bias")):
            files["m4"][name] = 30 * good["m4"][name]
    if not based:
        del files["base"]
    found = check(files)
    assert (found["lengths"].verdict, found["lengths"].names) == ("warning", ("m4",))
    assert found["scale"].names == ("m4",)
    if based:
        base = vector(good["base"])
        others = np.median([float((vector(good[f"m{seed}"]) - base).norm()) for seed in (1, 2, 3)])
        times = float((vector(files["m4"]) - base).norm()) / others
        assert f"up to {times:.1f} times as far from the base" in found["lengths"].sentence


def test_too_hot_a_rate(check: Check, good: Files, tmp_path: Path) -> None:
    files = {**good, "m2": trained(tmp_path / "zoo", 2, good["base"], rate=1.0)}
    found = check(files)
    assert found["lengths"].names == ("m2",)
    assert overall(found.values()).verdict != "good"


def test_a_head_of_its_own(check: Check, good: Files, tmp_path: Path) -> None:
    other = trained(tmp_path / "zoo", 7)
    files = {**good, "m1": {**good["m1"], "head.weight": other["head.weight"], "head.bias": other["head.bias"]}}
    found = check(files)
    assert (found["layers"].verdict, found["layers"].names) == ("warning", ("m1",))
    assert "head.weight" in found["layers"].sentence
    assert "hidden.weight" not in found["layers"].sentence
    assert found["neurons"].verdict == "notice"
    assert found["accuracy"].names == ("m1",)


def test_classes_in_another_order_are_another_function(check: Check, good: Files) -> None:
    """The head's rows match those of the others again, but a permutation of neurons shows in two tensors."""
    files = {**good, "m1": {**good["m1"], "head.weight": good["m1"]["head.weight"].roll(1, 0)}}
    found = check(files)
    assert found["layers"].names == ("m1",)
    assert (found["neurons"].verdict, found["neurons"].names) == ("notice", ("m1",))


@pytest.mark.parametrize("counted", [3, 4])
def test_duplicates(check: Check, good: Files, counted: int) -> None:
    """The same file twice, or the same weights beside another count of batches."""
    files = {**good, "copy": {**good["m2"], "norm.num_batches_tracked": torch.tensor(counted)}}
    files["m2"] = {**good["m2"], "norm.num_batches_tracked": torch.tensor(3)}
    found = check(files)
    assert (found["duplicates"].verdict, found["duplicates"].names) == ("notice", ("m2", "copy"))


def test_a_layer_at_another_scale(check: Check, good: Files) -> None:
    """A convolution before BatchNorm may be five times as long and mean the same."""
    files = {**good, "m3": {**good["m3"], "stem.weight": 5 * good["m3"]["stem.weight"]}}
    found = check(files)
    assert (found["scale"].verdict, found["scale"].names) == ("notice", ("m3",))
    others = np.median([float(good[f"m{seed}"]["stem.weight"].norm()) for seed in (1, 2, 4)])
    times = 5 * float(good["m3"]["stem.weight"].norm()) / others
    assert f"m3's stem.weight is {times:.2g} times" in found["scale"].sentence


def test_learning_rates(good: Files, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "zoo", good, architecture="test_deep")
    text = (folder / "zoo.toml").read_text()
    head, tail = text.split('name = "m4"')
    (folder / "zoo.toml").write_text(head + 'name = "m4"' + tail.replace("0.1", "0.9"))
    zoo = sc.open_zoo(folder)
    found = {each.what: each for each in preflight_checks(zoo, sc.Evaluator(zoo))}
    assert (found["learning rate"].verdict, found["learning rate"].names) == ("notice", ("m4",))
    assert "9.0 times" in found["learning rate"].sentence


def test_what_does_not_fit_is_told(good: Files, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "zoo", good, architecture="test_deep")
    torn = {**good["m3"], "head.weight": torch.zeros(CLASSES, 31)}
    safetensors.torch.save_file(torn, folder / "m3.safetensors")
    zoo = sc.open_zoo(folder)
    evaluate = sc.Evaluator(zoo)
    found = list(preflight_checks(zoo, evaluate, ["m1", "m3", "m4"]))
    assert (found[0].what, found[0].verdict, found[0].names) == ("fit", "notice", ("m3",))
    assert "head.weight" in found[0].sentence
    assert len(found) > 5
    assert [each.verdict for each in preflight_checks(zoo, evaluate, ["m1"])] == ["notice"]
    with pytest.raises(sc.CoefficientError, match="no ingredient 'm9'"):
        list(preflight_checks(zoo, evaluate, ["m1", "m9"]))


def test_only_the_selection_is_looked_at(check: Check, good: Files) -> None:
    files = {**good, "m2": permuted(good["m2"])}
    found = check(files, ["m1", "m3", "m4"])
    assert found["shared start"].verdict == "good"
    assert not [each for each in found.values() if "m2" in each.sentence or "m2" in each.names]


def test_statistics_without_training_images(good: Files, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "zoo", good, architecture="test_deep")
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("train")}
    safetensors.torch.save_file(kept, folder / "data.safetensors")
    zoo = sc.open_zoo(folder)
    found = {each.what: each for each in preflight_checks(zoo, sc.Evaluator(zoo))}
    assert found["batch norm"].verdict == "notice"
    assert "train.images" in found["batch norm"].sentence


def test_statistics_that_spoil_the_average(check: Check, good: Files) -> None:
    """Running means far off in one ingredient: its weights are sound, and re-estimation mends the average."""
    shifted = good["m1"]["norm.running_mean"] + 20
    found = check({**good, "m1": {**good["m1"], "norm.running_mean": shifted}})
    assert found["batch norm"].verdict == "warning"
    assert "choose the re-estimated" in found["batch norm"].sentence


def test_outliers_are_probed_and_a_seed_repeats(check: Check, good: Files, evaluated: list[sc.Soup]) -> None:
    files = {**good, "m2": permuted(good["m2"])}
    first = check(files, pairs=2, seed=3)
    probed = [soup.names for soup in evaluated if len(soup.names) == 2]
    assert len(probed) == 2
    assert all("m2" in pair for pair in probed)
    evaluated.clear()
    assert check(files, pairs=2, seed=3) == first
    assert not evaluated


def spoiled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A head that says the opposite, ten times as loud."""
    return {**tensors, "head.weight": -10 * tensors["head.weight"], "head.bias": -10 * tensors["head.bias"]}


def test_diagnosis_names_the_one_that_spoils(good: Files, tmp_path: Path) -> None:
    files = {**good, "m3": spoiled(good["m3"])}
    zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", files, architecture="test_deep"))
    evaluate = sc.Evaluator(zoo)
    soup = sc.uniform_soup(zoo)
    failure, first, *others = diagnose(zoo, evaluate, soup)
    assert (failure.what, failure.verdict) == ("failure", "warning")
    assert (first.what, first.verdict, first.names) == ("leave one out", "warning", ("m3",))
    without, whole = evaluate(sc.uniform_soup(zoo, ["m1", "m2", "m4"])), evaluate(soup)
    assert (
        f"Without m3 it would be {100 * without.accuracy:.1f} % instead of {100 * whole.accuracy:.1f} %"
        in first.sentence
    )
    assert "m3" in others[0].names
    assert all(each.verdict != "good" for each in others)


def test_diagnosis_of_several_bad_ones(good: Files, tmp_path: Path) -> None:
    files = {**good, "m3": spoiled(good["m3"]), "m4": spoiled(good["m4"])}
    zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", files, architecture="test_deep"))
    found = {each.what: each for each in diagnose(zoo, sc.Evaluator(zoo), sc.uniform_soup(zoo))}
    assert found["leave one out"].verdict == "notice"
    assert found["accuracy"].names == ("m3", "m4")


def test_nothing_to_diagnose(good: Files, tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", good, architecture="test_deep"))
    evaluate = sc.Evaluator(zoo)
    (found,) = diagnose(zoo, evaluate, sc.Soup({"m1": 1.0}))
    assert (found.what, found.verdict) == ("failure", "good")
    far = sc.Soup({"m1": -4.0, "m2": 2.0, "m3": -1.0, "m4": 1.0})
    assert "coefficients" in {each.what for each in diagnose(zoo, evaluate, far)}


def test_diagnosis_of_strangers_begins_with_the_start() -> None:
    zoo = sc.open_zoo("fashion-scratch")
    found = list(diagnose(zoo, sc.Evaluator(zoo), sc.uniform_soup(zoo), images=200, pairs=2))
    assert [each.what for each in found[:2]] == ["failure", "shared start"]


def test_the_interval_is_never_narrower_than_the_means_own() -> None:
    generator = np.random.default_rng(0)
    bits = generator.random((4, 400)) < np.array([0.9, 0.8, 0.85, 0.7])[:, None]
    models = [sc.Evaluation(int(row.sum()), 400, 0.0, 0.0, np.packbits(row).tobytes()) for row in bits]
    rise = _against(models[0], models[1:])
    each = bits[0] - bits[1:].mean(0)
    assert rise.value == pytest.approx(each.mean())
    own = 1.96 * each.std() / 20
    assert rise.low < each.mean() - own
    assert rise.high > each.mean() + own


def test_overall_weighs_what_was_measured() -> None:
    geometry, held = Finding("shared start", "warning", "Strangers.", ("a",)), Finding("average", "good", "It holds.")
    failed = Finding("average", "warning", "It does not.")
    assert overall([held]).verdict == "good"
    assert overall([geometry, held]).verdict == "notice"
    assert overall([geometry, failed]).verdict == "warning"
    assert overall([geometry]).verdict == "warning"
    assert overall([held, Finding("scale", "notice", "Longer.", ("b",))]).names == ("b",)
    assert overall([held, Finding("accuracy", "warning", "Poor.", ("b",))]).verdict == "warning"
