"""What goes between server and browser, and what it costs both: while a page follows work, and for a toggle.

python -m benchmarks sent

The work has a known pace (`benchmarks.paced`). Each part is measured by turns at the commit of before and as it is now:
seconds of processor of the browser's renderers as Chromium tells them, and of the server as the system does; bytes of the
WebSocket each way. A renderer's share of a core is over the seconds of the clock.
"""

import base64
import math
import statistics
import subprocess
import sys
import tempfile
import time
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page

import soup_core as sc
from benchmarks.processes import ROOT, at_commit, tree_processor_seconds
from benchmarks.rows import Row
from tests.e2e.driver import WAIT, answers, chromium, free_port, progress, settled, worked

WATCHED_SECONDS = 10
FOLLOWED = {
    "learned": ("Learned?zoo=fashion&epochs=100", "Learning"),
    "plane": ("Interpolation?zoo=fashion&view=Plane", "Evaluating the plane"),
    "face-off": ("?zoo=fashion", "Comparing recipes"),
}
TOGGLES = 10
PACED = Path(__file__).resolve().parent / "paced.py"
CLICK_AND_WAIT = """label => new Promise(done => {
  const drawn = () => [...document.querySelectorAll('.live-chart')].map(chart => Number(chart.dataset.drawn));
  const before = drawn();
  const button = [...document.querySelectorAll('button')].find(b => b.innerText.trim() === label);
  const check = () => {
    const now = drawn();
    if (now.length === before.length && now.every((count, i) => count > before[i])) done(true);
    else setTimeout(check, 50);
  };
  button.click(); setTimeout(check, 50);
})"""


@dataclass(frozen=True)
class Spent:
    """Seconds of processor of the renderers and the server, and bytes to the browser and from it, in some seconds of the clock."""

    renderer: float
    server: float
    received: float
    sent: float
    wall: float

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))

    def __truediv__(self, by: float) -> "Spent":
        return Spent(*(getattr(self, each.name) / by for each in fields(self)))


class Meter:
    """What a page, its browser and its server have spent so far."""

    def __init__(self, browser: Browser, page: Page, server: int) -> None:
        self.system, self.server = browser.new_browser_cdp_session(), server
        self.bytes = {"Received": 0, "Sent": 0}
        self.frames: list[tuple[str, int]] = []
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        for way in self.bytes:
            network.on(f"Network.webSocketFrame{way}", lambda event, way=way: self._count(way, event))

    def _count(self, way: str, event: dict) -> None:
        frame = event["response"]
        data = frame["payloadData"]
        size = len(base64.b64decode(data)) if frame["opcode"] == 2 else len(data.encode())
        self.bytes[way] += size
        self.frames.append((way, size))

    def now(self) -> Spent:
        processes = self.system.send("SystemInfo.getProcessInfo")["processInfo"]
        renderers = sum(each["cpuTime"] for each in processes if each["type"] == "renderer")
        return Spent(
            renderers, tree_processor_seconds(self.server), self.bytes["Received"], self.bytes["Sent"], time.monotonic()
        )


@contextmanager
def served(folder: Path, pace: float, home: Path) -> Iterator[tuple[str, int]]:
    """The app of a folder with work of a pace; yields its address and process."""
    port = free_port()
    environment = {**os.environ, "SOUP_HOME": str(home), "SOUP_ZOOS": "", "SOUP_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PACED), str(pace), "run", "app.py", f"--server.port={port}"]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            address, end = f"http://127.0.0.1:{port}", time.monotonic() + WAIT / 1000
            while not answers(f"{address}/_stcore/health"):
                assert process.poll() is None and time.monotonic() < end, (home.parent / f"{home.name}.log").read_text()
                time.sleep(0.1)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(WAIT / 1000)


def watched(browser: Browser, served_at: tuple[str, int], path: str, what: str) -> Spent:
    """What it costs, a second, to look at a page that follows work."""
    address, process = served_at
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    meter = Meter(browser, page, process)
    page.goto(f"{address}/{path}")
    progress(page, what, beyond=2)
    page.wait_for_timeout(3000)
    before = meter.now()
    page.wait_for_timeout(1000 * WATCHED_SECONDS)
    spent = meter.now() - before
    page.close()
    return spent / spent.wall


def toggled(browser: Browser, served_at: tuple[str, int]) -> Spent:
    """What a toggle of an ingredient costs whose soups and changes are known, until every chart has been drawn anew."""
    address, process = served_at
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    meter = Meter(browser, page, process)
    names = sc.open_zoo("fashion").names
    page.goto(f"{address}/Ingredients?zoo=fashion&in={names[0]}")
    worked(page)
    others = [name for name in names[1 : 1 + TOGGLES // 2] for _ in range(2)]  # in, and out again

    def round_of() -> Spent:
        before = meter.now()
        for name in others:
            assert page.evaluate(CLICK_AND_WAIT, name)
            worked(page)
        return (meter.now() - before) / len(others)

    round_of()  # once, so that every soup and change is known
    spent = round_of()
    page.close()
    return spent
