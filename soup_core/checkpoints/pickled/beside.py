"""What a file holds beside its weights, as plain data for whoever asks: settings, epochs, scores, names of classes.

Numbers, texts, and lists and tables of them are kept as far as they are small, and so are those that an object would have as
its attributes; all else is left out, without a word here.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from .values import Named, Opaque, key_text

BYTES_AT_MOST = 65_536
DEPTH = 4  # of lists and tables
ENTRIES_AT_MOST = 1000  # of a list or a table
TEXT_AT_MOST = 2000
LOOKED_AT = 50_000  # values
MISSING = object()


def beside(described: Any) -> dict[str, Any]:
    """The plain values of the outermost table by their keys, the smallest first where not all fit, in the table's order."""
    table = _plain(described, DEPTH + 1, iter(range(LOOKED_AT)))
    if not isinstance(table, dict):
        return {}
    sizes = {key: len(json.dumps({key: value})) for key, value in table.items()}
    kept, size = set(), 0
    for key in sorted(sizes, key=sizes.__getitem__):
        size += sizes[key]
        if size > BYTES_AT_MOST:
            break
        kept.add(key)
    return {key: value for key, value in table.items() if key in kept}


def _plain(found: Any, depth: int, budget: Any) -> Any:
    """The value as JSON has it, or MISSING where it is none, is too large, lies too deep, or comes after too many others."""
    if next(budget, None) is None:
        return MISSING
    match found:
        case None | bool():
            return found
        case int():
            return found if abs(found) < 2**63 else MISSING
        case float():
            return found if math.isfinite(found) else MISSING
        case str():
            return _text(found)
        case list() | tuple() if depth and len(found) <= ENTRIES_AT_MOST:
            items = [_plain(item, depth - 1, budget) for item in found]
            return items if all(item is not MISSING for item in items) else MISSING
        case dict() if depth and len(found) <= ENTRIES_AT_MOST:
            return _table(found, depth - 1, budget)
        case Named() if found.name.startswith("torch "):
            return found.name.replace(" ", ".")
        case Opaque() if depth:
            return _object(found, depth, budget)
    return MISSING


def _object(found: Opaque, depth: int, budget: Any) -> Any:
    """A path as its text, a node of omegaconf as its value, another object as what it would be filled with."""
    if found.name.startswith("pathlib") and found.arguments and all(isinstance(part, str) for part in found.arguments):
        return _text("/".join(found.arguments).replace("//", "/"))
    if found.name.startswith("omegaconf."):
        return _plain(found.attributes.get("_val", found.attributes.get("_content")), depth, budget)
    public = {key: value for key, value in found.attributes.items() if isinstance(key, str) and not key.startswith("_")}
    table = {**found.entries, **public}
    return _plain(table, depth, budget) if table else MISSING


def _table(table: Mapping[Any, Any], depth: int, budget: Any) -> Any:
    """The plain values by their keys, whole numbers among these as texts; a table of other things alone is none."""
    keys = {key: key_text(key) for key in table if type(key) in (str, int)}
    named = {_text(text): _plain(table[key], depth, budget) for key, text in keys.items()}
    plain = {key: value for key, value in named.items() if value is not MISSING and key is not MISSING}
    return plain if plain or not table else MISSING


def _text(text: str) -> Any:
    """The text with U+FFFD for each half of a character, which no file in UTF-8 can hold."""
    if len(text) > TEXT_AT_MOST:
        return MISSING
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
