"""The schema of zoo.toml; an error names the file, the key, what was expected and what was found."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import pydantic

from soup_core.data import (
    FASHION_NORMALIZATION,
    UNNORMALIZED,
    UNNORMALIZED_COLOUR,
    Data,
    HeldOut,
    Interpolation,
    Normalization,
    Preprocessing,
)
from soup_core.errors import ZooError
from soup_core.zoo.zoo import RESERVED, Value


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Architecture(_Entry):
    model_config = pydantic.ConfigDict(extra="allow", strict=True)
    name: str | None = None
    factory: Annotated[str, pydantic.Field(pattern=r"^.+\.py:[^:/]+$")] | None = None
    num_classes: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> "_Architecture":
        if (self.name is None) == (self.factory is None):
            raise ValueError('it must have either a name, or a factory of your own such as "my_model.py:build"')
        return self

    def named(self) -> dict[str, Any]:
        """As a table whose `name` says all: that of a factory begins with "factory:"."""
        table = self.model_dump(exclude_none=True)
        factory = table.pop("factory", None)
        return {"name": f"factory:{factory}", **table} if factory else table


class _Normalize(_Entry):
    mean: list[float]
    std: list[Annotated[float, pydantic.Field(gt=0)]]

    @pydantic.model_validator(mode="after")
    def _same_length(self) -> "_Normalize":
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError("mean and std must have one value for each channel, as many of one as of the other")
        return self


class _Preprocessing(_Entry):
    resize: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    crop: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    interpolation: Interpolation = "bilinear"
    stretch: bool = False


class _HeldOut(_Entry):
    share: Annotated[float, pydantic.Field(gt=0, lt=1)] = HeldOut.share
    seed: int = HeldOut.seed


class _Data(_Entry):
    source: Annotated[str, pydantic.Field(pattern=r"^(fashion_mnist|(tensors|imagefolder|torchvision):.+)$")]
    root: str | None = None
    normalize: _Normalize | None = None
    preprocessing: _Preprocessing | None = None
    held_out: _HeldOut | None = None
    shifts: dict[Annotated[str, pydantic.Field(min_length=1)], str] = {}

    @pydantic.model_validator(mode="after")
    def _meant_for_the_source(self) -> "_Data":
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        if self.held_out and not decoded:
            raise ValueError("held_out divides an imagefolder or a set of torchvision; other sources have their splits")
        if self.preprocessing and not (decoded or self.shifts):
            raise ValueError("preprocessing is for image files, of which this source has none")
        if (self.root is not None) != self.source.startswith("torchvision:"):
            raise ValueError(
                "root says where a set of torchvision lies; torchvision:CLASS needs it, no other source has it"
            )
        return self

    def opened(self, folder: Path) -> Data:
        """The images that this describes, in a zoo's folder."""
        decoded = self.source.startswith(("imagefolder:", "torchvision:"))
        normalization = UNNORMALIZED_COLOUR if decoded else UNNORMALIZED
        if self.source == "fashion_mnist":
            normalization = FASHION_NORMALIZATION
        if self.normalize:
            normalization = Normalization(tuple(self.normalize.mean), tuple(self.normalize.std))
        return Data(
            self.source,
            folder,
            normalization,
            preprocessing=Preprocessing(**self.preprocessing.model_dump()) if self.preprocessing else None,
            held_out=HeldOut(**self.held_out.model_dump()) if self.held_out else HeldOut(),
            root=self.root or ".",
            shift_folders=self.shifts,
        )


class _File(_Entry):
    file: Annotated[str, pydantic.Field(min_length=1)]
    weights: str | None = None  # which part of the file, where several could be meant


class _Ingredient(_File):
    name: Annotated[str, pydantic.Field(min_length=1)]
    hyperparameters: dict[str, Value] = {}


class _ZooFile(_Entry):
    format: Annotated[int, pydantic.Field(ge=1, le=1)]
    title: str
    architecture: _Architecture
    base: str | _File | None = None
    data: _Data
    ingredients: Annotated[list[_Ingredient], pydantic.Field(min_length=1)]

    @pydantic.field_validator("ingredients")
    @classmethod
    def _distinct(cls, ingredients: list[_Ingredient]) -> list[_Ingredient]:
        names = [ingredient.name for ingredient in ingredients]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"every ingredient needs a name of its own; {repeated[0]!r} stands twice")
        if reserved := sorted(set(RESERVED).intersection(names)):
            raise ValueError(f'no ingredient may be named "{reserved[0]}", which has a meaning of its own in a soup')
        return ingredients


def _parse(file: Path) -> _ZooFile:
    where = f"{file.parent.name}/{file.name}"
    try:
        return _ZooFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        found = f"; found {first['input']!r:.80}" if first["type"] not in ("missing", "value_error") else ""
        raise ZooError(f"{where}, key {key}: {first['msg']}{found}. Correct it there.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ZooError(f"{where} cannot be read as TOML: {error}. Correct it there.") from error
