"""Ways of running a network against torch's own forward pass."""

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

from soup_core import architectures
from soup_core.evaluation import choosing, compiling
from soup_core.evaluation.fusing import FusedNetwork
from soup_core.evaluation.running import Running
from tests.scarce_memory import NO_ROOM

needs_compiler = pytest.mark.skipif(
    not compiling.has_compiler("cpu"), reason="no C++ compiler or no Python headers here"
)


def with_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, and BatchNorms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            shape = layer.num_features
            layer.running_mean = 0.3 * torch.randn(shape, generator=generator)
            layer.running_var = 0.5 + torch.rand(shape, generator=generator)
            if layer.affine:
                layer.weight.data = 0.5 + torch.rand(shape, generator=generator)
                layer.bias.data = 0.3 * torch.randn(shape, generator=generator)
    return module.eval()


def logits(running: Running | nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return running(images)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "densenet121"]
)
def test_every_way_without_a_compiler_agrees_with_torch(name: str) -> None:
    torch.manual_seed(0)
    module = with_statistics(architectures.build(f"torchvision:{name}", 5))
    images = torch.randn(3, 3, 40, 40)
    expected = logits(copy.deepcopy(module), images)
    for way in ("channels_last", "fused", "plain"):
        running = Running(module, way)
        running.refresh()
        torch.testing.assert_close(logits(running, images), expected, atol=1e-5, rtol=1e-5)
        assert choosing.agree(logits(running, images), expected)


class Branches(nn.Module):
    """What fusing may not touch: results that are used twice, sums of a sum, an addend that is needed afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(inputs, 6, 3, padding=1) for inputs in (3, 6, 6))
        self.norm, self.other_norm = nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)
        self.relu, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.hardswish = nn.Hardswish()
        self.down = nn.Conv2d(6, 5, 1, stride=2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = self.inplace(self.other_norm(self.second(self.relu(self.norm(first)))))
        third = self.relu(self.third(second) + second) + first
        third = (
            self.hardswish(self.third(third) + third) + second
        )  # one layer twice, and what was added is needed again
        found: Tensor = self.down(third).mean((2, 3))
        return found


@pytest.mark.parametrize("side", [4, 12])
def test_fusing_keeps_what_a_network_computes_and_follows_its_weights(side: int) -> None:
    torch.manual_seed(0)
    modules = [with_statistics(Branches(), seed) if seed else Branches().eval() for seed in (0, 1)]
    images = torch.randn(4, 3, side, side)
    module = copy.deepcopy(modules[0])
    running = Running(module, "fused")
    for each in (*modules, modules[0]):
        module.load_state_dict(each.state_dict())
        running.refresh()
        torch.testing.assert_close(logits(running, images), logits(each, images), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(modules[0], images), logits(modules[1], images), atol=1e-2)


def test_a_network_without_convolutions_is_not_fused() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        FusedNetwork(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="no convolution"):
        FusedNetwork(nn.Conv2d(3, 2, 1).double())


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.second(self.norm(self.first(images)).relu()).mean((2, 3))}


@needs_compiler
def test_a_compiled_network_follows_its_weights_and_fills_up_small_batches() -> None:
    torch.manual_seed(0)
    modules = [with_statistics(Small(), seed) for seed in (1, 2)]
    images = torch.randn(8, 1, 9, 9)
    module = copy.deepcopy(modules[0])
    running = Running(module, "compiled")
    assert running.prepare(images[:4], torch.inference_mode)
    assert running.fixed_size == 4
    compiled = running._run
    for each in (*modules, modules[0]):
        module.load_state_dict(each.state_dict())
        running.refresh()
        expected = logits(each, images)["logits"]
        for part in (slice(0, 4), slice(4, 7), slice(7, 8)):
            torch.testing.assert_close(logits(running, images[part]), expected[part], atol=1e-5, rtol=1e-5)
    assert running._run is compiled

    def no_room(inputs: Tensor) -> Tensor:
        raise RuntimeError(NO_ROOM)

    running._run = no_room
    with pytest.raises(RuntimeError, match="allocate memory"):
        logits(running, images[:4])
    for part in (slice(0, 2), slice(2, 3)):  # a batch that is halved is not filled up again
        torch.testing.assert_close(logits(running, images[part]), expected[part], atol=1e-5, rtol=1e-5)


def test_without_a_compiler_a_network_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not compiling.has_compiler("cpu")
    choice = choosing.Choice({"plain": 1.0}, 4)
    images = torch.randn(8, 1, 9, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = choosing.with_compiling(choice, with_statistics(Small()), lambda n: images[:n], "cpu", within)
    assert found.ranked(10**9) == ["plain"]


def within(images: Tensor) -> torch.inference_mode:
    return torch.inference_mode()
