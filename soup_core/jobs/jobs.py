"""Long work outside the page: a job is a recipe, its arguments and its generator; a thread each, in turns on its device.

Of the jobs that wait, those go first that have shown no step yet, so that nobody looks at an empty chart for long; then
the one that was looked at last. Others give way to it between two batches. A job goes on when the page is closed. All that
its generator computes is in the store, so a job that was cancelled, or whose process was killed, goes on from its last
step when it is run again, and ends with the same result.
"""

import atexit
import json
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from soup_core.errors import OutOfMemory, SoupError
from soup_core.jobs.tasks import Task, tasks
from soup_core.runtime import turns
from soup_core.runtime.interruption import interruptible, yield_point
from soup_core.runtime.store import Store
from soup_core.runtime.turns import LOOK_SECONDS, Rank, Turn
from soup_core.zoo import Zoo, open_zoo

State = Literal["queued", "running", "done", "cancelling", "cancelled", "paused", "failed"]
UNFINISHED = ("queued", "running")
SLICE_SECONDS = 0.1  # jobs without a step have the device by turns, so long each
ENDED_JOBS_KEPT = 100  # with their steps, in memory; asked for again, older ones are answered by the store
STOPPED = "Stopped; started again, it goes on from here."


@dataclass(frozen=True)
class Progress:
    """A job at one moment. `steps` are those made so far; `steps_done` counts also those of an earlier run or process.

    `rate` is in steps a second since this run began, None before there is one; `state` "failed" and "paused" come with
    a message.
    """

    state: State
    message: str
    steps: tuple[Any, ...]
    steps_done: int
    rate: float | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.state not in (*UNFINISHED, "cancelling")


class Cancelled(Exception):
    """Raised between two batches of a job that is to stop."""


class _Closing(Exception):
    """Raised between two batches of a job whose process ends."""


class Job:
    """One piece of long work, shared by all who ask for the same."""

    def __init__(self, key: str, task: Task, zoo: Zoo, known_before: int = 0) -> None:
        self.key, self.task, self.zoo = key, task, zoo
        self.turn = Turn(task.device, self._rank)
        self._lock = threading.Lock()
        self._state: State = "queued"
        self._message = ""
        self._steps: list[Any] = []
        self._known_before = self._elsewhere = known_before
        self._followed = False
        self._began: float | None = None
        self._cancelled = threading.Event()
        self._last_look = 0

    def progress(self) -> Progress:
        """A consistent view of the job now."""
        with self._lock:
            new = len(self._steps) - self._known_before
            seconds = time.monotonic() - self._began if self._began else 0.0
            rate = new / seconds if new > 0 and seconds > 0 else None
            done = max(len(self._steps), self._elsewhere)
            gives_way = self._state == "running" and not self._followed and self.turn.waits
            return Progress("queued" if gives_way else self._state, self._message, tuple(self._steps), done, rate)

    def wait(self, seconds: float) -> Progress:
        """Wait until the job has ended, at most so long."""
        end = time.monotonic() + seconds
        while not (progress := self.progress()).ended and time.monotonic() < end:
            time.sleep(0.02)
        return progress

    def look(self, number: int) -> None:
        """Note that someone looks at the job; `number` rises with each look at any job."""
        self._last_look = number

    def begin(self) -> None:
        """The job runs now, in this process."""
        with self._lock:
            self._followed = False
            self._began, self._known_before = time.monotonic(), max(self._known_before, len(self._steps))
            if self._state == "queued":
                self._state = "running"

    def follow(self, steps_done: int) -> None:
        """The job runs in another process, which has made so many steps."""
        with self._lock:
            self._state = "cancelling" if self._cancelled.is_set() else "running"
            self._followed, self._elsewhere = True, steps_done

    def add(self, step: Any) -> None:
        """One more step was made."""
        with self._lock:
            self._steps.append(step)
            if len(self._steps) <= self._known_before:
                self._began = time.monotonic()  # known from an earlier run: no measure of the rate

    def cancel(self) -> None:
        """Have the job stop between two batches; one that has not begun is stopped at once."""
        with self._lock:
            if self._state == "queued":
                self._state, self._message = "cancelled", STOPPED
            elif self._state == "running":
                self._state = "cancelling"
        self._cancelled.set()

    def end(self, state: State, message: str = "") -> None:
        """Nothing more will come by itself."""
        with self._lock:
            self._state, self._message = state, message

    def check(self) -> None:
        """Raise Cancelled where the job is to stop; one that runs in another process is stopped there."""
        if self._cancelled.is_set() and not self._followed:
            raise Cancelled

    def _rank(self) -> Rank:
        return (1, -self._last_look) if self._steps else (0, self.turn.seconds // SLICE_SECONDS)


class Jobs:
    """The jobs of one process and one store.

    Those that a killed process left unfinished are taken up again at once, unless `take_up` is False.
    """

    def __init__(self, store: Store, opened: Callable[[str], Zoo] = open_zoo, *, take_up: bool = True) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []
        self._looks = count(1)
        self._closing = threading.Event()
        atexit.register(self.close)
        for row in store.jobs() if take_up else ():
            if row.state in UNFINISHED:
                self._take_up(row.key, row.task, opened)

    def submit(self, task: Task, zoo: Zoo, *, again: bool = False, rest: float = 0.0) -> Job:
        """The job of a task: the one that is there already, unless it has ended short of its end, or a new one.

        With `again` one that has reached its end is run again too: what it had made may have been removed since. A new
        one rests first for so many seconds, in which a page that nobody has asked for more can be painted. Raises
        SoupError for a recipe that is none of `tasks()`.
        """
        if task.recipe not in (known := tasks()):
            raise SoupError(f"There is no recipe {task.recipe!r}; expected one of {', '.join(known)}.")
        key = task.key(zoo)
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (job.progress().ended and (again or job.progress().state != "done")):
                row = self.store.job(key)
                job = self._jobs[key] = Job(key, task, zoo, known_before=row.steps if row else 0)
                self._record(job)
                self._forget_the_oldest()
                self._begin(job, rest)
            job.look(next(self._looks))
            return job

    def _begin(self, job: Job, rest: float) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._work, args=(job, rest), name=f"job {job.task.recipe}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _forget_the_oldest(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.progress().ended]
        for key in ended[:-ENDED_JOBS_KEPT]:
            del self._jobs[key]

    def find(self, task: Task, zoo: Zoo) -> Job | None:
        """The job of a task, where there is one."""
        with self._lock:
            job = self._jobs.get(task.key(zoo))
            if job is not None:
                job.look(next(self._looks))
            return job

    def latest(self, recipe: str, zoo: Zoo) -> Job | None:
        """The job of a recipe on a zoo that was at work last, with whatever arguments; None where there is none here."""
        for row in reversed(self.store.jobs()):
            with self._lock:
                job = self._jobs.get(row.key)
            if job is not None and job.task.recipe == recipe and job.task.key(zoo) == row.key:
                return self.find(job.task, zoo)
        return None

    def cancel(self, job: Job) -> None:
        """Stop a job between two batches, here or in the process that runs it; what it has computed is kept."""
        job.cancel()
        self._record(job)
        turns.wake()

    def close(self) -> None:
        """End the threads between two batches; what is unfinished stays so in the store, for the next process."""
        self._closing.set()
        turns.wake()
        end = time.monotonic() + 10
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _take_up(self, key: str, text: str, opened: Callable[[str], Zoo]) -> None:
        try:
            task = Task(**json.loads(text))
            zoo = opened(task.zoo)
        except (SoupError, TypeError, ValueError) as error:
            self.store.keep_job(key, text, "failed", f"It cannot be taken up again: {error}", 0)
            return
        if task.key(zoo) == key:
            self.submit(task, zoo)
        else:
            self.store.keep_job(key, text, "failed", "The zoo has changed since; start it again.", 0)

    def _work(self, job: Job, rest: float) -> None:
        """What a job's thread does: run it, or follow it where another process is at it, until it can be taken over."""
        try:
            if rest:
                job.begin()  # nothing else is waited for
                self._closing.wait(rest)
            while not self._has_run(job):
                row = self.store.job(job.key)
                job.follow(row.steps if row else 0)
                self._closing.wait(LOOK_SECONDS)
        except Cancelled:
            self._end(job, "cancelled", STOPPED)
        except _Closing:
            return
        except OutOfMemory as error:
            self._end(job, "paused", str(error))
        except SoupError as error:
            self._end(job, "failed", str(error))
        except Exception as error:  # a defect of ours must not leave the job unended
            logging.getLogger(__name__).exception("a job ended with an error")
            self._end(job, "failed", f"It ended with an unexpected error: {type(error).__name__}.")
        else:
            self._end(job, "done")

    def _has_run(self, job: Job) -> bool:
        """Run a job to its end, in its turn; False where another process is at it."""
        last_look = 0.0

        def check() -> None:
            nonlocal last_look
            if self._closing.is_set():
                raise _Closing
            if time.monotonic() - last_look > LOOK_SECONDS:
                last_look = time.monotonic()
                row = self.store.job(job.key)
                if row and row.state == "cancelling":
                    job.cancel()
            job.check()

        with (
            interruptible(check, background=True, turn=job.turn),
            self.store.claim(f"job-{job.key}", wait=False) as mine,
        ):
            if mine:
                job.begin()
                job.check()
                steps = job.task.run(job.zoo, self.store)
                try:
                    for step in steps:
                        job.add(step)
                        self._record(job)
                        yield_point()
                finally:
                    if isinstance(steps, Generator):
                        steps.close()  # what it holds is let go of here, and not when the error has been told
        return mine

    def _end(self, job: Job, state: State, message: str = "") -> None:
        job.end(state, message)
        try:
            self._record(job)
        except SoupError as error:  # the disk may be full: say so where the job is looked at
            job.end("failed", str(error))

    def _record(self, job: Job) -> None:
        if self._jobs.get(job.key) is not job:
            return  # it has been asked for anew, before this one's thread came to its end
        progress = job.progress()
        self.store.keep_job(job.key, job.task.to_json(), progress.state, progress.message, progress.steps_done)
