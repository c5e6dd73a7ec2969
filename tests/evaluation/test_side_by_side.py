import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.evaluation import evaluator as evaluating
from soup_core.evaluation import side_by_side as splitting
from soup_core.evaluation.side_by_side import LEAST, replicas, side_by_side
from tests.zoos import Linear

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Remembering(nn.Module):
    """Keeps its input on itself, and reads it when the other part has had the time to write its own there."""

    both_written = threading.Barrier(2)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs = inputs
        self.both_written.wait(timeout=60)
        return self.inputs * self.weight


def outputs(module: nn.Module, part: Tensor) -> Tensor:
    with torch.inference_mode():
        return cast(Tensor, module(part))


def test_parts_run_at_one_time_and_what_a_network_keeps_on_itself_is_its_own() -> None:
    module, images = Remembering(), torch.arange(2.0 * LEAST)
    modules = replicas(module)
    with torch.no_grad():
        module.weight.fill_(3.0)  # loaded into one, it is in all
    assert torch.equal(torch.cat(side_by_side(modules, outputs, images)), 3 * images)


@pytest.mark.parametrize(("images", "parts"), [(1, [1]), (2 * LEAST - 1, [31]), (2 * LEAST, [16, 16]), (51, [26, 25])])
def test_a_batch_is_divided_as_far_as_parts_are_worth_it(images: int, parts: list[int]) -> None:
    modules, batch = replicas(nn.Identity()), torch.arange(images)
    assert [len(part) for part in side_by_side(modules, lambda _, part: part, batch)] == parts


def test_a_network_that_cannot_be_copied_runs_alone() -> None:
    module = nn.Identity()
    module.lock = threading.Lock()  # type: ignore[assignment]  # no module, and no tensor: what a user may keep there
    (alone,) = side_by_side(replicas(module), outputs, torch.arange(100.0))
    assert torch.equal(alone, torch.arange(100.0))


def test_torch_has_as_many_threads_as_before_here_and_in_threads_that_begin() -> None:
    found = side_by_side(replicas(nn.Identity()), lambda *_: torch.get_num_threads(), torch.arange(100))
    assert found == [1, 1]
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *later] == [2, 2]


def test_evaluations_are_those_of_whole_batches(deep_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    order = sc.Soup.single("m1"), sc.uniform_soup(zoo)
    counted: list[int] = []

    def count(modules: Sequence[nn.Module], run: Callable[[nn.Module, Tensor], Tensor], batch: Tensor) -> list[Tensor]:
        found = side_by_side(modules, run, batch)
        counted.append(len(found))
        return found

    monkeypatch.setattr(evaluating, "side_by_side", count)
    found = [sc.Evaluator(zoo).logits(soup) for soup in order]
    assert set(counted) == {2}
    monkeypatch.setattr(splitting, "MOST", 1)
    whole = [zoo_logits(zoo, soup) for soup in order]
    for one, other in zip(found, whole, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def zoo_logits(zoo: sc.Zoo, soup: sc.Soup) -> Tensor:
    """The logits of all images at once, by the network alone."""
    module = zoo.module()
    module.load_state_dict(sc.state_dict(zoo, soup))
    return outputs(module, zoo.data.normalization(zoo.data.split("held_out").images))


def test_row_41_a_part_that_does_not_fit_halves_the_batch(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo, soup = sc.open_zoo(linear_zoo(2)), sc.Soup.single("m0")
    original = Linear.forward

    def forward(self: Linear, inputs: Tensor) -> Tensor:
        if len(inputs) > 25:
            raise MemoryError
        return original(self, inputs)

    wanted = zoo_logits(zoo, soup)
    monkeypatch.setattr(Linear, "forward", forward)
    evaluate = sc.Evaluator(zoo, batch_size=100)
    torch.testing.assert_close(evaluate.logits(soup), wanted, atol=1e-5, rtol=0)
    assert evaluate.batch_size == 50
