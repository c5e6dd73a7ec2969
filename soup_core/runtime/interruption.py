"""Between two batches: where long work can be ended, and lets work go first for which someone waits."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from soup_core.runtime import turns
from soup_core.runtime.turns import LOOK_SECONDS, Turn

LOCK_SECONDS = 0.02  # how often who waits for a lock tries again


@dataclass(frozen=True)
class _Work:
    call: Callable[[], object] = lambda: None
    background: bool = False
    turn: Turn | None = None


_work: ContextVar[_Work] = ContextVar("_work", default=_Work())  # noqa: B039  (it is frozen)
_front = threading.Condition()
_evaluating_in_front = 0


@contextmanager
def interruptible(call: Callable[[], object], *, background: bool = False, turn: Turn | None = None) -> Iterator[None]:
    """Within it, `call` is called after each batch of this thread; an exception from it ends the work with no result.

    Work in the background, after each batch, lets evaluations go first that are not: someone is waiting for them. With
    a `turn` the thread computes in that alone, and after each batch lets another go first whose rank is better.
    """
    if turn is not None:
        turn.take(call)
    token = _work.set(_Work(call, background, turn or _work.get().turn))
    try:
        yield
    finally:
        _work.reset(token)
        if turn is not None:
            turn.release()


def yield_point() -> None:
    """The place between two batches: see `interruptible`.

    Locks that other threads may want stay out of it, or are `exclusive`; so does what is set for the whole process.
    """
    work = _work.get()
    work.call()
    if work.turn is not None:
        work.turn.offer(work.call)
    if work.background:
        with _front:
            _front.wait_for(lambda: not _evaluating_in_front, timeout=1.0)


@contextmanager
def in_front() -> Iterator[None]:
    """Within it, an evaluation that someone waits for goes before work in the background."""
    global _evaluating_in_front
    counts = not _work.get().background
    with _front:
        _evaluating_in_front += counts
    try:
        yield
    finally:
        with _front:
            _evaluating_in_front -= counts
            _front.notify_all()


@contextmanager
def exclusive(
    name: str, acquire: Callable[[], bool], release: Callable[[], object], *, wait: bool = True
) -> Iterator[bool]:
    """Hold a lock that work may keep over yield points; without `wait`, give False where another holds it.

    `acquire` takes the lock, or says at once that it cannot. Who waits can be ended, and its turn is the holder's
    meanwhile.
    """
    mine = acquire()
    if not mine and not wait:
        yield False
        return
    work = _work.get()
    try:
        if not mine:
            with lending(name):
                last_call = time.monotonic()
                while not (mine := acquire()):
                    time.sleep(LOCK_SECONDS)
                    if time.monotonic() - last_call > LOOK_SECONDS:
                        last_call = time.monotonic()
                        work.call()
        with turns.holding(name, work.turn):
            yield True
    finally:
        if mine:
            release()


@contextmanager
def lending(name: str) -> Iterator[None]:
    """Within it, this thread waits for what another holds under a name, and others compute meanwhile: it most of all."""
    work = _work.get()
    with turns.lending(name, work.turn, work.call):
        yield
