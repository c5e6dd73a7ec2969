"""What was evaluated, kept in SQLite, so that nothing is computed twice and an interrupted run goes on.

An evaluation's key is a digest of its content (see evaluation.py); a bound says how many of the first images of an
order a soup gets wrong, for candidates that were rejected early.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from soup_core.errors import SoupError

SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    key TEXT PRIMARY KEY, correct INTEGER, total INTEGER, loss REAL, ece REAL, not_finite INTEGER, correctness BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bounds (
    key TEXT, image_order TEXT, images INTEGER, errors INTEGER, PRIMARY KEY (key, image_order)
) WITHOUT ROWID;
"""
Row = tuple[str, int, int, float | None, float | None, int, bytes]


def home() -> Path:
    """The folder of the store and of exports: SOUP_HOME, or the platform's folder for a user's caches."""
    return Path(os.environ.get("SOUP_HOME") or platformdirs.user_cache_dir("model-soups-explorer"))


@lru_cache(maxsize=8)
def _open(path: Path) -> "Store":
    return Store(path)


def default_store() -> "Store":
    """The store in `home()`, opened once a process."""
    return _open(home() / "store.sqlite")


class Store:
    """Evaluations and bounds by key; safe between threads and processes.

    A file that SQLite finds damaged is set aside and begun anew; `notice` then says so. Raises SoupError where the
    folder cannot be written or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice: str | None = None
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._connect()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
                os.replace(path, aside)
                for leftover in ("-wal", "-shm"):
                    path.with_name(path.name + leftover).unlink(missing_ok=True)
                self._connection = self._connect()
                self.notice = f"The record of evaluations was damaged; it was set aside as {aside.name} and begun anew."
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            connection.close()
            raise sqlite3.DatabaseError("quick_check found damage")
        connection.executescript(SCHEMA)
        return connection

    def evaluation(self, key: str) -> Row | None:
        """The row kept under a key, or None."""
        row: Row | None = self._one("SELECT * FROM evaluations WHERE key = ?", key)
        return row

    def keep_evaluations(self, rows: Iterable[Row]) -> None:
        """Keep rows; a key that is there already is replaced."""
        self._write("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def bound(self, key: str, image_order: str) -> tuple[int, int] | None:
        """Images seen of an order and errors among them, or None."""
        row: tuple[int, int] | None = self._one(
            "SELECT images, errors FROM bounds WHERE key = ? AND image_order = ?", key, image_order
        )
        return row

    def keep_bound(self, key: str, image_order: str, images: int, errors: int) -> None:
        """Keep how many of the first `images` of an order are errors."""
        self._write("INSERT OR REPLACE INTO bounds VALUES (?, ?, ?, ?)", [(key, image_order, images, errors)])

    def _one(self, query: str, *arguments: object) -> Any:
        try:
            with self._lock:
                return self._connection.execute(query, arguments).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _write(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.executemany(query, rows)
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> SoupError:
        return SoupError(
            f"The record of evaluations in {self.path.parent} cannot be used ({error}); see that the disk has room and "
            "that this user may write there, or set SOUP_HOME to another folder."
        )
