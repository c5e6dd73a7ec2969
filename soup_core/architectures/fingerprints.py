"""Fingerprints of networks: a digest of all names and shapes of their tensors, but for the number of classes.

assets/fingerprints.json holds those of torchvision, timm and open_clip; `python -m soup_core.architectures.fingerprints` makes it anew
with the releases installed, in about a quarter of an hour. Networks of equal tensors are run there on equal random weights, to see
which of them compute the same.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from soup_core import architectures
from soup_core.architectures.open_clip_models import QUICK, tower
from soup_core.architectures.optional import library
from soup_core.data import ASSETS, Preprocessing
from soup_core.errors import ZooError
from soup_core.runtime.files import write_atomically

TABLE = ASSETS / "fingerprints.json"
CLASSES = 1009  # a number that no other size of a network is: where a shape begins with it, there is the head
COMPARED_AT_MOST = 150_000_000  # weights of networks that are run, to see whether they compute the same
NOWHERE = Path("/")  # libraries' networks do not rest on files of a zoo
Shapes = Mapping[str, tuple[int, ...]]
Heads = tuple[str, ...]
Network = Mapping[str, Any]  # an architecture without the number of classes
Alike = Sequence[Network]  # networks that compute the same


def shapes_of(network: Network, folder: Path) -> Shapes:
    """The shapes of a network of 1009 classes by the tensors' names. Raises ZooError where it cannot be built."""
    return readings_of(network, folder)[0]


def readings_of(network: Network, folder: Path) -> list[Shapes]:
    """The same, and after it those by the names in the family's files, where these differ."""
    module = architectures.meta_module(**architectures.arguments({**network, "num_classes": CLASSES}, folder))
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    stored = {new: old for old, new in architectures.stored_names(network, module).items()}
    return [shapes, *([{stored.get(name, name): shape for name, shape in shapes.items()}] if stored else [])]


def heads_of(shapes: Shapes) -> Heads:
    """The tensors of `shapes_of` that have a row for each class."""
    return tuple(name for name, shape in shapes.items() if shape[:1] == (CLASSES,))


def fingerprint(shapes: Shapes, heads: Heads) -> str | None:
    """The digest; None where a head is missing, or not all have a row for each of the same number of classes."""
    rows = {shapes.get(name, ())[:1] for name in heads}
    if len(rows) != 1 or () in rows:
        return None
    lines = sorted(f"{name} {shape[1:] if name in heads else shape}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def looked_up(shapes: Shapes) -> list[tuple[Heads, Alike]]:
    """What the table has for these tensors, the likeliest first: networks that compute the same together, with the head."""
    return [(heads, alike) for heads, table in _read() for alike in table.get(fingerprint(shapes, heads) or "", ())]


def known_networks() -> Iterator[Network]:
    """Every network of the table, those of equal tensors after one another."""
    yield from (network for _, table in _read() for classes in table.values() for alike in classes for network in alike)


@cache
def _read() -> list[tuple[Heads, Mapping[str, Sequence[Alike]]]]:
    def network(written: Any) -> Network:
        return {"name": written} if isinstance(written, str) else written

    return [
        (tuple(heads.split()), {key: [[*map(network, alike)] for alike in classes] for key, classes in table.items()})
        for heads, table in json.loads(TABLE.read_text()).items()
    ]


def made(networks: Iterable[Network]) -> dict[str, dict[str, list[list[Network]]]]:
    """The table of these networks: by the names of the head's tensors, then by fingerprint, those alike together."""
    table: dict[str, dict[str, list[Network]]] = {}
    for network in networks:
        shapes = shapes_of(network, NOWHERE)
        if heads := heads_of(shapes):  # encoders have none
            table.setdefault(" ".join(heads), {}).setdefault(fingerprint(shapes, heads) or "", []).append(network)
    return {
        heads: {key: _classes(group) for key, group in sorted(by_key.items())}
        for heads, by_key in sorted(table.items())
    }


def _classes(group: list[Network]) -> list[list[Network]]:
    if len(group) == 1:
        return [group]
    shapes = shapes_of(group[0], NOWHERE)
    if sum(map(math.prod, shapes.values())) > COMPARED_AT_MOST:
        return [[network] for network in group]
    size = _size(group[0])
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    classes: list[tuple[Tensor | None, list[Network]]] = []
    for network in group:
        logits = _logits(network, images)
        for known, alike in classes:
            if logits is not None and known is not None and torch.allclose(logits, known, rtol=1e-3, atol=1e-3):
                alike.append(network)
                break
        else:
            classes.append((logits, [network]))
    return [alike for _, alike in classes]


def _size(network: Network) -> int:
    proposed = architectures.proposed_preprocessing({**network, "num_classes": 1}, NOWHERE)
    return proposed[0].shape[0] if proposed and isinstance(proposed[0], Preprocessing) else 224


def _logits(network: Network, images: Tensor) -> Tensor | None:
    """Of random weights that are the same for networks of the same tensors, scaled to one; None where it cannot be run."""
    module = architectures.build(**architectures.arguments({**network, "num_classes": 7}, NOWHERE)).eval()
    module.load_state_dict(drawn(module.state_dict()))
    try:
        with torch.inference_mode():
            logits: Tensor = module(images)
    except (RuntimeError, AssertionError, ValueError):  # for images of another size
        return None
    return (logits - logits.mean()) / logits.std()


def drawn(tensors: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Random tensors of these names, shapes and dtypes, such that what goes through the network neither grows nor fades."""
    generator = torch.Generator().manual_seed(seed)
    random = {}
    for name, tensor in sorted(tensors.items()):
        if not tensor.is_floating_point():
            random[name] = tensor
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            random[name] = noise / math.sqrt(max(1, tensor[0].numel()))
        else:
            random[name] = 0.1 * noise if name.endswith(("bias", "running_mean")) else 1 + 0.1 * noise.clamp(-3, 3)
    return random


def _networks() -> Iterator[Network]:
    """Every classifier of the libraries; of those with equal tensors, the likelier ones first."""
    from torchvision import models

    for name in models.list_models(module=models):
        network: Network = {"name": f"torchvision:{name}"}
        sizes = {each.transforms().crop_size[0] for each in models.get_model_weights(name)}
        for size in sorted(sizes - {224}) if name.startswith("vit_") else ():
            yield {**network, "image_size": size}
        if name in ("googlenet", "inception_v3"):  # fine-tuned from torchvision's weights, they transform their input
            yield from ({**network, "transform_input": True, **aux} for aux in ({}, {"aux_logits": False}))
            yield {**network, "aux_logits": False}
        yield network
    for name in models.list_models(module=models):
        with suppress(ZooError):  # fastai cannot cut all
            architectures.meta_module(f"fastai:{name}", CLASSES)
            yield {"name": f"fastai:{name}"}
    open_clip, timm = library("open_clip", "open_clip_torch"), library("timm", "timm")

    def is_openai(name: str) -> bool:
        return name.endswith(QUICK) and "openai" in open_clip.list_pretrained_tags_by_model(name)

    def likelier(name: str) -> tuple[bool, bool, int, str]:
        return not is_openai(name), not open_clip.list_pretrained_tags_by_model(name), len(name), name

    towers = set()
    for name in sorted(open_clip.list_models(), key=likelier):
        images = architectures.proposed_preprocessing({"name": f"open_clip:{name}", "num_classes": 1}, NOWHERE)
        key = json.dumps([tower(name), repr(images)], sort_keys=True)
        if key not in towers:
            towers.add(key)
            yield {"name": f"model_soups:{name.removesuffix(QUICK)}" if is_openai(name) else f"open_clip:{name}"}
    for name in sorted(timm.list_models(), key=lambda name: (not timm.is_model_pretrained(name), len(name), name)):
        yield {"name": f"timm:{name}"}


def _written(table: Mapping[str, Mapping[str, Sequence[Alike]]]) -> str:
    def line(key: str, classes: Sequence[Alike]) -> str:
        said = [[network["name"] if len(network) == 1 else network for network in alike] for alike in classes]
        return f"  {json.dumps(key)}: {json.dumps(said)}"

    parts = [
        f" {json.dumps(heads)}: {{\n" + ",\n".join(line(*item) for item in by_key.items()) + "\n }"
        for heads, by_key in table.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    write_atomically(TABLE, _written(made(_networks())).encode())
