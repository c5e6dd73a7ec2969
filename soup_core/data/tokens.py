"""Texts as a network takes them: numbers of tokens, of as many as each text has, padded a batch at a time.

What a network is called with is one tensor, int64 n×3×L: the tokens, the attention mask, and which of a pair of texts each
token belongs to (Devlin et al. 2019, arXiv 1810.04805, call that segments); L is the longest of the batch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from soup_core.errors import DataError

PLANES = 3  # tokens, attention mask, segments
DIGEST_BYTES = 16
Sentences = tuple[str, ...]  # a text, or a pair of them


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as `ids` (int32, all in a row), `lengths` (int64, N) and, for pairs, `segments` (uint8, as long as `ids`).

    Batches are filled up with `padding`, the number that the tokenizer has for it. `texts` are what the tokens were made
    of, a text or a pair of each, where that is known. Raises DataError where numbers and lengths disagree.
    """

    ids: Tensor
    lengths: Tensor
    segments: Tensor | None = None
    padding: int = 0
    texts: tuple[Sentences, ...] = ()

    def __post_init__(self) -> None:
        total = int(self.lengths.sum()) if len(self.lengths) else 0
        parts = [self.ids, *([] if self.segments is None else [self.segments])]
        is_sound = (
            self.ids.dtype == torch.int32
            and self.lengths.dtype == torch.int64
            and all(part.ndim == 1 and len(part) == total for part in parts)
            and (self.segments is None or self.segments.dtype == torch.uint8)
            and bool((self.lengths >= 0).all())
            and len(self.texts) in (0, len(self.lengths))
        )
        if not is_sound:
            raise DataError(
                f"Tokens must be int32, as many as their texts' lengths (int64) add up to, with segments (uint8) for each or "
                f"none; found {len(self.ids)} {self.ids.dtype} for {len(self.lengths)} lengths that add up to {total}."
            )

    @staticmethod
    def of(
        rows: Sequence[Sequence[int]],
        segments: Sequence[Sequence[int]] | None = None,
        *,
        padding: int = 0,
        texts: Sequence[Sentences] = (),
    ) -> "Tokens":
        """Tokens of lists of numbers, one a text.

        >>> Tokens.of([[5, 6, 7], [8]])[torch.tensor([1, 0])].tolist()
        [[[8, 0, 0], [1, 0, 0], [0, 0, 0]], [[5, 6, 7], [1, 1, 1], [0, 0, 0]]]
        """
        return Tokens(
            torch.tensor(list(chain.from_iterable(rows)), dtype=torch.int32),
            torch.tensor([len(row) for row in rows], dtype=torch.int64),
            None if segments is None else torch.tensor(list(chain.from_iterable(segments)), dtype=torch.uint8),
            padding,
            tuple(texts),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """The texts of these indices (n,), filled up to the longest of them: int64, n×3×L, with L at least 1."""
        lengths = self.lengths[indices]
        longest = max(1, int(lengths.max())) if len(lengths) else 1
        places = torch.arange(longest)
        mask = places < lengths[:, None]
        batch = torch.zeros(len(lengths), PLANES, longest, dtype=torch.int64)
        batch[:, 0] = self.padding
        source = (self._begins[indices][:, None] + places)[mask]
        batch[:, 0][mask] = self.ids[source].long()
        batch[:, 1] = mask
        if self.segments is not None:
            batch[:, 2][mask] = self.segments[source].long()
        return batch

    def chosen(self, indices: Tensor) -> "Tokens":
        """The texts of these indices (n,) alone, in their order."""
        lengths = self.lengths[indices]
        source = torch.repeat_interleave(self._begins[indices] - _begins(lengths), lengths) + torch.arange(
            int(lengths.sum())
        )
        segments = None if self.segments is None else self.segments[source]
        texts = tuple(self.texts[index] for index in indices.tolist()) if self.texts else ()
        return Tokens(self.ids[source], lengths, segments, self.padding, texts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of all texts in one batch: N×3×L."""
        return (len(self), PLANES, max(1, int(self.lengths.max())) if len(self) else 1)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers in memory."""
        return self.ids.nbytes + self.lengths.nbytes + (0 if self.segments is None else self.segments.nbytes)

    @cached_property
    def by_length(self) -> Tensor:
        """The indices (N,) from the shortest text to the longest: neighbours make batches with little to fill up."""
        return self.lengths.argsort(stable=True)

    @property
    def digests(self) -> Tensor:
        """A digest of each text (uint8, N×16), of its tokens and segments: equal texts have equal ones."""
        parts = [part.numpy() for part in (self.ids, self.segments) if part is not None]
        ends = self.lengths.cumsum(0).tolist()
        digests = [
            hashlib.blake2b(b"".join(part[begin:end].tobytes() for part in parts), digest_size=DIGEST_BYTES).digest()
            for begin, end in zip([0, *ends], ends, strict=False)
        ]
        return torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES).copy())

    def digest(self, labels: Tensor, outputs: tuple[int, ...] | None) -> str:
        """SHA-256 of the tokens, what fills them up, labels (int64, N) and outputs."""
        content = hashlib.sha256(repr(("tokens", len(self), self.padding, self.segments is not None)).encode())
        for part in (self.lengths, self.ids, self.segments, labels):
            if part is not None:
                content.update(part.contiguous().numpy().data)
        if outputs is not None:
            content.update(repr(outputs).encode())
        return content.hexdigest()

    @cached_property
    def _begins(self) -> Tensor:
        return _begins(self.lengths)


def _begins(lengths: Tensor) -> Tensor:
    return lengths.cumsum(0) - lengths
