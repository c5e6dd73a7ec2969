"""Fingerprints of networks without their heads, by which one is found again whose head, input or image size was changed.

assets/bodies.json holds those of all networks in assets/fingerprints.json; `python -m soup_core.architectures.bodies` makes it anew
with the releases installed, in some minutes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from soup_core.architectures.fingerprints import NOWHERE, Network, Shapes, heads_of, known_networks, shapes_of
from soup_core.data import ASSETS
from soup_core.errors import ZooError
from soup_core.runtime.files import write_atomically

TABLE = ASSETS / "bodies.json"
OF_IMAGE_SIZE = ("pos", "attention_bias")  # in names of tensors that change with it
CHANNELS = (1, 2, 3, 4)


def tops_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The first parts of names, in order: what a head is called in its network."""
    return tuple(sorted({name.partition(".")[0] for name in names}))


def body_fingerprint(shapes: Shapes, tops: tuple[str, ...]) -> str | None:
    """The digest of what stands under none of these first parts; None where that is not most of the tensors.

    Left out is what depends on the image size, and the number of input channels where it may be one.
    """
    body = {name: shape for name, shape in shapes.items() if name.partition(".")[0] not in tops}
    if 2 * len(body) <= len(shapes):
        return None
    lines = sorted(
        f"{name} {(shape[0], 'channels', *shape[2:]) if len(shape) == 4 and shape[1] in CHANNELS else shape}"
        for name, shape in body.items()
        if not any(part in name for part in OF_IMAGE_SIZE)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def alike_in_body(shapes: Shapes) -> Iterator[Network]:
    """Networks whose bodies have the names of these tensors, and their shapes but for image size and input channels."""
    for tops, table in _read():
        yield from table.get(body_fingerprint(shapes, tops) or "", ())


@cache
def _read() -> list[tuple[tuple[str, ...], dict[str, list[Network]]]]:
    return [
        (
            tuple(tops.split()),
            {
                key: [{"name": each} if isinstance(each, str) else each for each in found]
                for key, found in table.items()
            },
        )
        for tops, table in json.loads(TABLE.read_text()).items()
    ]


def made(networks: Iterable[Network]) -> dict[str, dict[str, list[Network]]]:
    """The table of these networks: by their heads' first parts, then by fingerprint."""
    table: dict[str, dict[str, list[Network]]] = {}
    for network in networks:
        try:
            shapes = shapes_of(network, NOWHERE)
        except ZooError:
            continue
        tops = tops_of(heads_of(shapes))
        if digest := body_fingerprint(shapes, tops):
            table.setdefault(" ".join(tops), {}).setdefault(digest, []).append(network)
    return {tops: dict(sorted(by_key.items())) for tops, by_key in sorted(table.items())}


def _written(table: Mapping[str, Mapping[str, Sequence[Network]]]) -> str:
    def line(key: str, found: Sequence[Network]) -> str:
        names = [network["name"] if len(network) == 1 else network for network in found]
        return f"  {json.dumps(key)}: {json.dumps(names)}"

    parts = [
        f" {json.dumps(tops)}: {{\n" + ",\n".join(line(*item) for item in by_key.items()) + "\n }"
        for tops, by_key in table.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    write_atomically(TABLE, _written(made(known_networks())).encode())
