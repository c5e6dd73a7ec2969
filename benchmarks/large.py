"""Zoos far larger than the bundled ones: how work grows with their size, and whether their pages can be used.

    python -m benchmarks large

The zoos are those of `benchmarks.large_zoos`, made for the run.
Work is measured in seconds of processor, each exponent fitted by least squares to the logarithms.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser

import soup_core as sc
from benchmarks.large_zoos import KINDS
from benchmarks.rows import Row
from soup_core.analysis import ablations
from soup_core.analysis.pairs import disagreement, predictions
from soup_core.analysis.published import open_results, report
from soup_core.recipes.greedy import greedy_band
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.runtime.store import Store
from soup_core.weight_space.gram import gram
from tests.e2e.driver import WAIT, chromium, server
from tests.published_results import drawn_sweep

MODELS, IMAGES_OF_MODELS = (25, 50, 100, 200), 1000
IMAGES, MODELS_OF_IMAGES = (2500, 10_000, 50_000), 6
LINES = (1000, 3000, 9000)
GROWTH, NODES, TIMES = 1.1, 5000, 3.0
PAGES = ("Ingredients", "Greedy", "Interpolation", "", "Robustness")
SETTLING = 90
FIRST_NUMBER = """() => [...document.querySelectorAll('[data-testid="stMetricValue"]')].some(each => /[0-9]/.test(each.innerText))"""
STILL = """() => document.querySelector('[data-testid="stApp"]').dataset.testScriptState === "notRunning"
  && !document.querySelector('[data-testid="stProgress"], [data-stale="true"]')"""
Work = Callable[[sc.Zoo, sc.Evaluator], object]
WORK: Mapping[str, Work] = {
    "the single models": lambda zoo, evaluate: evaluate.singles(),
    "uniform soup": lambda zoo, evaluate: evaluate(sc.uniform_soup(zoo)),
    "greedy": lambda zoo, evaluate: list(sc.greedy_soup(zoo, evaluate)),
    "greedy's band, 2 orders": lambda zoo, evaluate: list(greedy_band(zoo, evaluate, orders=2)),
    "leave one out": lambda zoo, evaluate: list(ablations.leave_one_out(zoo, evaluate)),
    "Shapley values, a pair of orders": lambda zoo, evaluate: list(ablations.shapley(zoo, evaluate, pairs=1, seed=1)),
    "number averaged, with ensembles": lambda zoo, evaluate: list(ablations.number_averaged(zoo, evaluate)),
    "number averaged, an order of its band": lambda zoo, evaluate: list(
        ablations.number_averaged_band(zoo, evaluate, orders=1)
    ),
    "greedy ensemble": lambda zoo, evaluate: list(greedy_ensemble(zoo, evaluate)),
}
BY_NATURE: Mapping[str, Work] = {
    "Gram matrix": lambda zoo, evaluate: gram(zoo, evaluate.store),
    "disagreement of all pairs": lambda zoo, evaluate: disagreement(list(predictions(evaluate))),
}


def measured() -> list[Row]:
    """Growth with the models, the images and the lines, then every page of each zoo in a browser."""
    with tempfile.TemporaryDirectory() as temporary:
        (zoos := Path(temporary) / "zoos").mkdir()
        for kind, make in KINDS.items():
            make(zoos / f"large-{kind}")
        numbers = count()

        def store() -> Store:
            return Store(Path(temporary) / f"store-{next(numbers)}.sqlite")

        return [*growth(zoos, store), *lines(Path(temporary)), *pages(zoos, Path(temporary))]


def growth(zoos: Path, store: Callable[[], Store]) -> Iterator[Row]:
    """The exponents in the number of models and of held-out images; what has every pair in it is told."""
    whole = sc.open_zoo(zoos / "large-ingredients")
    sizes = {models: replace(whole, ingredients=whole.ingredients[:models]) for models in MODELS}
    taken = {models: spent(zoo, IMAGES_OF_MODELS, store(), {**WORK, **BY_NATURE}) for models, zoo in sizes.items()}
    for what in (*WORK, *BY_NATURE):
        yield exponent(
            f"{what}, over {_listed(MODELS)} models", {k: its[what] for k, its in taken.items()}, what in WORK
        )
    few = sc.open_zoo(zoos / "large-images")
    unknown = zoos / "nowhere"  # where no evaluations lie
    few = replace(few, ingredients=few.ingredients[:MODELS_OF_IMAGES], folder=unknown)
    some = {what: WORK[what] for what in ("the single models", "greedy", "Shapley values, a pair of orders")}
    taken = {images: spent(few, images, store(), some) for images in IMAGES}
    for what in some:
        yield exponent(f"{what}, over {_listed(IMAGES)} images", {n: its[what] for n, its in taken.items()}, True)


def spent(zoo: sc.Zoo, images: int, store: Store, work: Mapping[str, Work]) -> dict[str, float]:
    """Seconds of processor that each takes, one after the other on one store; no two ask for the same soups but the single ones."""
    evaluate = sc.Evaluator(zoo, device="cpu", images=images, store=store)
    assert evaluate.bank is not None, "a zoo that is to be measured in memory fits into it"
    found = {}
    for what, does in work.items():
        start = time.process_time()
        does(zoo, evaluate)
        found[what] = time.process_time() - start
    return found


def exponent(what: str, taken: Mapping[int, float], limited: bool) -> Row:
    """The slope of the logarithm of the seconds over that of the size."""
    slope, _ = np.polyfit(np.log(list(taken)), np.log(list(taken.values())), 1)
    seconds = ", ".join(f"{each:.3g}" for each in taken.values())
    limit = GROWTH if limited else None
    against = "linear" if limited else "every pair: quadratic by nature"
    return Row(
        f"{what}: exponent ({seconds} s)", float(slope), against, 1.0, "", "at most" if limited else "told", limit
    )


def lines(folder: Path) -> Iterator[Row]:
    """Published results: reading and reporting them, over the number of their lines."""
    taken = {}
    for size in LINES:
        written = drawn_sweep(size).written(folder / f"results-{size}")
        times = []
        for _ in range(3):
            start = time.process_time()
            report(open_results(written))
            times.append(time.process_time() - start)
        taken[size] = min(times)
    yield exponent(f"published results, over {_listed(LINES)} lines", taken, True)


def pages(zoos: Path, folder: Path) -> Iterator[Row]:
    """Each page's first number against that of the bundled zoo, and its nodes once it has settled."""
    with chromium() as browser:
        usual = looks(browser, "fashion", zoos, folder / "home")
        for kind in KINDS:
            for page, (seconds, nodes) in looks(browser, f"large-{kind}", zoos, folder / f"home-{kind}").items():
                name = f"{page or 'Home'}, large zoo of {kind}"
                yield Row(f"{name}: first number", seconds, "the bundled zoo's", usual[page][0], "s", "at most", TIMES)
                yield Row(f"{name}: nodes", nodes, "limit", NODES, "nodes", "at most", 1.0)


def looks(browser: Browser, zoo: str, zoos: Path, home: Path) -> dict[str, tuple[float, int]]:
    """What `look` gives of every page on a zoo whose soups are not known; what begins long work comes last on its server."""
    found = {}
    for number, some in enumerate((PAGES[:-1], PAGES[-1:])):
        with server(home.with_name(f"{home.name}-{number}"), zoos, threads=1) as address:
            warm = browser.new_page()
            warm.goto(f"{address}/Train?zoo={zoo}")  # a server's first page imports what all need, and opens the zoo
            warm.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT)
            warm.close()
            for page in some:
                found[page] = look(browser, f"{address}/{page}?zoo={zoo}")
    return found


def look(browser: Browser, address: str) -> tuple[float, int]:
    """Seconds until a number stands on a page, and the most nodes that it had until it was still, or SETTLING seconds after."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_function(FIRST_NUMBER, polling=50, timeout=WAIT)
    seconds = time.perf_counter() - start
    nodes, end = 0, time.perf_counter() + SETTLING
    while True:  # the most that stood there: what is drawn last is the most
        page.wait_for_timeout(1000)
        nodes = max(nodes, int(page.evaluate("document.querySelectorAll('*').length")))
        if time.perf_counter() > end or page.evaluate(STILL):
            break
    page.close()
    return seconds, nodes


def _listed(sizes: Sequence[int]) -> str:
    return f"{', '.join(f'{size:,}' for size in sizes[:-1])} and {sizes[-1]:,}"
