"""The process that reads files of torch.save (see pickled/process.py): begun when first asked, bounded in time."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from soup_core.checkpoints.pickled import BROKE_OUT, TABLE_BYTES_AT_MOST
from soup_core.errors import CheckpointError

SECONDS = 60.0
BYTES_A_SECOND = 5_000_000  # no disk that one works from is slower
ANSWER_AT_MOST = TABLE_BYTES_AT_MOST + (1 << 20)
FAILS = "makes its reader fail, so that it is damaged, or made to do harm; save its state_dict again."


# ---- files of torch.save -----------------------------------------------------------------------------------------------


class Refused(Exception):
    """What the reading process says against a file, as the rest of a sentence that begins with its name."""

    def __init__(self, sentence: str, places: Sequence[str] = (), why: str = "") -> None:
        super().__init__(sentence)
        self.places, self.why = places, why


def ask_reader(
    source: int, target: int | None, size: int, name: str, weights: str | None, files: Mapping[str, int] | None = None
) -> dict[str, Any] | None:
    """Ask the reading process where a file's tensors lie: its table (see pickled/table.py), which nobody has checked yet.

    None where the file has to be converted, which it does where there is a target; there it may be several files by their
    names, of which `source` tells. `size` is of all. Raises Refused with what it says, OSError where it cannot write.
    """
    answer = _process.ask(source, target, weights, SECONDS + size / BYTES_A_SECOND, files or {})
    if answer is None:
        raise CheckpointError(
            f"{name} could not be read in time, or its reader was ended; see the machine's load, reload."
        )
    if "failed" in answer:
        raise OSError(answer["failed"], os.strerror(answer["failed"]))
    if "refused" in answer:
        raise Refused(answer["refused"], answer.get("places", ()), answer.get("why", ""))
    died = answer.get("died")
    if died == BROKE_OUT:
        raise Refused("contains code, which tried to run and was stopped; use it no further.")
    if died == -signal.SIGXCPU:
        raise Refused("takes longer to be read than a file of its size may; save its state_dict again.")
    if died is not None:
        raise Refused(FAILS)
    return answer.get("table")


class _Process:
    """The process that reads files of torch.save: begun when first asked, anew where it has ended, one file at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        atexit.register(self.end)

    def ask(
        self, source: int, target: int | None, weights: str | None, seconds: float, files: Mapping[str, int]
    ) -> dict[str, Any] | None:
        """The answer to a request, or None where there is none in so many seconds, or the process was ended."""
        with self._lock:
            if self._running is None or self._running[0].poll() is not None:
                self._end()
                self._running = self._begun()
            connection = self._running[1]
            connection.settimeout(seconds)
            try:
                request = json.dumps({"weights": weights, "files": list(files)}).encode()
                descriptors = [source, *([] if target is None else [target]), *files.values()]
                socket.send_fds(connection, [request], descriptors)
                line = bytearray()
                while not line.endswith(b"\n"):
                    if not (part := connection.recv(1 << 18)) or len(line) > ANSWER_AT_MOST:
                        raise ConnectionError
                    line += part
            except OSError:
                self._end()
                return None
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):  # of a child that died while it answered, or says what it likes
                answer = None
            if not isinstance(answer, dict):
                self._end()
                return {"died": 1}
            return answer

    def end(self) -> None:
        """End the process and whatever it reads."""
        with self._lock:
            self._end()

    def _begun(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        run = (
            "import socket, sys; sys.path.insert(0, sys.argv[1]); from pickled.process import serve; "
            "serve(socket.socket(fileno=0))"
        )
        with theirs:  # without the environment's settings and packages, and in a group that can be ended as one
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", run, str(Path(__file__).parent)],
                stdin=theirs.fileno(),
                cwd="/",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return process, ours

    def _end(self) -> None:
        if self._running:
            process, connection = self._running
            self._running = None
            connection.close()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_process = _Process()
