"""What a first visitor waits for, beside a bare Streamlit page that imports torch and draws one Plotly chart.

python -m benchmarks first_paint

Processor seconds are those of the server alone, from its start until Home's headline stands in the browser, on an empty
store. Bytes are what the browser received until then, and until the first chart. The time to a page's first chart is
that of a browser that knows nothing yet, on a server that has served the page before.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page

from benchmarks.processes import ROOT, at_commit, tree_processor_seconds
from benchmarks.rows import Row
from benchmarks.teaching import said
from pages.lessons import LESSONS
from tests.e2e.driver import WAIT, answers, chromium, free_port

ROUNDS = 3
BARE_PAGE = """import plotly.graph_objects as go
import streamlit as st
import torch

st.title("A bare page")
st.plotly_chart(go.Figure(go.Scatter(x=[0, 1, 2], y=[0.0, 1.0, 4.0])))
"""
BARE_CHART, OUR_CHART = ".js-plotly-plot .main-svg", ".live-chart[data-drawn]"
HEADLINE = "text=Greedy soup: test accuracy"
PAGES = ("", "Ingredients", "Greedy", "Interpolation", "Learned", "Robustness", "Train")


@dataclass(frozen=True)
class App:
    """A folder to serve from, the script in it, and what stands on its page when it is painted and has its first chart."""

    folder: Path
    script: str
    painted: str
    chart: str


@dataclass(frozen=True)
class FirstVisit:
    """Of a new server and a new browser: processor seconds and bytes until it is painted, and bytes with the first chart."""

    processor: float
    bytes_painted: float
    bytes_charted: float
    plotly: float


@contextmanager
def served(app: App, home: Path) -> Iterator[tuple[str, int]]:
    """Serve an app with a store in `home`; yields its address and the process's number as soon as it answers."""
    port = free_port()
    environment = {**os.environ, "SOUP_HOME": str(home), "SOUP_ZOOS": "", "SOUP_DEVICE": "cpu"}
    command = [sys.executable, "-m", "streamlit", "run", app.script, f"--server.port={port}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=app.folder, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            while not answers(f"{address}/_stcore/health"):
                if process.poll() is not None:
                    raise SystemExit(f"the server of {app.folder} has ended")
                time.sleep(0.05)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait()


@contextmanager
def new_browser(browser: Browser) -> Iterator[Page]:
    """A page of a browser that knows nothing yet."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context.new_page()


def first_visit(app: App, browser: Browser) -> FirstVisit:
    """Start a server on an empty store and visit it."""
    received: dict[str, float] = {}
    addresses: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory() as home,
        served(app, Path(home) / "home") as (address, pid),
        new_browser(browser) as page,
    ):
        watched = page.context.new_cdp_session(page)
        watched.send("Network.enable")
        watched.on("Network.responseReceived", lambda e: addresses.update({e["requestId"]: e["response"]["url"]}))
        watched.on("Network.loadingFinished", lambda e: received.update({e["requestId"]: e["encodedDataLength"]}))
        page.goto(address)
        page.wait_for_selector(app.painted, timeout=WAIT)
        processor, painted = tree_processor_seconds(pid), sum(received.values())
        page.wait_for_selector(app.chart, timeout=WAIT)
        page.wait_for_timeout(500)  # what is known of the last script comes after it has run
        plotly = sum(size for each, size in received.items() if "plotly" in addresses.get(each, "").lower())
        return FirstVisit(processor, painted, sum(received.values()), plotly)


def to_first_chart(address: str, chart: str, browser: Browser) -> float:
    """Seconds from the request until the first chart is drawn, in a new browser."""
    with new_browser(browser) as page:
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(chart, timeout=WAIT)
        return time.perf_counter() - start


def addresses() -> dict[str, str]:
    """What has a chart at once, in words, with its address: the pages, and each lesson as one who has answered sees it."""
    found = {page or "Home": page for page in PAGES}
    for lesson in LESSONS:
        state = {"lesson": lesson.title, "answered": json.dumps({lesson.key: [None, *said(lesson.key)]})}
        found[f"lesson “{lesson.title}”"] = f"Learn?{urlencode(state)}"
    return found


def visits(apps: Sequence[App], browser: Browser) -> list[FirstVisit]:
    """Each app's medians, where one follows the other in every round."""
    rounds = [[first_visit(app, browser) for app in apps] for _ in range(ROUNDS)]
    fields = ("processor", "bytes_painted", "bytes_charted", "plotly")
    return [
        FirstVisit(*(statistics.median(getattr(each, name) for each in every) for name in fields))
        for every in zip(*rounds, strict=True)
    ]


def chart_rows(ours: App, bare: App, browser: Browser) -> Iterator[Row]:
    """The time to each page's first chart, the bare page's in the same round."""
    with (
        tempfile.TemporaryDirectory() as home,
        served(ours, Path(home) / "ours") as (our_address, _),
        served(bare, Path(home) / "bare") as (bare_address, _),
    ):
        to_first_chart(bare_address, bare.chart, browser)
        for what, path in addresses().items():
            to_first_chart(f"{our_address}/{path}", ours.chart, browser)  # now the server knows it
            times = [
                (
                    to_first_chart(f"{our_address}/{path}", ours.chart, browser),
                    to_first_chart(bare_address, bare.chart, browser),
                )
                for _ in range(1 if what.startswith("lesson") else 2)
            ]
            our_time, bare_time = (statistics.median(each) for each in zip(*times, strict=True))
            yield Row(f"first chart of {what}, new browser", our_time, "bare page", bare_time, "s", "at most", 1.5)


def measured() -> list[Row]:
    """Processor seconds, bytes, and the time to the first chart of every page."""
    with tempfile.TemporaryDirectory() as folder, at_commit() as then, chromium() as browser:
        (Path(folder) / "bare.py").write_text(BARE_PAGE)
        shutil.copytree(ROOT / ".streamlit", Path(folder) / ".streamlit")
        ours = App(ROOT, "app.py", HEADLINE, OUR_CHART)
        before = App(then, "app.py", HEADLINE, OUR_CHART)
        bare = App(Path(folder), "bare.py", BARE_CHART, BARE_CHART)
        our_visit, visit_before, bare_visit = visits((ours, before, bare), browser)
        what = "Home's headline on an empty store, the server's processor"
        rows = [
            Row(what, our_visit.processor, "bare page", bare_visit.processor, "s", "at most", 1.4),
            Row(f"{what}, as it was", visit_before.processor, "bare page", bare_visit.processor, "s", "told"),
            *(
                Row(f"bytes to a first visitor, {until}", mine / 1e6, "as it was", theirs / 1e6, "MB", "told")
                for until, mine, theirs in (
                    ("to the headline", our_visit.bytes_painted, visit_before.bytes_painted),
                    ("to the first chart", our_visit.bytes_charted, visit_before.bytes_charted),
                )
            ),
            Row(
                "Plotly's script as sent, at least 0.7 MB less",
                our_visit.plotly / 1e6,
                "as it was",
                visit_before.plotly / 1e6,
                "MB",
                "at most",
                1 - 0.7e6 / visit_before.plotly,
            ),
        ]
        return [*rows, *chart_rows(ours, bare, browser)]
