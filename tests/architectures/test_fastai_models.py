"""fastai's networks without fastai; the oracle is fastai's own, where it is installed, else torchvision's layers by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import soup_core as sc
from soup_core import architectures
from soup_core.architectures.recognition import recognised

from .test_architectures import seeded


def test_the_head_takes_the_maximum_first_and_then_the_mean() -> None:
    module = seeded(architectures.build("fastai:squeezenet1_1", 3))
    tensors = dict(module.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert isinstance(module, nn.Sequential)
        features = module[0](images)
        pooled = torch.cat([features.flatten(2).max(2).values, features.flatten(2).mean(2)], 1)

        def normalised(values: torch.Tensor, layer: str) -> torch.Tensor:
            mean, variance, weight, bias = (
                tensors[f"{layer}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
            )
            scaled: torch.Tensor = (values - mean) / torch.sqrt(variance + 1e-5) * weight + bias
            return scaled

        hidden = functional.relu(normalised(pooled, "1.2") @ tensors["1.4.weight"].T)
        torch.testing.assert_close(module(images), normalised(hidden, "1.6") @ tensors["1.8.weight"].T)


def test_a_vision_learners_tensors_are_recognised(tmp_path: Path) -> None:
    module = architectures.meta_module("fastai:resnet18", 5)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert {"0.0.weight", "0.7.1.bn2.num_batches_tracked", "1.2.running_var", "1.8.weight"} <= set(shapes)
    (guess,) = recognised(shapes, tmp_path)
    assert guess.architecture == {"name": "fastai:resnet18", "num_classes": 5}
    proposed = architectures.proposed_preprocessing(guess.architecture, tmp_path)
    assert proposed is not None
    assert proposed[1].mean == (0.485, 0.456, 0.406)


def test_a_network_that_fastai_cannot_cut_is_refused() -> None:
    for name in ("mobilenet_v2", "googlenet", "nonsense"):
        with pytest.raises(sc.ZooError):
            architectures.build(f"fastai:{name}", 2)


@pytest.mark.filterwarnings("ignore:.*pretrained.*", "ignore:Arguments other than a weight enum")
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "densenet121", "vgg11_bn"])
def test_fastais_own_networks_give_the_same_logits(name: str) -> None:
    learner = pytest.importorskip("fastai.vision.learner")
    models = pytest.importorskip("fastai.vision.models")
    theirs = seeded(learner.create_vision_model(getattr(models, name), 3, pretrained=False))
    ours = architectures.build(f"fastai:{name}", 3).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
