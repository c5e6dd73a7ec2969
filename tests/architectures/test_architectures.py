"""Every family against the plain library's own model, and what must never happen on the way: code, network, other folders."""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.architectures import arguments, build, ignored, meta_module, proposed_preprocessing
from soup_core.data import Normalization, Preprocessing

CLASSES = 7
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TINY_CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def zoo_of(folder: Path, architecture: str, files: Mapping[str, Mapping[str, Tensor]], size: int = 2) -> Path:
    """A zoo of these files and of colour images; `architecture` is zoo.toml's table, the classes left out."""
    folder.mkdir(exist_ok=True)
    pixels, labels = drawn_data(size)
    data = {
        f"{split}.{part}": tensor.clone()
        for split in ("held_out", "test")
        for part, tensor in (("images", pixels), ("labels", labels))
    }
    safetensors.torch.save_file(data, folder / "data.safetensors")
    lines = [
        "format = 1",
        'title = "Made"',
        f"architecture = {{ {architecture}, num_classes = {CLASSES} }}",
        "[data]",
        'source = "tensors:data.safetensors"',
        "normalize = { mean = [0.5, 0.25, 0.5], std = [0.5, 0.25, 0.125] }",
    ]
    for name, tensors in files.items():
        safetensors.torch.save_file(
            {key: value.detach().clone() for key, value in tensors.items()}, folder / f"{name}.st"
        )
        lines += ["[[ingredients]]", f'name = "{name}"', f'file = "{name}.st"']
    (folder / "zoo.toml").write_text("\n".join(lines))
    return folder


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in evaluation mode with random weights, and with random statistics where it keeps any."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: tensor
        if not tensor.is_floating_point()
        else 0.5 + torch.rand(tensor.shape, generator=generator)
        if name.endswith("running_var")
        else torch.randn(tensor.shape, generator=generator) / max(1, tensor[0].numel()) ** 0.5
        if tensor.ndim
        else tensor
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(drawn)
    return module.eval()


def drawn_data(size: int, count: int = 21) -> tuple[Tensor, Tensor]:
    """Images of noise, and labels of all classes."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    return pixels, torch.arange(count) % CLASSES


def correct_of(oracle: nn.Module, size: int) -> int:
    """How many of these the library's own model gets right."""
    pixels, labels = drawn_data(size)
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.5, 0.25, 0.5), (0.5, 0.25, 0.125)))
    with torch.inference_mode():
        found = oracle((pixels / 255 - mean) / std)
    logits: Tensor = found if isinstance(found, Tensor) else found.logits
    return int((logits.argmax(1) == labels).sum())


def images_of(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def torchvision_model(folder: Path) -> nn.Module:
    from torchvision.models import mobilenet_v3_small

    return mobilenet_v3_small(num_classes=CLASSES)


def timm_resnet(folder: Path) -> nn.Module:
    import timm

    return timm.create_model("resnet10t", num_classes=CLASSES)


def timm_vit(folder: Path) -> nn.Module:
    import timm

    return timm.create_model("test_vit", num_classes=CLASSES, img_size=96)


def transformers_vit(folder: Path) -> nn.Module:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        num_labels=3,
        dtype="float16",
    )
    return saved(config, folder)


def transformers_resnet(folder: Path) -> nn.Module:
    import transformers

    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3)
    return saved(config, folder)


def saved(config: Any, folder: Path) -> nn.Module:
    """The configuration in a folder, with the wrong number of classes and in half precision; a right model of it."""
    import transformers

    config.save_pretrained(folder / "model")
    config.num_labels, config.dtype = CLASSES, torch.float32
    return transformers.AutoModelForImageClassification.from_config(config)


FAMILIES: list[tuple[str, Callable[[Path], nn.Module], int]] = [
    ('name = "torchvision:mobilenet_v3_small"', torchvision_model, 64),
    ('name = "timm:resnet10t"', timm_resnet, 64),
    ('name = "timm:test_vit.r160_in1k", img_size = 96', timm_vit, 96),
    ('name = "transformers:model"', transformers_vit, 32),
    ('name = "transformers:model"', transformers_resnet, 32),
]


@pytest.mark.parametrize(("architecture", "plain", "size"), FAMILIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_through_a_zoo_computes_what_the_librarys_own_model_does(
    tmp_path: Path, architecture: str, plain: Callable[[Path], nn.Module], size: int
) -> None:
    folder = tmp_path / "zoo"
    folder.mkdir()
    oracle, images = seeded(plain(folder)), images_of(size)
    zoo = sc.open_zoo(zoo_of(folder, architecture, {"a": oracle.state_dict()}, size))
    assert sc.Evaluator(zoo)(sc.Soup({"a": 1.0})).correct == correct_of(oracle, size) > 0
    module = zoo.module()
    module.load_state_dict(sc.state_dict(zoo, sc.Soup({"a": 1.0})))
    expected = oracle(images)
    expected = expected if isinstance(expected, Tensor) else expected.logits
    assert expected.std() > 1e-2
    torch.testing.assert_close(module(images), expected, atol=1e-5, rtol=1e-5)
    again = torch.func.functional_call(zoo.module(), dict(module.state_dict()), images)
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-5)

    buffers = dict(oracle.named_buffers())
    assert zoo.buffers == {name for name in oracle.state_dict() if name in buffers}
    assert zoo.has_batch_norm == any(isinstance(layer, nn.BatchNorm2d) for layer in oracle.modules())
    assert set(zoo.floating) == {name for name, tensor in oracle.state_dict().items() if tensor.is_floating_point()}
    assert {tensor.device.type for tensor in zoo.tensors.values()} == {"meta"}


@pytest.fixture
def tiny_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small tower of the kind of ViT-B-32-quickgelu, known to open_clip for the time of a test."""
    import open_clip
    from open_clip import factory

    for known in ("_MODEL_CONFIGS", "_MODEL_CONFIG_PATHS"):
        monkeypatch.setattr(factory, known, type(getattr(factory, known))(getattr(factory, known)))
    (tmp_path / "tiny-quickgelu.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(tmp_path / "tiny-quickgelu.json")
    return "tiny"


class Released(nn.Module):
    """The release's wrapper as its code has it: a whole CLIP without its text transformer, and a head."""

    def __init__(self) -> None:
        super().__init__()
        import open_clip

        self.model = open_clip.CLIP(**TINY_CLIP)
        del self.model.transformer
        self.classification_head = nn.Linear(TINY_CLIP["embed_dim"], CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.model.visual(images)
        return self.classification_head(features / features.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize("name", ["model_soups:tiny", "open_clip:tiny-quickgelu"])
def test_the_releases_files_are_read_without_what_is_left_of_the_text_tower(
    tmp_path: Path, tiny_clip: str, name: str
) -> None:
    oracle, images = seeded(Released()), images_of(32)
    files = {"a": oracle.state_dict(), "b": seeded(Released(), 1).state_dict()}
    assert {
        "model.token_embedding.weight",
        "model.positional_embedding",
        "model.ln_final.bias",
        "model.logit_scale",
        "model.text_projection",
    } < set(files["a"])
    zoo = sc.open_zoo(zoo_of(tmp_path / "zoo", f'name = "{name}"', files, 32))
    assert zoo.names == ("a", "b")
    assert sc.Evaluator(zoo)(sc.Soup({"a": 1.0})).correct == correct_of(oracle, 32)
    (note,) = zoo.ingredients[0].checkpoint.notes
    assert "left out: " in note
    assert "model.positional_embedding" in note
    assert {key for key in zoo.tensors} == {
        key for key in files["a"] if key.startswith(("model.visual.", "classification_head."))
    }
    for bank in (None, sc.Bank(zoo)):
        module = zoo.module()
        module.load_state_dict(sc.state_dict(zoo, sc.Soup({"a": 1.0}), bank=bank))
        torch.testing.assert_close(module(images), oracle(images), atol=1e-5, rtol=1e-5)


def test_a_tensor_that_no_text_tower_has_is_still_refused(tmp_path: Path, tiny_clip: str) -> None:
    tensors = {**Released().state_dict(), "model.more": torch.zeros(1)}
    with pytest.raises(sc.ZooError, match=r"beyond the architecture, model\.more; "):
        sc.open_zoo(zoo_of(tmp_path / "zoo", 'name = "model_soups:tiny"', {"a": tensors}))


def test_tables_that_older_releases_kept_in_their_files_are_left_out(tmp_path: Path) -> None:
    module = meta_module("timm:swin_tiny_patch4_window7_224", CLASSES)
    tables = {name for name, _ in module.named_buffers()} - set(module.state_dict())
    assert "layers.0.blocks.1.attn_mask" in tables
    architecture = {"name": "timm:swin_tiny_patch4_window7_224"}
    assert all(ignored(architecture, name) for name in tables)
    assert not any(ignored(architecture, name) for name in module.state_dict())
    assert ignored({"name": "transformers:x"}, "vision_model.embeddings.position_ids")
    assert not ignored({"name": "torchvision:swin_t"}, "features.1.0.attn.relative_position_index")
    assert not ignored({"name": "factory:a.py:b"}, "anything")


@pytest.mark.parametrize(
    "name",
    [
        "torchvision:regnet_x_400mf",
        "torchvision:googlenet",
        "timm:vit_tiny_r_s16_p8_224",
        "timm:vit_small_patch16_rope_mixed_224",
        "torchvision:swin_t",
    ],
)
def test_networks_that_compute_while_they_are_built_are_built_without_memory_too(name: str) -> None:
    assert {tensor.device.type for tensor in meta_module(name, CLASSES).state_dict().values()} == {"meta"}


def test_what_is_built_without_memory_has_the_names_shapes_and_types_of_what_is_built_with_it() -> None:
    for name in ("torchvision:mobilenet_v3_small", "timm:test_vit", "fashion_cnn", "mobilenet_v2_blocks"):
        real, meta = build(name, CLASSES).state_dict(), meta_module(name, CLASSES).state_dict()
        assert {key: (t.shape, t.dtype) for key, t in real.items()} == {
            key: (t.shape, t.dtype) for key, t in meta.items()
        }


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nonsense", {}, "unknown"),
        ("fashion_cnn:more", {}, "unknown"),
        ("fashion_cnn", {"normalization": "none"}, "cannot be built"),
        ("torchvision:resnet19", {}, "no classifier 'resnet19'"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, "no classifier"),  # fetches its backbone unless told not to
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "weights"),
        ("torchvision:resnet18", {"nonsense": 1}, "nonsense"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", {}, "no model"),
        ("timm:local-dir:/tmp", {}, "no model"),
        ("timm:resnet18", {"pretrained": True}, "pretrained"),
        ("timm:resnet18", {"checkpoint_path": "/tmp/evil.pth"}, "checkpoint_path"),
        ("timm:resnet18", {"global_pool": "nonsense"}, "cannot be built"),
        ("open_clip:hf-hub:laion/CLIP-ViT-B-32", {}, "no model"),
        ("model_soups:ViT-B/33", {}, "no model 'ViT-B-33-quickgelu'"),
        ("model_soups:ViT-B-32", {"pretrained": "openai"}, "pretrained"),
    ],
)
def test_what_cannot_be_built_is_said_and_nothing_is_fetched(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(sc.ZooError, match=said):
        meta_module(name, CLASSES, options)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("timm:resnet18", "timm", "timm"),
        ("open_clip:ViT-B-32", "open_clip", "open_clip_torch"),
        ("model_soups:ViT-B-32", "open_clip", "open_clip_torch"),
        ("transformers:model", "transformers", "transformers"),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "vit"}')
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(sc.ZooError, match=rf"needs the package {package}, .* pip install {package}$"):
        meta_module(**arguments({"name": name, "num_classes": CLASSES}, tmp_path))


TINY_VIT = {
    "model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "image_size": 16, "patch_size": 8,
}  # fmt: skip


class TestTransformers:
    def build(self, folder: Path, **said: Any) -> nn.Module:
        (folder / "config.json").write_text(json.dumps(said))
        return meta_module(**arguments({"name": "transformers:.", "num_classes": CLASSES}, folder))

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ({}, "model_type"),
            ({"model_type": "t5"}, "describes no classifier"),
            ({"model_type": "imagegpt", "n_layer": 1}, "takes no images"),
        ],
    )
    def test_another_configuration_is_refused(self, tmp_path: Path, said: dict[str, Any], why: str) -> None:
        with pytest.raises(sc.ZooError, match=why):
            self.build(tmp_path, **said)

    def test_a_folder_without_a_configuration_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(sc.ZooError, match=r"no .*config\.json"):
            meta_module(**arguments({"name": "transformers:.", "num_classes": 2}, tmp_path))

    def test_code_beside_the_configuration_never_runs(self, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
        names = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Model"}
        with pytest.raises(sc.ZooError, match="describes no classifier of images or texts"):
            self.build(tmp_path, model_type="evil", auto_map=names)
        assert self.build(tmp_path, **TINY_VIT, auto_map=names)  # transformers' own class of that kind
        assert not ran.exists()

    @pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
    def test_an_attention_that_would_be_fetched_is_not_used(self, tmp_path: Path, key: str) -> None:
        kernel = "kernels-community/flash-attn2"
        module = self.build(tmp_path, **TINY_VIT, **{key: kernel})
        assert module.config._attn_implementation in ("sdpa", "eager")
        vision = {**TINY_VIT, "model_type": "clip_vision_model", key: kernel}
        module = self.build(tmp_path, model_type="clip", vision_config=vision, **{key: kernel})
        assert module.config.vision_config._attn_implementation in ("sdpa", "eager")

    def test_row_18_the_folder_must_lie_in_the_zoos(self, tmp_path: Path) -> None:
        zoo, other = tmp_path / "zoo", tmp_path / "other"
        zoo.mkdir()
        other.mkdir()
        (other / "config.json").write_text(json.dumps(TINY_VIT))
        (zoo / "link").symlink_to(other)
        for path in ("../other", str(other), "link"):
            with pytest.raises(sc.ZooError, match="outside"):
                arguments({"name": f"transformers:{path}", "num_classes": 2}, zoo)

    def test_another_configuration_is_another_network(self, tmp_path: Path) -> None:
        folder = tmp_path / "zoo"
        folder.mkdir()
        oracle = transformers_vit(folder)
        zoo = sc.open_zoo(zoo_of(folder, 'name = "transformers:model"', {"a": oracle.state_dict()}))
        soup, evaluate = sc.Soup({"a": 1.0}), sc.Evaluator(zoo)
        key, digest = evaluate.key(soup), zoo.digest
        file = folder / "model" / "config.json"
        file.write_text(file.read_text().replace('"gelu"', '"relu"'))
        with pytest.raises(sc.ZooError, match="changed since"):
            zoo.module()
        again = sc.open_zoo(folder)
        assert again.digest != digest
        assert sc.Evaluator(again).key(soup) != key


FACTORY = """
import pathlib
from dataclasses import dataclass
import torch

pathlib.Path({ran!r}).touch()

@dataclass
class Options:
    bias: "bool"

class Tied(torch.nn.Module):
    def __init__(self, num_classes, options):
        super().__init__()
        self.inward = torch.nn.Linear(12, 12, bias=False)
        self.outward = torch.nn.Linear(12, 12, bias=False)
        self.outward.weight = self.inward.weight
        self.norm = torch.nn.BatchNorm1d(12)
        self.register_buffer("table", torch.arange(12.0), persistent=False)
        self.head = torch.nn.Linear(12, num_classes, bias=options.bias)

    def forward(self, images):
        return self.head(self.norm(self.outward(self.inward(images.flatten(1)) + self.table)))

def build(num_classes, bias=True):
    return Tied(num_classes, Options(bias))

def nothing(num_classes):
    return None

def leaves(num_classes):
    raise SystemExit(3)

def place(num_classes, place):
    return build(num_classes)
"""


class TestFactory:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "zoo"
        folder.mkdir()
        (folder / "my_model.py").write_text(FACTORY.format(ran=str(tmp_path / "ran")))
        return folder

    def made(self, folder: Path, function: str = "build", file: str = "my_model.py", **options: Any) -> nn.Module:
        return meta_module(
            **arguments({"name": f"factory:{file}:{function}", "num_classes": CLASSES, **options}, folder)
        )

    @pytest.mark.parametrize("trusted", [None, "", "{parent}/zoo2", "{parent}/zo", os.pathsep])
    def test_no_code_runs_where_the_operator_has_not_said_so(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, trusted: str | None
    ) -> None:
        monkeypatch.chdir(folder)  # an empty part of the list is not the current folder
        if trusted is None:
            monkeypatch.delenv("SOUP_TRUST", raising=False)
        else:
            monkeypatch.setenv("SOUP_TRUST", trusted.format(parent=folder.parent))
        with pytest.raises(sc.ZooError, match="runs the code") as refused:
            self.made(folder)
        assert f"SOUP_TRUST={folder}," in str(refused.value)
        assert str(folder / "my_model.py") in str(refused.value)
        with pytest.raises(sc.ZooError, match="SOUP_TRUST"):
            sc.open_zoo(zoo_of(folder, 'factory = "my_model.py:build"', {"a": {"x": torch.zeros(1)}}))
        with pytest.raises(sc.ZooError, match="SOUP_TRUST"):
            meta_module(**arguments({"name": "factory:my_model.py:build", "num_classes": 2}, folder))
        assert not (folder.parent / "ran").exists()

    def test_row_18_a_file_out_of_the_zoos_folder_is_refused_although_it_is_trusted(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOUP_TRUST", str(folder.parent))
        outside = folder.parent / "outside.py"
        outside.write_text((folder / "my_model.py").read_text())
        (folder / "link.py").symlink_to(outside)
        (folder / "loop.py").symlink_to(folder / "loop.py")
        for file in ("../outside.py", str(outside), "link.py", "a\0.py"):
            with pytest.raises(sc.ZooError, match=r"outside|no path"):
                self.made(folder, file=file)
        for file, message in (("loop.py", "no path that can be followed"), ("missing.py", "no file missing")):
            with pytest.raises(sc.ZooError, match=message):
                sc.open_zoo(zoo_of(folder, f'factory = "{file}:build"', {"a": {"x": torch.zeros(1)}}))
        assert not (folder.parent / "ran").exists()

    def test_a_link_to_an_untrusted_file_of_the_zoo_is_followed_first(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "trusted").mkdir()
        (folder / "trusted" / "link.py").symlink_to(folder / "my_model.py")
        monkeypatch.setenv("SOUP_TRUST", str(folder / "trusted"))
        with pytest.raises(sc.ZooError, match="SOUP_TRUST"):
            self.made(folder, file="trusted/link.py")

    def test_no_code_runs_from_the_browser(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pages.shared import caching
        from tests.app_pages import open_page, words

        zoo_of(folder, 'factory = "my_model.py:build"', {"a": {"x": torch.zeros(1)}})
        page = open_page("app.py", zoo=folder.name)
        assert not page.exception
        assert "SOUP_TRUST" in words(page)
        monkeypatch.setenv("SOUP_TRUST", str(folder))  # and yet an address opens no folder, only zoos by name
        monkeypatch.setenv("SOUP_ZOOS", "")
        with pytest.raises(sc.ZooError, match="There is no zoo"):
            caching.zoo_folder(str(folder))
        assert not (folder.parent / "ran").exists()

    @pytest.fixture
    def trusted(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        link = folder.parent / "linked"
        link.symlink_to(folder.parent)
        monkeypatch.setenv("SOUP_TRUST", f"/nowhere{os.pathsep}{link}")
        return folder

    @pytest.mark.parametrize(
        ("function", "said"),
        [
            ("nothing", "must return a torch.nn.Module; found NoneType"),
            ("leaves", "leaves made no network: SystemExit: 3"),
            ("missing", "no attribute 'missing'"),
        ],
    )
    def test_a_factory_that_makes_no_network_is_said(self, trusted: Path, function: str, said: str) -> None:
        with pytest.raises(sc.ZooError, match=said):
            self.made(trusted, function)

    def test_a_mistake_in_the_file_is_said(self, trusted: Path) -> None:
        (trusted / "my_model.py").write_text("def build(:")
        with pytest.raises(sc.ZooError, match="SyntaxError"):
            self.made(trusted)

    def test_options_reach_the_factory_under_any_name(self, trusted: Path) -> None:
        assert "head.bias" not in self.made(trusted, bias=False).state_dict()
        assert "head.bias" in self.made(trusted, "place", place="x").state_dict()

    def test_a_zoo_of_an_own_network(self, trusted: Path) -> None:
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("plain", trusted / "my_model.py")
        plain = module_from_spec(spec)
        sys.modules["plain"] = plain
        spec.loader.exec_module(plain)
        oracle, images = seeded(plain.build(CLASSES)), images_of(2)
        zoo = sc.open_zoo(zoo_of(trusted, 'factory = "my_model.py:build", bias = true', {"a": oracle.state_dict()}))
        module = zoo.module()
        module.load_state_dict(sc.state_dict(zoo, sc.Soup({"a": 1.0})))
        torch.testing.assert_close(module(images), oracle(images), atol=1e-5, rtol=1e-5)
        assert module.inward.weight is module.outward.weight
        assert zoo.buffers == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
        assert set(zoo.tensors) - set(zoo.floating) == {"norm.num_batches_tracked"}
        assert zoo.architecture == {"name": "factory:my_model.py:build", "num_classes": CLASSES, "bias": True}

    def test_another_content_is_another_network(self, trusted: Path) -> None:
        file = trusted / "my_model.py"
        files = {
            "a": {
                name: torch.zeros(tensor.shape, dtype=tensor.dtype)
                for name, tensor in self.made(trusted).state_dict().items()
            }
        }
        zoo = sc.open_zoo(zoo_of(trusted, 'factory = "my_model.py:build"', files))
        digest, key = zoo.digest, sc.Evaluator(zoo).key(sc.Soup({"a": 1.0}))
        file.write_text(file.read_text().replace("+ self.table", "- self.table"))
        with pytest.raises(sc.ZooError, match="changed since"):
            zoo.module()
        again = sc.open_zoo(trusted)
        assert again.digest != digest
        assert sc.Evaluator(again).key(sc.Soup({"a": 1.0})) != key


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ('name = "fashion_cnn", factory = "a.py:b"', "either a name, or a factory"),
        ("hidden = 0", "either a name"),
        ('factory = "a.txt:b"', "factory"),
        ('factory = "a.py"', "factory"),
    ],
)
def test_an_architecture_has_a_name_or_a_factory(tmp_path: Path, architecture: str, said: str) -> None:
    with pytest.raises(sc.ZooError, match=said):
        sc.open_zoo(zoo_of(tmp_path / "zoo", architecture, {"a": {"x": torch.zeros(1)}}))


def test_the_bundled_zoos_network_is_named_as_before() -> None:
    zoo = sc.open_zoo("fashion")
    assert dict(zoo.network) == {"name": "fashion_cnn", "num_classes": 10, "hidden": 128}


CLIP = Normalization((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [  # from the libraries' pages of their weights
        ({"name": "torchvision:resnet18"}, (Preprocessing(256, 224), IMAGENET)),
        ({"name": "torchvision:resnet50"}, (Preprocessing(232, 224), IMAGENET)),
        ({"name": "torchvision:swin_t"}, (Preprocessing(232, 224, "bicubic"), IMAGENET)),
        ({"name": "torchvision:vit_b_16"}, (Preprocessing(256, 224), IMAGENET)),
        ({"name": "torchvision:vit_b_16", "image_size": 384}, (Preprocessing(384, 384, "bicubic"), IMAGENET)),
        ({"name": "torchvision:vit_b_16", "image_size": 96}, (Preprocessing(96, 96), IMAGENET)),
        ({"name": "torchvision:vit_h_14"}, (Preprocessing(224, 224, "bicubic"), IMAGENET)),
        ({"name": "timm:resnet18.tv_in1k"}, (Preprocessing(256, 224), IMAGENET)),
        ({"name": "timm:vit_base_patch16_224"}, (Preprocessing(248, 224, "bicubic"), HALF)),
        ({"name": "timm:vit_base_patch16_224", "img_size": 384}, (Preprocessing(426, 384, "bicubic"), HALF)),
        (
            {"name": "timm:vit_base_patch16_224", "in_chans": 1},
            (Preprocessing(248, 224, "bicubic"), Normalization((0.5,), (0.5,))),
        ),
        ({"name": "timm:convnext_tiny.fb_in22k_ft_in1k_384"}, (Preprocessing(384, 384, "bicubic", True), IMAGENET)),
        ({"name": "model_soups:ViT-B/32"}, (Preprocessing(224, 224, "bicubic"), CLIP)),
        ({"name": "open_clip:ViT-L-14-336"}, (Preprocessing(336, 336, "bicubic"), CLIP)),
        ({"name": "open_clip:ViT-B-16-SigLIP"}, (Preprocessing(224, 224, "bicubic"), HALF)),
        ({"name": "fashion_cnn"}, None),
        ({"name": "nonsense"}, None),
    ],
    ids=str,
)
def test_the_images_that_an_architectures_weights_expect(
    tmp_path: Path, architecture: dict[str, Any], expected: tuple[Preprocessing, Normalization] | None
) -> None:
    assert proposed_preprocessing({**architecture, "num_classes": 5}, tmp_path) == expected
