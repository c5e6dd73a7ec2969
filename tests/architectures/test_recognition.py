"""What is proposed for made checkpoints of known networks; oracles are the libraries' own models and OpenAI's own names."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import soup_core as sc
from soup_core import architectures
from soup_core.architectures import fingerprints
from soup_core.architectures.fingerprints import Shapes
from soup_core.architectures.recognition import Guess, recognised

from .test_architectures import seeded


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def of_torchvision(name: str, classes: int, **options: Any) -> dict[str, tuple[int, ...]]:
    from torchvision.models import get_model

    with torch.device("meta"):
        return shapes(get_model(name, weights=None, num_classes=classes, **options))


def of_timm(name: str, classes: int) -> dict[str, tuple[int, ...]]:
    import timm

    with torch.device("meta"):
        return shapes(timm.create_model(name, num_classes=classes))


def architectures_of(guesses: tuple[Guess, ...]) -> list[dict[str, Any]]:
    return [dict(guess.architecture) for guess in guesses]


@pytest.mark.parametrize(
    ("name", "classes", "options"),
    [
        ("resnet18", 3, {}),
        ("resnet34", 37, {}),
        ("resnet50", 101, {}),
        ("mobilenet_v3_small", 1, {}),
        ("vit_b_16", 11, {}),
        ("vit_b_16", 5, {"image_size": 384}),
        ("convnext_tiny", 13, {}),
        ("efficientnet_b0", 397, {}),
        ("squeezenet1_1", 47, {}),
        ("wide_resnet50_2", 1000, {}),
        ("vgg11_bn", 512, {}),
    ],
)
def test_torchvisions_classifiers(tmp_path: Path, name: str, classes: int, options: dict[str, Any]) -> None:
    guesses = recognised(of_torchvision(name, classes, **options), tmp_path)
    assert architectures_of(guesses)[0] == {"name": f"torchvision:{name}", "num_classes": classes, **options}
    assert f"torchvision:{name}" in guesses[0].why
    assert f" {classes:,} classes" in guesses[0].why


def test_equal_networks_of_two_libraries_are_both_proposed_and_said_to_be_the_same(tmp_path: Path) -> None:
    guesses = recognised(of_timm("resnet18", 9), tmp_path)
    assert architectures_of(guesses) == [
        {"name": "torchvision:resnet18", "num_classes": 9},
        {"name": "timm:resnet18", "num_classes": 9},
        {"name": "timm:resnetblur18", "num_classes": 9},
    ]
    _, same, other = (guess.why for guess in guesses)
    assert same.startswith("The same network as torchvision:resnet18. ")
    assert "resized to 256 and cropped to 224 (bilinear)" in same
    assert "may compute something else" in other


def test_what_the_table_says_of_equal_tensors_holds() -> None:
    import timm
    from torchvision.models import resnet18

    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = []
    for module in (
        resnet18(num_classes=5),
        *(timm.create_model(f"resnet{kind}18", num_classes=5) for kind in ("", "blur")),
    ):
        found.append(seeded(module)(images))
    torch.testing.assert_close(found[0], found[1])
    assert (found[0] - found[2]).abs().max() > 0.01 * found[0].std()


def test_timms_networks_and_the_tag_of_a_hint(tmp_path: Path) -> None:
    tensors = of_timm("vit_tiny_patch16_224", 21)
    names = [each["name"] for each in architectures_of(recognised(tensors, tmp_path))]
    assert set(names) == {"timm:vit_tiny_patch16_224", "timm:deit_tiny_patch16_224"}
    guesses = recognised(
        tensors, tmp_path, hints=["nonsense", "../../etc", "timm/deit_tiny_patch16_224.fb_in1k", "resnet18"]
    )
    assert [each["name"] for each in architectures_of(guesses)] == [
        "timm:deit_tiny_patch16_224.fb_in1k",
        "timm:vit_tiny_patch16_224",
    ]
    assert guesses[1].why.startswith("The same network as timm:deit_tiny_patch16_224.fb_in1k.")
    assert "mean 0.5, 0.5, 0.5" in guesses[1].why
    assert "mean 0.485, 0.456, 0.406" in guesses[1].why


def test_a_hint_serves_where_the_table_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_read", lambda: [])
    tensors = of_timm("test_vit", 6)
    assert recognised(tensors, tmp_path) == ()
    assert recognised(tensors, tmp_path, hints=["test_resnet"]) == ()
    assert architectures_of(recognised(tensors, tmp_path, hints=["test_vit"])) == [
        {"name": "timm:test_vit", "num_classes": 6}
    ]
    (tmp_path / "config.json").write_text('{"architecture": "test_vit", "num_classes": 1000}')  # as timm writes it
    assert architectures_of(recognised(tensors, tmp_path)) == [{"name": "timm:test_vit", "num_classes": 6}]


def openai_tower(width: int, patch: int, layers: int, output: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors of OpenAI's VisionTransformer for images of 224 pixels, under the names that its code gives them."""
    yield "class_embedding", (width,)
    yield "positional_embedding", ((224 // patch) ** 2 + 1, width)
    yield "proj", (width, output)
    yield "conv1.weight", (width, 3, patch, patch)
    for norm in ("ln_pre", "ln_post", *(f"transformer.resblocks.{n}.ln_{k}" for n in range(layers) for k in (1, 2))):
        yield f"{norm}.weight", (width,)
        yield f"{norm}.bias", (width,)
    for block in (f"transformer.resblocks.{n}." for n in range(layers)):
        yield f"{block}attn.in_proj_weight", (3 * width, width)
        yield f"{block}attn.in_proj_bias", (3 * width,)
        for layer, rows, columns in (
            ("attn.out_proj", width, width),
            ("mlp.c_fc", 4 * width, width),
            ("mlp.c_proj", width, 4 * width),
        ):
            yield f"{block}{layer}.weight", (rows, columns)
            yield f"{block}{layer}.bias", (rows,)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_a_checkpoint_of_the_release(tmp_path: Path, prefix: str) -> None:
    tensors: dict[str, tuple[int, ...]] = {
        **{f"model.visual.{name}": shape for name, shape in openai_tower(768, 32, 12, 512)},
        "model.positional_embedding": (77, 512),
        "model.token_embedding.weight": (49408, 512),
        "model.ln_final.weight": (512,),
        "model.ln_final.bias": (512,),
        "model.text_projection": (512, 512),
        "model.logit_scale": (),
        "classification_head.weight": (1000, 512),
        "classification_head.bias": (1000,),
    }
    guesses = recognised({prefix + name: shape for name, shape in tensors.items()}, tmp_path)
    assert [each["name"] for each in architectures_of(guesses)] == ["model_soups:ViT-B-32", "open_clip:ViT-B-32"]
    assert {each["num_classes"] for each in architectures_of(guesses)} == {1000}
    assert "activation" in guesses[1].why


@pytest.mark.parametrize("place", [".", "run-2"])
def test_a_transformers_folder(tmp_path: Path, place: str) -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=2,
        architectures=["ViTForImageClassification"],
    )
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    config.save_pretrained(tmp_path / place)
    config.num_labels = 19
    with torch.device("meta"):
        tensors = shapes(transformers.AutoModelForImageClassification.from_config(config))
    guesses = recognised(tensors, tmp_path)
    assert architectures_of(guesses) == [{"name": f"transformers:{place}", "num_classes": 19}]
    assert recognised({**tensors, "more": (1,)}, tmp_path) == ()


def test_row_17_a_configuration_that_is_no_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert recognised({"a": (1,)}, tmp_path) == ()
    with pytest.raises(sc.ZooError, match=r"no .*config\.json"):
        architectures.build(**architectures.arguments({"name": "transformers:.", "num_classes": 2}, tmp_path))
    os.mkfifo(tmp_path / "preprocessor_config.json")
    with pytest.raises(sc.ZooError, match=r"preprocessor_config\.json is no regular file"):
        architectures.proposed_preprocessing({"name": "transformers:.", "num_classes": 2}, tmp_path)
    os.mkfifo(tmp_path / "my.py")
    with pytest.raises(sc.ZooError, match=r"no file my\.py"):
        architectures.network({"name": "factory:my.py:build", "num_classes": 2}, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"model_type": 3}',
        '{"architectures": 3, "model_type": "vit"}',
        "[" * 10**5,
        '{"architecture": ["a"]}',
        '{"architectures": [1], "model_type": "vit"}',
    ],
)
def test_a_configuration_that_says_nothing_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert recognised({"a": (1,)}, tmp_path) == ()


@pytest.mark.parametrize("name", ["fashion", "fashion-scratch", "fashion-trajectory", "fashion-batchnorm"])
def test_the_bundled_zoos(tmp_path: Path, name: str) -> None:
    zoo = sc.open_zoo(name)
    found = {key: info.shape for key, info in zoo.ingredients[0].checkpoint.tensors.items()}
    assert architectures_of(recognised(found, tmp_path)) == [dict(zoo.architecture)]


@pytest.mark.parametrize(
    "change",
    [{"more": (1,)}, {"fc.bias": (4,)}, {"conv1.weight": (64, 1, 7, 7)}, {"fc.weight": ()}, {"fc.weight": None}],
    ids=str,
)
def test_what_fits_no_network_is_not_guessed(tmp_path: Path, change: Shapes) -> None:
    tensors = {**of_torchvision("resnet18", 3), **change}
    assert recognised({name: shape for name, shape in tensors.items() if shape is not None}, tmp_path) == ()
    assert recognised({}, tmp_path) == ()


def test_what_torchvision_does_to_the_input_of_networks_tuned_from_its_weights_is_proposed_first(
    tmp_path: Path,
) -> None:
    guesses = recognised(of_torchvision("googlenet", 8, aux_logits=False, init_weights=False), tmp_path)
    assert architectures_of(guesses) == [
        {"name": "torchvision:googlenet", "num_classes": 8, "aux_logits": False, "transform_input": True},
        {"name": "torchvision:googlenet", "num_classes": 8, "aux_logits": False},
    ]
    assert "torchvision:googlenet (transform_input = true, aux_logits = false)" in guesses[1].why


def test_a_network_whose_library_is_missing_is_proposed_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = of_timm("resnet18", 4)
    monkeypatch.setitem(sys.modules, "timm", None)
    first, second, *_ = recognised(tensors, tmp_path)
    assert (first.architecture["name"], second.architecture["name"]) == ("torchvision:resnet18", "timm:resnet18")
    assert "pip install" not in first.why
    assert second.why.endswith("pip install timm")


def test_a_transformers_folder_without_the_library_is_proposed_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit", "architectures": ["ViTForImageClassification"]}')
    monkeypatch.setitem(sys.modules, "transformers", None)
    tensors = {"vit.layernorm.weight": (32,), "classifier.bias": (6,), "classifier.weight": (6, 32)}
    (guess,) = recognised(tensors, tmp_path)
    assert guess.architecture == {"name": "transformers:.", "num_classes": 6}
    assert "could not be seen" in guess.why
    assert guess.why.endswith("pip install transformers")
    assert recognised({"vit.layernorm.weight": (32,)}, tmp_path) == ()


def test_what_another_family_leaves_out_is_not_left_out_of_this_one(tmp_path: Path) -> None:
    tensors = {**of_torchvision("resnet34", 3), "layer1.attn_mask": (4, 4)}
    guesses = architectures_of(recognised(tensors, tmp_path))  # torchvision's would not take the file
    assert {"name": "timm:resnet34", "num_classes": 3} in guesses
    assert all(guess["name"].startswith("timm:") for guess in guesses)


def test_the_table_is_that_of_the_libraries_installed(tmp_path: Path) -> None:
    """A sample, since all of them take minutes."""
    known = [it for _, table in fingerprints._read() for classes in table.values() for alike in classes for it in alike]
    for family in ("torchvision", "timm", "open_clip", "model_soups"):
        networks = [network for network in known if network["name"].startswith(f"{family}:")]
        for network in random.Random(0).sample(networks, 4):
            found = fingerprints.shapes_of(network, tmp_path)
            heads = fingerprints.heads_of(found)
            assert any(network in alike and heads == its for its, alike in fingerprints.looked_up(found))
