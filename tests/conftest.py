"""Fixtures alone: a store of each test's own, made zoos in its folder, and what is run or loaded, noted."""

import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from streamlit.components.v2 import manifest_scanner
from torch import Tensor

import soup_core as sc
from soup_core import architectures, cli
from soup_core.data import BundledSet, splits
from soup_core.data.packed_images import PackedImages
from soup_core.jobs import Jobs
from soup_core.weight_space import averaging
from tests.zoos import Deep, Linear, WithBuffers, random_deeps, random_linears, write_zoo

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def components_scanned_once() -> Iterator[None]:
    """Each run of Streamlit's test driver reads the metadata of all installed packages, four fifths of what it takes."""
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def no_job_outlives_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work that a page has begun would go on beside the next test, which may count what is evaluated."""
    made: list[Jobs] = []
    start = Jobs.__init__

    def begin(self: Jobs, *given: Any, **options: Any) -> None:
        start(self, *given, **options)
        made.append(self)

    monkeypatch.setattr(Jobs, "__init__", begin)
    yield
    for jobs in made:
        jobs.close()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SOUP_ZOOS", str(tmp_path))
    built = architectures.build
    made = {"test_linear": Linear, "test_buffers": WithBuffers, "test_deep": Deep}
    monkeypatch.setattr(
        architectures,
        "build",
        lambda name, num_classes, options=None: (
            made[name](num_classes) if name in made else built(name, num_classes, options)
        ),
    )


FEW = slice(0, 3500, 7)  # 500 images of a bundled split, of which greedy still takes more than the best model
read_bundled = splits._bundled_tensors


@cache
def few_tensors(bundled: BundledSet, name: str) -> tuple[Tensor, Tensor]:
    packed, labels = read_bundled(bundled, name)
    assert isinstance(packed, PackedImages)
    return packed.tensor[FEW].clone(), labels[FEW].clone()


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bundled zoos on a few of their images: their files are as they ship, and an evaluation takes no time.

    What ships of evaluations is of all images and so is of no use here.
    """
    monkeypatch.setattr(splits, "_bundled_tensors", few_tensors)
    monkeypatch.setattr(splits, "shared_splits", splits.SharedSplits(splits.KEPT_BYTES))  # the others are of all images
    yield
    if streamlit := sys.modules.get("streamlit"):
        streamlit.cache_resource.clear()  # evaluators on these images


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream seven numbers at a time on two threads, so that every tensor of a made model takes several blocks."""
    monkeypatch.setattr(averaging, "stream", partial(averaging.stream, block=7))
    monkeypatch.setattr(averaging, "RUN", 7)
    monkeypatch.setattr(averaging, "DOT_AT_ONCE", 3)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[sc.Soup]:
    """The soups whose images any evaluator runs from here on."""
    soups: list[sc.Soup] = []
    original = sc.Evaluator._batches

    def batches(self: sc.Evaluator, soup: sc.Soup, indices: Tensor, size: int) -> object:
        soups.append(soup)
        return original(self, soup, indices, size)

    monkeypatch.setattr(sc.Evaluator, "_batches", batches)
    return soups


@pytest.fixture
def splits_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the splits that anything loads from here on."""
    asked: list[str] = []
    original = sc.data.Data.split
    monkeypatch.setattr(sc.data.Data, "split", lambda self, name: asked.append(name) or original(self, name))
    return asked


@pytest.fixture
def linear_zoo(tmp_path: Path) -> Callable[..., Path]:
    def make(count: int = 6, seed: int = 0) -> Path:
        return write_zoo(tmp_path / f"linear-{count}-{seed}", random_linears(count, seed))

    return make


@pytest.fixture
def based_zoo(tmp_path: Path) -> Callable[..., Path]:
    """Linear models and a base."""

    def make(count: int = 4, seed: int = 0) -> Path:
        files = random_linears(count, seed)
        base = random_linears(1, seed=1000 + seed)["m0"]
        return write_zoo(tmp_path / f"based-{count}-{seed}", {**files, "base": base})

    return make


@pytest.fixture
def deep_zoo(tmp_path: Path) -> Callable[..., Path]:
    """Models with BatchNorm and a base."""

    def make(count: int = 4, seed: int = 0) -> Path:
        return write_zoo(tmp_path / f"deep-{count}-{seed}", random_deeps(count, seed), architecture="test_deep")

    return make


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: its exit code, and what it printed on standard output and on standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["soup_core", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call
