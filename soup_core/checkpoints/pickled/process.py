"""The process that reads files of torch.save: it forks a child for each, which may open nothing more.

A request is a line of JSON with the file's descriptor beside it, which asks where its tensors lie; or with two, the second
an empty file to write them to, and those of further files where one checkpoint lies in several. The answer is a line of
JSON. Beyond the descriptors that it was given a child has a limit of memory, of processor time and of bytes written, can
open no file and no connection, and ends itself at anything of which Python tells its audit hooks.
"""

import codecs
import errno
import json
import os
import resource
import socket
import sys
from typing import Any

from . import BROKE_OUT, FILES_AT_MOST, MESSAGE_BYTES, TIMES_AT_MOST
from .conversion import convert
from .distributed import convert_folder
from .table import table
from .values import Refused

MEMORY = 1 << 30
SECONDS = 20
BYTES_A_SECOND = 50_000_000
HEADER_BYTES = 64_000_000


def serve(connection: socket.socket) -> None:
    """Answer requests one after the other, until the other side closes the connection."""
    for encoding in ("utf-8", "latin-1", "ascii", "raw-unicode-escape"):
        codecs.lookup(encoding)  # which imports it: a child could not
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 2 + FILES_AT_MOST)
        if not message:
            return
        if not (child := os.fork()):
            _answer(connection, descriptors, json.loads(message))
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        if status:
            _send(connection, {"died": os.waitstatus_to_exitcode(status)})


def _answer(connection: socket.socket, descriptors: list[int], request: dict[str, Any]) -> None:
    status = 1
    try:
        source, *others = descriptors
        target, files = others[0] if others else None, dict(zip(request["files"], others[1:], strict=True))
        _confine(sum(os.fstat(file).st_size for file in (source, *files.values())))
        _send(connection, _read(source, target, files, request["weights"]))
        status = 0
    finally:
        os._exit(status)


def _read(source: int, target: int | None, files: dict[str, int], weights: str | None) -> dict[str, Any]:
    try:
        if target is None:
            return {"table": table(source, weights)}
        if files:
            return {"written": convert_folder(source, target, files, weights)}
        return {"written": convert(source, target, weights)}
    except Refused as refusal:
        return {"refused": str(refusal), "places": refusal.places, "why": refusal.why}
    except MemoryError:
        return {"refused": "needs more memory to be read than its size allows for; save it again."}
    except OSError as error:
        return {"failed": error.errno or errno.EIO}


def _confine(size: int) -> None:
    """Take from this process whatever reading a file of so many bytes does not need."""
    seconds = SECONDS + size // BYTES_A_SECOND
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: HEADER_BYTES + TIMES_AT_MOST * size,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform != "darwin":  # whose processes have more addresses than that from the start
        limits[resource.RLIMIT_AS] = MEMORY + 2 * size
    for what, limit in limits.items():
        _, hard = resource.getrlimit(what)
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        # A second more of processor time, to die of the signal that says why.
        resource.setrlimit(what, (most, most + 1 if what == resource.RLIMIT_CPU and most != hard else most))
    sys.addaudithook(lambda event, arguments: None if event == "builtins.id" else os._exit(BROKE_OUT))


def _send(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")
