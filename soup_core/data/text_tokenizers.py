"""A folder's own tokenizer of transformers, which turns texts into the numbers that its network was trained on.

Only local files are read, and no code among them; batches are filled up here, so that a text's tokens are made once.
"""

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from soup_core.data.tokens import Sentences
from soup_core.errors import DataError
from soup_core.runtime.files import shown

FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "spm.model",
    "sentencepiece.bpe.model", "tokenizer.model", "bpe.codes", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
VOCABULARIES = tuple(name for name in FILES if name.startswith(("tokenizer.", "vocab", "sp", "sentence", "bpe")))
CONFIG = "config.json"  # says the family, where the tokenizer's own files do not, and how long texts may be
CONFIG_AT_MOST = 5_000_000  # bytes
FILE_AT_MOST = 100_000_000  # bytes
LENGTH_AT_MOST = 8192
_LOCK = threading.Lock()
OFFSET_FAMILIES = ("roberta", "camembert", "longformer", "mpnet", "data2vec-text", "xmod", "ibert")


class Encoded(NamedTuple):
    """Numbers of each text, of pairs which text each belongs to, and how many texts were cut."""

    ids: list[list[int]]
    segments: list[list[int]] | None
    cut: int


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer in a folder; `digest` is that of its files, `max_length` the most tokens of a text, where that is said."""

    tokenizer: str = field(compare=False)
    digest: str
    max_length: int | None = None

    def __call__(self, texts: Sequence[Sentences]) -> Encoded:
        """The tokens of texts or pairs as transformers gives them, special ones included; longer ones are cut.

        Raises DataError where the library is missing or cannot make them.
        """
        own = opened(self)
        pair = [each[1] for each in texts] if texts and len(texts[0]) > 1 else None
        try:
            with _LOCK:  # one that truncates is changed by each call, and refuses to be by two threads at a time
                found = own([each[0] for each in texts], pair, truncation=True, max_length=self.length)
            segments = found.get("token_type_ids")
            encodings = getattr(found, "encodings", None) or []
            return Encoded(found["input_ids"], segments, sum(bool(each.overflowing) for each in encodings))
        except Exception as error:  # whatever a tokenizer may raise
            raise _unusable(self, f"fails on these texts: {_first_line(error)}") from error

    @property
    def length(self) -> int:
        """The most tokens of a text: as asked, as the tokenizer says, or as many places as its network has."""
        own = opened(self)
        said = [each for each in (self.max_length, own.model_max_length) if each and each <= LENGTH_AT_MOST]
        return min([*said, *([] if said else [self._places()])])

    @property
    def padding(self) -> int:
        """The number that fills texts up. Raises DataError where the tokenizer has none."""
        own = opened(self)
        number = own.pad_token_id
        if number is None:
            raise _unusable(self, "has no token to fill texts up with; set its pad_token and save it again")
        return int(number)

    @property
    def identity(self) -> dict[str, Any]:
        """What keys are made of: the content of its files, wherever these lie."""
        return {"tokenizer": self.digest, "max_length": self.max_length}

    def _places(self) -> int:
        config = _config(Path(self.tokenizer))
        places = config.get("max_position_embeddings")
        if not isinstance(places, int) or places < 3:
            return LENGTH_AT_MOST
        is_offset = any(family in str(config.get("model_type")) for family in OFFSET_FAMILIES)
        return min(LENGTH_AT_MOST, places - (self.padding + 1 if is_offset else 0))


def tokenizer_in(folder: Path, max_length: int | None = None) -> Tokenizer:
    """The tokenizer that a folder's files describe.

    Raises DataError where there is none, and for files that are too large, no regular ones, or links out of the folder.
    """
    content = [(name, digest) for name in FILES if (digest := _digest(folder / name, FILE_AT_MOST)) is not None]
    if not any(name in VOCABULARIES for name, _ in content):
        raise DataError(
            f"{shown(folder)} holds no tokenizer of transformers; expected {FILES[0]} there, as save_pretrained writes it: "
            'put it beside the network\'s config.json, or name its folder in [data] of zoo.toml: tokenizer = "FOLDER".'
        )
    config = _digest(folder / CONFIG, CONFIG_AT_MOST)
    said = [*content, (CONFIG, config)] if config else content
    return Tokenizer(str(folder), hashlib.sha256(repr(said).encode()).hexdigest(), max_length)


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder has a tokenizer's files."""
    return any((folder / name).is_file() for name in VOCABULARIES)


@lru_cache(maxsize=8)
def opened(tokenizer: Tokenizer) -> Any:
    """transformers' own object. Raises DataError where the library is missing or cannot make one from these files."""
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    folder = Path(tokenizer.tokenizer)
    if tokenizer_in(folder, tokenizer.max_length) != tokenizer:
        raise DataError(f"The tokenizer in {shown(folder)} is gone or has changed; open the zoo again.")
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise DataError(
            f"The tokenizer in {shown(folder)} needs the package transformers, which is not installed here ({error}). "
            "Install it with: pip install transformers"
        ) from error
    try:
        own = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever it says of a file
        raise _unusable(tokenizer, f"cannot be made by transformers: {_first_line(error)}") from error
    if own.padding_side != "right" and _config(folder).get("model_type") in ("xlnet", "xlm"):
        raise _unusable(
            tokenizer, "fills texts up on the left, where its network would read another text in each batch"
        )
    return own


def _config(folder: Path) -> dict[str, Any]:
    try:
        if not (folder / CONFIG).is_file() or (folder / CONFIG).stat().st_size > CONFIG_AT_MOST:
            return {}
        content = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _digest(file: Path, at_most: int) -> str | None:
    """SHA-256 of a regular file within its folder; None where there is none. Raises DataError for other links or sizes."""
    if not file.is_file():
        if file.exists():
            raise DataError(f"{file.parent.name}/{file.name} is no regular file; put the tokenizer's own there.")
        return None
    if not file.resolve().is_relative_to(file.parent.resolve()):
        raise DataError(f"{file.parent.name}/{file.name} is a link out of its folder; put the file itself there.")
    if file.stat().st_size > at_most:
        raise DataError(
            f"{file.parent.name}/{file.name} is larger than {at_most:,} bytes, and so no file of a tokenizer."
        )
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _unusable(tokenizer: Tokenizer, why: str) -> DataError:
    return DataError(f"The tokenizer in {shown(Path(tokenizer.tokenizer))} {why}.")


def _first_line(error: Exception) -> str:
    return shown(f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}")
