"""What an icon shows, by its name: sets give one thing many names, and each name many styles."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "concepts.toml"


@dataclass(frozen=True)
class Concepts:
    """The concepts' names, in order; the concept of each plain name; the family of each set that shares one; words for styles."""

    names: tuple[str, ...]
    by_name: Mapping[str, str]
    families: Mapping[str, str]
    styles: frozenset[str]

    def family(self, prefix: str) -> str:
        """Whose drawings a set's are."""
        return self.families.get(prefix, prefix)


@cache
def concepts() -> Concepts:
    """The table in concepts.toml."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    by_name = {name: concept for concept, names in table["concepts"].items() for name in names}
    families = {prefix: family for family, prefixes in table["families"].items() for prefix in prefixes}
    return Concepts(tuple(table["concepts"]), by_name, families, frozenset(table["styles"]))


def plain_name(name: str) -> str:
    """An icon's name without the words for its style and without numbers of variants.

    >>> plain_name("home-2-outline-rounded"), plain_name("user24"), plain_name("home-off")
    ('home', 'user', 'home-off')
    """
    return "-".join(re.sub(r"\d+$", "", part) for part in name.split("-") if part not in concepts().styles)
