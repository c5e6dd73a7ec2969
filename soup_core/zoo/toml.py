"""zoo.toml: its schema, and all that reads or writes it; an error names the file, the key, what was expected and found.

Tables of plain values stand on one line each, and an entry is appended as text, so that what a person wrote stays as it is.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import tomlkit

from soup_core.architectures.optional import inside
from soup_core.data import (
    BUNDLED_SETS,
    UNNORMALIZED,
    UNNORMALIZED_COLOUR,
    Data,
    HeldOut,
    Interpolation,
    Normalization,
    Outputs,
    Preprocessing,
    Processor,
    bundled_set,
)
from soup_core.data.preprocessing import Backend, CropOffset
from soup_core.data.processors import CONFIGURATIONS, configured
from soup_core.data.text_files import Columns
from soup_core.data.text_tokenizers import LENGTH_AT_MOST, Tokenizer, tokenizer_in
from soup_core.errors import DataError, ZooError
from soup_core.runtime.files import shown, write_atomically
from soup_core.zoo.zoo import RESERVED, MetricKey, Value

FORMAT = 1
SOURCES = rf"^({'|'.join(BUNDLED_SETS)}|(tensors|imagefolder|torchvision|texts):.+)$"
OUTPUTS = "outputs"  # the kind of a zoo without weights, whose zoo.toml is told in zoo/outputs/toml.py
NEEDS_WEIGHTS = (
    "{name} is a zoo of outputs, without weights: whatever averages weights, or is made of them, needs the checkpoints. "
    "On outputs work zoos, inspect, evaluate and ensemble, and the pages Home, Ingredients and Robustness."
)


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class ArchitectureEntry(_Table):
    """The network: a name that `architectures.build` knows or a factory of the zoo's own, the classes, and options.

    `fold_parametrizations` has weights that files keep in parts (weight or spectral normalisation) made plain ones first.
    """

    model_config = pydantic.ConfigDict(extra="allow", strict=True)
    name: str | None = None
    factory: Annotated[str, pydantic.Field(pattern=r"^.+\.py:[^:/]+$")] | None = None
    num_classes: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]
    fold_parametrizations: bool | None = None

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> "ArchitectureEntry":
        if (self.name is None) == (self.factory is None):
            raise ValueError('it must have either a name, or a factory of your own such as "my_model.py:build"')
        return self

    def named(self) -> dict[str, Any]:
        """As a table whose `name` says all: that of a factory begins with "factory:"."""
        table = self.model_dump(exclude_none=True)
        factory = table.pop("factory", None)
        return {"name": f"factory:{factory}", **table} if factory else table


class NormalizationEntry(_Table):
    """Mean and standard deviation a channel, on the 0 to 1 scale."""

    mean: list[float]
    std: list[Annotated[float, pydantic.Field(gt=0)]]

    @pydantic.model_validator(mode="after")
    def _same_length(self) -> "NormalizationEntry":
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError("mean and std must have one value for each channel, as many of one as of the other")
        return self


_Side = Annotated[int, pydantic.Field(ge=1, le=10_000)]
_Size = _Side | Annotated[list[_Side], pydantic.Field(min_length=2, max_length=2)]
_Level = Annotated[int, pydantic.Field(ge=0, le=255)]


class PreprocessingEntry(_Table):
    """What image files become: see Preprocessing; or the folder whose processor of transformers does it, see Processor.

    A size is one number for both sides, or height and width.
    """

    resize: _Size | None = None
    crop: _Size | None = None
    interpolation: Interpolation = "bilinear"
    stretch: bool = False
    crop_offset: CropOffset = "round"
    backend: Backend = "pil"
    border: Annotated[list[_Level], pydantic.Field(min_length=1, max_length=3)] | None = None
    processor: str | None = None

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> "PreprocessingEntry":
        if self.processor is not None and len(self.model_fields_set) > 1:
            raise ValueError("a processor does all of it; nothing else may be said beside")
        if self.processor is None and (self.resize is None or self.crop is None):
            raise ValueError("it must have resize and crop, or processor, the folder of one of transformers")
        if self.backend == "torchvision" and self.interpolation in ("box", "hamming"):
            raise ValueError(f"torchvision has no {self.interpolation} for tensors; take the backend pil")
        if self.stretch and self.border:
            raise ValueError("stretch leaves nothing that border could fill; say one of them")
        return self

    def opened(self, folder: Path) -> Preprocessing | Processor:
        """What this describes, in a zoo's folder. Raises ZooError for a processor that is not there or lies outside."""
        if self.processor is None:
            return Preprocessing.from_table(self.model_dump(exclude={"processor"}))
        processor = configured(inside(folder, self.processor))
        if processor is None:
            raise ZooError(
                f"{self.processor} holds no {CONFIGURATIONS[0]}, which preprocessing in zoo.toml needs; put it there, or say "
                "resize and crop instead."
            )
        return processor


def preprocessing_table(preprocessing: Preprocessing | Processor, folder: Path) -> dict[str, Any]:
    """As the table of a zoo.toml in `folder`; an absolute path becomes one from there."""
    table = preprocessing.table()
    if isinstance(preprocessing, Processor):
        table["processor"] = Path(preprocessing.processor).relative_to(folder.resolve()).as_posix()
    return table


class HeldOutEntry(_Table):
    """What is held out of a source that has no split for it."""

    share: Annotated[float, pydantic.Field(gt=0, lt=1)] = HeldOut.share
    seed: int = HeldOut.seed


class ColumnsEntry(_Table):
    """The columns of texts by name: see Columns."""

    text: str = ""
    pair: str = ""
    label: str = ""
    split: str = ""


class ShiftEntry(_Table):
    """A real distribution shift: its class folders or its file of texts, where no file of tensors holds it, and what it is
    judged over.
    """

    folder: str | None = None
    outputs: Outputs | None = None


class DataEntry(_Table):
    """The images or texts that judge the checkpoints.

    Texts are read by the tokenizer in the folder `tokenizer`, where the network's own has none, of at most `max_length` tokens.
    `classes` are the network's outputs by name, in their order; class folders are labelled by them. `outputs` says what
    images are judged over: "all" of the network's outputs, or those alone of which there are images, "present". `groups` is
    a table of the image files' groups.
    """

    source: Annotated[str, pydantic.Field(pattern=SOURCES)]
    root: str | None = None
    normalize: NormalizationEntry | None = None
    preprocessing: PreprocessingEntry | None = None
    held_out: HeldOutEntry | None = None
    classes: Annotated[list[str], pydantic.Field(min_length=1)] | None = None
    outputs: Outputs = "all"
    tokenizer: str | None = None
    max_length: Annotated[int, pydantic.Field(ge=1, le=LENGTH_AT_MOST)] | None = None
    columns: ColumnsEntry | None = None
    groups: str | None = None
    shifts: dict[Annotated[str, pydantic.Field(min_length=1)], str | ShiftEntry] = {}

    @pydantic.model_validator(mode="after")
    def _meant_for_the_source(self) -> "DataEntry":
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        texts = self.source.startswith("texts:")
        if self.held_out and not (decoded or texts):
            raise ValueError(
                "held_out divides an imagefolder, a set of torchvision or texts; other sources have their splits"
            )
        if texts and (self.preprocessing or self.normalize):
            raise ValueError("preprocessing and normalize are for images; texts have a tokenizer")
        if not texts and (self.tokenizer is not None or self.max_length or self.columns):
            raise ValueError("tokenizer, max_length and columns are for texts:PATH; other sources have none")
        without = [name for name, each in self.shifts.items() if isinstance(each, ShiftEntry) and each.folder is None]
        if without and not self.source.startswith("tensors:"):
            raise ValueError(f'the shift {without[0]!r} has no folder; say {{ folder = "PATH" }}')
        if self.preprocessing and not decoded and not self.shifts:
            raise ValueError("preprocessing is for image files, of which this source has none")
        if self.groups is not None and not self.source.startswith("imagefolder:"):
            raise ValueError("groups names a table for an imagefolder; a file of tensors holds held_out.groups itself")
        if (self.root is not None) != self.source.startswith("torchvision:"):
            raise ValueError(
                "root says where a set of torchvision lies; torchvision:CLASS needs it, no other source has it"
            )
        return self

    def opened(self, folder: Path, num_classes: int | None = None, network: str = "") -> Data:
        """The images or texts that this describes, in a zoo's folder, for a network of so many classes and of this name.

        Raises ZooError for a processor or a tokenizer that is not there or lies outside.
        """
        shifts = {
            name: each if isinstance(each, ShiftEntry) else ShiftEntry(folder=each)
            for name, each in self.shifts.items()
        }
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        normalization = UNNORMALIZED_COLOUR if decoded else UNNORMALIZED
        if bundled := bundled_set(self.source):
            normalization = bundled.normalization
        if self.normalize:
            normalization = Normalization(tuple(self.normalize.mean), tuple(self.normalize.std))
        return Data(
            self.source,
            folder,
            normalization,
            preprocessing=self.preprocessing.opened(folder) if self.preprocessing else None,
            held_out=HeldOut(**self.held_out.model_dump()) if self.held_out else HeldOut(),
            root=self.root or ".",
            shift_folders={name: each.folder for name, each in shifts.items() if each.folder is not None},
            class_names=tuple(self.classes or ()),
            outputs=self.outputs,
            shift_outputs={name: each.outputs for name, each in shifts.items() if each.outputs is not None},
            num_classes=num_classes,
            tokenizer=self._tokenizer(folder, network) if self.source.startswith("texts:") else None,
            columns=Columns(**self.columns.model_dump()) if self.columns else Columns(),
            groups=self.groups,
        )

    def _tokenizer(self, folder: Path, network: str) -> Tokenizer:
        """The one that is named, or else that of the network's own folder."""
        family, _, own = network.partition(":")
        named = self.tokenizer if self.tokenizer is not None else own if family == "transformers" else None
        if named is None:
            raise ZooError(
                f"Texts become tokens by a tokenizer of transformers, and {network or 'the network'} brings none; name its "
                'folder in [data] of zoo.toml: tokenizer = "FOLDER".'
            )
        try:
            return tokenizer_in(inside(folder, named), self.max_length)
        except DataError as error:
            raise ZooError(str(error)) from error


_Name = Annotated[str, pydantic.Field(min_length=1)]


class FileEntry(_Table):
    """A checkpoint file, from the zoo's folder; `weights` says which part of it is meant, where several could be."""

    file: _Name
    weights: str | None = None


class IngredientEntry(_Table):
    """One of [[ingredients]]: its name, its file as a FileEntry has it, and what made it."""

    name: _Name
    file: _Name
    weights: str | None = None
    hyperparameters: dict[str, Value] = {}


class ZooHeader(_Table):
    """What stands in zoo.toml before the ingredients."""

    format: Annotated[int, pydantic.Field(ge=FORMAT, le=FORMAT)]
    title: str
    architecture: ArchitectureEntry
    base: str | FileEntry | None = None
    metric: MetricKey | None = None
    data: DataEntry

    @pydantic.model_validator(mode="after")
    def _a_name_for_every_output(self) -> "ZooHeader":
        classes, outputs = self.data.classes, self.architecture.num_classes
        if classes is not None and len(classes) != outputs:
            raise ValueError(
                f"data.classes must name each of the network's num_classes = {outputs} outputs; found {len(classes)} names"
            )
        return self


def check_distinct(names: Sequence[str], what: str) -> None:
    """Raises ValueError where two of what is named have one name."""
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"every {what} needs a name of its own; {repeated[0]!r} stands twice")


class ZooFile(ZooHeader):
    """A whole zoo.toml."""

    ingredients: Annotated[list[IngredientEntry], pydantic.Field(min_length=1)]

    @pydantic.field_validator("ingredients")
    @classmethod
    def _distinct(cls, ingredients: list[IngredientEntry]) -> list[IngredientEntry]:
        names = [ingredient.name for ingredient in ingredients]
        check_distinct(names, "ingredient")
        if reserved := sorted(set(RESERVED).intersection(names)):
            raise ValueError(f'no ingredient may be named "{reserved[0]}", which has a meaning of its own in a soup')
        return ingredients


T = TypeVar("T", bound=pydantic.BaseModel)


def read_zoo_file(file: Path) -> ZooFile:
    """The content of a zoo.toml. Raises ZooError where it cannot be read as TOML, or does not fit the format.

    For a zoo of outputs too, which has no weights.
    """
    table = read_table(file)
    if table.get("kind") == OUTPUTS:
        raise ZooError(NEEDS_WEIGHTS.format(name=shown(file.parent.resolve())))
    return checked(ZooFile, table, f"{file.parent.name}/{file.name}")


def read_table(file: Path) -> dict[str, Any]:
    """The table of a zoo.toml of any kind, not checked yet. Raises ZooError where it cannot be read as TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise ZooError(f"{file.parent.name}/{file.name} cannot be read as TOML: {error}. Correct it there.") from error


def checked(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """A table as the schema's class of that kind. Raises ZooError, which names the file, the key, what was expected and found."""
    try:
        return kind.model_validate(dict(table))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        found = f"; found {first['input']!r:.80}" if first["type"] not in ("missing", "value_error") else ""
        raise ZooError(f"{where}, key {key}: {first['msg']}{found}. Correct it there.") from error


def as_toml(content: ZooHeader) -> str:
    """The text of a zoo.toml, or of what stands in it before the ingredients; what was not given is left out.

    Raises ZooError for a text that no file in UTF-8 can hold.
    """
    document = tomlkit.document()
    for key, value in _plain(content).items():
        if key not in ("data", "ingredients"):
            document[key] = inline(value)
    document["data"] = _table(_plain(content.data))
    entries = content.ingredients if isinstance(content, ZooFile) else []
    return encodable("\n".join((tomlkit.dumps(document), *map(_entry, entries))))


def write_zoo_file(file: Path, content: ZooFile) -> None:
    """Write a zoo.toml, atomically. Raises ZooError as `as_toml` does, SoupError where the file cannot be written."""
    write_atomically(file, as_toml(content).encode())


def append_ingredient(file: Path, entry: IngredientEntry, header: ZooHeader | None = None) -> None:
    """Append an entry to a zoo.toml, atomically; what stands there stays as it is, comments included.

    A file that is not there begins with `header`. Raises ZooError where nothing can be appended, or the name is taken.
    """
    try:
        text = file.read_bytes().decode() if header is None or file.exists() else as_toml(header)
        text = f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{encodable(_entry(entry))}"
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ZooError(
            f"{file} can take no entry for {entry.file} ({error}); each ingredient must stand there under a line "
            "[[ingredients]]. Add its entry by hand."
        ) from error
    checked(ZooFile, table, f"{file.parent.name}/{file.name}")
    write_atomically(file, text.encode())


def _plain(content: _Table) -> dict[str, Any]:
    """What was given, in the schema's order."""
    return content.model_dump(exclude_unset=True, exclude_none=True)


def _entry(entry: IngredientEntry) -> str:
    """The lines of one of [[ingredients]]."""
    listed = tomlkit.aot()
    listed.append(_table({key: value for key, value in _plain(entry).items() if value != {}}))
    document = tomlkit.document()
    document["ingredients"] = listed
    return tomlkit.dumps(document)


def _table(content: Mapping[str, Any]) -> Any:
    table = tomlkit.table()
    for key, value in content.items():
        table[key] = inline(value)
    return table


def inline(value: Any) -> Any:
    """A value as TOML has it, tables and what is in them on one line."""
    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    for key, inner in value.items():
        table[key] = inline(inner)
    return table


def encodable(text: str) -> str:
    """The text itself. Raises ZooError where no file in UTF-8 can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 10) : error.end + 10]
        raise ZooError(f"The text {around!a} holds half a character, which no zoo.toml can; change it.") from error
    return text
