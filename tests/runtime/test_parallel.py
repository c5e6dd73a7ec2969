import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch

from soup_core.runtime.parallel import in_parallel


def test_calls_run_at_one_time_and_give_in_their_order() -> None:
    together = threading.Barrier(2)

    def call(number: int) -> int:
        together.wait(timeout=30)
        return number

    assert in_parallel([partial(call, number) for number in range(2)], 2) == [0, 1]


def test_each_call_computes_on_its_share_of_the_threads() -> None:
    assert in_parallel([torch.get_num_threads] * 2, 2) == [1, 1]
    assert in_parallel([torch.get_num_threads] * 2, 4) == [2, 2]


def test_this_thread_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    in_parallel([torch.get_num_threads] * 3, 3)
    assert torch.get_num_threads() == before


def test_a_single_call_and_one_thread_stay_in_this_thread() -> None:
    here = threading.get_ident()
    assert in_parallel([threading.get_ident], 2) == [here]
    assert in_parallel([threading.get_ident] * 2, 1) == [here] * 2


def test_calls_of_calls_do_not_wait_for_each_other() -> None:
    def outer() -> list[int]:
        return in_parallel([threading.get_ident] * 2, 2)

    (first, second), (third, fourth) = in_parallel([outer, outer], 2)
    assert first == second
    assert third == fourth


def test_an_error_is_raised_once_all_have_ended() -> None:
    ended: list[bool] = []

    def fail() -> None:
        raise ValueError("one of them")

    def work() -> None:
        time.sleep(0.1)
        ended.append(True)

    calls: list[Callable[[], None]] = [fail, work]
    with pytest.raises(ValueError, match="one of them"):
        in_parallel(calls, 2)
    assert ended == [True]
