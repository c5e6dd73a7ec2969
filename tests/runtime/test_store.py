"""The store: what many write at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from soup_core.runtime.store import EvaluationRow, Store
from tests.patience import PATIENCE


@pytest.mark.parametrize("damaged", [False, True])
def test_row_44_stores_opened_at_the_same_moment_all_work(tmp_path: Path, damaged: bool) -> None:
    for attempt in range(40):
        file = tmp_path / str(attempt) / "s.sqlite"
        file.parent.mkdir()
        if damaged:
            file.write_bytes(b"not a database" * 200)
        together = threading.Barrier(3, timeout=PATIENCE)

        def keep(key: str, file: Path = file, together: threading.Barrier = together) -> None:
            together.wait()
            Store(file).keep_evaluations([EvaluationRow(key, 1, 1, 0.0, 0.0, 0, b"\x80")])

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(keep, "abc"))
        store = Store(file)
        assert [store.evaluation(key) for key in "abc"] == [(key, 1, 1, 0.0, 0.0, 0, b"\x80") for key in "abc"]
        set_aside = [path.name for path in file.parent.iterdir() if ".damaged-" in path.name]
        assert bool(set_aside) == damaged
