"""Confirming at the terminal what was asked for at a page: a one-time code, which only who sees the terminal can type.

One question is open at a time; it ends with the right code, after a few wrong ones, or with time.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from soup_core.errors import SoupError

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without 0, 1, I and O, which are taken for each other
LENGTH = 6
ATTEMPTS = 3
SECONDS = 300.0  # that a code is good for
PAUSE_SECONDS = 30.0  # after wrong codes, in which none is given


@dataclass(frozen=True)
class _Question:
    """What was asked for, by whom, the code that confirms it, until when, and how many may still be typed."""

    subject: str
    asker: str
    code: str
    until: float
    attempts: int


class Confirmations:
    """The open question of a server; safe between threads. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._question: _Question | None = None
        self._paused_until = -float("inf")

    def ask(self, asker: str, subject: str) -> str:
        """The code for a new question, in place of an open one. Raises SoupError for a while after too many wrong codes."""
        with self._lock:
            if (wait := self._paused_until - self._clock()) > 0:
                raise SoupError(f"Too many codes were wrong; ask again in {wait:.0f} seconds.")
            code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
            self._question = _Question(subject, asker, code, self._clock() + SECONDS, ATTEMPTS)
            return code

    def confirm(self, asker: str, code: str) -> str:
        """What was asked for, once, with the right code. Raises SoupError for a wrong one, and where none is open."""
        with self._lock:
            question = self._question
            if question is None or question.asker != asker or self._clock() > question.until:
                raise SoupError("No code is open for this page, or its time is over; ask for a new one.")
            typed = code.strip().upper().encode("utf-8", "replace")
            if secrets.compare_digest(typed, question.code.encode()):
                self._question = None
                return question.subject
            left = question.attempts - 1
            self._question = replace(question, attempts=left) if left else None
            if not left:
                self._paused_until = self._clock() + PAUSE_SECONDS
                raise SoupError("That is not the code, and no more may be typed; ask for a new one.")
            raise SoupError(f"That is not the code that stands in the terminal; {left} more may be typed.")
