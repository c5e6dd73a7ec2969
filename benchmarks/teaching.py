"""How long each lesson runs, and what is taken along: how long it takes to make, and its size.

python -m benchmarks teaching
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.browser import table
from pages.lessons import LESSONS
from tests.e2e.driver import ROOT

SECONDS, MEGABYTES = 20, 8  # at most: a lesson's run, and a report
KINDS = ("html", "pptx", "zip")
RUN = """
import sys, time
from streamlit.testing.v1 import AppTest
test = AppTest.from_file("app.py", default_timeout=600)
test.switch_page("pages/7_Learn.py")
test.query_params["lesson"] = sys.argv[1]
test.run()
assert not test.exception and not test.error, "it cannot be asked"
test.query_params["answered"] = sys.argv[2]
start = time.perf_counter()
test.run()
print(time.perf_counter() - start)
assert any(each.label == "The run" for each in test.metric), "it has not run"
"""


def said(key: str) -> list[float | str]:
    """An answer that fits the lesson, whatever it is worth."""
    answers: dict[str, list[float | str]] = {
        "greedy": ["accept"] * 7,
        "hot": ["0.008"],
        "batchnorm": ["re-estimated with the soup"],
        "line": [80, 80, 80],
        "strangers": [80, 80, 80],
        "shift": [3],
        "learned": ["ft-22"],
    }
    return answers.get(key, [0.5])


def measured() -> list[str]:
    """What was measured, as a Markdown table."""
    return table(made())


def made() -> list[tuple[str, float, float, str]]:
    """What was made, how long it took or how large it is, the limit, and the unit; each in a process of its own.

    A lesson begins with an empty store, and so does the first file; the others go on with its store.
    """
    rows: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for lesson in LESSONS:
            rows.append((f"lesson “{lesson.title}”, its run", _seconds(lesson.key, lesson.title, folder), SECONDS, "s"))
        environment = {**os.environ, "SOUP_HOME": f"{folder}/files"}
        for kind in KINDS:
            file = Path(folder) / f"made.{kind}"
            start = time.perf_counter()
            command = [sys.executable, "-m", "pages.present.rendering", "fashion", "-o", str(file)]
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
            rows.append((f"the story as .{kind}, whole process", time.perf_counter() - start, math.inf, "s"))
            rows.append((f"the story as .{kind}, size", file.stat().st_size / 1e6, MEGABYTES, "MB"))
    return rows


def _seconds(key: str, title: str, folder: str) -> float:
    answer = json.dumps({key: [None, *said(key)]})
    found = subprocess.run(
        [sys.executable, "-c", RUN, title, answer],
        cwd=ROOT,
        env={**os.environ, "SOUP_HOME": f"{folder}/{key}"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(found.stdout.split()[-1])
