"""On a GPU: averaging, a greedy step, a learned step and many soups, each against the usual way on the same GPU.

    python -m benchmarks gpu

Networks of 88 million parameters are torchvision's vit_b_32 with random weights, the bundled network is that of the zoo
`fashion`; all checkpoints and images are in the GPU's memory on both sides. Takes some minutes on an H200. Where there is
no CUDA device one line says so.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from benchmarks.engine import learned_steps
from benchmarks.rows import Row, by_turns
from soup_core import architectures
from soup_core.evaluation import ImageOrder
from soup_core.runtime.devices import exactly
from soup_core.runtime.store import Store

NO_CUDA = "no CUDA device here: GPU rows not measured"
USUAL_BATCH = 256


@dataclass(frozen=True)
class Scale:
    """How much is measured, and on what; limits are wanted on an H200 alone."""

    device: str
    architecture: str
    classes: int
    shape: tuple[int, int, int]
    models: int
    images: int
    soups: int
    rounds: int


H200 = Scale("cuda", "torchvision:vit_b_32", 1000, (3, 224, 224), models=8, images=10_000, soups=8, rounds=5)


def synchronized(device: str, work: Callable[[], object]) -> Callable[[], None]:
    """The work, and then all that it has asked of the device."""

    def run() -> None:
        work()
        if device != "cpu":
            torch.cuda.synchronize(device)

    return run


def write_zoo(scale: Scale, folder: Path) -> sc.Zoo:
    """A zoo of models around one start, with random images and labels."""
    folder.mkdir(parents=True)
    channels = scale.shape[0]
    lines = [
        "format = 1",
        'title = "Random weights"',
        f'architecture = {{ name = "{scale.architecture}", num_classes = {scale.classes} }}',
        "[data]",
        'source = "tensors:data.safetensors"',
        f"normalize = {{ mean = {[0.5] * channels}, std = {[0.25] * channels} }}",
    ]
    start = architectures.build(scale.architecture, scale.classes).state_dict()
    for index in range(scale.models):
        noise = torch.Generator().manual_seed(index)
        theta = {name: value + 0.002 * torch.randn(value.shape, generator=noise) for name, value in start.items()}
        safetensors.torch.save_file(theta, folder / f"m{index}.safetensors")
        lines += ["[[ingredients]]", f'name = "m{index}"', f'file = "m{index}.safetensors"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    tensors = {}
    for split, size in (("held_out", scale.images), ("test", 8)):
        tensors[f"{split}.images"] = torch.randint(256, (size, *scale.shape), dtype=torch.uint8)
        tensors[f"{split}.labels"] = torch.randint(scale.classes, (size,))
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    return sc.open_zoo(folder)


class UsualWay:
    """What people write: models as dictionaries on the device, a sum of them, load_state_dict, batches, a count."""

    def __init__(self, evaluate: sc.Evaluator) -> None:
        zoo, self.device = evaluate.zoo, evaluate.device
        self.models: Mapping[str, Mapping[str, Tensor]] = {
            name: sc.state_dict(zoo, sc.Soup.single(name), self.device) for name in zoo.names
        }
        self.module = zoo.module().to(self.device).eval()
        self.batches = [
            (evaluate.inputs(part), evaluate.data.labels[part].to(self.device))
            for part in torch.arange(evaluate.total).split(USUAL_BATCH)
        ]

    def averaged(self, soup: sc.Soup) -> dict[str, Tensor]:
        """The sum of the models times their coefficients."""
        models = [(self.models[name], share) for name, share in soup.coefficients.items()]
        nothing = torch.zeros(())
        return {name: sum((share * model[name] for model, share in models), nothing) for name in models[0][0]}

    def correct(self, soup: sc.Soup) -> int:
        """How many images the soup gets right, in float32 without TF32 as ours."""
        self.module.load_state_dict(self.averaged(soup))
        with torch.inference_mode(), exactly("float32", self.device):
            return sum(int((self.module(images).argmax(1) == labels).sum()) for images, labels in self.batches)


def averaging_row(evaluate: sc.Evaluator, usual: UsualWay, rounds: int, what: str) -> Row:
    """The uniform soup of all models, in memory on both sides."""
    zoo, soup = evaluate.zoo, sc.uniform_soup(evaluate.zoo)
    assert evaluate.bank is not None, "the models fit into the memory"
    ours = synchronized(evaluate.device, lambda: sc.state_dict(zoo, soup, evaluate.device, evaluate.bank))
    theirs = synchronized(evaluate.device, lambda: usual.averaged(soup))
    by_turns(2, ours, theirs)  # warm
    return Row(
        f"{what}: average of {len(zoo.names)}", *_against(by_turns(4 * rounds, ours, theirs)), "s", "at most", 0.5
    )


def _against(seconds: Sequence[float]) -> tuple[float, str, float]:
    return seconds[0], "a sum of dictionaries", seconds[1]


def soups_of(zoo: sc.Zoo, count: int, shift: float) -> list[sc.Soup]:
    """So many mixtures of two, which no other shift gives."""
    pairs = itertools.cycle(itertools.combinations(zoo.names, 2))
    weights = [0.3 + shift + 0.4 * index / count for index in range(count)]
    return [sc.Soup({a: weight, b: 1 - weight}) for weight, (a, b) in zip(weights, pairs, strict=False)]


def evaluation_rows(evaluate: sc.Evaluator, usual: UsualWay, scale: Scale, what: str) -> Iterator[Row]:
    """A greedy step that is accepted, one that is rejected early, and many soups one after the other."""
    zoo, total = evaluate.zoo, evaluate.total
    evaluate(sc.Soup.single(zoo.names[0]))  # what is made once
    steps, rejected, batches = [], [], []
    order = ImageOrder(torch.arange(total))
    for step in range(scale.rounds):
        soup, other = soups_of(zoo, 1, 0.001 * (step + 1))[0], soups_of(zoo, 1, -0.001 * (step + 1))[0]
        start = time.perf_counter()
        found = evaluate(soup).correct
        middle = time.perf_counter()
        expected = usual.correct(soup)
        steps.append((middle - start, time.perf_counter() - middle))
        assert abs(found - expected) <= total // 1000 + 1, f"{found} and {expected} images are right"
        start = time.perf_counter()
        evaluate.trial(other, errors_below=max(1, (total - found) // 4), order=order)
        rejected.append(time.perf_counter() - start)
    ours, theirs = (statistics.median(column) for column in zip(*steps, strict=True))
    yield Row(f"{what}: a greedy step, {total:,} images", ours, "the usual loop", theirs, "s", "at most", 1.0)
    early = statistics.median(rejected)
    yield Row(f"{what}: a greedy step, rejected after a quarter", early, "the usual loop", theirs, "s", "at most", 0.35)
    for step in range(scale.rounds):
        soups = soups_of(zoo, scale.soups, 0.003 + 0.001 * step)
        start = time.perf_counter()
        counts = [each.correct for each in evaluate.many(soups)]
        middle = time.perf_counter()
        expected_counts = [usual.correct(soup) for soup in soups]
        batches.append((middle - start, time.perf_counter() - middle))
        assert all(abs(a - b) <= total // 1000 + 1 for a, b in zip(counts, expected_counts, strict=True))
    ours, theirs = (statistics.median(column) for column in zip(*batches, strict=True))
    yield Row(f"{what}: {scale.soups} soups", ours, "the usual loop", theirs, "s", "at most", 1.0)


def learned_row(evaluate: sc.Evaluator, rounds: int, what: str) -> Row:
    """A step of the learned soup, a coefficient a tensor, against autograd through the mix."""
    steps = learned_steps(evaluate, "tensor", min(64, evaluate.total))
    works = [synchronized(evaluate.device, step) for step in steps]
    by_turns(2, *works)  # warm
    ours, theirs = by_turns(2 * rounds, *works)
    return Row(f"{what}: a learned step", ours, "through autograd", theirs, "s", "at most", 0.6)


def rows_of(zoo: sc.Zoo, scale: Scale, what: str, folder: Path) -> Iterator[Row]:
    """Every row for one zoo."""
    evaluate = sc.Evaluator(zoo, device=scale.device, memory=8, store=Store(folder / "store.sqlite"))
    usual = UsualWay(evaluate)
    yield averaging_row(evaluate, usual, scale.rounds, what)
    yield from evaluation_rows(evaluate, usual, scale, what)
    del usual
    yield learned_row(evaluate, scale.rounds, what)


def measured_at(scale: Scale, bundled: str = "fashion") -> list[Row]:
    """Every row, for a made zoo and for a bundled one."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        made = write_zoo(scale, root / "made")
        name = scale.architecture.rpartition(":")[2]
        rows = list(rows_of(made, scale, f"{scale.device}, {name}", root / "made"))
        (root / "bundled").mkdir()
        return [*rows, *rows_of(sc.open_zoo(bundled), scale, f"{scale.device}, bundled network", root / "bundled")]


def measured() -> list[Row] | list[str]:
    """Every row on CUDA, or the line that there is none."""
    if not torch.cuda.is_available():
        return [f"**{NO_CUDA}.**"]
    return measured_at(H200)
