"""Long work outside the page: a job is a recipe, its arguments and its generator; a queue, and one worker a device.

Of the jobs that wait, the one that was looked at last goes on, and others give way to it between two steps. A job goes on
when the page is closed. All that its generator computes is in the store, so a job that was cancelled, or whose process was
killed, goes on from its last step when it is run again, and ends with the same result.
"""

import atexit
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from soup_core.errors import OutOfMemory, SoupError
from soup_core.jobs.tasks import Task, tasks
from soup_core.runtime.interruption import interruptible
from soup_core.runtime.store import Store
from soup_core.zoo import Zoo, open_zoo

State = Literal["queued", "running", "done", "cancelling", "cancelled", "paused", "failed"]
UNFINISHED = ("queued", "running")
LOOK_SECONDS = 0.5
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
        self._lock = threading.Lock()
        self._state: State = "queued"
        self._message = ""
        self._steps: list[Any] = []
        self._known_before = self._elsewhere = known_before
        self._began: float | None = None
        self._cancel = threading.Event()
        self._begun: Iterator[Any] | None = None
        self.asked = 0  # when it was looked at, as a number that rises with each look at any job

    def progress(self) -> Progress:
        """A consistent view of the job now."""
        with self._lock:
            new = len(self._steps) - self._known_before
            seconds = time.monotonic() - self._began if self._began else 0.0
            rate = new / seconds if new > 0 and seconds > 0 else None
            done = max(len(self._steps), self._elsewhere)
            return Progress(self._state, self._message, tuple(self._steps), done, rate)

    def drop(self) -> None:
        """Let go of what the job has begun, which ends its generator; its steps are in the store."""
        self._begun = None

    def wait(self, seconds: float) -> Progress:
        """Wait until the job has ended, at most so long."""
        end = time.monotonic() + seconds
        while not (progress := self.progress()).ended and time.monotonic() < end:
            time.sleep(0.02)
        return progress


class Jobs:
    """The jobs of one process and one store.

    Those that a killed process left unfinished are taken up again at once, unless `take_up` is False.
    """

    def __init__(self, store: Store, opened: Callable[[str], Zoo] = open_zoo, *, take_up: bool = True) -> None:
        self.store = store
        self._lock = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, deque[Job]] = {}
        self._workers: list[threading.Thread] = []
        self._looks = count(1)
        self._closing = threading.Event()
        atexit.register(self.close)
        for key, task, state, *_ in store.jobs() if take_up else ():
            if state in UNFINISHED:
                self._take_up(key, task, opened)

    def submit(self, task: Task, zoo: Zoo, *, again: bool = False) -> Job:
        """The job of a task: the one that is there already, unless it has ended short of its end, or a new one.

        With `again` one that has reached its end is run again too: what it had made may have been removed since. Raises
        SoupError for a task that is none of RECIPES.
        """
        if task.recipe not in (known := tasks()):
            raise SoupError(f"There is no recipe {task.recipe!r}; expected one of {', '.join(known)}.")
        key = task.key(zoo)
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (job.progress().ended and (again or job.progress().state != "done")):
                row = self.store.job(key)
                job = self._jobs[key] = Job(key, task, zoo, known_before=row[4] if row else 0)
                self._record(job)
                self._forget_the_oldest()
                if task.device not in self._queues:
                    self._queues[task.device] = deque()
                    worker = threading.Thread(target=self._work, args=(task.device,), daemon=True)
                    self._workers.append(worker)
                    worker.start()
                self._queues[task.device].append(job)
                self._lock.notify_all()
            job.asked = next(self._looks)
            return job

    def _forget_the_oldest(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.progress().ended]
        for key in ended[:-ENDED_JOBS_KEPT]:
            del self._jobs[key]

    def find(self, task: Task, zoo: Zoo) -> Job | None:
        """The job of a task, where there is one."""
        with self._lock:
            job = self._jobs.get(task.key(zoo))
            if job is not None:
                job.asked = next(self._looks)
            return job

    def latest(self, recipe: str, zoo: Zoo) -> Job | None:
        """The job of a recipe on a zoo that was at work last, with whatever arguments; None where there is none here."""
        for key, *_ in reversed(self.store.jobs()):
            with self._lock:
                job = self._jobs.get(key)
            if job is not None and job.task.recipe == recipe and job.task.key(zoo) == key:
                return self.find(job.task, zoo)
        return None

    def cancel(self, job: Job) -> None:
        """Stop a job between two batches, here or in the process that runs it; what it has computed is kept."""
        with self._lock:
            waiting = self._queues[job.task.device]
            if job in waiting:
                waiting.remove(job)
                job.drop()
                self._end(job, "cancelled", STOPPED)
                return
        with job._lock:
            if job._state in UNFINISHED:
                job._state = "cancelling"
        job._cancel.set()
        self._record(job)

    def close(self) -> None:
        """End the workers between two batches; what is unfinished stays so in the store, for the next process."""
        with self._lock:
            self._closing.set()
            self._lock.notify_all()
        for worker in self._workers:
            worker.join(timeout=10)
        for queue in self._queues.values():
            for job in queue:
                job.drop()

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

    def _work(self, device: str) -> None:
        queue = self._queues[device]
        while True:
            with self._lock:
                self._lock.wait_for(lambda: queue or self._closing.is_set())
                if self._closing.is_set():
                    return
                job = max(queue, key=lambda each: each.asked)
                queue.remove(job)
            with self.store.claim(f"job-{job.key}", wait=False) as mine:
                if mine:
                    self._run(job)
            if not mine:
                self._look_on(job)
                with self._lock:
                    queue.append(job)

    def _look_on(self, job: Job) -> None:
        """Another process is at this job: follow its count, and try again to take it over."""
        row = self.store.job(job.key)
        with job._lock:
            job._state = "running" if not job._cancel.is_set() else "cancelling"
            job._elsewhere = row[4] if row else 0
            job.asked = 0  # others go first
        time.sleep(LOOK_SECONDS)

    def _run(self, job: Job) -> None:
        with job._lock:
            job._began, job._known_before = time.monotonic(), max(job._known_before, len(job._steps))
            if job._state == "queued":
                job._state = "running"
        looked = 0.0

        def check() -> None:
            nonlocal looked
            if self._closing.is_set():
                raise _Closing
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                now = self.store.job(job.key)
                if now and now[2] == "cancelling":
                    job._cancel.set()
            if job._cancel.is_set():
                raise Cancelled

        try:
            with interruptible(check, background=True):
                check()
                steps = job._begun = job._begun or job.task.run(job.zoo, self.store)
                for step in steps:
                    with job._lock:
                        job._steps.append(step)
                        if len(job._steps) <= job._known_before:
                            job._began = time.monotonic()  # known from an earlier run: no measure of the rate
                    self._record(job)
                    check()
                    if self._gives_way(job):
                        return
            self._end(job, "done", "")
        except Cancelled:
            self._end(job, "cancelled", STOPPED)
        except _Closing:
            return
        except OutOfMemory as error:
            self._end(job, "paused", str(error))
        except SoupError as error:
            self._end(job, "failed", str(error))
        except Exception as error:  # a defect of ours must not end the worker
            logging.getLogger(__name__).exception("a job ended with an error")
            self._end(job, "failed", f"It ended with an unexpected error: {type(error).__name__}.")
        finally:
            if job.progress().state != "queued":
                job.drop()

    def _gives_way(self, job: Job) -> bool:
        """Whether another job of its device waits that was looked at later; this one then waits in its turn."""
        with self._lock, job._lock:
            queue = self._queues[job.task.device]
            if job._state != "running" or not any(other.asked > job.asked for other in queue):
                return False
            job._state = "queued"
            queue.append(job)
            return True

    def _end(self, job: Job, state: State, message: str) -> None:
        with job._lock:
            job._state, job._message = state, message
        try:
            self._record(job)
        except SoupError as error:  # the disk may be full: say so where the job is looked at
            with job._lock:
                job._state, job._message = "failed", str(error)

    def _record(self, job: Job) -> None:
        progress = job.progress()
        self.store.keep_job(job.key, job.task.to_json(), progress.state, progress.message, progress.steps_done)
