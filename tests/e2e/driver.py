"""A real server in a process of its own, and a real Chromium; shared by the browser tests and the benchmarks."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
logs: list[Path] = []  # what each server said, in the order of their beginnings
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 180_000  # milliseconds: how long a machine that is busy with other things may take
VIEWS = [
    "",
    "Ingredients",
    "Ingredients?view=Map",
    "Ingredients?view=Map&pairs=Disagreement",
    "Ingredients?view=Ablations",
    "Ingredients?view=Ablations&ablation=Leave+one+out",
    "Ingredients?view=Ablations&ablation=Shapley",
    "Ingredients?view=Ablations&ablation=Held-out+size",
    "Ingredients?view=Ablations&ablation=Hyperparameters",
    "Ingredients?view=Will+it+soup%3F",
    "Greedy?order=given",
    "Interpolation",
    "Interpolation?view=Plane",
    "Interpolation?view=Many+pairs",
    "Learned",
    "Robustness",
    "Robustness?view=Shifts",
    "Robustness?view=Calibration",
    "Robustness?view=What+changed",
    "Robustness?view=Cost",
    "Train",
    "Add_a_zoo",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(home: Path, zoos: Path | None = None, app: str = "app.py", *, threads: int | None = None) -> Iterator[str]:
    """Serve an app on loopback with a store of its own; yields the address once it answers.

    With `threads` it computes on so many: on a busy machine several wait for each other longer than one takes.
    """
    port = free_port()
    environment = {**os.environ, "SOUP_HOME": str(home), "SOUP_ZOOS": str(zoos or ""), "SOUP_DEVICE": "cpu"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with (home.parent / f"server-{port}.log").open("wb") as log:
        logs.append(Path(log.name))
        command = [sys.executable, "-m", "streamlit", "run", app, f"--server.port={port}"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            end = time.monotonic() + WAIT / 1000
            while not answers(f"{address}/_stcore/health"):
                assert process.poll() is None, f"the server has ended; see {log.name}"
                assert time.monotonic() < end, f"the server does not answer; see {log.name}"
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(WAIT / 1000)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, headless."""
    paths = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next((path for path in paths if path), None)
    if path is None:
        raise AssertionError("the browser tests need Chromium; `make test` says how to install it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


REST = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const busy = document.querySelector('[data-testid="stProgress"], [data-stale="true"], .live-chart:not([data-drawn])');
  const quiet = app?.dataset.testScriptState === "notRunning" && !busy && !document.getAnimations().length;
  window.looks = quiet ? (window.looks ?? 0) + 1 : 0;
  return window.looks >= 6;
}"""
LOOK = 60  # milliseconds


def settled(page: Page, wait: int = WAIT) -> None:
    """Wait until the page has closed with its sentence and no script runs."""
    page.wait_for_selector(
        '[data-testid="stMain"] [data-testid="stMarkdownContainer"] p > strong:only-child', timeout=wait
    )
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT)


def worked(page: Page) -> None:
    """Wait until the page has its sentence, and no script, work, chart or animation has been under way for a few looks.

    Between two drawings of it the progress of work is gone for a moment.
    """
    settled(page, 2 * WAIT)
    page.evaluate("window.looks = 0")
    page.wait_for_function(REST, polling=LOOK, timeout=2 * WAIT)


def go_to(page: Page, label: str) -> None:
    """Go to a page of the open app by its link, which reads and runs no script anew as opening an address does."""
    page.get_by_test_id("stSidebar").get_by_role("link", name=label, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Model Soups Explorer" if label == "Home" else label)


def choose_view(page: Page, view: str) -> None:
    """Go to one of `VIEWS` in the open app, by the page's link and then its choosers, and wait for its work."""
    name, _, query = view.partition("?")
    label = name.replace("_", " ") or "Home"
    if page.title() != f"{label} · Model Soups Explorer":
        go_to(page, label)
    for key, value in parse_qsl(query):
        chooser = page.locator(f".st-key-{key}").get_by_role("radio", name=value, exact=True)
        chooser.click()
        expect(chooser).to_be_checked()
    page.mouse.move(0, 0)  # what the pointer rests on looks otherwise
    worked(page)


def progress(page: Page, what: str, beyond: int = 0) -> int:
    """Wait until the page says of some work that more than so many steps are done; returns how many."""
    done = """([what, beyond]) => {
      const match = document.body.innerText.match(new RegExp(`^${what}: ([0-9]+) of `, "m"));
      return match && Number(match[1]) > beyond ? match[1] : null;
    }"""
    return int(page.wait_for_function(done, arg=[what, beyond], polling=LOOK, timeout=2 * WAIT).json_value())


def metric(page: Page, label: str) -> str:
    """The value of the metric whose label begins so."""
    metrics = page.locator('[data-testid="stMetric"]').filter(has_text=label).first
    return metrics.locator('[data-testid="stMetricValue"]').inner_text()
