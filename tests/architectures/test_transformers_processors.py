"""Every image classifier's processor of transformers, pixel by pixel, as AutoImageProcessor loads it from a folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.auto import image_processing_auto
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

import soup_core as sc
from soup_core.architectures import proposed_preprocessing
from soup_core.architectures.transformers_processors import default_processor
from soup_core.data import Normalization, Preprocessing, Processor
from soup_core.data.processors import configured

ARCHITECTURE = {"name": "transformers:run", "num_classes": 3}
WIDTHS_AND_HEIGHTS = ((77, 41), (43, 90), (64, 64), (5, 9), (160, 33))
NOT_IMAGES = {"ImageGPTImageProcessor", "Siglip2ImageProcessor"}  # colours of clusters; patches beside their places
ITSELF = {  # what no words say: channels turned around, another order of steps, a frame, sizes of several kinds
    "DonutImageProcessor", "MobileViTImageProcessor", "PPLCNetImageProcessor", "PerceiverImageProcessor",
    "TextNetImageProcessor", "TimmWrapperImageProcessor",
}  # fmt: skip
WITHOUT = {"dinov2_with_registers", "hgnet_v2"}  # families that name no processor


def drawn(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def families() -> dict[str, list[str]]:
    """The families of image classifiers by the name of the processor that transformers loads for them."""
    by_processor: dict[str, list[str]] = {}
    for family in CLASSIFIERS:
        kinds: Mapping[str, str] = image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(family) or {}
        by_processor.setdefault(kinds.get("torchvision") or kinds.get("pil") or "", []).append(family)
    return by_processor


def quarter(value: Any) -> Any:
    return {key: side // 4 for key, side in value.items()} if isinstance(value, dict) else value // 4


def made(name: str, *, reduced: bool) -> Any:
    """A processor as its family has it by default, or of a fourth of its sizes."""
    kind = image_processing_auto.get_image_processor_class_from_name(name)
    if name == "TimmWrapperImageProcessor":
        expected = {"input_size": (3, 32, 32), "crop_pct": 0.9, "mean": (0.5,) * 3, "std": (0.5,) * 3}
        return transformers.TimmWrapperConfig(
            architecture="resnet18", model_args={}, pretrained_cfg=expected
        )  # has it in config.json
    if name == "ImageGPTImageProcessor":
        return kind(clusters=torch.rand(8, 3).tolist(), size={"height": 8, "width": 8})
    if not reduced:
        return kind()
    given = {each: getattr(kind, each, None) for each in ("size", "crop_size", "resize_short")}
    return kind(**{each: quarter(value) for each, value in given.items() if value})


def saved(processor: Any, place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    if isinstance(processor, transformers.PreTrainedConfig):
        processor.architectures = ["TimmWrapperForImageClassification"]
    processor.save_pretrained(place)
    return place


def assert_the_processors_own(folder: Path, images: list[Image.Image]) -> Preprocessing | Processor:
    """What is proposed for a folder's run gives what transformers gives: the same bytes, normalised alike."""
    found = proposed_preprocessing(ARCHITECTURE, folder)
    assert found is not None
    words, normalization = found
    oracle = AutoImageProcessor.from_pretrained(folder / "run", local_files_only=True)
    for image in images:
        theirs = oracle(image, return_tensors="pt")["pixel_values"][0].float()
        ours = torch.from_numpy(np.array(words(image))).permute(2, 0, 1)[None]
        level = 1 / (255 * max(normalization.std))
        difference = (normalization(ours)[0] - theirs).abs().max().item()
        assert difference < 1e-3 * level, (words, image.size, difference)
    return words


def compared(tmp_path: Path, *, reduced: bool) -> dict[str, Preprocessing | Processor | str]:
    found: dict[str, Preprocessing | Processor | str] = {}
    for name in filter(None, families()):
        saved(made(name, reduced=reduced), tmp_path / name / "run")
        images = [drawn(*size) for size in (WIDTHS_AND_HEIGHTS if name != "DonutImageProcessor" else ((77, 41),))]
        try:
            found[name] = assert_the_processors_own(tmp_path / name, images)
        except sc.ZooError as error:
            found[name] = str(error)
    return found


def assert_all_known(found: Mapping[str, Preprocessing | Processor | str]) -> None:
    assert {name for name, each in found.items() if isinstance(each, str)} == NOT_IMAGES
    assert {name for name, each in found.items() if isinstance(each, Processor)} == ITSELF
    assert set(families()[""]) == WITHOUT
    for name in NOT_IMAGES:
        assert f"The preprocessing of {name} in run cannot be said in zoo.toml" in str(found[name])


def test_every_familys_processor_is_said_or_run_or_refused_by_name(tmp_path: Path) -> None:
    assert_all_known(compared(tmp_path, reduced=True))


@pytest.mark.soak
def test_every_familys_processor_at_its_own_size(tmp_path: Path) -> None:
    assert_all_known(compared(tmp_path, reduced=False))


@pytest.mark.parametrize(
    "said",
    [
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 31, "width": 18}},
        {"image_processor_type": "ViTImageProcessor", "size": 16, "do_rescale": False, "do_normalize": False},
        {"image_processor_type": "ViTImageProcessor", "size": 16, "rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1]},
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 40, "width": 40}, "resample": 1},
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 40, "width": 40}, "resample": 0},
        {"image_processor_type": "CLIPImageProcessor", "size": 20, "crop_size": 33},
        {"image_processor_type": "CLIPImageProcessor", "size": 30, "crop_size": {"height": 21, "width": 14}},
        {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 25}, "crop_size": 20, "resample": 2},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}, "crop_pct": 0.7},
        {"image_processor_type": "ConvNextImageProcessor", "size": 384},
        {"image_processor_type": "EfficientNetImageProcessor", "size": 24, "rescale_offset": True},
        {"image_processor_type": "EfficientNetImageProcessor", "size": 24, "include_top": False},
        {"image_processor_type": "DeiTImageProcessor", "size": 20, "crop_size": 17},
        {"image_processor_type": "LevitImageProcessor", "size": {"height": 24, "width": 24}, "crop_size": 20},
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 16},  # of releases of 2022
    ],
    ids=str,
)  # fmt: skip
def test_what_a_run_changed_of_its_processor_is_done(tmp_path: Path, said: dict[str, Any]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/preprocessor_config.json").write_text(json.dumps(said))
    assert_the_processors_own(tmp_path, [drawn(*size) for size in WIDTHS_AND_HEIGHTS])


def test_the_common_ones_are_said_in_words(tmp_path: Path) -> None:
    saved(transformers.CLIPImageProcessor(size={"shortest_edge": 30}, crop_size=21), tmp_path / "run")
    words, normalization = proposed_preprocessing(ARCHITECTURE, tmp_path) or (None, None)
    assert words == Preprocessing(30, 21, "bicubic", crop_offset="floor", backend="torchvision")
    assert normalization == Normalization((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def places() -> Iterator[tuple[str, ...]]:
    yield from (("run/checkpoint-5",), ("run",), (".",), ("run-2",), ("run-2", "run-3/checkpoint-9"))


@pytest.mark.parametrize("saved_in", list(places()), ids=str)
def test_a_processor_around_or_beside_the_run_is_found(tmp_path: Path, saved_in: tuple[str, ...]) -> None:
    (tmp_path / "run/checkpoint-5").mkdir(parents=True)
    for place in saved_in:
        saved(transformers.ViTImageProcessor(size={"height": 12, "width": 12}), tmp_path / place)
    found = proposed_preprocessing({"name": "transformers:run/checkpoint-5", "num_classes": 2}, tmp_path)
    assert found is not None
    assert found[0] == Preprocessing(12, 12, stretch=True, backend="torchvision")


def test_two_processors_elsewhere_are_no_answer(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for place, side in (("a", 12), ("b", 14)):
        saved(transformers.ViTImageProcessor(size={"height": side, "width": side}), tmp_path / place)
    assert proposed_preprocessing(ARCHITECTURE, tmp_path) is None


def test_a_processor_of_a_model_of_several_inputs_is_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    inner = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 20}, "crop_size": 20}
    (tmp_path / "run/processor_config.json").write_text(
        json.dumps({"processor_class": "CLIPProcessor", "image_processor": inner})
    )
    assert_the_processors_own(tmp_path, [drawn(*size) for size in WIDTHS_AND_HEIGHTS])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"image_processor_type": "ViTImageProcessor", "size": {"height": 1000000, "width": 8}}', "at most 10,000"),
        ('{"image_processor_type": "Nonsense"}', "cannot be made by transformers"),
        ("{", "is no JSON"),
        ('{"image_processor_type": "ViTImageProcessor", "size": "x"}', "cannot be said|cannot be made"),
        ('{"auto_map": {"AutoImageProcessor": "own.Own"}}', "cannot be made by transformers"),
    ],
)
def test_row_55_a_processor_beyond_use_is_refused_in_a_sentence(tmp_path: Path, said: str, message: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/preprocessor_config.json").write_text(said)
    (tmp_path / "run/own.py").write_text("raise AssertionError('the code of a folder ran')")
    with pytest.raises(sc.ZooError, match=message):
        proposed_preprocessing(ARCHITECTURE, tmp_path)


def test_row_18_a_processor_outside_its_folder_is_refused(tmp_path: Path) -> None:
    place = saved(transformers.ViTImageProcessor(), tmp_path / "elsewhere")
    (tmp_path / "zoo/run").mkdir(parents=True)
    (tmp_path / "zoo/run/preprocessor_config.json").symlink_to(place / "preprocessor_config.json")
    with pytest.raises(sc.ZooError, match="is a link out of its folder"):
        proposed_preprocessing(ARCHITECTURE, tmp_path / "zoo")


def test_a_processor_that_changes_is_another(tmp_path: Path) -> None:
    first = configured(saved(transformers.ViTImageProcessor(size={"height": 12, "width": 12}), tmp_path / "run"))
    assert first is not None
    assert first == configured(tmp_path / "run")
    saved(transformers.ViTImageProcessor(size={"height": 14, "width": 14}), tmp_path / "run")
    assert first != configured(tmp_path / "run")
    with pytest.raises(sc.DataError, match="gone or has changed"):
        Processor(str(tmp_path / "run"), "another digest")(drawn(20, 20))


def test_without_a_processor_the_familys_own_is_known_at_the_networks_size(tmp_path: Path) -> None:
    transformers.ViTConfig(image_size=32, patch_size=8).save_pretrained(tmp_path / "run")
    usual = default_processor(tmp_path / "run")
    assert usual is not None
    preprocessing, normalization = usual
    oracle = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    image = drawn(50, 40)
    ours = torch.from_numpy(np.array(preprocessing(image))).permute(2, 0, 1)[None]
    theirs = oracle(image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(normalization(ours), theirs, atol=1e-5, rtol=1e-5)
