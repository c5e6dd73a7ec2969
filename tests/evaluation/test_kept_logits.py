"""What is kept of the logits of many classes: within the budget to the byte, and measured in little memory."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.evaluation import measure
from soup_core.evaluation.kept import KEPT_SPLITS
from soup_core.runtime.store import Store
from tests.zoos import CLASSES

Make = Callable[..., Path]
IMAGES, HEADER = 120, 200  # bytes of a record beside its numbers
A_MODEL = 2 * IMAGES * CLASSES  # bytes of its logits in half precision


def kept(evaluate: sc.Evaluator) -> list[int]:
    return [length for (length,) in evaluate.store._all("SELECT length(content) FROM tensors")]


@pytest.mark.parametrize("models", [0, 1, 3, 6, 11, 12])
def test_no_more_is_kept_than_fits_into_a_splits_part_of_the_budget(linear_zoo: Make, models: int) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    memory = len(KEPT_SPLITS) * models * A_MODEL / 1e9 * (1 + 1e-9)
    evaluate = sc.Evaluator(zoo, memory=memory, store=Store(zoo.folder / "kept.sqlite"))
    evaluate.singles()
    assert evaluate.logits_are_approximate == (models < 12)
    assert len(kept(evaluate)) == min(models, 6)
    assert sum(kept(evaluate)) - HEADER * len(kept(evaluate)) <= 1e9 * memory / len(KEPT_SPLITS)


def test_what_is_not_kept_is_rounded_as_if_it_were(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    some, every = (
        sc.Evaluator(zoo, memory=2 * models * A_MODEL / 1e9 * (1 + 1e-9), store=Store(zoo.folder / f"{models}.sqlite"))
        for models in (1, 3)
    )
    for name in zoo.names:
        assert torch.equal(some.logits(sc.Soup.single(name)), every.logits(sc.Soup.single(name)))
    assert sc.ensemble(some, zoo.names) == sc.ensemble(every, zoo.names)


def peak_of(work: Callable[[], object]) -> int:
    """How many bytes of memory it takes at its highest beyond what was there."""

    def status(key: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
        return 1024 * int(line.split()[1])

    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    work()
    return status("VmHWM") - before


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the highest is told by Linux alone")
def test_a_thousand_classes_are_measured_in_less_memory_than_their_logits_take() -> None:
    logits = torch.randn(24_000, 1000, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(24_000) % 1000
    measure(logits[:500], labels[:500])
    found: list[sc.Evaluation] = []
    peak = peak_of(lambda: found.append(measure(logits, labels)))
    assert peak < 0.9 * logits.nbytes, f"{peak / 1e6:.0f} MB for {logits.nbytes / 1e6:.0f} MB of logits"
    (whole,) = found
    assert whole.correct == int((logits.argmax(1) == labels).sum())
    assert whole.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert not math.isnan(whole.ece)
