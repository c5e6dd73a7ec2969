"""What a file holds beside its weights, as plain data for whoever asks: settings, epochs, scores, names of classes.

Numbers, texts, and lists and tables of them are kept as far as they are small; all else is left out, without a word here.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

BYTES_AT_MOST = 65_536
DEPTH = 4  # of lists and tables
ENTRIES_AT_MOST = 1000  # of a list or a table
TEXT_AT_MOST = 2000
MISSING = object()


def beside(described: Any) -> dict[str, Any]:
    """The plain values of the outermost table by their keys, the smallest first where not all fit, in the table's order."""
    table = _plain(described, DEPTH + 1)
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


def _plain(found: Any, depth: int) -> Any:
    """The value as JSON has it, or MISSING where it is none, is too large, or lies too deep."""
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
            items = [_plain(item, depth - 1) for item in found]
            return items if all(item is not MISSING for item in items) else MISSING
        case dict() if depth and len(found) <= ENTRIES_AT_MOST:
            return _table(found, depth - 1)
    return MISSING


def _table(table: Mapping[Any, Any], depth: int) -> Any:
    """The plain values by their keys, whole numbers among these as texts; a table of other things alone is none."""
    named = {_text(str(key)): _plain(value, depth) for key, value in table.items() if type(key) in (str, int)}
    plain = {key: value for key, value in named.items() if value is not MISSING and key is not MISSING}
    return plain if plain or not table else MISSING


def _text(text: str) -> Any:
    """The text with U+FFFD for each half of a character, which no file in UTF-8 can hold."""
    if len(text) > TEXT_AT_MOST:
        return MISSING
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
