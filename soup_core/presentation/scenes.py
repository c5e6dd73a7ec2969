"""A presentation: scenes, each a page's state with a title and a note, kept as a file or as one link; and what each shows."""

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from soup_core.errors import SoupError

FORMAT = 1
SCENES_AT_MOST = 100
UNPACKED_AT_MOST = 1_000_000  # bytes of JSON in a link, which a few bytes may claim to be
Text = Annotated[str, StringConstraints(max_length=2000)]


class Scene(BaseModel):
    """A page with the parameters of its address, what the audience reads, and the keys of the controls that stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: Text
    state: dict[Text, tuple[Text, ...]] = {}
    title: Text = ""
    note: Text = ""
    pinned: tuple[Text, ...] = ()


class Presentation(BaseModel):
    """What a file of scenes holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    scenes: tuple[Scene, ...]


def to_json(scenes: Sequence[Scene]) -> str:
    """The scenes as a file."""
    return Presentation(scenes=tuple(scenes)).model_dump_json(indent=1, exclude_defaults=True)


def from_json(text: str | bytes, where: str = "The file of scenes") -> tuple[Scene, ...]:
    """The scenes of a file. Raises SoupError, which says what is wrong where."""
    try:
        presentation = Presentation.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = ".".join(map(str, first["loc"])) or "its text"
        raise SoupError(f"{where} cannot be read: at {location}, {first['msg'][:200]}.") from None
    if presentation.format != FORMAT or len(presentation.scenes) > SCENES_AT_MOST:
        raise SoupError(
            f"{where} cannot be read; expected format {FORMAT} and at most {SCENES_AT_MOST} scenes, "
            f"found format {presentation.format} and {len(presentation.scenes)}."
        )
    return presentation.scenes


def to_link(scenes: Sequence[Scene]) -> str:
    """The scenes as a parameter of an address: compressed JSON, in letters, digits, hyphens and underscores."""
    compact = json.dumps(
        [scene.model_dump(mode="json", exclude_defaults=True) for scene in scenes],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return base64.urlsafe_b64encode(zlib.compress(compact.encode(), 9)).decode().rstrip("=")


def from_link(text: str) -> tuple[Scene, ...]:
    """The scenes that `to_link` wrote. Raises SoupError where it did not."""
    try:
        unpacked = zlib.decompressobj()
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = unpacked.decompress(packed, UNPACKED_AT_MOST)
        if not unpacked.eof:
            raise zlib.error("it goes on")
    except (binascii.Error, ValueError, zlib.error):
        raise SoupError("The scenes in the address are incomplete or damaged; copy the whole link once more.") from None
    return from_json(b'{"format":1,"scenes":' + plain + b"}", "The link's list of scenes")
