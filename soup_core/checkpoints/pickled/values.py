"""What a pickle describes, as values: tensors and their storages, names, and objects of classes that nothing here knows."""

from dataclasses import dataclass, field
from typing import Any

NAME_AT_MOST = 250
PLAIN = "save the state_dict alone, torch.save(model.state_dict(), file), or as safetensors"


class Refused(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name.

    `places` are the parts to choose from, the best first, where several hold weights; `why` says what makes it so.
    """

    def __init__(self, sentence: str, places: tuple[str, ...] = (), why: str = "") -> None:
        super().__init__(sentence)
        self.places, self.why = places, why


@dataclass(frozen=True)
class Named:
    """A class, function or constant that a pickle names as "module name"; nothing of that name is looked for."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A run of numbers of one type, kept elsewhere in the file under a key."""

    key: str
    dtype: str
    item_bytes: int
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, counted in elements; nothing is checked yet but that these are whole numbers from 0 on."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(eq=False)
class Opaque:
    """An object that unpickling would make by calling what is named, with these arguments, and then fill; it is not made.

    `state` is what the object would be given as its attributes, `items` and `entries` what would be put into it.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[Any, Any]:
        """The attributes that the object would be given, as far as they are a table, or one of two: __dict__ and slots."""
        states = self.state if isinstance(self.state, tuple) and len(self.state) == 2 else (self.state,)
        return {key: value for state in states if isinstance(state, dict) for key, value in state.items()}


def class_name(found: Any) -> str:
    """The name of an object's class for people, "argparse.Namespace"."""
    name = found.name.replace(" ", ".") if isinstance(found, (Named, Opaque)) else type(found).__name__
    return name[:NAME_AT_MOST]


def key_text(key: Any) -> str:
    """A table's key for people: a text or a number of usual length as it is, of others the class."""
    return key if isinstance(key, str) else str(key) if isinstance(key, int) and abs(key) < 2**63 else class_name(key)


def damaged(what: str) -> Refused:
    """A refusal of a file that is not as torch writes it."""
    return Refused(f"is damaged or incomplete: {what}. Copy or save it again.")
