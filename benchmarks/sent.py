"""What goes between server and browser, and what it costs both: while a page follows work, and for a toggle.

python -m benchmarks sent

The work has a known pace (`benchmarks.paced`). Each part is measured by turns at the commit of before and as it is now:
seconds of processor of the browser's renderers as Chromium tells them, and of the server as the system does; bytes of the
WebSocket each way. A renderer's share of a core is over the seconds of the clock.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

import soup_core as sc
from benchmarks.processes import ROOT, at_commit, tree_processor_seconds
from benchmarks.rows import Row
from tests.e2e.driver import WAIT, answers, chromium, free_port, progress, worked

WATCHED_SECONDS = 10
FOLLOWED = {
    "learned": ("Learned?zoo=fashion&epochs=100", "Learning"),
    "plane": ("Interpolation?zoo=fashion&view=Plane", "Evaluating the plane"),
    "face-off": ("?zoo=fashion", "Comparing recipes"),
}
STEPS = 10  # a second
TOGGLES = 4
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
    """Seconds of processor of the renderers and the server, bytes to the browser and from it, and those to it that are of
    charts, in some seconds of the clock.
    """

    renderer: float
    server: float
    received: float
    sent: float
    charts: float
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
        self.charts = 0
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        for way in self.bytes:
            network.on(f"Network.webSocketFrame{way}", lambda event, way=way: self._count(way, event))

    def _count(self, way: str, event: dict[str, Any]) -> None:
        frame = event["response"]
        data = base64.b64decode(frame["payloadData"]) if frame["opcode"] == 2 else frame["payloadData"].encode()
        self.bytes[way] += len(data)
        self.charts += len(data) * (way == "Received" and b'"plotly": ' in data)  # which a chart's content names

    def now(self) -> Spent:
        processes = self.system.send("SystemInfo.getProcessInfo")["processInfo"]
        renderers = sum(each["cpuTime"] for each in processes if each["type"] == "renderer")
        spent = tree_processor_seconds(self.server)
        received, sent = self.bytes["Received"], self.bytes["Sent"]
        return Spent(renderers, spent, received, sent, self.charts, time.monotonic())


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
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < end, "the server does not answer"
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
            page.wait_for_timeout(500)  # for what follows the charts; to look for it would cost the browser more
        return (meter.now() - before) / len(others)

    round_of()  # once, so that every soup and change is known
    spent = round_of()
    page.close()
    return spent


def measured() -> list[Row]:
    """Every part at the commit of before and as it is now."""
    found: dict[str, list[Spent]] = {}
    with tempfile.TemporaryDirectory() as parent, at_commit() as before, chromium() as browser:
        for part in ("face-off:0", f"learned:{STEPS}", f"plane:{STEPS}", "toggle:0"):
            name, _, pace = part.partition(":")
            for side, folder in (("before", before), ("now", ROOT)):
                with served(folder, float(pace), Path(parent) / f"{side}-{name}") as at:
                    spent = watched(browser, at, *FOLLOWED[name]) if name in FOLLOWED else toggled(browser, at)
                    found.setdefault(part, []).append(spent)
    return rows(found)


def point_bytes() -> dict[str, int]:
    """How long a step's new numbers are as JSON: a point of each line and every cell of coefficients; a point of the plane."""
    zoo, number = sc.open_zoo("fashion"), 1 / 3
    lines, cells = len(zoo.names) + 2, len(zoo.names) * len(list(zoo.reference.parameters()))
    return {
        "learned": len(json.dumps([[100, number]] * lines)) + len(json.dumps([number] * cells)),
        "plane": len(json.dumps([10.5, 10.5, 90.25, number, number, number])),  # where it is, its accuracy, its shares
    }


def rows(found: dict[str, list[Spent]]) -> list[Row]:
    """The costs at the commit of before and now, by the part, as rows."""
    quiet = {"face-off:0": "a face-off"}
    busy = {f"learned:{STEPS}": "a learned run", f"plane:{STEPS}": "a plane"}
    lines: list[Row] = []
    limit: float | None
    for limit, told, words in ((0.05, quiet, "without a new step"), (0.2, busy, f"with {STEPS} steps a second")):
        for part, what in told.items():
            before, now = found[part]
            lines += [
                Row(f"{what} {words}, renderer", now.renderer, "a core", 1.0, "s a second", "at most", limit),
                Row(f"{what} {words}, renderer", now.renderer, "before", before.renderer, "s a second", "at most"),
                Row(f"{what} {words}, server", now.server, "before", before.server, "s a second", "at most"),
                Row(
                    f"{what} {words}, to the browser", now.received, "before", before.received, "B a second", "at most"
                ),
            ]
    for part, what in busy.items():
        points = point_bytes()[part.partition(":")[0]]
        now = found[part][1]
        for words, each, limit in (("charts alone", now.charts, 3.0), ("all", now.received, None)):
            lines.append(Row(f"{what}, {words}, a step", each / STEPS, "its points", points, "B", "at most", limit))
    before, now = found["toggle:0"]
    for what, unit, limit in (
        ("renderer", "s", 0.5),
        ("server", "s", 0.5),
        ("received", "B", None),
        ("sent", "B", None),
    ):
        lines.append(
            Row(
                f"a toggle seen before, {what}",
                getattr(now, what),
                "before",
                getattr(before, what),
                unit,
                "at most",
                limit,
            )
        )
    return lines
