"""What an icon shows, by its name: sets give one thing many names, and each name many styles."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "concepts.toml"
STYLES = frozenset(
    "outline outlined outlines filled fill solid bold thin light duotone twotone two tone linear line lined regular sharp "
    "rounded round baseline o alt fat broken stroke stroked variant sm lg md xl small large medium thick thicker icon flat "
    "mini micro bulk contained standard 8 10 12 16 20 24 28 32 48 1 2 3 4 5 6 7 9 01 02 03 04 05 06 w100 w200 w300 w400 "
    "w500 w600 w700".split()
)
"""Words within an icon's name that say how it is drawn, not what it shows."""


@dataclass(frozen=True)
class Concepts:
    """The concepts' names, in order; the concept of each plain name; and the family of each set that shares one."""

    names: tuple[str, ...]
    by_name: Mapping[str, str]
    families: Mapping[str, str]

    def family(self, prefix: str) -> str:
        """Whose drawings a set's are."""
        return self.families.get(prefix, prefix)


@cache
def concepts() -> Concepts:
    """The table in concepts.toml."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    by_name = {name: concept for concept, names in table["concepts"].items() for name in names}
    families = {prefix: family for family, prefixes in table["families"].items() for prefix in prefixes}
    return Concepts(tuple(table["concepts"]), by_name, families)


def plain_name(name: str) -> str:
    """An icon's name without the words for its style and without numbers of variants.

    >>> plain_name("home-2-outline-rounded"), plain_name("user24"), plain_name("home-off")
    ('home', 'user', 'home-off')
    """
    return "-".join(re.sub(r"\d+$", "", part) for part in name.split("-") if part not in STYLES)
