"""A checkpoint with its parametrised weights folded into plain ones: a file beside the store, made once."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from soup_core.checkpoints.content import Found
from soup_core.checkpoints.identity import opened
from soup_core.checkpoints.parametrized import folded_weight, parametrized
from soup_core.checkpoints.safetensors import Checkpoint, size_of, writer
from soup_core.errors import CheckpointError
from soup_core.runtime.files import home, listed, shown, write_together
from soup_core.runtime.store import default_store

FORMAT = 1  # of how weights are folded; a higher number has every file folded again


def folded(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with plain weights where it keeps weights in parts; itself where it keeps none so.

    Its digest follows from the checkpoint's own. Raises CheckpointError for a parametrization whose formula is not known,
    and where a weight comes out NaN or infinite; SoupError where the folded file cannot be written.
    """
    found = parametrized({name: info.shape for name, info in checkpoint.tensors.items()})
    if not found:
        return checkpoint
    digest = _folded_digest(checkpoint.digest, checkpoint)
    file = home() / "checkpoints" / f"{digest}.safetensors"
    with default_store().claim(f"fold-{digest}"):
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            tensors = _plain(checkpoint)
            write_together({file: writer(tensors, {})}, size_of(tensors))
    with opened(file, checkpoint.name, expected="a folded checkpoint", follow_links=False) as source:
        plain = Checkpoint.of_opened(source)
    plain.examination.content, plain.examination.found = None, Found(digest, (), ())
    if earlier := checkpoint.earlier_digest:
        plain.examination.earlier_digest = _folded_digest(earlier, checkpoint)
    plain.beside = checkpoint.beside
    kinds = ", ".join(dict.fromkeys(each.kind for each in found))
    count = f"{len(found)} weights were" if len(found) > 1 else "1 weight was"
    return plain.noted(*checkpoint.notes, f"{count} folded from parts ({kinds})")


def _folded_digest(digest: str, checkpoint: Checkpoint) -> str:
    content = json.dumps(["folded", FORMAT, digest, sorted(checkpoint.tensors)])
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    found = parametrized({name: info.shape for name, info in checkpoint.tensors.items()})
    parts = {name for each in found for name in each.parts.values()}
    with checkpoint.reader() as read:
        tensors = {name: read(name) for name in checkpoint.tensors if name not in parts}
        for each in found:
            if each.weight in tensors:
                raise CheckpointError(
                    f"{checkpoint.name} holds both {shown(each.weight)} and the parts that make it; save one of them."
                )
            try:
                tensors[each.weight] = folded_weight(each, read)
            except CheckpointError as error:
                raise CheckpointError(f"{checkpoint.name} cannot be folded. {error}") from error
    if broken := [each.weight for each in found if not bool(torch.isfinite(tensors[each.weight]).all())]:
        raise CheckpointError(
            f"{checkpoint.name} gives NaN or infinity where its weights are folded, in {listed(map(shown, broken))}; leave "
            "this checkpoint out, or train it again."
        )
    return tensors
