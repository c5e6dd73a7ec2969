"""Training runs: resumed as if never stopped, in parts as in whole; hyperparameters, augmentation, new ingredients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.data import UNNORMALIZED
from soup_core.finetune import (
    Hyperparameters,
    ImageSource,
    Space,
    augment,
    augmentations_for,
    checked,
    downloaded,
    learning_rate_share,
    random_search,
    tensor_source,
    train,
)
from tests.marks import needs_cuda
from tests.zoos import CLASSES, SIDE, Deep, Linear

Make = Callable[..., Path]
RUN = Hyperparameters(0.01, 0.01, 3, label_smoothing=0.1, mixup=0.2, augmentation="flip", seed=4)


class Dropping(Deep):
    """A network that draws from torch's own generator as it trains."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(nn.functional.dropout(images, 0.2, self.training))
        return logits


def made_images(count: int = 300) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return pixels, pixels.flatten(1)[:, :CLASSES].float().argmax(1)


def started(kind: type[Deep] = Dropping) -> nn.Module:
    torch.manual_seed(7)
    return kind(CLASSES)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("after", [1, 2])
def test_row_38_a_run_goes_on_from_an_epochs_state_to_the_same_weights(after: int) -> None:
    source = tensor_source(*made_images(), "cpu")
    whole, losses, states = started(), [], []
    for epoch in train(whole, source, RUN, normalization=UNNORMALIZED):
        losses.append(epoch.loss)
        states.append(epoch.state())
    again = Dropping(CLASSES)
    torch.manual_seed(99)  # what another thread has drawn meanwhile changes nothing
    rest = list(train(again, source, RUN, normalization=UNNORMALIZED, state=states[after - 1]))
    assert [epoch.loss for epoch in rest] == losses[after:]
    assert [epoch.index for epoch in rest] == [1, 2, 3][after:]
    assert same(weights(again), weights(whole))


def test_a_run_is_adamw_on_the_gradient_of_the_loss() -> None:
    """One epoch of one batch, without mixup: the first step of AdamW moves each weight by the rate, against its gradient."""
    images, labels = made_images(100)
    module = Linear(CLASSES)
    before = weights(module)
    hyperparameters = Hyperparameters(0.01, 0.5, 1, schedule="constant")
    logits = module(UNNORMALIZED(images))
    loss = nn.functional.cross_entropy(logits, labels)
    gradient = torch.autograd.grad(loss, module.head.weight)[0]
    (epoch,) = train(module, tensor_source(images, labels, "cpu"), hyperparameters, normalization=UNNORMALIZED)
    expected = before["head.weight"] * (1 - 0.01 * 0.5) - 0.01 * gradient / (gradient.abs() + 1e-8)
    assert torch.allclose(module.head.weight, expected, atol=1e-6)
    assert epoch.loss == pytest.approx(loss.item(), rel=1e-6)


def test_row_41_a_batch_that_does_not_fit_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = tensor_source(*made_images(), "cpu")
    ample, tight = Linear(CLASSES), Linear(CLASSES)
    tight.load_state_dict(ample.state_dict())
    list(train(ample, source, RUN, normalization=UNNORMALIZED))
    forward, sizes = Linear.forward, []

    def starved(self: Linear, images: Tensor) -> Tensor:
        sizes.append(len(images))
        if len(images) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, images)

    monkeypatch.setattr(Linear, "forward", starved)
    list(train(tight, source, RUN, normalization=UNNORMALIZED))
    assert sizes.count(128) == 1  # what was found once holds for the rest of the run
    for name, tensor in ample.state_dict().items():
        assert torch.allclose(tensor, tight.state_dict()[name], atol=1e-5)
    monkeypatch.setattr(Linear, "forward", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(sc.OutOfMemory, match="even one image"):
        list(train(tight, source, RUN, normalization=UNNORMALIZED))


def test_only_the_named_parameters_move_and_statistics_stay() -> None:
    module = started(Deep)
    before = weights(module)
    source = tensor_source(*made_images(), "cpu")
    list(train(module, source, RUN, normalization=UNNORMALIZED, only={"head.weight", "head.bias"}))
    moved = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_any_source_of_batches_trains_the_same() -> None:
    images, labels = made_images()
    read: list[int] = []

    def streamed(order: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in order:
            read.extend(batch.tolist())
            yield torch.stack([images[index] for index in batch]), labels[batch]

    ours, theirs = started(), started()
    list(train(ours, ImageSource(len(labels), streamed), RUN, normalization=UNNORMALIZED))
    list(train(theirs, tensor_source(images, labels, "cpu"), RUN, normalization=UNNORMALIZED))
    assert same(weights(ours), weights(theirs))
    assert len(read) == 3 * 256  # what fills no batch of 128 is left out of an epoch
    assert len(set(read[:256])) == 256


def test_fewer_images_than_a_batch_are_all_in_one() -> None:
    """Three epochs are then three steps of torch's own AdamW on the mean loss of all images."""
    images, labels = made_images(9)
    ours, theirs = Linear(CLASSES), Linear(CLASSES)
    theirs.load_state_dict(ours.state_dict())
    hyperparameters = Hyperparameters(0.01, 0.5, 3, schedule="constant")
    epochs = list(train(ours, tensor_source(images, labels, "cpu"), hyperparameters, normalization=UNNORMALIZED))
    optimizer, losses = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.5), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(theirs(images.float() / 255), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [epoch.loss for epoch in epochs] == pytest.approx(losses, rel=1e-5)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


def test_a_learning_rate_rises_and_falls() -> None:
    shares = [learning_rate_share(step, 40, "cosine") for step in range(40)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    falling = [0.5 * (1 + np.cos(np.pi * step / 38)) for step in range(38)]  # 38 steps after the two that rise
    assert shares[2:] == pytest.approx(falling)


def test_a_search_draws_from_its_space_and_again_the_same() -> None:
    space = Space((1e-4, 1e-2), (2, 3), ("none", "crop"))
    drawn = list(random_search(50, seed=3, space=space))
    assert drawn == list(random_search(50, seed=3, space=space))
    assert drawn[:20] == list(random_search(20, seed=3, space=space))
    assert all(1e-4 <= each.learning_rate <= 1e-2 for each in drawn)
    assert {each.epochs for each in drawn} == {2, 3}
    assert {each.augmentation for each in drawn} == {"none", "crop"}
    assert {each.mixup for each in drawn} == {0.0, 0.2}
    below = sum(each.learning_rate < 1e-3 for each in drawn)  # log-uniform: half of them
    assert 15 <= below <= 35
    assert len({each.seed for each in drawn}) == 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": -1.0}, r"The learning rate is a number from 0 to .*; found -1\.0"),
        ({"learning_rate": float("nan")}, "The learning rate is a number from 0 to .*; found nan"),
        ({"epochs": 0}, "The epochs is a whole number from 1 to .*; found 0"),
        ({"epochs": 2.5}, r"The epochs is a whole number from 1 to .*; found 2\.5"),
        ({"label_smoothing": 1.5}, r"The label smoothing is a number from 0 to 1; found 1\.5"),
        ({"mixup": -0.1}, r"The mixup is a number from 0 to .*; found -0\.1"),
        ({"augmentation": "flop"}, "with plus signs between; found 'flop'"),
        ({"augmentation": "flip+flip"}, r"with plus signs between; found 'flip\+flip'"),
        ({"schedule": "steps"}, "The schedule is cosine or constant; found 'steps'"),
        ({"seed": -1}, "The seed is a whole number from 0 to .*; found -1"),
        ({"weight_decay": "much"}, "The weight decay is a number from 0 to .*; found 'much'"),
    ],
    ids=str,
)
def test_hyperparameters_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(sc.SoupError, match=message):
        checked(replace(RUN, **wrong))
    assert checked(RUN) == RUN


@pytest.mark.parametrize("channels", [1, 3])
def test_crops_and_randaugment_change_each_image_by_itself_and_draw_from_the_seed(channels: int) -> None:
    one = torch.arange(70 * 64, dtype=torch.float32).remainder(251).to(torch.uint8).view(1, 1, 70, 64)
    images = one.expand(6, channels, -1, -1).contiguous()
    for augmentation in ("crop", "randaugment", *augmentations_for(64)[2:]):
        torch.manual_seed(1)
        changed = augment(images, augmentation, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
        assert len({each.numpy().tobytes() for each in changed}) > 1
        torch.manual_seed(1)
        assert torch.equal(changed, augment(images, augmentation, np.random.default_rng(0)))


def test_every_augmentation_that_is_offered_is_known() -> None:
    for side, offered in ((28, {"none", "flip+shift"}), (224, {"none", "flip+crop+randaugment"})):
        assert offered <= set(augmentations_for(side))
        for each in augmentations_for(side):
            assert checked(replace(RUN, augmentation=each)).augmentation == each


def test_weights_that_nobody_offers_are_not_fetched() -> None:
    with pytest.raises(sc.ZooError, match="fetched for torchvision:NAME alone; for timm:resnet18 give --weights FILE"):
        downloaded("timm:resnet18")
    with pytest.raises(sc.ZooError, match="weights of torchvision:nobody could not be fetched"):
        downloaded("torchvision:nobody")


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_training_on_cuda_agrees_with_the_cpu(precision: str) -> None:
    images, labels = made_images()
    cpu, cuda = started(Deep), started(Deep)
    gentle = replace(RUN, learning_rate=1e-3)
    ours = [e.loss for e in train(cpu, tensor_source(images, labels, "cpu"), gentle, normalization=UNNORMALIZED)]
    source = tensor_source(images, labels, "cuda")
    theirs = list(train(cuda, source, gentle, normalization=UNNORMALIZED, device="cuda", precision=precision))
    assert [e.loss for e in theirs] == pytest.approx(ours, rel=1e-4 if precision == "float32" else 0.05)
    assert theirs[-1].state()["module.head.weight"].dtype == torch.float32
