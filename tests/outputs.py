"""Made zoos of outputs: noisy logits of labelled images, in every format, and what numpy says of them."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

IMAGES = {"held_out": 60, "test": 90, "shift.fog": 40, "shift.blur-1": 90, "shift.blur-3": 90}
CLASSES = ("cat", "dog", "<b>ant</b>", "bee")
Table = dict[str, NDArray[Any]]


def made_labels(seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    return {f"{split}.labels": random.integers(0, len(CLASSES), images) for split, images in IMAGES.items()}


def made_logits(labels: Mapping[str, NDArray[Any]], seed: int, strength: float = 1.2) -> Table:
    """Noise, and so much more at the true class; half of it under shift."""
    random = np.random.default_rng(100 + seed)
    made = {}
    for name, numbers in labels.items():
        split = name.removesuffix(".labels")
        signal = strength * (0.5 if split.startswith("shift") else 1) * np.eye(len(CLASSES))[numbers]
        made[f"{split}.logits"] = (random.normal(size=signal.shape) + signal).astype(np.float32)
    return made


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(1, keepdims=True)
    return shares


def as_safetensors(folder: Path, name: str, table: Table) -> str:
    safetensors.numpy.save_file(table, folder / f"{name}.safetensors")
    return f"{name}.safetensors"


def as_npz(folder: Path, name: str, table: Table) -> str:
    np.savez(folder / f"{name}.npz", **table)  # type: ignore[arg-type]  # its stubs take no table
    return f"{name}.npz"


def as_folder(folder: Path, name: str, table: Table) -> str:
    (folder / name).mkdir()
    for key, array in table.items():
        np.save(folder / name / f"{key}.npy", array)
    return name


FORMATS: tuple[Callable[[Path, str, Table], str], ...] = (as_safetensors, as_npz, as_folder)


def write_outputs(
    folder: Path,
    models: Mapping[str, Table],
    labels: Table | None = None,
    *,
    formats: Sequence[Callable[[Path, str, Table], str]] = FORMATS,
    with_toml: bool = True,
) -> Path:
    """A zoo of outputs, its models in one format after the other, the labels in the last."""
    folder.mkdir()
    lines = ["format = 1", 'kind = "outputs"', 'title = "Made outputs"']
    entries = []
    for index, (name, table) in enumerate(models.items()):
        file = formats[index % len(formats)](folder, name, table)
        entries += ["[[models]]", f'name = "{name}"', f'file = "{file}"', f"hyperparameters = {{ seed = {index} }}"]
    lines.append(f'labels = "{formats[-1](folder, "labels", labels or made_labels())}"')
    if with_toml:
        (folder / "zoo.toml").write_text("\n".join([*lines, *entries]))
    return folder


def made_outputs(folder: Path, count: int = 5, **options: Any) -> Path:
    """A zoo of outputs of models named n0, n1, …, each a little better than the one before."""
    labels = made_labels()
    models = {f"n{index}": made_logits(labels, index, 0.9 + 0.1 * index) for index in range(count)}
    return write_outputs(folder, models, {**labels, "classes": np.array(CLASSES)}, **options)


def npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()
