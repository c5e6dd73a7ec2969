"""A recipe on its way back in: from a card, an exported file, or plain coefficients."""

import json
from pathlib import Path
from typing import Any

from soup_core import checkpoints
from soup_core.errors import CoefficientError, SoupError
from soup_core.soup import Soup
from soup_core.zoo import Zoo

RECIPE_BYTES_AT_MOST = 8_000_000
READ_AT_MOST = 8 + RECIPE_BYTES_AT_MOST + 1  # bytes of a file that `imported` looks at


def imported(content: bytes, zoo: Zoo) -> Soup:
    """The soup of a recipe, a card, an exported safetensors file or plain coefficients; of these no more than 8 MB.

    Its ingredients must be in the zoo and, where it says which files they were, be those. Of a safetensors file the
    beginning suffices. Nothing in it is run. Raises CoefficientError for whatever else it is given.
    """
    recipe = _recipe_in(content)
    given = recipe["soup"] if isinstance(recipe.get("soup"), dict) else recipe
    soup = Soup.from_json(json.dumps(given))
    zoo.members(soup)
    ingredients = recipe.get("ingredients")
    for name in soup.names:
        entry = ingredients.get(name) if isinstance(ingredients, dict) else None
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if digest is not None and not zoo.by_name[name].checkpoint.is_named_by(str(digest)):
            raise CoefficientError(
                f"The recipe's {name} is another file than the one in the zoo {zoo.name}: its digest begins with "
                f"{str(digest)[:12]!a}, and here with {zoo.by_name[name].digest[:12]}. Open the zoo that it was made from."
            )
    return soup


def read_recipe(path: Path) -> bytes:
    """As much of a file as `imported` looks at. Raises SoupError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(READ_AT_MOST)
    except OSError as error:
        raise SoupError(f"{path} cannot be read ({error.strerror}).") from error


def _recipe_in(content: bytes) -> dict[str, Any]:
    """The JSON object in a recipe, a card or a safetensors file."""
    try:
        header = int.from_bytes(content[:8], "little")
        if content[8:9] == b"{" and header <= RECIPE_BYTES_AT_MOST:
            content = _object(content[8 : 8 + header])["__metadata__"]["soup_core"].encode()
        elif b"```json" in content:
            content = content.rpartition(b"```json")[2].partition(b"\n```")[0]
        if len(content) > RECIPE_BYTES_AT_MOST:
            raise ValueError(f"more than {RECIPE_BYTES_AT_MOST / 1e6:.0f} MB")
        return _object(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CoefficientError(
            "There is no recipe of a soup in this file; expected a recipe as JSON, a model card, or a safetensors file, "
            f"each as exported here. Found {content[:40]!r} ({type(error).__name__}: {str(error)[:80]!a})."
        ) from error


def _object(content: bytes) -> dict[str, Any]:
    value = json.loads(content, object_pairs_hook=checkpoints.without_repetition)
    if not isinstance(value, dict):
        raise ValueError("no table of names and values")
    return value
