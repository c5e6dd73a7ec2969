"""The zoos trained on Fashion-MNIST, and its files.

Real data (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747, MIT licence). Its 60,000 training images are parted once: 30,000
to pretrain on, 10,000 to fine-tune on, 5,000 held out; its 10,000 test images only report.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soup_core.data import FASHION_MNIST
from soup_core.data.packed_images import write_packed
from soup_core.errors import DataError
from soup_core.finetune import Hyperparameters, Space, random_search
from soup_core.finetune.bundled.plans import Plan, PlannedRun, TrainingSet

SPACE = Space(learning_rates=(1e-3, 4e-3), epochs=(8, 12, 16), augmentations=("flip", "shift", "flip+shift"))
PARTITION_SEED = 2203
BUNDLED_SPLITS = ("held_out", "test", "train")
PARTITION = {"pretrain": (0, 30_000), "train": (30_000, 40_000), "held_out": (40_000, 45_000)}


def fetch_images(folder: Path) -> None:
    """Fetch Fashion-MNIST's files into `folder` by torchvision. Raises DataError where that fails."""
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST could not be fetched into {folder} ({error}); see to the connection, or give the folder of "
            "Debian's package dataset-fashion-mnist without --download."
        ) from error


def find_idx_file(folder: Path, prefix: str) -> Path:
    """Find Fashion-MNIST's file "train-images", "train-labels", "t10k-images" or "t10k-labels" below `folder`.

    Raises DataError where there is none.
    """
    for parent in (folder, folder / "fashion-mnist", folder / "FashionMNIST" / "raw"):
        for path in sorted(parent.glob(f"{prefix}-idx?-ubyte*")):
            return path
    raise DataError(
        f"{folder} holds no {prefix}-idx*-ubyte file of Fashion-MNIST; give the folder of Debian's package "
        "dataset-fashion-mnist, or add --download to fetch the files into this folder."
    )


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not, as a uint8 tensor of the shape that its header gives.

    Raises DataError where it is none, or is damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:3] != b"\0\0\x08":
            raise ValueError("it does not begin as an IDX file of unsigned bytes does")
        shape = np.frombuffer(content, ">u4", content[3], offset=4)
        array = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}. Fetch it again.") from error
    return torch.from_numpy(array.copy())


def partition(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Part Fashion-MNIST into "pretrain", "train", "held_out" and "test": uint8 images N×1×28×28, int64 labels N."""
    images = read_idx(find_idx_file(folder, "train-images")).unsqueeze(1)
    labels = read_idx(find_idx_file(folder, "train-labels")).long()
    order = torch.from_numpy(np.random.default_rng(PARTITION_SEED).permutation(len(images)))
    parts = {part: (images[order[a:b]], labels[order[a:b]]) for part, (a, b) in PARTITION.items()}
    test = (read_idx(find_idx_file(folder, "t10k-images")).unsqueeze(1), read_idx(find_idx_file(folder, "t10k-labels")))
    return {**parts, "test": (test[0], test[1].long())}


def bundle_images(source: Path, folder: Path = FASHION_MNIST) -> None:
    """Write the held-out, test and fine-tuning images, compressed, to where the app reads them."""
    parts = partition(source)
    write_packed(folder, {name: parts[name] for name in BUNDLED_SPLITS})


def check(folder: Path) -> None:
    """Raise DataError where a folder does not hold Fashion-MNIST's IDX files."""
    find_idx_file(folder, "train-images")


IMAGES = TrainingSet("fashion_mnist", 10, partition, check)


def fashion(seed: int) -> Plan:
    """24 fine-tunings of one base: a random search, all in the region where averaging pays."""
    base = PlannedRun("base", "pretrain", Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed))
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", hyperparameters, start="base")
        for index, hyperparameters in enumerate(random_search(24, seed=1000 * seed, space=SPACE), 1)
    ]
    return Plan("Fashion-MNIST: 24 fine-tunings of one base", {"hidden": 128}, (base, *runs), IMAGES)


def fashion_scratch(seed: int) -> Plan:
    """The same recipe from six random starts: each good alone, useless in the middle."""
    runs = tuple(
        PlannedRun(
            f"start-{index}",
            "pretrain",
            Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed + index),
        )
        for index in range(1, 7)
    )
    return Plan("Fashion-MNIST: six networks from different random starts", {}, runs, IMAGES)


def fashion_trajectory(seed: int) -> Plan:
    """Twelve checkpoints along one run whose learning rate stays high, so that the weights wander around a minimum."""
    hyperparameters = Hyperparameters(3e-3, 0.01, 16, augmentation="flip+shift", seed=1000 * seed, schedule="constant")
    run = PlannedRun("run", "pretrain", hyperparameters, snapshots=tuple(range(5, 17)))
    title = "Fashion-MNIST: twelve checkpoints along one run"
    return Plan(title, {}, (run,), IMAGES, recorded=("learning_rate", "epochs"))


def fashion_batchnorm(seed: int) -> Plan:
    """Eight fine-tunings of a base with BatchNorm, whose running statistics need a choice when averaged."""
    base = PlannedRun("base", "pretrain", Hyperparameters(3e-3, 0.01, 8, augmentation="flip+shift", seed=1000 * seed))
    runs = [
        PlannedRun(f"ft-{index:02d}", "train", hyperparameters, start="base")
        for index, hyperparameters in enumerate(random_search(8, seed=1000 * seed, space=SPACE), 1)
    ]
    return Plan("Fashion-MNIST: eight fine-tunings with BatchNorm", {"normalization": "batch"}, (base, *runs), IMAGES)
