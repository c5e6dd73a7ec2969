"""Whether nobody waits long: first steps beside a face-off, and the evaluator beside work that keeps every core busy.

    python -m benchmarks fairness

One person starts a face-off on the zoo `fashion` with an empty store; when it begins to learn, a second one asks for a
plane and a greedy band. Then evaluations run by turns in processes whose threads wait for each other in different ways,
alone and beside processes that spin, one a core.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import soup_core as sc
from soup_core.jobs import Job, Jobs, Task
from soup_core.jobs import jobs as queue
from soup_core.runtime import interruption
from soup_core.runtime.store import Store
from soup_core.runtime.turns import Turn

ROOT = Path(__file__).resolve().parent.parent
WANTED_SECONDS = 2.0
PATIENCE_SECONDS = 300
BEFORE_IT_LEARNS = 5  # recipes of the face-off
ROUNDS = 5
WAITING: Mapping[str, Mapping[str, str]] = {
    "asleep at once, as soup_core sets it": {},
    "spinning for 1,000 rounds": {"GOMP_SPINCOUNT": "1000"},
    "spinning for 10,000 rounds": {"GOMP_SPINCOUNT": "10000"},
    "spinning as libgomp does": {"GOMP_SPINCOUNT": "300000"},
    "on one thread": {"OMP_NUM_THREADS": "1"},
}
EVALUATIONS = """
import itertools, sys, tempfile, time
from pathlib import Path
import soup_core as sc
from soup_core.runtime.store import Store
with tempfile.TemporaryDirectory() as folder:
    zoo = sc.open_zoo("fashion")
    evaluate = sc.Evaluator(zoo, device="cpu", images=1000, store=Store(Path(folder) / "store.sqlite"))
    triples = itertools.combinations(zoo.names, 3)
    evaluate(sc.uniform_soup(zoo, next(triples)))
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(2):
            evaluate(sc.uniform_soup(zoo, next(triples)))
        print(time.perf_counter() - start, flush=True)
"""


def second_persons(zoo: sc.Zoo) -> dict[str, Task]:
    """What the second person asks for, by its name."""
    corners = [sc.Soup.single(name).to_json() for name in zoo.names[:3]]
    return {
        "plane": Task("plane", zoo.name, images=1000, arguments={"corners": corners}),
        "band": Task("band", zoo.name),
    }


def seconds_to_first_steps(*, beside_a_face_off: bool) -> dict[str, float]:
    """How long the second person waits for each first step, in a store of its own."""
    zoo = sc.open_zoo("fashion")
    with tempfile.TemporaryDirectory() as folder:
        every = Jobs(Store(Path(folder) / "store.sqlite"))
        if beside_a_face_off:
            face_off = every.submit(Task("face-off", zoo.name), zoo)
            while len(face_off.progress().steps) < BEFORE_IT_LEARNS:
                time.sleep(0.01)
        else:  # what the face-off had evaluated by then is known here too
            assert every.submit(Task("greedy", zoo.name), zoo).wait(PATIENCE_SECONDS).state == "done"
        start = time.monotonic()
        waiting: dict[str, Job] = {name: every.submit(task, zoo) for name, task in second_persons(zoo).items()}
        seconds: dict[str, float] = {}
        while waiting and time.monotonic() - start < PATIENCE_SECONDS:
            for name in [name for name, job in waiting.items() if job.progress().steps]:
                seconds[name] = time.monotonic() - start
                del waiting[name]
            time.sleep(0.005)
        every.close()
    return seconds


@contextmanager
def giving_way_between_steps_alone() -> Iterator[None]:
    """As jobs did before: another goes on when a step is done, and a step of the face-off is a whole learned run."""
    offer = Turn.offer

    def between_steps() -> None:
        work = interruption._work.get()
        work.call()
        if work.turn is not None:
            offer(work.turn, work.call)

    with patch.object(Turn, "offer", lambda turn, check: None), patch.object(queue, "yield_point", between_steps):
        yield


def first_step_rows() -> list[list[str]]:
    """A row for each thing asked for: alone, between batches, between steps, and whether the wait is short enough."""
    alone = seconds_to_first_steps(beside_a_face_off=False)
    now = seconds_to_first_steps(beside_a_face_off=True)
    with giving_way_between_steps_alone():
        before = seconds_to_first_steps(beside_a_face_off=True)

    def cell(seconds: Mapping[str, float], name: str) -> str:
        return f"{seconds[name]:.2f} s" if name in seconds else f"over {PATIENCE_SECONDS} s"

    return [
        [name, *(cell(each, name) for each in (alone, now, before)), "yes" if now[name] <= WANTED_SECONDS else "**no**"]
        for name in now
    ]


def busy_rows() -> list[list[str]]:
    """A row for each way of waiting: its median seconds alone and beside a spinning process a core, and their ratio."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(settings)) for name, settings in WAITING.items()}
        quiet = _by_turns(workers)
        for _ in range(os.cpu_count() or 1):
            spinning = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(spinning.kill)
        busy = _by_turns(workers)
    return [
        [name, f"{1000 * quiet[name]:.0f} ms", f"{1000 * busy[name]:.0f} ms", f"{busy[name] / quiet[name]:.1f}"]
        for name in WAITING
    ]


@contextmanager
def _worker(settings: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    everything = {**os.environ}
    environment = {name: everything[name] for name in everything if not name.startswith(("GOMP_", "OMP_"))}
    with subprocess.Popen(
        [sys.executable, "-c", EVALUATIONS],
        cwd=ROOT,
        env={**environment, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            yield worker
        finally:
            worker.kill()


def _by_turns(workers: Mapping[str, "subprocess.Popen[str]"]) -> dict[str, float]:
    def once(worker: "subprocess.Popen[str]") -> float:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
        return float(worker.stdout.readline())

    rounds = [{name: once(worker) for name, worker in workers.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in workers}


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Rows as a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def measured() -> list[str]:
    """Both tables, as Markdown."""
    limit = f"at most {WANTED_SECONDS:g} s"
    first = ["first step of", "no face-off", "beside a face-off", "the same, giving way between steps alone", limit]
    busy = ["threads wait", "two evaluations", "beside a spinning process a core", "ratio"]
    return [*table(first, first_step_rows()), "", *table(busy, busy_rows())]
