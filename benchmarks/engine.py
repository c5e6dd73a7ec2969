"""The engine against its rivals, by turns in one run.

    python -m benchmarks engine

Times are medians, on two threads, with the files in the page cache; the rivals are in rivals.py. Networks of 88 million
parameters are torchvision's vit_b_32 with random weights; the bundled network is that of the zoo `fashion`.
"""

import ctypes
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

import soup_core as sc
from benchmarks import rivals
from benchmarks.rows import Row, by_turns, seconds
from soup_core import architectures
from soup_core.recipes.learned import _learn, _Mixture
from soup_core.runtime.devices import exactly
from soup_core.runtime.store import Store

VIT, CLASSES, SIDE = "torchvision:vit_b_32", 1000, 224
THREADS = 2
MODELS = 12
MIB = 1 << 20
GB = 1e9
ROOM = 12 * GB  # twelve models, as safetensors and as PyTorch files, and some to spare


# ---- networks of 88 million parameters -------------------------------------------------------------------------------


def vit() -> torch.nn.Module:
    return architectures.build(VIT, CLASSES).eval()


def write_models(folder: Path) -> None:
    """Checkpoints around one start, each as a safetensors file and as a PyTorch file."""
    if shutil.disk_usage(folder).free < ROOM:
        raise SystemExit(f"the benchmark needs {ROOM / GB:.0f} GB of disk for its models; set TMPDIR to a larger disk")
    start = vit().state_dict()
    for index in range(MODELS):
        noise = torch.Generator().manual_seed(index)
        theta = {name: value + 0.002 * torch.randn(value.shape, generator=noise) for name, value in start.items()}
        safetensors.torch.save_file(theta, folder / f"{index:02}.safetensors")
        torch.save(theta, folder / f"{index:02}.pt")
    os.sync()


def write_zoo(models: Path, folder: Path, count: int, images: int = 20) -> Path:
    """A zoo of so many ingredients, hard links to the models in turn, with random images."""
    folder.mkdir()
    files = sorted(models.glob("*.safetensors"))
    lines = [
        "format = 1",
        'title = "Random weights"',
        f'architecture = {{ name = "{VIT}", num_classes = {CLASSES} }}',
        "[data]",
        'source = "tensors:data.safetensors"',
    ]
    for index in range(count):
        os.link(files[index % len(files)], folder / f"m{index:02}.safetensors")
        lines += ["[[ingredients]]", f'name = "m{index:02}"', f'file = "m{index:02}.safetensors"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    tensors = {}
    for split, size in (("held_out", images), ("test", 20)):
        tensors[f"{split}.images"] = torch.randint(256, (size, 3, SIDE, SIDE), dtype=torch.uint8)
        tensors[f"{split}.labels"] = torch.randint(CLASSES, (size,))
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    return folder


def model_bytes(zoo: sc.Zoo) -> int:
    return 4 * sum(tensor.numel() for tensor in zoo.tensors.values())


def read_through(files: list[Path]) -> None:
    """Read files from end to end on one thread, into one megabyte that is used again and again."""
    buffer = bytearray(MIB)
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        offset = 0
        while count := os.preadv(descriptor, [buffer], offset):
            offset += count
        os.close(descriptor)


def averaging_rows(models: Path, folder: Path) -> Iterator[Row]:
    """Streamed averaging against one thread's reading of the files, and against the usual loops."""
    zoo = sc.open_zoo(folder / str(MODELS))
    soup = sc.uniform_soup(zoo)
    read, saved = sorted(models.glob("*.safetensors")), sorted(models.glob("*.pt"))
    read_through(saved)
    ours, reading = by_turns(5, lambda: sc.state_dict(zoo, soup), lambda: read_through(read))
    what = f"average {MODELS} files of {model_bytes(zoo) / 4e6:.0f}M float32 parameters"
    yield Row(what, ours, "one thread reads them", reading, "s", "at most", 1.6)
    module = vit()
    ours, loop, swa = by_turns(
        3,
        lambda: sc.state_dict(zoo, soup),
        lambda: rivals.averaged(saved),
        lambda: rivals.averaged_model(saved, module),
    )
    yield Row(what, ours, "torch.load and a dict comprehension", loop, "s", "at least", 3)
    yield Row(what, ours, "torch.load and AveragedModel", swa, "s", "told")


# ---- peak memory, each in a process of its own -----------------------------------------------------------------------


def in_fresh_process(work: Callable[..., tuple[float, ...]], *arguments: str) -> tuple[float, ...]:
    """What the work reports, done in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (THREADS,)) as pool:
        return pool.submit(work, *arguments).result()


def status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak(work: Callable[[], object]) -> float:
    """How many gigabytes the process's memory rises during the work above where it was."""
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that the process still holds would hide some of the peak
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    work()
    return (status_bytes("VmHWM") - before) / GB


def soup_peaks(folder: str) -> tuple[float, float]:
    """Of a streamed average, and of two rounds of a streamed learned soup."""
    zoo = sc.open_zoo(Path(folder))
    averaging = peak(lambda: sc.state_dict(zoo, sc.uniform_soup(zoo)))
    evaluate = sc.Evaluator(zoo, device="cpu", memory=0)
    steps = sc.learned_soup(zoo, evaluate, epochs=1, batch_size=4)
    return averaging, peak(lambda: list(itertools.islice(steps, 3)))


def activations_peak() -> tuple[float]:
    """What one training step of one model needs beside the model and its gradients, at the same batch size."""
    module, images, labels = vit(), torch.randn(4, 3, SIDE, SIDE), torch.arange(4)
    gradients = 4 * sum(parameter.numel() for parameter in module.parameters()) / GB
    return (peak(lambda: F.cross_entropy(module(images), labels).backward()) - gradients,)


def memory_rows(folder: Path) -> Iterator[Row]:
    """Peak memory of averaging and of learning, with few ingredients and with many."""
    one = model_bytes(sc.open_zoo(folder / "4")) / GB
    few, many = (in_fresh_process(soup_peaks, str(folder / count)) for count in ("4", "24"))
    (activations,) = in_fresh_process(activations_peak)
    yield Row("peak memory of averaging 24 files", many[0], "one model", one, "GB", "at most", 2.2)
    yield spread_row("peak memory of averaging", few[0], many[0], 1.05)
    allowed = 4 * one + activations
    against = f"4 models and {activations:.2f} GB of activations"
    yield Row("peak memory of a streamed learned soup of 24", many[1], against, allowed, "GB", "at most", 1.0)
    yield spread_row("peak memory of a streamed learned soup", few[1], many[1], 1.1)


def spread_row(what: str, few: float, many: float, limit: float) -> Row:
    """Whether 24 files take as much as 4, either way."""
    larger, smaller = ("24", "4") if many >= few else ("4", "24")
    return Row(f"{what}, {larger} files", max(few, many), f"{smaller} files", min(few, many), "GB", "at most", limit)


# ---- opening many files ----------------------------------------------------------------------------------------------


def write_sparse_zoo(folder: Path, count: int) -> Path:
    """A zoo of so many large networks whose numbers are all zero, which take no room on most disks."""
    table: dict[str, dict[str, object]] = {}
    end = 0
    for name, tensor in architectures.meta_module(VIT, CLASSES).state_dict().items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        table[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(table).encode()
    (models := folder / "models").mkdir(parents=True)
    for index in range(count):
        with open(models / f"{index:02}.safetensors", "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + end)
    return write_zoo(models, folder / "zoo", count)


def opening_seconds(folder: str) -> tuple[float, float]:
    """Until a zoo is open and its digest known, in this process, and once more."""
    architectures.meta_module(VIT, CLASSES)  # importing torchvision is no part of it
    first, again = (seconds(lambda: sc.open_zoo(Path(folder)).digest) for _ in range(2))
    return first, again


def opening_rows(root: Path, count: int = 72) -> Iterator[Row]:
    """Opening files that an earlier process has read through."""
    folder = write_sparse_zoo(root / "sparse", count)
    (unknown, _), (known, again) = (in_fresh_process(opening_seconds, str(folder)) for _ in range(2))
    what = f"open {count} files of {(folder / 'm00.safetensors').stat().st_size / 1e6:.0f} MB"
    yield Row(f"{what}, known from an earlier process", known, "limit", 2, "s", "at most", 1.0)
    yield Row(f"{what}, once more in one process", again, "the first time of all", unknown, "s", "told")
    shutil.rmtree(root / "sparse")


# ---- greedy on the bundled zoo ---------------------------------------------------------------------------------------


def fresh_evaluator(root: Path, folder: Path | str = "fashion", **options: Any) -> sc.Evaluator:
    """An evaluator whose zoo, bank and store know nothing yet but what comes with the zoo."""
    place = Path(tempfile.mkdtemp(dir=root))
    return sc.Evaluator(sc.open_zoo(folder), device="cpu", store=Store(place / "store.sqlite"), **options)


def search(evaluate: sc.Evaluator, **options: Any) -> list[sc.GreedyStep]:
    return list(sc.greedy_soup(evaluate.zoo, evaluate, **options))


def decisions(steps: list[sc.GreedyStep]) -> dict[str, bool]:
    return {step.candidate: step.accepted for step in steps}


def rejection_rows(root: Path, orders: int = 20) -> Iterator[Row]:
    """Greedy with early rejection against the full search, in shuffled orders."""
    same, shares, times = 0, [], []
    for seed in range(orders):
        found: dict[bool, list[sc.GreedyStep]] = {}
        for full in (False, True):
            evaluate = fresh_evaluator(root)
            start = time.perf_counter()
            found[full] = search(evaluate, order=f"random:{seed}", full=full)
            times.append(time.perf_counter() - start)
        same += list(decisions(found[False]).items()) == list(decisions(found[True]).items())
        shares += [step.images_evaluated / evaluate.total for step in found[False] if not step.accepted]
    yield Row("orders in which early rejection decides as the full search", same, "orders", orders, "", "at most", 1.0)
    assert same == orders, f"early rejection decided differently in {orders - same} orders"
    share = statistics.mean(shares)
    yield Row("images that a rejected candidate needs", 100 * share, "all of them", 100, "%", "at most", 0.25)
    early, full_search = statistics.median(times[::2]), statistics.median(times[1::2])
    yield Row("greedy with early rejection, time", early, "the full search", full_search, "s", "told")


def turns_of_greedy(
    repeats: int, ours: Callable[[], sc.Evaluator], usual: Callable[[], dict[str, bool]]
) -> tuple[float, float]:
    """Median seconds of our search, with a fresh evaluator each time, and of the usual one; they decide the same."""
    times = []
    for _ in range(repeats):
        evaluate = ours()
        start = time.perf_counter()
        found = decisions(search(evaluate))
        middle = time.perf_counter()
        expected = usual()
        times.append((middle - start, time.perf_counter() - middle))
        assert list(found.items()) == list(expected.items()), "the usual greedy decides otherwise"
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return first, second


def greedy_rows(root: Path) -> Iterator[Row]:
    """Greedy against the usual greedy over tensors, and over image files."""
    zoo = sc.open_zoo("fashion")
    evaluate = fresh_evaluator(root)
    files = [ingredient.file for ingredient in zoo.ingredients]
    correct = [evaluation.correct for evaluation in evaluate.singles().values()]
    images, labels = zoo.data.normalization(evaluate.data.images), evaluate.data.labels
    batches = list(zip(images.split(evaluate.batch_size), labels.split(evaluate.batch_size), strict=True))
    alone = Path(shutil.copytree(zoo.folder, root / "alone", ignore=shutil.ignore_patterns("evaluations.jsonl")))

    ours, usual = turns_of_greedy(
        5, partial(fresh_evaluator, root), lambda: rivals.greedy(files, zoo.module, batches, correct)
    )
    yield Row("greedy, the ingredients evaluated before", ours, "usual greedy over tensors", usual, "s", "at least", 3)
    whole, usual = turns_of_greedy(
        5, partial(fresh_evaluator, root, alone), lambda: rivals.greedy(files, zoo.module, batches)
    )
    yield Row("greedy with their evaluations", whole, "usual greedy over tensors", usual, "s", "at most", 0.6)

    rivals.write_images(evaluate.data, root / "images")
    loader = rivals.image_loader(root / "images", zoo.data.normalization, evaluate.batch_size)
    times = [seconds(partial(rivals.soup_correct, files[:size], zoo.module, loader)) for size in (2, 3, 4)]
    slow = statistics.median(times) * (len(files) - 1)
    against = f"usual greedy over image files, 2 workers (3 candidates, scaled to {len(files) - 1})"
    yield Row("greedy, the ingredients evaluated before", ours, against, slow, "s", "told")


# ---- learned soup, and the plane -------------------------------------------------------------------------------------


def close(found: Tensor | None, expected: Tensor | None) -> bool:
    """Whether two gradients are there and the same to a ten-thousandth."""
    if found is None or expected is None:
        return False
    return float((found - expected.to(found)).norm()) <= 1e-4 * float(expected.norm())


def learned_steps(
    evaluate: sc.Evaluator, granularity: str, batch_size: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """One step of our learned soup and of the usual one, each with its optimizer; their first gradients are the same."""
    zoo, device = evaluate.zoo, evaluate.device
    mixture = _Mixture(zoo, zoo.names, granularity, "softmax", "averaged")
    modules, module, batch = evaluate.replicas(), zoo.module().to(device), torch.arange(batch_size)
    raw, scale = mixture.start(), torch.ones((), dtype=torch.float64, requires_grad=True)
    assert evaluate.bank, "the models fit into the budget"
    learn = partial(_learn, evaluate, mixture, modules, raw, scale, batch)

    models = [
        {name: ingredient.checkpoint.read(name).to(device) for name in zoo.floating} for ingredient in zoo.ingredients
    ]
    inputs, labels = evaluate.inputs(batch), evaluate.data.labels[batch].to(device)
    their_raw, their_scale = (value.detach().float().to(device).requires_grad_() for value in (raw, scale))

    def backward() -> None:
        with exactly(evaluate.precision, device):
            rivals.mixed_loss(module, models, their_raw, their_scale, inputs, labels).backward()

    learn()
    backward()
    for mine, theirs in ((raw, their_raw), (scale, their_scale)):
        assert close(mine.grad, theirs.grad), "our gradient and autograd's differ"
    ours, usual = (
        torch.optim.AdamW(values, lr=0.05, weight_decay=0.0) for values in ([raw, scale], [their_raw, their_scale])
    )
    return partial(optimizer_step, learn, ours), partial(optimizer_step, backward, usual)


def optimizer_step(backward: Callable[[], object], optimizer: torch.optim.Optimizer) -> None:
    backward()
    optimizer.step()
    optimizer.zero_grad()


def learned_rows(root: Path) -> Iterator[Row]:
    """A step of the resident learned soup against the usual one, which keeps the graph of the mix."""
    evaluate = fresh_evaluator(root)
    count = len(evaluate.zoo.names)
    for granularity in ("tensor", "model"):
        steps = learned_steps(evaluate, granularity, 64)
        ours, usual = by_turns(25, *(lambda step=step: [step() for _ in range(20)] for step in steps))
        what = f"a step of the learned soup of {count}, a coefficient a {granularity}, batch 64"
        yield Row(what, ours / 20, "through autograd", usual / 20, "s", "at most", 0.6)


def plane_times(evaluate: sc.Evaluator) -> tuple[float, float]:
    """Seconds until the coarse points of a plane, and until all of its 21 × 21."""
    start = time.perf_counter()
    gram = sc.gram(evaluate.zoo, evaluate.store)
    corners = [sc.Soup.single(name) for name in evaluate.zoo.names[:3]]
    coarse = 0.0
    for point in sc.plane_points(evaluate, sc.plane_through(gram, *corners)):
        if point.stride == 4:
            coarse = time.perf_counter() - start
    return coarse, time.perf_counter() - start


def plane_rows(root: Path) -> Iterator[Row]:
    """A plane of the bundled network, first on 1,000 images, then on all."""
    times = [plane_times(fresh_evaluator(root, images=1000)) for _ in range(3)]
    coarse, whole = (statistics.median(column) for column in zip(*times, strict=True))
    _, refined = plane_times(fresh_evaluator(root))
    yield Row("21×21 plane, 1,000 images: Gram matrix and every fourth point", coarse, "limit", 2, "s", "at most", 1.0)
    yield Row("the whole plane, 1,000 images", whole, "limit", 20, "s", "at most", 1.0)
    yield Row("then refined to all 5,000, from the start", whole + refined, "limit", 90, "s", "at most", 1.0)


# ---- all of it -------------------------------------------------------------------------------------------------------


def measured() -> list[Row]:
    """Every row, in the order of the table; the models are written to a temporary folder and deleted."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["SOUP_HOME"] = str(root / "home")
        (models := root / "models").mkdir()
        (zoos := root / "zoos").mkdir()
        write_models(models)
        for count in (4, MODELS, 24):
            write_zoo(models, zoos / str(count), count)
        sections = [averaging_rows(models, zoos), memory_rows(zoos)]
        sections += [opening_rows(root), rejection_rows(root), greedy_rows(root), learned_rows(root), plane_rows(root)]
        return [row for section in sections for row in section]
