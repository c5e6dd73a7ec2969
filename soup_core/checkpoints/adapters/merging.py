"""An adapter over a base, read as the one checkpoint that both are together.

No merged tensor is kept: a block is the base's numbers, read where they lie, plus the rows of scale · B A that belong to it.
Products are in float64 and rounded once, so that a tensor has the same numbers in whatever blocks it is read.
"""

import hashlib
import json
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from soup_core.checkpoints.adapters.config import AdapterConfig
from soup_core.checkpoints.adapters.layers import LowRank, changes
from soup_core.checkpoints.safetensors import Checkpoint, Reader, TensorInfo
from soup_core.errors import CheckpointError
from soup_core.runtime.files import listed, shown

BLOCK = 131_072  # elements of a product that are made at once: a megabyte, which stays in the cache
FACTORS_KEPT = 4  # tensors whose factors a reader keeps, which are read one after the other


@dataclass(frozen=True)
class MergedTensor(TensorInfo):
    """A tensor of both: `source` is its name in the base, or in the adapter where that replaces it, and what is added."""

    source: str
    replaced: bool
    added: LowRank | None


class Merged(Checkpoint):
    """The checkpoint that a base and an adapter over it are together: dtypes are the base's, as peft merges.

    Its digest covers the base's file, the adapter's, and what its configuration says. It is made by `merged`.
    """

    def __init__(
        self, base: Checkpoint, adapter: Checkpoint, config: AdapterConfig, tensors: Mapping[str, MergedTensor]
    ) -> None:
        vars(self).update(vars(adapter))  # whatever else is told of a checkpoint is the adapter's
        self.tensors = MappingProxyType(tensors)
        self.base, self.adapter, self.config = base, adapter, config

    @property
    def leaves(self) -> tuple[Checkpoint, ...]:
        """The checkpoints of one file each that this one is made of."""
        return (*self.base.leaves, *self.adapter.leaves)

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of the base, of the adapter and of its configuration; raises as theirs."""
        return self._over(self.base.digest, self.adapter.digest)

    @property
    def earlier_digest(self) -> str | None:
        """The digest by which older records name both files together, None where that of one is not known."""
        base, adapter = self.base.earlier_digest, self.adapter.earlier_digest
        return self._over(base, adapter) if base and adapter else None

    def _over(self, base: str, adapter: str) -> str:
        content = json.dumps(["adapter", base, adapter, self.config.digest])
        return hashlib.sha256(content.encode()).hexdigest()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open both files for several reads. Raises CheckpointError where one has changed, or cannot be read."""
        with self.base.reader() as base, self.adapter.reader() as adapter:
            yield _MergedReader(self, base, adapter)

    def factors(self, name: str, read: Reader) -> tuple[Tensor, Tensor]:
        """What is added to a tensor that is seen as a matrix, as two factors in float64: (rows, rank) and (rank, columns)."""
        info = self.tensors[name]
        assert isinstance(info, MergedTensor)
        assert info.added
        b = read(info.added.b).double().flatten(1) if info.added.a else read(info.added.b).double()[:, None]
        a = read(info.added.a).double().flatten(1) if info.added.a else torch.ones(1, 1, dtype=torch.float64)
        left, right = (a.T, b.T) if info.added.transposed else (b, a)
        return info.added.scale * left, right


class _MergedReader(Reader):
    """Both files, opened."""

    def __init__(self, checkpoint: Merged, base: Reader, adapter: Reader) -> None:
        self.checkpoint, self._merged, self._base, self._adapter = checkpoint, checkpoint, base, adapter
        self._lock = threading.Lock()
        self._factors: dict[str, tuple[Tensor, Tensor, Tensor | None]] = {}

    def fill(self, name: str, begin: int, part: memoryview) -> None:
        """Read as many bytes of the merged tensor as there are in `part` from element `begin` on.

        Raises CheckpointError where a file has been cut short meanwhile.
        """
        info = self.checkpoint.tensors[name]
        assert isinstance(info, MergedTensor)
        (self._adapter if info.replaced else self._base).fill(info.source, begin, part)
        if info.added and len(part):
            self._add(name, info, begin, torch.frombuffer(part, dtype=info.dtype))

    def _add(self, name: str, info: MergedTensor, begin: int, block: Tensor) -> None:
        left, right, lengths = self._factors_of(name, info)
        for first, last, piece, product in _rows(left, right, begin, block):
            total = product.add_(piece)  # in float64, without a copy of the piece
            if lengths is not None:
                rows = lengths.expand(len(left), right.shape[1])[first:last].reshape(-1)
                start = max(begin - first * right.shape[1], 0)
                total *= rows[start : start + len(total)]
            piece.copy_(total)

    def _factors_of(self, name: str, info: MergedTensor) -> tuple[Tensor, Tensor, Tensor | None]:
        with self._lock:
            if name not in self._factors:
                left, right = self._merged.factors(name, self._adapter)
                lengths = self._lengths(info, left, right) if info.added and info.added.magnitude else None
                self._factors[name] = left, right, lengths
                for old in list(self._factors)[:-FACTORS_KEPT]:
                    del self._factors[old]
            return self._factors[name]

    def _lengths(self, info: MergedTensor, left: Tensor, right: Tensor) -> Tensor:
        """What DoRA multiplies each output's weights by: its magnitude over their length, in one reading of the tensor."""
        assert info.added
        assert info.added.magnitude
        source = self._adapter if info.replaced else self._base
        along = 0 if info.added.transposed else 1
        squares = torch.zeros(right.shape[1] if info.added.transposed else len(left), dtype=torch.float64)
        rows = max(1, BLOCK // right.shape[1])
        for first in range(0, len(left), rows):
            block = torch.empty(min(rows, len(left) - first) * right.shape[1], dtype=info.dtype)
            source.fill(info.source, first * right.shape[1], block.view(torch.uint8).numpy().data)
            sums = (block.double().view(-1, right.shape[1]) + left[first : first + rows] @ right).square().sum(along)
            if along:
                squares[first : first + rows] = sums
            else:
                squares += sums
        lengths = self._adapter(info.added.magnitude).double().flatten() / squares.sqrt()
        return lengths if info.added.transposed else lengths[:, None]


def _rows(left: Tensor, right: Tensor, begin: int, block: Tensor) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """A block of a matrix from element `begin` on, some rows at a time: first, last, the numbers there, left @ right there."""
    columns, end = right.shape[1], begin + len(block)
    step = max(1, BLOCK // columns)
    for first in range(begin // columns, -(-end // columns), step):
        last = min(first + step, -(-end // columns))
        low, high = max(begin, first * columns), min(end, last * columns)
        product = (left[first:last] @ right).view(-1)
        yield first, last, block[low - begin : high - begin], product[low - first * columns : high - first * columns]


def merged(
    base: Checkpoint, adapter: Checkpoint, config: AdapterConfig, network: nn.Module, stored: Mapping[str, str]
) -> Merged:
    """An adapter over a base, with the tensors of `network` as far as either has them; `base` is under its names.

    `stored` gives the network's names by those in its library's files, which an adapter may say as well. What the base
    lacks or has in another shape may come from the adapter (`modules_to_save`). Raises CheckpointError where both
    together lack a tensor, and for what cannot be merged exactly.
    """
    where = adapter.name
    found = changes(adapter.tensors, config, network, stored, where)
    tensors: dict[str, MergedTensor] = {}
    missing: list[str] = []
    for name in network.state_dict():
        replaced = name in found.replaced
        if not replaced and name not in base.tensors:
            missing.append(shown(name))
            continue
        source = found.replaced[name] if replaced else name
        info = (adapter if replaced else base).tensors[source]
        added = found.added.get(name)
        if added and not info.dtype.is_floating_point:
            raise CheckpointError(
                f"{base.name} holds {shown(name)} as {str(info.dtype).removeprefix('torch.')}: its weights are quantised, "
                f"and what {where} was trained on cannot be known from them. Name the base's file in full precision."
            )
        size = math.prod(info.shape) * info.dtype.itemsize
        tensors[name] = MergedTensor(info.dtype, info.shape, 0, size, source, replaced, added)
    if missing:
        raise CheckpointError(
            f"{where} and its base {base.name} lack {listed(missing)}: a layer that was made anew for the training must be "
            "saved with the adapter; train with it in modules_to_save."
        )
    checkpoint = Merged(base, adapter, config, tensors)
    running = [name for name in tensors if name.endswith(".running_mean")]
    if running and not any(name in found.replaced for name in running):
        note = "it holds no BatchNorm statistics, so that the base's are taken, whatever it was trained with; re-estimate them"
        checkpoint.notes = (*checkpoint.notes, note)
    return checkpoint
