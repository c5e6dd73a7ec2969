"""torch.compile for a batch of one size, without keeping anyone waiting who may end the work meanwhile."""

import logging
import os
import shutil
import sysconfig
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.runtime.files import home
from soup_core.runtime.interruption import yield_point

LOOK_SECONDS = 0.2  # how often work that waits for the compiler can be ended
TALKATIVE = ("torch.utils.cpp_extension", "torch._inductor", "torch._dynamo")


def has_compiler(device: str) -> bool:
    """Whether torch.compile finds what it needs: on the CPU a C++ compiler and Python's headers, on CUDA Triton."""
    if device != "cpu":
        return torch.utils._triton.has_triton()
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    from torch._inductor import config  # takes long to import

    return headers.exists() and any(shutil.which(compiler) for compiler in config.cpp.cxx if compiler)


def compiled(
    module: nn.Module, inputs: Tensor, context: Callable[[], AbstractContextManager[Any]]
) -> Callable[[Tensor], Any] | None:
    """The module's forward pass, compiled for inputs of this very shape; its weights may change afterwards.

    Runs in a thread of its own, within `context`; the caller's work can be ended meanwhile, and lets others go first.
    What was compiled once is kept below SOUP_HOME, for later processes too. None where torch cannot compile it.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home() / "compiled"))
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    found: Callable[[Tensor], Any] = torch.compile(module, dynamic=False, options={"compile_threads": 1})
    failed = threading.Event()
    done = threading.Event()

    def run() -> None:
        try:
            with context():
                found(inputs)
        except Exception:  # whatever torch says of a network, of the compiler or of the disk
            failed.set()
        finally:
            done.set()

    threading.Thread(target=run, name="compile", daemon=True).start()
    while not done.wait(LOOK_SECONDS):
        yield_point()
    return None if failed.is_set() else found
