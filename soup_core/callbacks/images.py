"""What a run's images are and become, as zoo.toml's table [data]: read off the transform that the trainer judges with."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from soup_core.architectures import transformers_processors
from soup_core.data import Interpolation, Normalization, Preprocessing, Processor
from soup_core.data.preprocessing import Backend
from soup_core.errors import SoupError
from soup_core.zoo.toml import DataEntry, checked

DECODED = ("imagefolder:", "torchvision:")
TO_TENSOR = ("ToTensor", "PILToTensor", "ToImage", "MaybeToTensor", "MaybePILToTensor")
IN_OTHER_WORDS = (
    "say what images become with `preprocessing`, a table of resize, crop, interpolation, stretch and normalize"
)
Table = dict[str, Any]


def data_table(
    data: str | Mapping[str, Any], transform: object, folder: Path, *, known: Mapping[str, Any] | None = None
) -> Table:
    """The table [data] of a zoo in `folder`: a source or a whole table, and what a transform makes of its images.

    A transform is torchvision's, timm's, an image processor of transformers, or a table; see `described`. A path is
    meant from the zoo's folder, or else from the working directory. What neither says is as `known` has it, the table of a
    zoo.toml that is there. Raises SoupError for images that are not there, and
    for image files of which nobody said what they become.
    """
    table = {"source": data} if isinstance(data, str) else dict(data)
    table["source"] = _located(str(table.get("source", "")), folder)
    found = described(transform)
    decoded = table["source"].startswith(DECODED)
    if not decoded and not table.get("shifts") and found.pop("preprocessing", None):
        raise SoupError(
            f"The images of {table['source']} are no files, and the transform resizes them; save them as they become."
        )
    table = {**(known or {}), **found, **table}
    if decoded and "normalize" not in table and "preprocessing" not in table and transform is None:
        raise SoupError(f"What the network sees of the images of {table['source']} is not known; {IN_OTHER_WORDS}.")
    return checked(DataEntry, table, "data").model_dump(exclude_unset=True, exclude_none=True)


def described(transform: Any) -> Table:
    """`preprocessing` and `normalize` as zoo.toml has them, of a transform that image files go through; empty for None.

    Raises SoupError for a step that zoo.toml cannot say, by its name.
    """
    if transform is None:
        return {}
    if isinstance(transform, Mapping):
        given = dict(transform)
        normalize = {"normalize": given.pop("normalize")} if "normalize" in given else {}
        return {**({"preprocessing": given} if given else {}), **normalize}
    if hasattr(transform, "to_json_string"):
        return tables_of(*_of_processor(transform))
    if hasattr(transform, "crop_size") and hasattr(transform, "resize_size"):  # what torchvision's weights bring along
        side, crop = transform.resize_size[0], transform.crop_size[0]
        cut = Preprocessing(side, crop, _interpolation(transform))
        return tables_of(cut, Normalization(tuple(transform.mean), tuple(transform.std)))
    return tables_of(*_of_steps(_steps(transform)))


def tables_of(preprocessing: Preprocessing | None, normalization: Normalization | None) -> Table:
    """These as zoo.toml's tables."""
    table: Table = {}
    if preprocessing is not None:
        table["preprocessing"] = preprocessing.table()
    if normalization is not None:
        table["normalize"] = {"mean": list(normalization.mean), "std": list(normalization.std)}
    return table


def _steps(transform: Any) -> list[Any]:
    """The steps of a Compose or a Sequential, those within others in their place."""
    inner = getattr(transform, "transforms", None)
    if inner is None and type(transform).__name__ == "Sequential" and isinstance(transform, Iterable):
        inner = list(transform)
    return [transform] if inner is None else [step for each in inner for step in _steps(each)]


def _of_steps(steps: list[Any]) -> tuple[Preprocessing | None, Normalization | None]:
    resize = crop = None
    stretch = floating = grey = tensors = False
    interpolation: Interpolation = "bilinear"
    backend: Backend = "pil"
    normalization = None
    for step in steps:
        kind = type(step).__name__
        if kind == "Resize" and resize is None and crop is None and not floating and _plain_resize(step):
            sides = step.size if isinstance(step.size, (list, tuple)) else [step.size]
            resize, stretch = _square(sides, kind), len(sides) > 1
            interpolation = _interpolation(step)
            backend = "torchvision" if tensors else "pil"
        elif kind == "CenterCrop" and crop is None:
            crop = _square(step.size if isinstance(step.size, (list, tuple)) else [step.size], kind)
        elif kind in TO_TENSOR:
            tensors = True
            floating = floating or ("ToTensor" in kind and "PIL" not in kind)
        elif kind == "Grayscale" and getattr(step, "num_output_channels", 0) == 1:
            grey = True
        elif (kind == "ToDtype" and getattr(step, "scale", False)) or kind == "ConvertImageDtype":
            floating = True
        elif kind == "Normalize" and normalization is None:
            mean, std = ([float(value) for value in each] for each in (step.mean, step.std))
            normalization = Normalization(tuple(mean), tuple(std))
        elif kind not in ("Identity", "ToPureTensor"):
            raise SoupError(f"The transform's step {kind} cannot be said in zoo.toml as it stands; {IN_OTHER_WORDS}.")
    if normalization is None and grey:
        normalization = Normalization((0.0,), (1.0,))
    if grey and normalization and len(normalization.mean) != 1:
        raise SoupError(f"The transform makes grey images of more than one channel; {IN_OTHER_WORDS}.")
    if resize is None and crop is None:
        return None, normalization
    if resize is None or (crop is None and not stretch):
        what = (
            "crops images that it does not resize"
            if resize is None
            else "resizes images and leaves them their own shape"
        )
        raise SoupError(f"The transform {what}, so that they need not have one size; {IN_OTHER_WORDS}.")
    cut = Preprocessing(resize, resize if crop is None else crop, interpolation, stretch, backend=backend)
    return cut, normalization


def _plain_resize(step: Any) -> bool:
    return getattr(step, "max_size", None) is None and getattr(step, "antialias", True) is not False


def _square(sides: Any, kind: str) -> int:
    if len({*sides}) != 1:
        raise SoupError(
            f"The transform's step {kind} makes {sides[0]}×{sides[1]} pixels, and zoo.toml knows squares alone."
        )
    return int(sides[0])


def _interpolation(step: Any) -> Interpolation:
    value = getattr(step.interpolation, "value", step.interpolation)
    if value not in get_args(Interpolation):
        raise SoupError(
            f"The transform interpolates by {value!r}; zoo.toml knows {', '.join(get_args(Interpolation))}."
        )
    known: Interpolation = value
    return known


def _of_processor(processor: Any) -> tuple[Preprocessing, Normalization]:
    """What an image processor of transformers does, as its file says it."""
    kind = type(processor).__name__
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(processor.to_json_string())
        expected = transformers_processors.preprocessing(folder, Path(folder))
    if expected is None:
        raise SoupError(f"What {kind} does cannot be said in zoo.toml; {IN_OTHER_WORDS}.")
    if isinstance(expected[0], Processor):
        raise SoupError(
            f"What {kind} does cannot be said in words of zoo.toml; save it in the zoo's folder, "
            'processor.save_pretrained(folder / "processor"), and give preprocessing={"processor": "processor", "normalize": '
            f'{{"mean": {list(expected[1].mean)}, "std": {list(expected[1].std)}}}}}.'
        )
    return expected[0], expected[1]


def _located(source: str, folder: Path) -> str:
    """A source whose path is meant from the zoo's folder: as it is where it lies there, else from the working directory."""
    kind, _, path = source.partition(":")
    if kind not in ("imagefolder", "tensors") or not path or (folder / path).exists():
        return source
    there, own = Path(path).resolve(), folder.resolve()
    if not there.exists():
        raise SoupError(f"There are no images at {path}, neither in {folder} nor from here; correct `data`.")
    return f"{kind}:{there.relative_to(own).as_posix() if there.is_relative_to(own) else there}"
