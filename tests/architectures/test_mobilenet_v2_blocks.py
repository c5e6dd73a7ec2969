"""The first blocks of MobileNetV2 against torchvision's own, with BatchNorm as it is there."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from soup_core.architectures import MobileNetV2Blocks, build
from soup_core.architectures.mobilenet_v2_blocks import from_torchvision
from soup_core.architectures.recognition import recognised
from soup_core.errors import ZooError

from .test_architectures import seeded


def test_folded_blocks_give_what_torchvisions_features_give() -> None:
    from torchvision.models import mobilenet_v2

    whole = seeded(mobilenet_v2())
    module = MobileNetV2Blocks(5, side=56)
    missing, unexpected = module.load_state_dict(from_torchvision(whole.state_dict()), strict=False)
    assert (missing, unexpected) == (["head.weight", "head.bias"], [])
    grey = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    colour = F.interpolate(grey.expand(-1, 3, -1, -1), size=(56, 56), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        features = whole.features[:11](colour)
        torch.testing.assert_close(module.features(colour), features, rtol=1e-4, atol=1e-4)
        logits = F.linear(features.mean((2, 3)), module.head.weight, module.head.bias)
        torch.testing.assert_close(module(grey), logits, rtol=1e-4, atol=1e-4)
        assert torch.equal(module(grey), module(grey.expand(-1, 3, -1, -1)))
    assert features.std() > 0.01  # so that the comparison says something


def test_its_files_are_recognised(tmp_path: Path) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in MobileNetV2Blocks(5).state_dict().items()}
    guess, *_ = recognised(shapes, tmp_path)
    assert guess.architecture == {"name": "mobilenet_v2_blocks", "num_classes": 5}


@pytest.mark.parametrize("side", [15, 1025, 56.0, True, "56"])
def test_a_side_out_of_range_is_refused(side: object) -> None:
    with pytest.raises(ZooError, match="side is a whole number of pixels from 16 to 1024"):
        build("mobilenet_v2_blocks", 5, {"side": side})
