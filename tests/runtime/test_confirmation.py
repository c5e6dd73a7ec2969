"""One-time codes."""

import re

import pytest

from soup_core.errors import SoupError
from soup_core.runtime.confirmation import ATTEMPTS, LETTERS, PAUSE_SECONDS, SECONDS, Confirmations


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_code_confirms_once_and_only_for_who_asked() -> None:
    confirmations = Confirmations(Clock())
    code = confirmations.ask("me", "/sweep")
    assert re.fullmatch(f"[{LETTERS}]{{6}}", code)
    with pytest.raises(SoupError, match="No code is open"):
        confirmations.confirm("another", code)
    assert confirmations.confirm("me", f" {code.lower()} ") == "/sweep"
    with pytest.raises(SoupError, match="No code is open"):
        confirmations.confirm("me", code)


def test_wrong_codes_end_the_question_and_the_next_one_waits() -> None:
    clock = Clock()
    confirmations = Confirmations(clock)
    code = confirmations.ask("me", "/sweep")
    for wrong in ("", "é" * 6, "\ud800")[:ATTEMPTS]:
        with pytest.raises(SoupError, match="That is not the code"):
            confirmations.confirm("me", wrong)
    with pytest.raises(SoupError, match="No code is open"):
        confirmations.confirm("me", code)
    with pytest.raises(SoupError, match="ask again in 30 seconds"):
        confirmations.ask("me", "/sweep")
    clock.now = PAUSE_SECONDS
    assert confirmations.confirm("me", confirmations.ask("me", "/sweep")) == "/sweep"


def test_a_code_is_good_for_a_while_and_until_the_next() -> None:
    clock = Clock()
    confirmations = Confirmations(clock)
    first, second = confirmations.ask("me", "/first"), confirmations.ask("me", "/second")
    if first != second:
        with pytest.raises(SoupError):
            confirmations.confirm("me", first)
    clock.now = SECONDS + 1
    with pytest.raises(SoupError, match="its time is over"):
        confirmations.confirm("me", second)
