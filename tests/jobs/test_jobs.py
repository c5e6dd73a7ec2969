"""Jobs: shared, cancelled, resumed after the process was killed, and the same result in the end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import soup_core as sc
from soup_core import jobs
from soup_core.jobs import Job, Jobs, Task
from soup_core.jobs import jobs as queue
from soup_core.runtime.interruption import yield_point
from soup_core.runtime.store import Store, default_store
from tests.patience import PATIENCE

Make = Callable[..., Path]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A recipe "slow" of five steps, each of which waits until the event is set, or a cancel comes."""
    go = threading.Event()

    def steps(zoo: sc.Zoo, evaluate: sc.Evaluator, *, count: int = 5) -> Iterator[int]:
        for index in range(count):
            while not go.is_set():
                time.sleep(0.005)
                yield_point()
            yield index

    monkeypatch.setitem(jobs.TASKS, "slow", steps)
    return go


def test_a_job_makes_the_recipes_steps(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    progress = Jobs(default_store()).submit(Task("greedy", zoo.name), zoo).wait(PATIENCE)
    assert progress.state == "done"
    expected = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert [step.soup for step in progress.steps] == [step.soup for step in expected]
    assert progress.steps_done == 5


def test_who_asks_for_the_same_shares_one_job(linear_zoo: Make, slow: threading.Event) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    first = every.submit(Task("slow", zoo.name), zoo)
    assert every.submit(Task("slow", zoo.name), sc.open_zoo(zoo.folder)) is first
    assert every.submit(Task("slow", zoo.name, arguments={"count": 2}), zoo) is not first
    slow.set()
    assert first.wait(PATIENCE).steps == (0, 1, 2, 3, 4)
    assert every.submit(Task("slow", zoo.name), zoo) is first


def test_the_job_that_was_looked_at_last_goes_first(
    linear_zoo: Make, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def steps(zoo: sc.Zoo, evaluate: sc.Evaluator, *, number: int) -> Iterator[int]:
        yield from jobs.TASKS["slow"](zoo, evaluate, count=1)
        for _ in range(3):
            made.append(number)
            yield number

    monkeypatch.setitem(jobs.TASKS, "numbered", steps)
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    tasks = [Task("numbered", zoo.name, arguments={"number": number}) for number in range(3)]
    first = every.submit(tasks[0], zoo)
    while first.progress().state != "running":
        time.sleep(0.005)
    second, third = (every.submit(task, zoo) for task in tasks[1:])
    assert every.find(tasks[1], zoo) is second
    slow.set()
    for job in (first, second, third):
        assert job.wait(PATIENCE).state == "done"
    assert made == [1, 1, 1, 2, 2, 2, 0, 0, 0]
    assert first.progress().steps == (0, 0, 0, 0)


def test_a_job_that_has_given_way_can_be_cancelled_and_taken_up(linear_zoo: Make, slow: threading.Event) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    first = every.submit(Task("slow", zoo.name), zoo)
    while first.progress().state != "running":
        time.sleep(0.005)
    other = every.submit(Task("slow", zoo.name, arguments={"count": 2}), zoo)
    slow.set()
    while first.progress().state == "running":
        time.sleep(0.001)
    slow.clear()
    every.cancel(first)
    assert first.wait(PATIENCE).state == "cancelled"
    slow.set()
    assert other.wait(PATIENCE).state == "done"
    assert every.submit(first.task, zoo).wait(PATIENCE).steps == (0, 1, 2, 3, 4)


def test_row_43_a_cancel_stops_between_batches_and_keeps_what_was_done(linear_zoo: Make, slow: threading.Event) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    running = every.submit(Task("slow", zoo.name), zoo)
    while running.progress().state != "running":
        time.sleep(0.005)
    waiting = every.submit(Task("slow", zoo.name, arguments={"count": 2}), zoo)
    every.cancel(waiting)
    assert waiting.progress().state == "cancelled"
    every.cancel(running)
    assert running.wait(PATIENCE).state == "cancelled"  # its step waits for what is set only now
    slow.set()
    again = every.submit(Task("slow", zoo.name), zoo)
    assert again is not running
    assert again.wait(PATIENCE).state == "done"


@pytest.mark.usefixtures("few_images")
def test_row_43_a_learned_run_is_cancelled_between_batches_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from soup_core.recipes import learned

    original, batches, reached, go_on = learned._learn, [], threading.Event(), threading.Event()

    def learn(*given: Any) -> Any:
        batches.append(1)
        if len(batches) == 4:
            reached.set()
            assert go_on.wait(PATIENCE)
        return original(*given)

    monkeypatch.setattr(learned, "_learn", learn)
    zoo = sc.open_zoo("fashion-trajectory")
    every = Jobs(default_store())
    task = Task("learned", zoo.name, arguments={"epochs": 1})
    job = every.submit(task, zoo)
    assert reached.wait(PATIENCE)
    every.cancel(job)
    go_on.set()
    stopped = job.wait(PATIENCE)
    assert stopped.state == "cancelled"
    assert len(batches) == 4
    whole = every.submit(task, zoo).wait(PATIENCE)
    assert whole.state == "done"
    alone = list(
        sc.learned_soup(zoo, sc.Evaluator(zoo, device="cpu", store=Store(every.store.path.parent / "b")), epochs=1)
    )
    assert whole.steps[-1].soup == alone[-1].soup


def test_row_41_out_of_memory_pauses_the_job_and_the_next_one_runs(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))

    def starved(zoo: sc.Zoo, evaluate: sc.Evaluator) -> Iterator[int]:
        raise sc.OutOfMemory("Not even one image fits.")
        yield 0

    def broken(zoo: sc.Zoo, evaluate: sc.Evaluator) -> Iterator[int]:
        raise ZeroDivisionError
        yield 0

    monkeypatch.setitem(jobs.TASKS, "starved", starved)
    monkeypatch.setitem(jobs.TASKS, "broken", broken)
    every = Jobs(default_store())
    paused = every.submit(Task("starved", zoo.name), zoo).wait(PATIENCE)
    assert (paused.state, paused.message) == ("paused", "Not even one image fits.")
    assert "ZeroDivisionError" in every.submit(Task("broken", zoo.name), zoo).wait(PATIENCE).message
    refused = every.submit(Task("greedy", zoo.name, arguments={"order": "sideways"}), zoo).wait(PATIENCE)
    assert refused.state == "failed"
    assert "sideways" in refused.message
    assert every.submit(Task("greedy", zoo.name), zoo).wait(PATIENCE).state == "done"
    with pytest.raises(sc.SoupError, match="no recipe"):
        every.submit(Task("stew", zoo.name), zoo)


WORKER = """
import sys, time, soup_core as sc
from soup_core.jobs import Jobs, Task
from soup_core.recipes import learned
from soup_core.runtime.store import default_store
zoo = sc.open_zoo("fashion-trajectory")
if len(sys.argv) > 2:
    learn, batches = learned._learn, []

    def some(*given):
        batches.append(1)
        if len(batches) > int(sys.argv[2]):
            sys.stdin.read()  # until it is killed
        return learn(*given)

    learned._learn = some
every = Jobs(default_store())
print("up", flush=True)
if len(sys.argv) > 1:
    job = every.submit(Task("learned", zoo.name, arguments={"epochs": 1}), zoo)
    seen = 0
    while not (progress := job.progress()).ended:
        for _ in range(len(progress.steps) - seen):
            print("step", flush=True)
        seen = len(progress.steps)
        time.sleep(0.01)
    print(progress.state, progress.steps[-1].soup.to_json(), flush=True)
"""


def worker(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "SOUP_DEVICE": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def read_until(process: subprocess.Popen[str], word: str, times: int = 1) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        times -= line.startswith(word)
        if not times:
            return line
    raise AssertionError(f"the worker ended without saying {word!r}")


def test_row_38_a_killed_job_goes_on_from_its_last_step_and_ends_the_same() -> None:
    zoo, task = sc.open_zoo("fashion-trajectory"), Task("learned", "fashion-trajectory", arguments={"epochs": 1})
    with worker("submit", "30") as killed:  # batches, of which eight make a step
        read_until(killed, "step", times=4)
        killed.send_signal(signal.SIGKILL)
    row = default_store().job(task.key(zoo))
    assert row is not None
    assert row.state == "running"
    assert row.steps >= 3  # the count is written right after the step
    batches: list[int] = []
    from soup_core.recipes import learned

    original = learned._learn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "_learn", lambda *a: batches.append(1) or original(*a))
        every = Jobs(default_store())  # takes it up by itself
        job = every.find(task, zoo)
        assert job is not None
        progress = job.wait(PATIENCE)
    assert progress.state == "done"
    alone = list(
        sc.learned_soup(zoo, sc.Evaluator(zoo, device="cpu", store=Store(default_store().path.parent / "b")), epochs=1)
    )
    assert progress.steps[-1].soup == alone[-1].soup
    assert [step.loss for step in progress.steps[1:]] == [step.loss for step in alone[1:]]
    a_round = -(-63 // 8)
    assert len(batches) <= (len(alone) - 4) * a_round


def test_row_44_two_processes_share_a_store_and_a_job() -> None:
    zoo, task = sc.open_zoo("fashion-trajectory"), Task("learned", "fashion-trajectory", arguments={"epochs": 1})
    batches: list[int] = []
    from soup_core.recipes import learned

    with worker("submit") as other:
        read_until(other, "step", times=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(learned, "_learn", lambda *a: batches.append(1))
            job = Jobs(default_store()).submit(task, zoo)
            ended = read_until(other, "done")
            progress = job.wait(PATIENCE)
    assert progress.state == "done"
    assert not batches, "this process ran what the other one was at"
    assert sc.Soup.from_json(ended.removeprefix("done ")) == progress.steps[-1].soup


def test_a_process_that_ends_leaves_its_job_to_the_next(linear_zoo: Make, slow: threading.Event) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    job = every.submit(Task("slow", zoo.name), zoo)
    while job.progress().state != "running":
        time.sleep(0.005)
    every.close()
    slow.set()
    taken_up = Jobs(default_store()).find(Task("slow", zoo.name), zoo)
    assert taken_up is not None
    assert taken_up.wait(PATIENCE).state == "done"
    assert not job.progress().ended


def test_a_job_whose_zoo_has_changed_or_gone_is_not_taken_up(linear_zoo: Make) -> None:
    store = default_store()
    store.keep_job("k", json.dumps({"recipe": "greedy", "zoo": "nowhere"}), "running", "", 3)
    store.keep_job("l", Task("greedy", str(linear_zoo(3))).to_json(), "queued", "", 0)
    store.keep_job("m", "no json", "running", "", 0)
    Jobs(store)
    rows = {row.key: row for row in store.jobs()}
    assert [rows[key].state for key in "klm"] == ["failed"] * 3
    assert "nowhere" in rows["k"].message
    assert "changed" in rows["l"].message


def test_a_process_that_takes_up_nothing_leaves_another_ones_job_alone(linear_zoo: Make, slow: threading.Event) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    server = Jobs(default_store())
    job = server.submit(Task("slow", zoo.name), zoo)
    beside = Jobs(default_store(), take_up=False)
    assert beside.find(Task("slow", zoo.name), zoo) is None
    server.cancel(job)
    assert job.wait(PATIENCE).state == "cancelled"
    time.sleep(3 * jobs.LOOK_SECONDS)  # time enough for another process to go on with it
    row = default_store().job(job.key)
    assert row is not None
    assert row.state == "cancelled"


# ---- turns -----------------------------------------------------------------------------------------------------------


def until(condition: Callable[[], object]) -> None:
    """Compute, in batches, until something is so."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)
        yield_point()


@dataclass(frozen=True)
class Submit:
    """Submits a generator of an evaluator, as a recipe of its own, to one `Jobs`."""

    zoo: sc.Zoo
    every: Jobs
    patch: pytest.MonkeyPatch

    def __call__(self, name: str, steps: Callable[[sc.Evaluator], Iterator[object]]) -> Job:
        self.patch.setitem(jobs.TASKS, name, lambda zoo, evaluate: steps(evaluate))
        return self.every.submit(Task(name, self.zoo.name), self.zoo)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, linear_zoo: Make) -> Submit:
    return Submit(sc.open_zoo(linear_zoo(3)), Jobs(default_store()), monkeypatch)


def test_row_56_a_job_gives_way_in_the_middle_of_a_step_to_one_without_a_step(recipe: Submit) -> None:
    events: list[str] = []

    def long(evaluate: sc.Evaluator) -> Iterator[str]:
        yield "first"
        events.append("long goes on")
        until(lambda: "short" in events)  # for ever, if it did not give way before its step ends
        events.append("long ends")
        yield "second"

    def short(evaluate: sc.Evaluator) -> Iterator[str]:
        events.append("short")
        yield "only"

    slow = recipe("long", long)
    until(lambda: events)
    assert recipe("short", short).wait(20).state == "done"
    assert slow.wait(20).steps == ("first", "second")
    assert events == ["long goes on", "short", "long ends"]


def test_row_56_jobs_without_a_step_share_the_device(recipe: Submit) -> None:
    begun: set[int] = set()

    def number(own: int) -> Callable[[sc.Evaluator], Iterator[int]]:
        def steps(evaluate: sc.Evaluator) -> Iterator[int]:
            begun.add(own)
            until(lambda: len(begun) == 3)
            yield own

        return steps

    every = [recipe(f"number-{own}", number(own)) for own in range(3)]
    assert [job.wait(20).steps for job in every] == [(0,), (1,), (2,)]


def holder(events: list[str], goes_on: str) -> Callable[[sc.Evaluator], Iterator[str]]:
    """A recipe that shows a step, then holds "name" over batches until something has happened."""

    def steps(evaluate: sc.Evaluator) -> Iterator[str]:
        yield "first"
        with evaluate.store.claim("name"):
            events.append("held")
            until(lambda: goes_on in events)
            events.append("let go")
        yield "second"

    return steps


def test_who_waits_for_what_a_waiting_job_holds_lends_it_the_turn(recipe: Submit) -> None:
    events: list[str] = []

    def wanting(evaluate: sc.Evaluator) -> Iterator[str]:
        events.append("wanted")
        with evaluate.store.claim("name"):
            events.append("had")
        yield "only"

    def between(evaluate: sc.Evaluator) -> Iterator[str]:
        until(lambda: "had" in events)  # without the rank that is lent, this would go before the holder all the time
        yield "only"

    first = recipe("holder", holder(events, "wanted"))
    until(lambda: "held" in events)
    others = [recipe("between", between), recipe("wanting", wanting)]
    assert [job.wait(20).state for job in (first, *others)] == ["done"] * 3
    assert events == ["held", "wanted", "let go", "had"]


def test_a_page_does_not_wait_for_a_job_that_is_kept_waiting(recipe: Submit) -> None:
    events: list[str] = []

    def endless(evaluate: sc.Evaluator) -> Iterator[str]:
        events.append("begun")
        until(lambda: "page" in events)
        yield "only"

    first = recipe("holder", holder(events, "begun"))
    until(lambda: "held" in events)
    second = recipe("endless", endless)
    until(lambda: "begun" in events)
    with default_store().claim("name"):
        assert second.progress().steps == ()
        events.append("page")
    assert [job.wait(20).state for job in (first, second)] == ["done"] * 2
    assert events == ["held", "begun", "let go", "page"]


def test_row_43_a_job_that_is_kept_waiting_is_cancelled_and_lets_go(recipe: Submit) -> None:
    events: list[str] = []

    def endless(evaluate: sc.Evaluator) -> Iterator[str]:
        events.append("begun")
        until(lambda: "cancelled" in events)
        yield "only"

    first = recipe("holder", holder(events, "never"))
    until(lambda: "held" in events)
    second = recipe("endless", endless)
    until(lambda: "begun" in events)
    assert first.progress().state == "queued"
    recipe.every.cancel(first)
    assert first.wait(2).state == "cancelled"
    with default_store().claim("name", wait=False) as mine:
        assert mine
    events.append("cancelled")
    assert second.wait(20).state == "done"


def test_row_43_a_job_that_waits_for_what_another_process_holds_is_cancelled(recipe: Submit) -> None:
    waiting = threading.Event()

    def steps(evaluate: sc.Evaluator) -> Iterator[str]:
        waiting.set()
        with evaluate.store.claim("name"):
            yield "only"

    with Store(default_store().path).claim("name"):
        job = recipe("steps", steps)
        assert waiting.wait(20)
        recipe.every.cancel(job)
        assert job.wait(2).state == "cancelled"


def test_row_49_a_job_that_cannot_be_claimed_fails_and_may_be_asked_for_again(
    recipe: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(evaluate: sc.Evaluator) -> Iterator[str]:
        yield "only"

    def full(self: Store, name: str, *, wait: bool = True) -> object:
        raise sc.SoupError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "claim", full)
        failed = recipe("steps", steps).wait(20)
    assert (failed.state, failed.message) == ("failed", "The disk is full.")
    assert recipe("steps", steps).wait(20).state == "done"


def test_jobs_that_take_turns_at_every_batch_make_what_they_make_alone(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(queue, "SLICE_SECONDS", 1e-6)
    monkeypatch.setattr(queue.Job, "_rank", lambda job: (0, job.turn.seconds))
    zoo, every = sc.open_zoo(deep_zoo(5)), Jobs(default_store())
    tasks = [
        Task("greedy", zoo.name),
        Task("learned", zoo.name, arguments={"epochs": 1}),
        Task("band", zoo.name, arguments={"orders": 3}),
        Task("number-averaged", zoo.name),
        Task("face-off", zoo.name),
    ]
    together = [job.wait(60) for job in [every.submit(task, zoo) for task in tasks]]
    assert [progress.state for progress in together] == ["done"] * 5
    for task, progress in zip(tasks, together, strict=True):
        alone = list(task.run(zoo, Store(tmp_path / task.recipe / "store.sqlite")))
        assert len(alone) == len(progress.steps)
        for ours, theirs in zip(progress.steps, alone, strict=True):
            if hasattr(theirs, "soup"):
                assert ours.soup == theirs.soup
            if hasattr(theirs, "held_out"):
                assert ours.held_out == theirs.held_out


def test_a_job_that_rests_first_runs_nothing_yet_and_a_process_that_ends_does_not_wait_for_it(
    linear_zoo: Make, evaluated: list[sc.Soup]
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    job = every.submit(Task("greedy", zoo.name), zoo, rest=600)
    while job.progress().state != "running":
        time.sleep(0.005)
    every.close()
    assert (job.progress().steps, evaluated) == ((), [])
    taken_up = Jobs(default_store()).find(job.task, zoo)
    assert taken_up is not None
    assert taken_up.wait(PATIENCE).state == "done"


def test_a_task_says_its_metric_where_that_is_not_accuracy(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    plain, judged = Task("greedy", zoo.name), Task("greedy", zoo.name, metric="macro-f1")
    assert "metric" not in plain.to_json()
    assert Task(**json.loads(judged.to_json())) == judged
    assert plain.key(zoo) != judged.key(zoo)
    steps = Jobs(default_store()).submit(judged, zoo).wait(PATIENCE).steps
    expected = sc.greedy_soup(zoo.judged_by("macro-f1"), sc.Evaluator(zoo.judged_by("macro-f1")))
    assert [step.soup for step in steps] == [step.soup for step in expected]
    assert steps[0].evaluation.metric.key == "macro-f1"
