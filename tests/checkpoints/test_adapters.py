import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.checkpoints import Checkpoint, adapters, memory_of
from tests.adapters import factors, product, write_adapter

SCALE = 3 / 2  # write_adapter's alpha over its rank


class Conv1D(nn.Module):
    """A linear layer of inputs by outputs, as transformers has one of this name."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight + self.bias


class Standardized(nn.Conv2d):
    """A convolution whose output is not linear in its weight."""

    def forward(self, images: Tensor) -> Tensor:
        return self._conv_forward(images, self.weight - self.weight.mean(), self.bias)


def network(**layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({**layers, "head": nn.Linear(4, 3)})


def base_of(folder: Path, module: nn.Module, dtype: torch.dtype = torch.float32) -> Checkpoint:
    weights = {name: tensor.to(dtype).contiguous() for name, tensor in module.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "base.safetensors")
    return Checkpoint(folder / "base.safetensors")


def merged(
    folder: Path, module: nn.Module, tensors: dict[str, Tensor], dtype: torch.dtype = torch.float32, **config: Any
) -> adapters.Merged:
    write_adapter(folder / "run", tensors, **config)
    adapter = Checkpoint(adapters.weights_file(folder / "run"))
    return adapters.merged(
        base_of(folder, module, dtype), adapter, adapters.read_config(folder / "run"), module.to("meta"), {}
    )


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def linear() -> tuple[nn.Module, Tensor, dict[str, Tensor], Callable[[Tensor], Tensor]]:
    a, b, inputs = drawn((2, 5), (4, 2), (6, 5))
    return nn.Linear(5, 4), inputs, {"lora_A.weight": a, "lora_B.weight": b}, lambda x: x @ a.T @ b.T


def convolution(**options: Any) -> tuple[nn.Module, Tensor, dict[str, Tensor], Callable[[Tensor], Tensor]]:
    layer = nn.Conv2d(3, 4, **options)
    a, b, inputs = drawn((2, 3, *layer.kernel_size), (4, 2, 1, 1), (2, 3, 6, 6))
    how = {"stride": layer.stride, "padding": layer.padding}
    return (
        layer,
        inputs,
        {"lora_A.weight": a, "lora_B.weight": b},
        lambda x: torch.conv2d(torch.conv2d(x, a, **how), b),
    )


def embedding() -> tuple[nn.Module, Tensor, dict[str, Tensor], Callable[[Tensor], Tensor]]:
    a, b = drawn((2, 7), (4, 2))
    index = torch.arange(7)
    return nn.Embedding(7, 4), index, {"lora_embedding_A": a, "lora_embedding_B": b}, lambda x: a.T[x] @ b.T


def inputs_first() -> tuple[nn.Module, Tensor, dict[str, Tensor], Callable[[Tensor], Tensor]]:
    a, b, inputs = drawn((2, 5), (4, 2), (6, 5))
    return Conv1D(4, 5), inputs, {"lora_A.weight": a, "lora_B.weight": b}, lambda x: x @ a.T @ b.T


LAYERS = {
    "linear": linear,
    "convolution": lambda: convolution(kernel_size=3, stride=2, padding=1),
    "1×1 convolution": lambda: convolution(kernel_size=1, dilation=2),
    "embedding": embedding,
    "inputs first": inputs_first,
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_merged_layer_gives_what_the_layer_and_its_adapter_give_together(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(2)
    layer, inputs, given, beside = LAYERS[kind]()
    expected = layer(inputs) + SCALE * beside(inputs)
    whole = network(layer=layer)
    checkpoint = merged(tmp_path, whole, {f"layer.{name}": tensor for name, tensor in given.items()})
    theta = {name.removeprefix("layer."): tensor for name, tensor in checkpoint.read_all() if "layer." in name}
    found = torch.func.functional_call(LAYERS[kind]()[0], theta, (inputs,))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_torchs_attention_takes_an_adapter_of_its_joint_weight_and_one_of_its_output(tmp_path: Path) -> None:
    whole = network(attention=nn.MultiheadAttention(4, 2))
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    a, b, c, d = drawn((1, 4), (12, 1), (1, 4), (4, 1))
    tensors = {
        "attention.lora_A.weight": a,
        "attention.lora_B.weight": b,
        "attention.base_layer.out_proj.lora_A.weight": c,
        "attention.base_layer.out_proj.lora_B.weight": d,
    }
    checkpoint = merged(tmp_path, whole, tensors, rank_pattern={"attention": 1}, alpha_pattern={"attention": 5})
    theta = dict(checkpoint.read_all())
    torch.testing.assert_close(theta["attention.in_proj_weight"], before["attention.in_proj_weight"] + 5 * b @ a)
    torch.testing.assert_close(theta["attention.out_proj.weight"], before["attention.out_proj.weight"] + 5 * d @ c)
    assert torch.equal(theta["head.weight"], before["head.weight"])


@pytest.mark.parametrize("kind", LAYERS)
def test_dora_gives_each_output_the_length_that_it_learned(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(2)
    layer, _, given, _ = LAYERS[kind]()
    inputs_are_first = kind in ("embedding", "inputs first")
    before = layer.weight.detach().double()
    a, b = (tensor.double().flatten(1) for tensor in given.values())
    outputs = before.T if inputs_are_first else before.flatten(1)  # a row an output
    summed = outputs + SCALE * b @ a
    lengths = torch.linspace(0.5, 2, 4)
    expected = summed / summed.norm(dim=1, keepdim=True) * lengths[:, None]
    tensors = {f"layer.{name}": tensor for name, tensor in given.items()}
    shape = (1, 4, 1, 1) if "convolution" in kind else (4,)
    tensors["layer.lora_magnitude_vector"] = lengths.view(shape)
    checkpoint = merged(tmp_path, network(layer=layer), tensors, use_dora=True)
    found = checkpoint.read("layer.weight").double()
    torch.testing.assert_close(
        found.T if inputs_are_first else found.flatten(1), expected, rtol=1e-6, atol=1e-6, check_dtype=False
    )
    with checkpoint.reader() as read:  # in pieces that begin and end within rows
        pieces = [torch.empty(min(3, found.numel() - begin)) for begin in range(0, found.numel(), 3)]
        for index, piece in enumerate(pieces):
            read.fill("layer.weight", 3 * index, memory_of(piece))
    assert torch.equal(torch.cat(pieces), checkpoint.read("layer.weight").flatten())


def test_a_tensor_has_the_same_bits_in_whatever_blocks_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = network(layer=nn.Linear(33, 29))
    checkpoint = merged(tmp_path, whole, factors(whole, ["layer"], torch.Generator().manual_seed(0)))
    at_once = checkpoint.read("layer.weight").flatten()
    monkeypatch.setattr("soup_core.checkpoints.adapters.merging.BLOCK", 50)
    for size in (1, 7, 100, 957):
        with checkpoint.reader() as read:
            pieces = [torch.empty(min(size, 957 - begin)) for begin in range(0, 957, size)]
            for index, piece in enumerate(pieces):
                read.fill("layer.weight", size * index, memory_of(piece))
        assert torch.equal(torch.cat(pieces), at_once)


def test_the_scale_follows_rslora_and_the_patterns_of_rank_and_alpha(tmp_path: Path) -> None:
    whole = network(blocks=nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)]))
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    tensors = factors(whole, ["blocks.0"], generator, rank=5) | factors(whole, ["blocks.1", "head"], generator)
    checkpoint = merged(
        tmp_path,
        whole,
        tensors,
        use_rslora=True,
        rank_pattern={r"blocks\.0": 5},
        alpha_pattern={"^head": 11, "[ab]d": 9},
    )
    for layer, scale in (("blocks.0", 3 / math.sqrt(5)), ("blocks.1", 3 / math.sqrt(2)), ("head", 11 / math.sqrt(2))):
        expected = before[f"{layer}.weight"].double() + scale * product(tensors, layer)
        torch.testing.assert_close(checkpoint.read(f"{layer}.weight"), expected.float(), rtol=1e-6, atol=1e-6)


def test_what_was_trained_whole_is_taken_as_it_is(tmp_path: Path) -> None:
    whole = network(layer=nn.Linear(4, 4), norm=nn.BatchNorm1d(4))
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    head, bias, mine, added = drawn((3, 4), (3,), (4,), (4,))
    tensors = {
        **factors(whole, ["layer"], torch.Generator().manual_seed(0)),
        "layer.base_layer.bias": mine,  # as bias="all" and "lora_only" save it
        "head.weight": head,
        "head.bias": bias,
        "head.modules_to_save.bias": bias.clone(),  # as bias="all" saves it beside
        "head.original_module.bias": before["head.bias"],
    }
    checkpoint = merged(tmp_path, whole, tensors, bias="all", modules_to_save=["head"])
    theta = dict(checkpoint.read_all())
    assert list(theta) == list(before)
    for name, expected in (("head.weight", head), ("head.bias", bias), ("layer.bias", mine)):
        assert torch.equal(theta[name], expected)
    assert "BatchNorm" in checkpoint.notes[-1]
    tensors = {name: tensor for name, tensor in tensors.items() if name != "layer.base_layer.bias"}
    layer = nn.Linear(4, 4)
    expected = layer.bias.detach() + SCALE * added
    checkpoint = merged(tmp_path, network(layer=layer), {**tensors, "layer.lora_B.bias": added}, lora_bias=True)
    torch.testing.assert_close(checkpoint.read("layer.bias"), expected)
    assert not checkpoint.notes


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_bases_type_is_kept_and_the_sum_is_rounded_once(tmp_path: Path, dtype: torch.dtype) -> None:
    whole = network(layer=nn.Linear(8, 8))
    before = whole.get_submodule("layer").weight.detach().to(dtype)
    tensors = factors(whole, ["layer"], torch.Generator().manual_seed(0))
    found = merged(tmp_path, whole, tensors, dtype).read("layer.weight")
    assert torch.equal(found, (before.double() + SCALE * product(tensors, "layer")).to(dtype))


def test_an_adapter_brings_the_head_that_its_base_has_not(tmp_path: Path) -> None:
    whole = network(layer=nn.Linear(4, 4))
    head, bias = drawn((3, 4), (3,))
    tensors = factors(whole, ["layer"], torch.Generator().manual_seed(0))
    write_adapter(tmp_path / "run", {**tensors, "head.weight": head, "head.bias": bias})
    write_adapter(tmp_path / "without", tensors)
    body = nn.ModuleDict({"layer": whole.get_submodule("layer"), "head": nn.Linear(4, 1000)})
    base = base_of(tmp_path, body)
    base = base.renamed({name: name for name in base.tensors if name != "head.bias"})
    whole.to("meta")

    def opened(name: str) -> adapters.Merged:
        adapter = Checkpoint(adapters.weights_file(tmp_path / name))
        return adapters.merged(base, adapter, adapters.read_config(tmp_path / name), whole, {})

    assert torch.equal(opened("run").read("head.weight"), head)
    with pytest.raises(sc.CheckpointError, match=r"lack head\.bias.*modules_to_save"):
        opened("without")


def test_wrappers_and_names_of_the_librarys_files_are_understood(tmp_path: Path) -> None:
    whole = network(layer=nn.Linear(4, 4))
    before = whole.get_submodule("layer").weight.detach().clone()
    tensors = factors(whole, ["layer"], torch.Generator().manual_seed(0))
    expected = (before.double() + SCALE * product(tensors, "layer")).float()
    base = base_of(tmp_path, whole)
    whole.to("meta")
    for given, stored in (("model._orig_mod.layer", {}), ("encoder.old", {"encoder.old.weight": "layer.weight"})):
        renamed = {name.replace("layer", given, 1): tensor for name, tensor in tensors.items()}
        folder = write_adapter(tmp_path / given, renamed)
        adapter = Checkpoint(adapters.weights_file(folder))
        found = adapters.merged(base, adapter, adapters.read_config(folder), whole, stored)
        torch.testing.assert_close(found.read("layer.weight"), expected, rtol=1e-6, atol=1e-6)


def test_the_digest_follows_base_weights_and_configuration(tmp_path: Path) -> None:
    tensors = factors(network(), ["head"], torch.Generator().manual_seed(0))
    first = merged(tmp_path, network(), tensors).digest
    assert merged(tmp_path, network(), tensors).digest == first
    others = {
        merged(tmp_path, network(), tensors, lora_alpha=4).digest,
        merged(tmp_path, network(), {name: 2 * tensor for name, tensor in tensors.items()}).digest,
        merged(tmp_path, network(), tensors, torch.float64).digest,
    }
    assert len({first, *others}) == 4


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "convolution of 2 groups"),
        (nn.Conv2d(4, 4, 3, dilation=2), "dilated"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "'reflect'"),
        (Standardized(4, 4, 3), "is a Standardized"),
    ],
)
def test_a_layer_that_no_merged_weight_says_is_refused_with_the_reason(
    tmp_path: Path, layer: nn.Module, message: str
) -> None:
    shapes = {"layer.lora_A.weight": torch.ones(2, 4, 3, 3), "layer.lora_B.weight": torch.ones(4, 2, 1, 1)}
    with pytest.raises(sc.CheckpointError, match=rf"layer.*{message}.*target_modules"):
        merged(tmp_path, network(layer=layer), shapes)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, r"kind IA3.*merge_and_unload"),
        ({"peft_type": "ADALORA"}, r"kind ADALORA.*merge_and_unload"),
        ({"init_lora_weights": "pissa_niter_4"}, r"pissa_niter_4.*merge_and_unload"),
        ({"trainable_token_indices": [1, 2]}, r"trainable_token_indices = \[1, 2\].*merge_and_unload"),
        ({"target_parameters": ["weight"]}, r"target_parameters.*merge_and_unload"),
        ({"made_up_later": 3}, r"made_up_later = 3.*merge_and_unload"),
        ({"alpha_pattern": {"(.*)*": 1}}, r"at most 2 repetitions"),
        ({"alpha_pattern": {"(": 1}}, r"no regular expression"),
        ({"r": 0}, r"key r"),
        ({"lora_alpha": float("nan")}, r"key lora_alpha"),
        ({"r": 7}, r"has rank 2, and its configuration says 7"),
        ({"use_dora": True}, r"lora_magnitude_vector"),
    ],
)
def test_what_is_not_known_exactly_is_refused_by_name_with_what_to_do(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    tensors = factors(network(), ["head"], torch.Generator().manual_seed(0))
    with pytest.raises(sc.CheckpointError, match=message):
        merged(tmp_path, network(), tensors, **config)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"tail.lora_A.weight": (2, 4), "tail.lora_B.weight": (3, 2)}, "adapts tail, which the network has not"),
        ({"head.lora_A.weight": (2, 5), "head.lora_B.weight": (3, 2)}, r"shapes \(2, 5\) and \(3, 2\)"),
        ({"head.lora_A.weight": (2, 4)}, "must have lora_A, lora_B"),
        ({"head.lora_A.weight": (2, 4), "head.lora_B.weight": (3, 2), "head.ia3_l": (3,)}, r"head\.ia3_l"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, tensors: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(sc.CheckpointError, match=message):
        merged(tmp_path, network(), {name: torch.ones(shape) for name, shape in tensors.items()})


def test_a_quantised_base_is_refused(tmp_path: Path) -> None:
    whole = network()
    tensors = factors(whole, ["head"], torch.Generator().manual_seed(0))
    weights = {"head.weight": torch.ones(3, 4, dtype=torch.int8), "head.bias": torch.ones(3)}
    safetensors.torch.save_file(weights, tmp_path / "base.safetensors")
    write_adapter(tmp_path / "run", tensors)
    adapter = Checkpoint(adapters.weights_file(tmp_path / "run"))
    with pytest.raises(sc.CheckpointError, match=r"head\.weight as int8.*quantised.*full precision"):
        adapters.merged(
            Checkpoint(tmp_path / "base.safetensors"), adapter, adapters.read_config(tmp_path / "run"), whole, {}
        )


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"r": 1, "r": 2}', b"[" * 100_000, b'{"peft_type": "LORA"}' + b" " * 1_000_000]
)
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(sc.CheckpointError, match=r"adapter_config\.json"):
        adapters.read_config(tmp_path)


def test_row_18_a_configuration_outside_the_allowed_roots_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "zoo" / "run", {})
    (folder / "adapter_config.json").rename(tmp_path / "elsewhere.json")
    os.symlink(tmp_path / "elsewhere.json", folder / "adapter_config.json")
    adapters.read_config(folder, roots=[tmp_path])
    with pytest.raises(sc.CheckpointError, match="outside"):
        adapters.read_config(folder, roots=[tmp_path / "zoo"])
