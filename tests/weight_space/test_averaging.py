import gc
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import soup_core as sc
from soup_core.analysis.preflight import preflight_checks
from soup_core.export import Export
from soup_core.export.card import model_card
from soup_core.weight_space import averaging, batch_norm, streaming
from soup_core.weight_space.bank import resident_bank
from soup_core.weight_space.streaming import stream
from tests.marks import needs_cuda
from tests.patience import PATIENCE
from tests.zoos import CLASSES, Deep, random_deeps, random_linears, write_zoo

Files = Mapping[str, Mapping[str, Tensor]]
Make = Callable[..., Path]
DTYPES = {
    "float32": (torch.float32,),
    "half": (torch.float16, torch.bfloat16),
    "all four": (torch.float16, torch.bfloat16, torch.float32, torch.float64),
}


def buffers(scale: float, batches: int) -> dict[str, torch.Tensor]:
    linear = random_linears(1, seed=batches)["m0"]
    return {
        "norm.weight": torch.ones(1),
        "norm.bias": torch.zeros(1),
        "norm.running_mean": torch.full((1,), scale),
        "norm.running_var": torch.full((1,), 1 + scale),
        "norm.num_batches_tracked": torch.tensor(batches),
        **linear,
    }


def test_the_uniform_soup_is_the_mean(tmp_path: Path) -> None:
    files = random_linears(5)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    for name in ("head.weight", "head.bias"):
        mean = torch.stack([file[name].double() for file in files.values()]).mean(0)
        torch.testing.assert_close(theta[name].double(), mean, rtol=0, atol=5 * 2**-23)  # five sums of values about 1
    assert list(theta) == list(zoo.reference.state_dict())


def test_a_single_ingredient_is_its_file_to_the_bit(tmp_path: Path) -> None:
    files = random_linears(2)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.Soup({"m1": 1.0}))
    assert all(torch.equal(theta[name], tensor) for name, tensor in files["m1"].items())


def test_row_32_half_precision_is_summed_in_float32_and_an_overflow_is_told(tmp_path: Path) -> None:
    shape = (CLASSES, 4)
    files = {
        name: {"head.weight": torch.full(shape, 40_000.0).half(), "head.bias": torch.zeros(CLASSES).half()}
        for name in ("a", "b")
    }
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    assert theta["head.weight"].dtype == torch.float16
    assert torch.equal(theta["head.weight"], torch.full(shape, 40_000.0).half())
    with pytest.raises(sc.CheckpointError, match=r"head\.weight is too large for float16"):
        sc.state_dict(zoo, sc.Soup({"a": 1.0, "b": 1.0}))


def test_row_33_integer_buffers_are_the_first_ingredients(tmp_path: Path) -> None:
    files = {"late": buffers(1.0, 7), "early": buffers(3.0, 11)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    theta = sc.state_dict(zoo, sc.Soup({"late": 0.25, "early": 0.75}))
    assert theta["norm.num_batches_tracked"].item() == 7
    assert theta["norm.running_mean"].item() == pytest.approx(2.5)


def test_float_buffers_have_coefficients_that_sum_to_one(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(3.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    assert sc.state_dict(zoo, sc.Soup({"a": 2.0, "b": 2.0}))["norm.running_mean"].item() == pytest.approx(2.0)
    first = sc.state_dict(zoo, sc.Soup({"a": 0.5, "b": 0.5}, batch_norm="first"))
    assert first["norm.running_mean"].item() == 1.0
    with pytest.raises(sc.CoefficientError, match="sum to zero"):
        sc.state_dict(zoo, sc.Soup({"a": 1.0, "b": -1.0}))


def test_reestimated_statistics_are_those_of_the_fine_tuning_images(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(3.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    theta = sc.state_dict(zoo, sc.Soup({"a": 0.5, "b": 0.5}, batch_norm="re-estimated"))
    pixels = zoo.data.split("train").images.double() / 255
    assert theta["norm.running_mean"].item() == pytest.approx(pixels.mean().item(), abs=1e-6)
    assert theta["norm.running_var"].item() == pytest.approx(pixels.var().item(), abs=1e-6)


def test_beyond_the_ends_a_negative_variance_marks_the_evaluation(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(9.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    outside = sc.Evaluator(zoo)(sc.interpolate(sc.Soup({"a": 1.0}), sc.Soup({"b": 1.0}), -0.5))
    assert outside.not_finite == outside.total
    assert outside.correct == 0


def in_dtypes(files: Files, dtypes: tuple[torch.dtype, ...]) -> dict[str, dict[str, Tensor]]:
    """The same files, the n-th with its floating tensors in the n-th of these dtypes, over and over."""
    return {
        file: {
            name: tensor.to(dtypes[index % len(dtypes)]) if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
        for index, (file, tensors) in enumerate(files.items())
    }


def dense(files: Files, soup: sc.Soup, tensor: str) -> tuple[Tensor, Tensor]:
    """One tensor of a soup in float64, as the definition has it, and the sum of its summands' magnitudes."""
    shares = {file: soup.coefficients_for(tensor)[file] for file in files if file in soup.coefficients_for(tensor)}
    first = next(iter(shares))
    if not files[first][tensor].is_floating_point():
        shares = {first: 1.0}
    elif "running" in tensor:
        total = sum(shares.values())
        shares = {first: 1.0} if soup.batch_norm == "first" else {file: c / total for file, c in shares.items()}
    summands = torch.stack([share * files[file][tensor].double() for file, share in shares.items()])
    return summands.sum(0), summands.abs().sum(0)


def soups_of(files: Files) -> st.SearchStrategy[sc.Soup]:
    """Soups of these files, some with coefficients of their own for single tensors, with averaged or first statistics."""
    share = st.floats(-2, 2).filter(lambda value: abs(value) > 1e-3)
    mixes = st.dictionaries(st.sampled_from(list(files)), share, min_size=1).filter(
        lambda mix: abs(sum(mix.values())) > 0.1
    )
    tensors = st.dictionaries(st.sampled_from(list(next(iter(files.values())))), mixes, max_size=4)
    return st.builds(sc.Soup, mixes, tensors, st.sampled_from(["averaged", "first"]))


@pytest.mark.parametrize("dtypes", DTYPES)
def test_the_bank_and_the_stream_give_the_definitions_tensors(tmp_path: Path, small_blocks: None, dtypes: str) -> None:
    files = in_dtypes(random_deeps(4), DTYPES[dtypes])
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    assert zoo.excluded == ()
    bank = sc.Bank(zoo)

    @settings(max_examples=20, deadline=None)
    @given(soups_of(files))
    def agrees(soup: sc.Soup) -> None:
        for theta in (sc.state_dict(zoo, soup), sc.state_dict(zoo, soup, bank=bank)):
            for name, tensor in theta.items():
                wanted, magnitude = dense(files, soup, name)
                used = [tensors[name].dtype for file, tensors in files.items() if file in soup.coefficients_for(name)]
                assert tensor.dtype == reduce(torch.promote_types, used)
                cast = torch.finfo(tensor.dtype).eps * wanted.abs() if tensor.is_floating_point() else 0
                assert bool(((tensor.double() - wanted).abs() <= 8 * 2**-24 * magnitude + cast + 1e-7).all())

    agrees()


@pytest.mark.parametrize("order", list(permutations(("h", "b", "f"), 2)))
def test_row_32_the_widest_type_is_the_result_s_whatever_the_order(tmp_path: Path, order: tuple[str, str]) -> None:
    """A variance beyond float16 that a float32 file holds: with the half file first this was refused, or cut."""
    kept = {"h": torch.float16, "b": torch.bfloat16, "f": torch.float32}
    files = in_dtypes(dict(list(random_deeps(2).items())[:2]), tuple(kept[each] for each in order))
    for each, tensors in zip(order, files.values(), strict=True):
        tensors["norm.running_var"] *= 1.0 if each == "h" else 1e6
    folder = write_zoo(tmp_path / "z", files, architecture="test_deep")
    zoo = sc.open_zoo(folder)
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    for name, tensor in theta.items():
        wanted = (files["m0"][name].double() + files["m1"][name].double()) / 2
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float32
            torch.testing.assert_close(tensor.double(), wanted, rtol=2**-22, atol=1e-7)
    fit = next(each for each in preflight_checks(zoo, sc.Evaluator(zoo)) if each.what == "fit")
    types = [str(kept[each]).removeprefix("torch.") for each in order]
    sentence = f"The files keep m0 in {types[0]}, m1 in {types[1]}: their soup is in float32, which holds them all."
    assert sentence in fit.sentence
    assert fit.verdict == "good"
    card = model_card(Export(sc.uniform_soup(zoo), sc.Evaluator(zoo)), "x")
    assert sentence in card.replace("\\", "")
    alone = sc.state_dict(zoo, sc.Soup({"m0": 1.0}))
    assert alone["head.weight"].dtype == kept[order[0]]


def test_float64_checkpoints_are_averaged_in_float64(tmp_path: Path, small_blocks: None) -> None:
    files = {
        name: {key: value.double() / 3 if value.is_floating_point() else value for key, value in tensors.items()}
        for name, tensors in random_deeps(3).items()
    }
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    soup = sc.Soup({"m0": 0.3, "m1": 0.3, "m2": 0.5})
    for bank in (None, sc.Bank(zoo)):
        for name, tensor in sc.state_dict(zoo, soup, bank=bank).items():
            wanted, _ = dense(files, soup, name)
            torch.testing.assert_close(tensor, wanted.to(tensor.dtype), atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("dtypes", ["float32", "all four"])
def test_inner_products_are_the_dense_ones(tmp_path: Path, small_blocks: None, dtypes: str) -> None:
    files = in_dtypes(random_deeps(4), DTYPES[dtypes])
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    generator = torch.Generator().manual_seed(0)
    gradients = {
        name: torch.randn(tensor.shape, generator=generator)
        for name, tensor in files["base"].items()
        if tensor.is_floating_point()
    }
    names = ["m2", "base", "m0"]  # in an order of their own, not all of them
    for bank in (None, sc.Bank(zoo)):
        found = sc.inner_products(zoo, names, gradients, bank)
        assert list(found) == list(gradients)
        for name, gradient in gradients.items():
            products = torch.stack([gradient.double() * files[file][name].double() for file in names]).flatten(1)
            assert found[name].dtype == torch.float64
            assert bool(((found[name] - products.sum(1)).abs() <= 40 * 2**-24 * products.abs().sum(1)).all())


def test_every_number_is_visited_once_by_two_threads(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    zoo = sc.open_zoo(linear_zoo(2))
    seen: dict[str, list[int]] = {"head.weight": [0] * 12, "head.bias": [0] * 3}
    threads = set()
    both = threading.Barrier(2, timeout=PATIENCE)

    def visit(name: str, begin: int, end: int, read: Callable[[int], Tensor]) -> None:
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            both.wait()
        for member, ingredient in enumerate(zoo.ingredients):
            assert torch.equal(read(member), ingredient.checkpoint.read(name).flatten()[begin:end])
        for place in range(begin, end):
            seen[name][place] += 1

    stream(zoo.ingredients, {name: len(places) for name, places in seen.items()}, visit, block=5)
    assert seen == {"head.weight": [1] * 12, "head.bias": [1] * 3}
    assert len(threads) == 2


def test_an_error_on_a_reading_thread_arrives(linear_zoo: Make, small_blocks: None) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    file = zoo.ingredients[1].file
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(sc.CheckpointError, match="has changed since it was opened"):
        sc.state_dict(zoo, sc.uniform_soup(zoo))


def test_a_bank_is_made_within_the_memory_budget_only(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    size = 5 * 15 * 4e-9
    assert sc.bank_size(zoo) == pytest.approx(size)
    for allowed, made in ((0, False), (0.9 * size, False), (1.1 * size, True)):
        assert (resident_bank(zoo, "cpu", allowed) is not None) == made
        monkeypatch.setenv("SOUP_MEMORY", str(allowed))
        assert (resident_bank(zoo, "cpu") is not None) == made
        assert (sc.Evaluator(zoo).bank is not None) == made
    assert resident_bank(zoo, "cpu") is resident_bank(zoo, "cpu")


def test_a_bank_goes_when_its_zoo_goes(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    assert resident_bank(zoo, "cpu") is not None
    gone = weakref.ref(zoo)
    del zoo
    gc.collect()
    assert gone() is None


def test_a_bank_in_float64_counts_eight_bytes_a_number_and_keeps_every_digit(tmp_path: Path) -> None:
    files = {name: {key: value.double() / 3 for key, value in file.items()} for name, file in random_linears(2).items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    assert sc.bank_size(zoo) == pytest.approx(2 * 15 * 8e-9)
    theta = sc.state_dict(zoo, sc.Soup({"m1": 1.0}), bank=sc.Bank(zoo))
    assert {name: tensor.tolist() for name, tensor in theta.items()} == {
        name: tensor.tolist() for name, tensor in files["m1"].items()
    }


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_memory_budget_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOUP_MEMORY", value)
    with pytest.raises(sc.SoupError, match=f"SOUP_MEMORY is a number of gigabytes, at least 0; found '{value}'"):
        sc.memory_budget()
    assert sc.memory_budget(0.5) == 0.5
    monkeypatch.delenv("SOUP_MEMORY")
    assert sc.memory_budget() == 2


@pytest.mark.parametrize("banked", [False, True])
def test_row_32_and_33_hold_through_the_bank_too(tmp_path: Path, banked: bool) -> None:
    files = {
        name: {key: value.half() if value.is_floating_point() else value for key, value in buffers(1.0, n).items()}
        for name, n in (("late", 7), ("early", 11))
    }
    for tensors in files.values():
        tensors["head.weight"] = torch.full((CLASSES, 4), 40_000.0).half()
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    bank = sc.Bank(zoo) if banked else None
    theta = sc.state_dict(zoo, sc.Soup({"early": 0.75, "late": 0.25}), bank=bank)
    assert torch.equal(theta["head.weight"], files["late"]["head.weight"])
    assert theta["norm.num_batches_tracked"].item() == 7
    assert theta["norm.num_batches_tracked"].dtype == torch.int64
    with pytest.raises(sc.CheckpointError, match=r"head\.weight is too large for float16"):
        sc.state_dict(zoo, sc.Soup({"late": 1.0, "early": 1.0}), bank=bank)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_row_31_weights_that_cannot_be_averaged_are_left_out_with_the_reason(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    files = random_linears(2)
    files["m1"]["head.bias"] = torch.zeros(CLASSES).to(dtype)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    assert zoo.names == ("m0",)
    assert [excluded.name for excluded in zoo.excluded] == ["m1"]
    assert "head.bias" in zoo.excluded[0].reason


@pytest.mark.parametrize("banked", [False, True])
def test_row_34_tied_tensors_stay_tied_and_the_exported_file_loads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banked: bool
) -> None:
    class Tied(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.inward, self.outward = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.outward.weight = self.inward.weight

    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Tied(num_classes))
    weights = {name: torch.randn(4, 4, generator=torch.Generator().manual_seed(n)) for n, name in enumerate("abc")}
    files = {name: {"inward.weight": w, "outward.weight": w.clone()} for name, w in weights.items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo), bank=sc.Bank(zoo) if banked else None)
    assert torch.equal(theta["inward.weight"], theta["outward.weight"])
    sc.checkpoints.save(tmp_path / "soup.safetensors", theta, "{}")
    module = Tied(CLASSES)
    module.load_state_dict(dict(sc.checkpoints.Checkpoint(tmp_path / "soup.safetensors").read_all()), strict=True)
    assert module.inward.weight is module.outward.weight
    assert torch.equal(module.inward.weight, theta["inward.weight"])


def test_a_soup_is_made_within_inference_mode_too(tmp_path: Path, small_blocks: None) -> None:
    files = random_linears(3)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    with torch.inference_mode():
        theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(theta[name].clone(), torch.stack([file[name] for file in files.values()]).mean(0))


def test_a_coefficient_for_a_tensor_that_is_not_there_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match=r"no tensor 'head\.wieght'"):
        sc.state_dict(zoo, sc.Soup({"m0": 1.0}, {"head.wieght": {"m1": 1.0}}))


def test_reestimated_weights_keep_the_dtypes_of_the_files(tmp_path: Path) -> None:
    files = in_dtypes(random_deeps(2), (torch.float16,))
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    theta = sc.state_dict(zoo, replace(sc.uniform_soup(zoo), batch_norm="re-estimated"))
    assert {tensor.dtype for tensor in theta.values()} == {torch.float16, torch.int64}
    assert {name: tensor.dtype for name, tensor in theta.items()} == {n: t.dtype for n, t in files["m0"].items()}


class Dropping(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.drop, self.norm, self.head = nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.drop(images.flatten(1))))
        return logits


@pytest.mark.parametrize("batch", [500, 119])  # the second leaves a batch of one image, of which there is no variance
def test_reestimated_statistics_are_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Dropping(num_classes))
    monkeypatch.setattr(batch_norm, "REESTIMATION_BATCH", batch)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": Dropping(CLASSES).state_dict()}))
    soup = sc.Soup({"a": 1.0}, batch_norm="re-estimated")
    first, again = sc.state_dict(zoo, soup), sc.state_dict(zoo, soup)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
    # What dropout leaves has the mean of the pixels, and a larger variance; the file says 0 and 1.
    pixels = zoo.data.split("train").images.flatten(1).double() / 255
    torch.testing.assert_close(first["norm.running_mean"].double(), pixels.mean(0), atol=0.15, rtol=0)
    assert bool((first["norm.running_var"] > pixels.var(0)).all())
    assert bool((first["norm.running_var"] < 0.6).all())


def test_the_three_choices_of_statistics_on_the_bundled_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Re-estimated by hand: each layer's input in training mode, the mean over the batches of its mean and variance."""
    zoo = sc.open_zoo("fashion-batchnorm")
    train = zoo.data.split("train")
    some = sc.data.Split("train", train.images[:1500], train.labels[:1500])
    monkeypatch.setattr(sc.data.Data, "split", lambda self, name: some)
    names = zoo.names[:3]
    thetas = {kind: sc.state_dict(zoo, uniform(names, kind)) for kind in ("averaged", "first", "re-estimated")}
    files = {name: dict(zoo.by_name[name].checkpoint.read_all()) for name in names}
    for name in zoo.floating:
        averaged, first, reestimated = (theta[name] for theta in thetas.values())
        if name not in zoo.buffers:
            assert torch.equal(averaged, first)
            assert torch.equal(averaged, reestimated)
            continue
        assert torch.equal(first, files[names[0]][name])
        torch.testing.assert_close(averaged, torch.stack([file[name] for file in files.values()]).mean(0))
        assert len({tuple(tensor.tolist()) for tensor in (averaged, first, reestimated)}) == 3

    module = zoo.module()
    module.load_state_dict(thetas["averaged"])
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    means: dict[str, list[Tensor]] = {name: [] for name in layers}
    variances: dict[str, list[Tensor]] = {name: [] for name in layers}

    def note(name: str, inputs: Tensor) -> None:
        means[name].append(inputs.mean((0, 2, 3)))
        variances[name].append(inputs.var((0, 2, 3)))

    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
    module.train()
    with torch.no_grad():
        for batch in some.images.split(batch_norm.REESTIMATION_BATCH):
            module(zoo.data.normalization(batch))
    for name in layers:
        found = thetas["re-estimated"]
        torch.testing.assert_close(
            found[f"{name}.running_mean"], torch.stack(means[name]).mean(0), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            found[f"{name}.running_var"], torch.stack(variances[name]).mean(0), atol=1e-5, rtol=1e-5
        )


def uniform(names: tuple[str, ...], kind: str) -> sc.Soup:
    return sc.Soup(dict.fromkeys(names, 1 / len(names)), batch_norm=kind)


@needs_cuda
@pytest.mark.parametrize("banked", [False, True])
def test_cuda_averages_as_the_cpu_does(tmp_path: Path, banked: bool) -> None:
    files = in_dtypes(random_deeps(4), DTYPES["all four"])
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    bank = sc.Bank(zoo, "cuda") if banked else None
    soup = sc.Soup({"m1": 0.5, "m3": 0.7, "base": -0.2}, {"hidden.weight": {"m2": 1.0, "m3": 0.5}})
    for name, tensor in sc.state_dict(zoo, soup, "cuda", bank).items():
        wanted = sc.state_dict(zoo, soup)[name]
        assert (tensor.device.type, tensor.dtype) == ("cuda", wanted.dtype)
        torch.testing.assert_close(tensor.cpu(), wanted)
    gradients = {"hidden.weight": torch.randn(32, 45, generator=torch.Generator().manual_seed(0))}
    there = sc.inner_products(zoo, ["m0", "m2"], {name: g.cuda() for name, g in gradients.items()}, bank)
    here = sc.inner_products(zoo, ["m0", "m2"], gradients)
    torch.testing.assert_close(there["hidden.weight"], here["hidden.weight"], rtol=1e-4, atol=1e-4)


@needs_cuda
def test_on_cuda_blocks_in_flight_do_not_overwrite_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averaging, "stream", lambda *given, **more: stream(*given, **{**more, "block": 64}))
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_deeps(6), architecture="test_deep"))
    for _ in range(5):
        theta = sc.state_dict(zoo, sc.uniform_soup(zoo), "cuda")
        torch.testing.assert_close(
            theta["hidden.weight"].cpu(), sc.state_dict(zoo, sc.uniform_soup(zoo))["hidden.weight"]
        )


def test_an_average_reaches_yield_points_between_parts_of_the_files(
    deep_zoo: Callable[..., Path], small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "AT_ONCE", 7 * 4)
    zoo = sc.open_zoo(deep_zoo(4))
    soup = sc.uniform_soup(zoo)
    expected = sc.state_dict(zoo, soup)
    calls: list[None] = []
    with sc.interruptible(lambda: calls.append(None)):
        theta = sc.state_dict(zoo, soup)
    elements = sum(zoo.tensors[name].numel() for name in zoo.floating)
    assert elements / 14 <= len(calls) <= elements
    assert all(torch.equal(theta[name], tensor) for name, tensor in expected.items())


def test_what_others_draw_between_two_batches_leaves_reestimated_statistics_as_they_are(
    deep_zoo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Deep, images: Tensor) -> Tensor:
        features = self.norm(torch.nn.functional.dropout(self.stem(images), 0.5, self.training)).tanh().flatten(1)
        logits: Tensor = self.head(self.hidden(features).tanh())
        return logits

    monkeypatch.setattr(Deep, "forward", forward)
    monkeypatch.setattr(batch_norm, "REESTIMATION_BATCH", 30)
    zoo = sc.open_zoo(deep_zoo(3))
    soup = sc.uniform_soup(zoo, batch_norm="re-estimated")
    expected = sc.state_dict(zoo, soup)
    drawn: list[Tensor] = []
    with sc.interruptible(lambda: drawn.append(torch.rand(5))):
        theta = sc.state_dict(zoo, soup)
    assert len(drawn) >= 4
    assert torch.equal(theta["norm.running_var"], expected["norm.running_var"])
