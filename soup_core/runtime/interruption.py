"""Between two batches: where long work can be ended, and lets work go first for which someone waits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class _Break:
    call: Callable[[], object] = lambda: None
    background: bool = False


_break: ContextVar[_Break] = ContextVar("_break", default=_Break())  # noqa: B039  (it is frozen)
_front = threading.Condition()
_evaluating_in_front = 0


@contextmanager
def interruptible(call: Callable[[], object], *, background: bool = False) -> Iterator[None]:
    """Within it, `call` is called after each batch of this thread; an exception from it ends the work with no result.

    Work in the background, after each batch, lets evaluations go first that are not: someone is waiting for them.
    """
    token = _break.set(_Break(call, background))
    try:
        yield
    finally:
        _break.reset(token)


def yield_point() -> None:
    """The place between two batches: see `interruptible`."""
    here = _break.get()
    here.call()
    if here.background:
        with _front:
            _front.wait_for(lambda: not _evaluating_in_front, timeout=1.0)


@contextmanager
def in_front() -> Iterator[None]:
    """Within it, an evaluation that someone waits for goes before work in the background."""
    global _evaluating_in_front
    counts = not _break.get().background
    with _front:
        _evaluating_in_front += counts
    try:
        yield
    finally:
        with _front:
            _evaluating_in_front -= counts
            _front.notify_all()
