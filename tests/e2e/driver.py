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

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT = 60_000
VIEWS = [
    "", "Ingredients", "Ingredients?view=Map", "Ingredients?view=Map&pairs=Disagreement", "Ingredients?view=Ablations",
    "Ingredients?view=Ablations&ablation=Leave+one+out", "Ingredients?view=Ablations&ablation=Shapley",
    "Ingredients?view=Ablations&ablation=Held-out+size", "Ingredients?view=Ablations&ablation=Hyperparameters",
    "Ingredients?view=Will+it+soup%3F", "Greedy?order=given", "Interpolation", "Interpolation?view=Plane",
    "Interpolation?view=Many+pairs", "Learned", "Robustness", "Robustness?view=Shifts", "Robustness?view=Calibration",
    "Robustness?view=What+changed", "Robustness?view=Cost", "Train", "Add_a_zoo",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(home: Path, zoos: Path | None = None, app: str = "app.py") -> Iterator[str]:
    """Serve an app on loopback with a store of its own; yields the address once it answers."""
    port = free_port()
    environment = {**os.environ, "SOUP_HOME": str(home), "SOUP_ZOOS": str(zoos or ""), "SOUP_DEVICE": "cpu"}
    with (home.parent / f"server-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", app, f"--server.port={port}"],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.05)
            else:
                raise AssertionError(f"the server did not answer within 30 s; see {log.name}")
            yield address
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, headless."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next((name for name in found if name), None)
    if path is None:
        raise AssertionError("the browser tests need Chromium; `make test` says how to install it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def settled(page: Page, wait: int = WAIT) -> None:
    """Wait until the page has closed with its sentence and no script runs."""
    page.wait_for_selector(
        '[data-testid="stMain"] [data-testid="stMarkdownContainer"] p > strong:only-child', timeout=wait
    )
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT)


def worked(page: Page) -> None:
    """Wait until the work that the page follows has begun and ended."""
    settled(page, 2 * WAIT)
    for _ in range(2):  # it is drawn anew at each look, and gone for a moment
        page.wait_for_timeout(1500)
        page.wait_for_selector('[data-testid="stProgress"]', state="detached", timeout=2 * WAIT)
    settled(page, 2 * WAIT)


def metric(page: Page, label: str) -> str:
    """The value of the metric whose label begins so."""
    found = page.locator('[data-testid="stMetric"]').filter(has_text=label).first
    return found.locator('[data-testid="stMetricValue"]').inner_text()
