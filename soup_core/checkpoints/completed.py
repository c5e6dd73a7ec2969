"""A base whose head is another than its fine-tuned models', or that has none, completed by the mean of theirs.

What is taken from a base is the way from it to the models. In tensors that it lacks this way is measured from the models'
mean: their differences sum to zero there, so that task arithmetic keeps the mean, and WiSE-FT and Model Stock end at it. The
authors of these leave a head that belongs to a task out of the arithmetic: Ilharco et al. 2022 (arXiv 2212.04089).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType

from torch import Tensor

from soup_core.checkpoints.safetensors import Checkpoint, Reader, TensorInfo, memory_of
from soup_core.runtime.files import listed, shown


class Completed(Checkpoint):
    """The checkpoint of the tensors that a base shares with its models, and of the models' mean for all others.

    Its digest covers the base's file and those of all models, which must all have the same tensors.
    """

    def __init__(self, base: Checkpoint, models: Sequence[Checkpoint]) -> None:
        own = {
            name: base.tensors[name]
            for name, info in models[0].tensors.items()
            if name in base.tensors and base.tensors[name].shape == info.shape
        }
        self.lacking = tuple(name for name in models[0].tensors if name not in own)
        self.base, self.models = base, tuple(models)
        self.path, self.identity, self.size = base.path, base.identity, base.size
        self.name, self.metadata, self.beside = base.name, base.metadata, getattr(base, "beside", {})
        self.tensors = MappingProxyType({name: own.get(name, info) for name, info in models[0].tensors.items()})
        self.checksums, self.names_in_file = MappingProxyType({}), MappingProxyType({})
        self.notes = (
            *base.notes,
            f"it has no {listed(map(shown, self.lacking))} of the network's shape; the ingredients' mean stands there, so that "
            "no recipe moves along differences from it",
        )

    @property
    def leaves(self) -> tuple[Checkpoint, ...]:
        """The checkpoints of one file each that this one is made of."""
        return tuple(leaf for each in (self.base, *self.models) for leaf in each.leaves)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of the base and of all models; raises as theirs."""
        return _over([self.base.digest, *(model.digest for model in self.models)])

    @property
    def earlier_digest(self) -> str | None:
        """The digest by which older records name this, None where that of a file is not known."""
        earlier = [each.earlier_digest for each in (self.base, *self.models)]
        return _over(earlier) if all(earlier) else None

    @cached_property
    def means(self) -> Mapping[str, Tensor]:
        """The tensors that the base lacks. Raises CheckpointError where a file has changed since it was opened."""
        sums: dict[str, Tensor] = {}
        for model in self.models:
            with model.reader() as read:
                for name in self.lacking:
                    tensor = read(name)
                    if not tensor.is_floating_point():  # a count, of which the first stands, as in averaging
                        sums.setdefault(name, tensor)
                    else:
                        sums[name] = sums[name] + tensor.double() if name in sums else tensor.double()
        return {
            name: (total / len(self.models)).to(self.tensors[name].dtype) if total.is_floating_point() else total
            for name, total in sums.items()
        }

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the base for several reads. Raises CheckpointError where it has changed, or cannot be read."""
        with self.base.reader() as base:
            yield _CompletedReader(self, base)


def _over(digests: Sequence[str | None]) -> str:
    return hashlib.sha256(json.dumps(["completed", *digests]).encode()).hexdigest()


class _CompletedReader(Reader):
    """The opened base, with the means beside."""

    def __init__(self, checkpoint: Completed, base: Reader) -> None:
        self.checkpoint, self._means, self._base = checkpoint, checkpoint.means, base

    def fill(self, name: str, begin: int, part: memoryview) -> None:
        """Read as many bytes of a tensor as there are in `part` from element `begin` on."""
        if name not in self._means:
            self._base.fill(name, begin, part)
        elif len(part):
            tensor = self._means[name]
            part[:] = memory_of(tensor.reshape(-1)[begin : begin + len(part) // tensor.dtype.itemsize])


def lacks_only(tensors: Mapping[str, TensorInfo], expected: Mapping[str, Tensor], heads: Sequence[str]) -> bool:
    """Whether tensors are those expected but for the modules of heads, such as fc of fc.weight, in which they may differ."""
    modules = tuple(f"{name.rpartition('.')[0]}." if "." in name else name for name in heads)
    tops = {name.partition(".")[0] for name in heads}
    differing = [
        name for name, tensor in expected.items() if name not in tensors or tensors[name].shape != tuple(tensor.shape)
    ]
    unknown = [name for name in tensors if name not in expected]
    return (
        bool(heads)
        and 2 * len(differing) < len(expected)
        and all(name.startswith(modules) for name in differing)
        and all(name.partition(".")[0] in tops for name in unknown)
        and all(
            tensors[name].dtype.is_floating_point == tensor.is_floating_point()
            for name, tensor in expected.items()
            if name in tensors and name not in differing
        )
    )
