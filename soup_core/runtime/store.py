"""What was computed, kept in SQLite, so that nothing is computed twice and an interrupted run goes on.

An evaluation's key is a digest of its content (see evaluation.py); a bound says how many of the first images of an
order a soup gets wrong, for candidates that were rejected early; tensors are logits and Gram matrices; a run is a list
of steps, each with what is needed to go on from it; a job says what was asked for and how far it is; of a checkpoint
file is kept what reading it through has told (see loader.py).
"""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from filelock import FileLock, Timeout
from torch import Tensor

from soup_core.errors import SoupError
from soup_core.runtime.files import home
from soup_core.runtime.interruption import exclusive, lending

SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    key TEXT PRIMARY KEY, correct INTEGER, total INTEGER, loss REAL, ece REAL, not_finite INTEGER, correctness BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bounds (
    key TEXT, image_order TEXT, images INTEGER, errors INTEGER, PRIMARY KEY (key, image_order)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tensors (key TEXT PRIMARY KEY, content BLOB);
CREATE TABLE IF NOT EXISTS steps (run TEXT, number INTEGER, content BLOB, PRIMARY KEY (run, number));
CREATE TABLE IF NOT EXISTS jobs (key TEXT PRIMARY KEY, task TEXT, state TEXT, message TEXT, steps INTEGER, since REAL);
CREATE TABLE IF NOT EXISTS choices (key TEXT PRIMARY KEY, known TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (identity TEXT PRIMARY KEY, known TEXT) WITHOUT ROWID;
"""
KEEP_TENSORS = "INSERT OR REPLACE INTO tensors VALUES (?, ?)"
CARRIED = (
    ("evaluations", "key", "correct, total, loss, ece, not_finite, correctness"),
    ("bounds", "key", "image_order, images, errors"),
    ("tensors", "key", "content"),
    ("steps", "run", "number, content"),
)  # of the tables that are kept by keys, the key and the other columns
DIGEST_BYTES = 32


class EvaluationRow(NamedTuple):
    """An evaluation as it is kept: NULL where loss and calibration error are NaN, a bit an image, packed."""

    key: str
    correct: int
    total: int
    loss: float | None
    ece: float | None
    not_finite: int
    correctness: bytes


class BoundRow(NamedTuple):
    """How many of the first images of an order are errors."""

    images: int
    errors: int


class JobRow(NamedTuple):
    """What is known of a job: what was asked for as JSON, how far it is, and the time of the last change."""

    key: str
    task: str
    state: str
    message: str
    steps: int
    since: float


@lru_cache(maxsize=8)
def _open(path: Path) -> "Store":
    return Store(path)


def default_store() -> "Store":
    """The store in `home()`, opened once a process."""
    return _open(home() / "store.sqlite")


class Store:
    """Evaluations, bounds, tensors, runs and jobs by key; safe between threads and processes.

    A file that SQLite finds damaged is set aside and begun anew; `notice` then says so. Opening one, and every
    method, raises SoupError where the folder cannot be written or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice: str | None = None
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One at a time: SQLite does not wait where two make the file, and only one may set it aside.
            with self.claim(f"opening-{path.name}"):
                self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            aside = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
            os.replace(self.path, aside)
            for leftover in ("-wal", "-shm"):
                self.path.with_name(self.path.name + leftover).unlink(missing_ok=True)
            self.notice = f"The record of evaluations was damaged; it was set aside as {aside.name} and begun anew."
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("quick_check found damage")
            connection.executescript(SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def evaluation(self, key: str) -> EvaluationRow | None:
        """The row kept under a key, or None."""
        columns = ", ".join(EvaluationRow._fields)
        row = self._one(f"SELECT {columns} FROM evaluations WHERE key = ?", key)
        return row and EvaluationRow(*row)

    def has_evaluations(self) -> bool:
        """Whether anything was ever evaluated here."""
        return self._one("SELECT 1 FROM evaluations LIMIT 1") is not None

    def evaluations(self) -> list[EvaluationRow]:
        """Every row."""
        return [EvaluationRow(*row) for row in self._all(f"SELECT {', '.join(EvaluationRow._fields)} FROM evaluations")]

    def keep_evaluations(
        self, rows: Iterable[EvaluationRow], tensors: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> None:
        """Keep rows, and tensors of any shape by key, at once; a key that is there already is replaced."""
        self._write(
            ("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?)", rows),
            (KEEP_TENSORS, [(key, _packed(kept)) for key, kept in (tensors or {}).items()]),
        )

    def bound(self, key: str, image_order: str) -> BoundRow | None:
        """Images seen of an order and errors among them, or None."""
        row = self._one("SELECT images, errors FROM bounds WHERE key = ? AND image_order = ?", key, image_order)
        return row and BoundRow(*row)

    def bounds(self) -> dict[tuple[str, str], BoundRow]:
        """Every bound by its key and the digest of its order."""
        rows = self._all("SELECT key, image_order, images, errors FROM bounds")
        return {(key, order): BoundRow(images, errors) for key, order, images, errors in rows}

    def keep_bound(self, key: str, image_order: str, images: int, errors: int) -> None:
        """Keep how many of the first `images` of an order are errors."""
        self._write(("INSERT OR REPLACE INTO bounds VALUES (?, ?, ?, ?)", [(key, image_order, images, errors)]))

    def tensors(self, key: str) -> dict[str, Tensor] | None:
        """The tensors kept under a key, in their shapes and dtypes, or None; a damaged record counts as none."""
        row = self._one("SELECT content FROM tensors WHERE key = ?", key)
        return _unpacked(row[0]) if row else None

    def keep_tensors(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors of any shape under a key."""
        self._write((KEEP_TENSORS, [(key, _packed(tensors))]))

    def step(self, run: str, number: int) -> dict[str, Tensor] | None:
        """One step of a run, tensors of any shape by name, or None; a damaged record counts as none."""
        row = self._one("SELECT content FROM steps WHERE run = ? AND number = ?", run, number)
        return _unpacked(row[0]) if row else None

    def keep_step(self, run: str, number: int, step: Mapping[str, Tensor]) -> None:
        """Keep one step of a run, tensors of any shape by name; whatever followed it is forgotten."""
        self._write(
            ("DELETE FROM steps WHERE run = ? AND number > ?", [(run, number)]),
            ("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", [(run, number, _packed(step))]),
        )

    def carry_over(self, earlier: str, key: str) -> None:
        """Have what is kept under an earlier key under another too, but for what that has itself: a run's steps as well."""
        for table, column, others in CARRIED:
            if self._one(f"SELECT 1 FROM {table} WHERE {column} = ?", earlier) and not self._one(
                f"SELECT 1 FROM {table} WHERE {column} = ?", key
            ):
                query = f"INSERT OR IGNORE INTO {table} ({column}, {others}) SELECT ?, {others} FROM {table} WHERE {column} = ?"
                self._write((query, [(key, earlier)]))

    def jobs(self) -> list[JobRow]:
        """Every job, oldest change first."""
        return [JobRow(*row) for row in self._all(f"SELECT {', '.join(JobRow._fields)} FROM jobs ORDER BY since")]

    def job(self, key: str) -> JobRow | None:
        """One job's row, or None."""
        row = self._one(f"SELECT {', '.join(JobRow._fields)} FROM jobs WHERE key = ?", key)
        return row and JobRow(*row)

    def keep_job(self, key: str, task: str, state: str, message: str, steps: int) -> None:
        """Keep what is known of a job."""
        row = JobRow(key, task, state, message, steps, time.time())
        self._write(("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)", [row]))

    def file(self, identity: str) -> dict[str, Any] | None:
        """What is known of the file of that identity, or None; a damaged record counts as none."""
        row = self._one("SELECT known FROM files WHERE identity = ?", identity)
        with suppress(ValueError):
            return json.loads(row[0]) if row else None
        return None

    def keep_file(self, identity: str, known: Mapping[str, Any]) -> None:
        """Keep what is known of a file."""
        self._write(("INSERT OR REPLACE INTO files VALUES (?, ?)", [(identity, json.dumps(known))]))

    def choice(self, key: str) -> str | None:
        """The choice of a way of running a network that is kept under a key, as JSON, or None."""
        row = self._one("SELECT known FROM choices WHERE key = ?", key)
        return str(row[0]) if row else None

    def keep_choice(self, key: str, known: str) -> None:
        """Keep a choice, JSON, under a key."""
        self._write(("INSERT OR REPLACE INTO choices VALUES (?, ?)", [(key, known)]))

    @contextmanager
    def claim(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a name against every other thread and process; without `wait`, give False where another holds it.

        The system lets go of it when its holder dies, so a dead worker's claim is taken over. See `exclusive` for how
        one waits.
        """
        path = self._claim_file(name)
        lock = FileLock(path, fallback_to_soft=False)

        def release() -> None:
            # While it is held still, since filelock takes no lock on a file that was removed before it had it.
            path.unlink(missing_ok=True)
            lock.release()

        with exclusive(str(path), partial(self._acquired, lock), release, wait=wait) as mine:
            yield mine

    def lending(self, name: str) -> AbstractContextManager[None]:
        """Within it, this thread waits until another lets go of a name; see `lending` in interruption.py."""
        return lending(str(self._claim_file(name)))

    def _claim_file(self, name: str) -> Path:
        return self.path.parent / "claims" / name

    def _acquired(self, lock: FileLock) -> bool:
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            raise self._failure(error) from error
        return True

    def _all(self, query: str, *arguments: object) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _one(self, query: str, *arguments: object) -> Any:
        try:
            with self._lock:
                return self._connection.execute(query, arguments).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _write(self, *changes: tuple[str, Iterable[tuple[object, ...]]]) -> None:
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    for query, rows in changes:
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


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    return hashlib.sha256(content).digest() + content


def _unpacked(record: bytes) -> dict[str, Tensor] | None:
    digest, content = record[:DIGEST_BYTES], record[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    return safetensors.torch.load(content)
