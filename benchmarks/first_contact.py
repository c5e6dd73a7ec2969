"""First contact with a folder of checkpoints: one soup from twelve files, nothing known of them, as whole processes.

The files are in the page cache. `export` of today's commit evaluated what it wrote, here on one image, which it did for the
soup and for each model alone; the rival is model_soups_loop.py, a script that loads, adds up in a dictionary, and saves.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch
import torch

import soup_core as sc
from benchmarks.engine import (
    CLASSES,
    MODELS,
    VIT,
    in_fresh_process,
    model_bytes,
    peak,
    read_through,
    write_models,
    write_sparse_zoo,
    write_zoo,
)
from benchmarks.processes import ROOT, Command, at_commit, by_turns, python
from benchmarks.rows import Row

LOOP = ROOT / "benchmarks" / "model_soups_loop.py"
SETTINGS = {"OMP_NUM_THREADS": "2"}
LOOK = """
from pathlib import Path
from soup_core.architectures.outlines import outline
outline({{"name": {name!r}, "num_classes": {classes}}}, Path())
"""
ROUNDS = 3
HALVES = (torch.bfloat16, torch.float16)


def measured() -> list[Row]:
    """Every row of the section."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (models := root / "models").mkdir()
        write_models(models)
        with at_commit() as before:
            rows = [
                *export_rows(root, models, before, "safetensors", 0.6),
                *export_rows(root, models, before, "pt", 0.7),
            ]
        rows += [*memory_rows(root, models), *half_rows(root, models)]
        shutil.rmtree(models)
        return [*rows, *opening_rows(root)]


def zoo_of(root: Path, models: Path, ending: str) -> Path:
    """A zoo of all models in one format, with one image a split."""
    folder = write_zoo(models, root / f"zoo-{ending}", MODELS, images=1)
    if ending != "safetensors":
        for file in folder.glob("m*.safetensors"):
            file.unlink()
            os.link(models / f"{int(file.stem[1:]):02}.{ending}", file.with_suffix(f".{ending}"))
        text = (folder / "zoo.toml").read_text()
        (folder / "zoo.toml").write_text(
            text.replace('.safetensors"\n', f'.{ending}"\n').replace(f"data.{ending}", "data.safetensors")
        )
    return folder


def exporting(folder: Path, root: Path, code: Path = ROOT, *, is_first: bool = False) -> Command:
    """`export` of the uniform soup by the code in a folder, with a store that knows nothing of the files.

    It knows the network, as from another zoo of the same one, unless it `is_first` of all.
    """
    home, output = root / f"home-{code.name}", root / f"soup-{code.name}"
    settings = {**SETTINGS, "SOUP_HOME": str(home)}

    def forget() -> None:
        shutil.rmtree(home, ignore_errors=True)
        for file in root.glob(f"{output.name}*"):
            file.unlink()
        if not is_first:
            python("-c", LOOK.format(name=VIT, classes=CLASSES), settings=settings).cost()

    arguments = ("-m", "soup_core", "export", str(folder), "--soup", "uniform", "-o", str(output), "--device", "cpu")
    return python(*arguments, folder=code, settings=settings, before=forget)


def export_rows(root: Path, models: Path, before: Path, ending: str, limit: float) -> Iterator[Row]:
    """The whole command against the script, against itself as it was, and, less the imports, against a bare read."""
    folder, files = zoo_of(root, models, ending), [str(file) for file in sorted(models.glob(f"*.{ending}"))]
    ours, first, now_loads, script, bare_script, reading, startup, then = by_turns(
        ROUNDS,
        exporting(folder, root),
        exporting(folder, root, is_first=True),
        python("-m", "soup_core", "export", "--help", settings=SETTINGS),
        python(str(LOOP), str(root / f"loop.{ending}"), *files, settings=SETTINGS),
        python(str(LOOP), "--bare", str(root / f"loop.{ending}"), *files, settings=SETTINGS),
        python("-c", f"{READING}\nread({files!r})", settings=SETTINGS),
        python("-c", READING, settings=SETTINGS),
        exporting(folder, root, before, is_first=True),
    )
    what = f"export --soup uniform of {MODELS} .{ending} files of 88M float32, nothing known of them"
    unit = "s of processor"
    yield Row(what, ours.processor, "a script of model-soups' averaging", script.processor, unit, "at most", limit)
    first_of_all = f"{what}, nor of the network"
    yield Row(first_of_all, first.processor, "a script of model-soups' averaging", script.processor, unit, "told")
    yield Row(what, ours.processor, "the script without torchvision", bare_script.processor, unit, "told")
    yield Row(what, ours.processor, "before, evaluating 13 models on 1 image", then.processor, unit, "told")
    bare = reading.processor - startup.processor
    yield Row(
        f"{what}, less the imports", ours.processor - now_loads.processor, "a bare read", bare, unit, "at most", 3
    )
    yield Row(f"{what}, on the clock", ours.wall, "the script", script.wall, "s", "told")
    written = sum(file.stat().st_size for file in (root / f"home-{ROOT.name}").rglob("*") if file.is_file())
    yield Row(f"{what}: written beside the soup", written / 1e6, "a model", 353, "MB", "told")
    shutil.rmtree(folder)


READING = """
import os
def read(files):
    buffer = bytearray(1 << 20)
    for file in files:
        descriptor, offset = os.open(file, os.O_RDONLY), 0
        while count := os.preadv(descriptor, [buffer], offset):
            offset += count
        os.close(descriptor)
"""


# ---- averages, the zoo open ------------------------------------------------------------------------------------------


def averaging_peak(folder: str) -> tuple[float]:
    """Gigabytes that an average rises by above an open zoo."""
    zoo = sc.open_zoo(Path(folder))
    assert zoo.digest  # read through, once
    return (peak(lambda: sc.state_dict(zoo, sc.uniform_soup(zoo))),)


def memory_rows(root: Path, models: Path) -> Iterator[Row]:
    """Peak memory of an average in float32."""
    folder = write_zoo(models, root / "float32", MODELS, images=1)
    one = model_bytes(sc.open_zoo(folder)) / 1e9
    (ours,) = in_fresh_process(averaging_peak, str(folder))
    yield Row(f"peak memory of averaging {MODELS} float32 files", ours, "one model", one, "GB", "at most", 1.05)
    shutil.rmtree(folder)


def loop(files: list[Path], load: Callable[[Path], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The dictionary of model-soups, in the files' precision."""
    soup: dict[str, torch.Tensor] = {}
    for file in files:
        theta = load(file)
        soup = {
            name: value * (1 / len(files)) + soup[name] if soup else value * (1 / len(files))
            for name, value in theta.items()
        }
    return soup


def processor(work: Callable[[], object]) -> float:
    """Seconds of this process's processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


def half_costs(folder: str) -> tuple[float, ...]:
    """Of files in half precision: processor seconds of ours, of the loop over PyTorch files and over safetensors, peaks."""
    zoo = sc.open_zoo(Path(folder))
    soup, files = sc.uniform_soup(zoo), sorted(Path(folder).glob("m*.safetensors"))
    saved = [file.with_suffix(".pt") for file in files]
    works: tuple[Callable[[], object], ...] = (
        lambda: sc.state_dict(zoo, soup),
        lambda: loop(saved, lambda file: torch.load(file, map_location="cpu")),
        lambda: loop(files, safetensors.torch.load_file),
    )
    for work in works:
        work()
    rounds = [[processor(work) for work in works] for _ in range(ROUNDS)]
    costs = [sorted(times)[ROUNDS // 2] for times in zip(*rounds, strict=True)]
    return (*costs, peak(works[0]), sum(file.stat().st_size for file in files[:1]) / 1e9)


def half_rows(root: Path, models: Path) -> Iterator[Row]:
    """Averages in bfloat16 and float16 against the loop in the same precision."""
    for dtype in HALVES:
        name = str(dtype).removeprefix("torch.")
        (halves := root / name).mkdir()
        for file in sorted(models.glob("*.safetensors")):
            theta = {key: value.to(dtype) for key, value in safetensors.torch.load_file(file).items()}
            safetensors.torch.save_file(theta, halves / file.name)
        folder = write_zoo(halves, root / f"zoo-{name}", MODELS, images=1)
        for file in folder.glob("m*.safetensors"):
            torch.save(safetensors.torch.load_file(file), file.with_suffix(".pt"))
        ours, saved, mapped, rise, one = in_fresh_process(half_costs, str(folder))
        what = f"average {MODELS} files of 88M {name}, the zoo open"
        yield Row(what, ours, "the loop with torch.load", saved, "s of processor", "at most", 0.35)
        yield Row(what, ours, "the loop with load_file, which maps them", mapped, "s of processor", "told")
        yield Row(f"peak memory: {what}", rise, "one model of that precision", one, "GB", "at most", 2.2)
        shutil.rmtree(halves)
        shutil.rmtree(folder)


# ---- opening ---------------------------------------------------------------------------------------------------------


def opening_costs(folder: str, home: str) -> tuple[float, float, float]:
    """Seconds until a zoo is open and its digest known, of the clock and of the processor, and of the clock once more."""
    os.environ["SOUP_HOME"] = home
    sc.architectures.meta_module(VIT, 1000)  # importing torchvision is no part of it
    start, spent = time.perf_counter(), processor(lambda: sc.open_zoo(Path(folder)).digest)
    first, middle = time.perf_counter() - start, time.perf_counter()
    assert sc.open_zoo(Path(folder)).digest
    return first, spent, time.perf_counter() - middle


def reading_costs(folder: str) -> tuple[float, float]:
    """Seconds of reading the files once, of the clock and of the processor."""
    start = time.perf_counter()
    spent = processor(lambda: read_through(sorted(Path(folder).glob("m*.safetensors"))))
    return time.perf_counter() - start, spent


def opening_rows(root: Path, count: int = 72) -> Iterator[Row]:
    """Opening files that nobody has read through, then those that are known."""
    folder, home = write_sparse_zoo(root / "sparse", count), str(root / "home-opening")
    reads = [in_fresh_process(reading_costs, str(folder)) for _ in range(2)]
    first, spent, again = in_fresh_process(opening_costs, str(folder), home)
    later, _, _ = in_fresh_process(opening_costs, str(folder), home)
    what = f"open {count} files of 353 MB"
    wall, cost = (sum(times) / 2 for times in zip(*reads, strict=True))
    yield Row(f"{what} for the first time", first, "one thread reads them once", wall, "s", "at most", 1.5)
    yield Row(f"{what} for the first time", spent, "one thread reads them once", cost, "s of processor", "told")
    yield Row(f"{what} once more", again, "wanted", 0.1, "s", "at most", 1)
    yield Row(f"{what} in a later process", later, "wanted", 0.1, "s", "at most", 1)
    shutil.rmtree(root / "sparse")
