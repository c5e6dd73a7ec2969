"""zoo.toml of a zoo of outputs: its schema, told apart by `kind = "outputs"`."""

from typing import Annotated, Any, Literal

import pydantic
import tomlkit

from soup_core.zoo.toml import FORMAT, check_distinct, encodable, inline
from soup_core.zoo.zoo import MetricKey, Value

_STRICT = pydantic.ConfigDict(extra="forbid", strict=True)
_Name = Annotated[str, pydantic.Field(min_length=1)]


class ModelEntry(pydantic.BaseModel):
    """One of [[models]]: its name, the file or folder of its outputs from the zoo's folder, and what made it."""

    model_config = _STRICT
    name: _Name
    file: _Name
    hyperparameters: dict[str, Value] = {}


class OutputsFile(pydantic.BaseModel):
    """A whole zoo.toml of outputs; `labels` is the file or folder of the labels, `classes` name the outputs in order."""

    model_config = _STRICT
    format: Annotated[int, pydantic.Field(ge=FORMAT, le=FORMAT)]
    kind: Literal["outputs"]
    title: str
    labels: _Name
    metric: MetricKey | None = None
    classes: Annotated[list[str], pydantic.Field(min_length=2)] | None = None
    models: Annotated[list[ModelEntry], pydantic.Field(min_length=1)]

    @pydantic.field_validator("models")
    @classmethod
    def _distinct(cls, models: list[ModelEntry]) -> list[ModelEntry]:
        check_distinct([model.name for model in models], "model")
        return models


def as_toml(content: OutputsFile) -> str:
    """The text of a zoo.toml of outputs; what was not given is left out.

    Raises ZooError for a text that no file in UTF-8 can hold.
    """
    table: dict[str, Any] = content.model_dump(exclude_unset=True, exclude_none=True)
    document, models = tomlkit.document(), tomlkit.aot()
    for key, value in table.items():
        if key != "models":
            document[key] = inline(value)
    for entry in table["models"]:
        model = tomlkit.table()
        for key, value in entry.items():
            if value != {}:
                model[key] = inline(value)
        models.append(model)
    document["models"] = models
    return encodable(tomlkit.dumps(document))
