"""Turns: of the threads that share a device one computes at a time, and between two batches it lets a better one go on.

A thread that waits for its turn may hold what others need: the soup that it was evaluating, the run that it was learning.
Whoever waits for that has handed its own turn on, and lends the holder its rank, so that nobody waits for a thread that is
kept waiting itself (priority inheritance: Sha, Rajkumar & Lehoczky 1990, doi 10.1109/12.57058).
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Rank = tuple[int, float]  # the lowest goes first
FRONT: Rank = (-1, 0.0)  # of a thread without a turn: a page, which somebody looks at
LOOK_SECONDS = 0.5  # how often who waits looks whether it has been ended


class Turn:
    """One thread's part in the turns on a device; `rank` says before whom it goes, and may change at any time."""

    def __init__(self, device: str, rank: Callable[[], Rank]) -> None:
        self.device = device
        self._rank = rank
        self._seconds = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has had the device, altogether."""
        since = self._since
        return self._seconds + (0.0 if since is None else time.monotonic() - since)

    @property
    def waits(self) -> bool:
        """Whether it waits while another computes."""
        return self in _waiting[self.device]

    def take(self, check: Callable[[], object]) -> None:
        """Wait until it is this one's turn; an exception from `check`, which is called meanwhile, ends the wait."""
        with _changed:
            _waiting[self.device].append(self)
        try:
            while True:
                check()
                with _changed:
                    if self.device not in _holders and _first(self.device) is self:
                        _waiting[self.device].remove(self)
                        _holders[self.device] = self
                        self._since = time.monotonic()
                        return
                    _changed.wait(LOOK_SECONDS)
        except BaseException:
            with _changed:
                _waiting[self.device].remove(self)
                _changed.notify_all()
            raise

    def offer(self, check: Callable[[], object]) -> None:
        """Let another go first whose rank is better, and wait until it is this one's turn again."""
        with _changed:
            first = _first(self.device)
            gives_way = first is not None and first.rank() < self.rank()
        if gives_way:
            self.release()
            self.take(check)

    def release(self) -> None:
        """Hand the device to the next, where this one has it."""
        with _changed:
            if _holders.get(self.device) is self:
                del _holders[self.device]
                self._seconds, self._since = self.seconds, None
                _changed.notify_all()

    def rank(self) -> Rank:
        """Its own rank, or the best of those who wait for what it holds."""
        lent = (FRONT if lender is None else lender.rank() for name in _held.get(self, ()) for lender in _lenders[name])
        return min((self._rank(), *lent))


_changed = threading.Condition(threading.RLock())  # guards all below: what is held may be needed on another device
_holders: dict[str, Turn] = {}
_waiting: defaultdict[str, list[Turn]] = defaultdict(list)
_held: dict[Turn, list[str]] = {}
_lenders: defaultdict[str, list[Turn | None]] = defaultdict(list)


def _first(device: str) -> Turn | None:
    return min(_waiting[device], key=Turn.rank, default=None)


def wake() -> None:
    """Have every thread that waits look at once whether it has been ended."""
    with _changed:
        _changed.notify_all()


@contextmanager
def holding(name: str, turn: Turn | None) -> Iterator[None]:
    """Within it, the thread of this turn has what others may wait for under a name."""
    if turn is None:
        yield
        return
    with _changed:
        _held.setdefault(turn, []).append(name)
    try:
        yield
    finally:
        with _changed:
            _held[turn].remove(name)
            if not _held[turn]:
                del _held[turn]


@contextmanager
def lending(name: str, turn: Turn | None, check: Callable[[], object]) -> Iterator[None]:
    """Within it, the thread of this turn waits for what another holds: it lets others compute, before all the holder."""
    with _changed:
        _lenders[name].append(turn)
        _changed.notify_all()
    if turn is not None:
        turn.release()
    try:
        yield
    finally:
        with _changed:
            _lenders[name].remove(turn)
            if not _lenders[name]:
                del _lenders[name]
    if turn is not None:
        turn.take(check)
