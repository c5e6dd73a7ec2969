"""Devices and precisions: which there are, arithmetic in one of them, and what running out of memory looks like."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from soup_core.errors import OutOfMemory, SoupError
from soup_core.runtime import settings

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("float32", "tf32", *HALF)


def resolve_device(name: str = "auto") -> str:
    """ "auto" becomes SOUP_DEVICE, or CUDA where there is one, or the CPU. Raises SoupError for what is not there."""
    origin = ""
    if name == "auto":
        chosen = settings.DEVICE()
        origin = f" of {settings.DEVICE.name}" if chosen else ""
        name = chosen or ("cuda" if torch.cuda.is_available() else "cpu")
    if name not in available_devices():
        raise SoupError(
            f"The device {name!r}{origin} is not available here; expected one of {', '.join(available_devices())}."
        )
    return name


def available_devices() -> tuple[str, ...]:
    """The names of the devices that this machine has, the CPU first."""
    count = torch.cuda.device_count()
    return ("cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count if count > 1 else 0)))


def available_precisions(device: str) -> tuple[str, ...]:
    """The precisions that a device computes in: TF32 is CUDA's alone."""
    return tuple(each for each in PRECISIONS if each != "tf32" or device != "cpu")


@contextmanager
def exactly(precision: str, device: str) -> Iterator[None]:
    """Within it, arithmetic on a device has this precision; "float32" means that TF32 is off."""
    if precision in HALF:
        with torch.autocast(device.partition(":")[0], dtype=HALF[precision], cache_enabled=False):
            yield
    elif device == "cpu":
        yield
    else:
        with _cuda_flags, torch.backends.cudnn.flags(enabled=True, allow_tf32=precision == "tf32"):
            before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
            try:
                yield
            finally:
                torch.set_float32_matmul_precision(before)


_cuda_flags = threading.RLock()  # TF32 is switched for the whole process


@contextmanager
def room_for(what: str, device: str) -> Iterator[None]:
    """Within it, running out of memory raises OutOfMemory, which names what was asked for and the device."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"There is no room for {what} in the memory of {device}; free some, or choose another device."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch or Python raise where memory does not suffice, on a GPU or the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
