"""The objects of unknown classes beside the weights, which are passed over, by where they stand and of which class they are."""

from collections.abc import Iterator
from typing import Any

from .modules import is_module
from .values import NAME_AT_MOST, Named, Opaque, class_name, key_text
from .weights import is_tensor, listed

DEPTH = 4
LOOKED_AT = 10_000  # values, in whose tables objects are looked for


def skipped(described: Any) -> list[str]:
    """A note that names the objects beside the weights, the outermost of each; none where there are none."""
    found = [f"{place} ({kind})" for place, kind in _outermost(described)]
    return [f"objects in it were passed over, and none was built: {listed(found)}"] if found else []


def _outermost(described: Any) -> Iterator[tuple[str, str]]:
    """The place and class of each object; of those that one table or list has of one class the first alone."""
    if not isinstance(described, dict):
        if _is_passed_over(described):
            yield "all but the network", class_name(described)
        return
    waiting: list[tuple[str, Any]] = [("", described)]
    known: set[int] = set()
    for _ in range(LOOKED_AT):
        if not waiting:
            return
        place, found = waiting.pop()
        if id(found) in known or (isinstance(found, dict) and "param_groups" in found):
            continue
        known.add(id(found))
        inner = found.items() if isinstance(found, dict) else enumerate(found)
        classes: set[str] = set()
        tables: list[tuple[str, Any]] = []
        for key, value in inner:
            within = f"{place}.{key_text(key)}".lstrip(".")[:NAME_AT_MOST]
            if isinstance(value, (dict, list, tuple)) and within.count(".") < DEPTH:
                tables.append((within, value))
            elif _is_passed_over(value) and class_name(value) not in classes:
                classes.add(class_name(value))
                yield within, class_name(value)
        waiting += reversed(tables)


def _is_passed_over(found: Any) -> bool:
    if isinstance(found, Named):
        return not found.name.startswith("torch ")  # a type of numbers
    return isinstance(found, Opaque) and not is_module(found) and not is_tensor(found)
