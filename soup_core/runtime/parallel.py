"""Calls beside each other on the CPU's threads, each computing by itself.

Threads of torch that share an operation wait for one another at its end; in small ones that is where their time goes.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

Result = TypeVar("Result")

_making = threading.Lock()
_this_thread = threading.local()


def in_parallel(calls: Sequence[Callable[[], Result]], threads: int | None = None) -> list[Result]:
    """What the calls give, in their order; they run at one time on so many threads, which torch's operations in them share.

    Without a number these are the threads that torch has. A single call, and all where there is one thread, run in this
    thread, as do those of a call. A call enters for itself what torch keeps for each thread, such as inference mode. What
    one raises is raised once all have ended.
    """
    threads = threads or torch.get_num_threads()
    if len(calls) < 2 or threads < 2 or getattr(_this_thread, "is_of_a_pool", False):
        return [call() for call in calls]
    with _making:
        pool = _pool(min(len(calls), threads), max(1, threads // len(calls)))
    running = [pool.submit(call) for call in calls]
    wait(running)
    return [each.result() for each in running]


@cache
def _pool(count: int, threads: int) -> ThreadPoolExecutor:
    """So many threads, each of which computes on so many threads of torch."""

    def begin() -> ThreadPoolExecutor:
        elsewhere = torch.get_num_threads()  # in this thread, which has just begun: as many as every other has
        all_begun = threading.Barrier(count + 1)
        pool = ThreadPoolExecutor(count, "part", _compute_on, (threads,))
        for _ in range(count):
            pool.submit(all_begun.wait)
        all_begun.wait()
        torch.set_num_threads(elsewhere)  # torch gives threads that begin from now on the number that was set last
        return pool

    with ThreadPoolExecutor(1) as alone:
        return alone.submit(begin).result()


def _compute_on(threads: int) -> None:
    _this_thread.is_of_a_pool = True
    torch.get_num_threads()  # a thread's first look at the number would take back what was set
    torch.set_num_threads(threads)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads
