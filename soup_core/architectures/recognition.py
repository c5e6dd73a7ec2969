"""Which network a checkpoint is of, from the names and shapes of its tensors alone.

What the table of fingerprints, a configuration beside the file or a hint proposes is built without memory, and compared,
before it is said.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core import architectures
from soup_core.architectures.fingerprints import (
    Alike,
    Heads,
    Network,
    Shapes,
    fingerprint,
    heads_of,
    looked_up,
    readings_of,
)
from soup_core.architectures.optional import NotInstalled
from soup_core.architectures.transformers_models import OF_IMAGES, OF_TEXTS
from soup_core.checkpoints import networks_within, unwrappings
from soup_core.data import Normalization, Preprocessing, Processor
from soup_core.errors import ZooError

FOLDERS_AT_MOST = 50  # that are looked into for a configuration
CONFIGURATION_AT_MOST = 1_000_000  # bytes
CLASSIFIERS = (OF_IMAGES, OF_TEXTS)  # one stands in the names of transformers' classifiers
Known = Sequence[tuple[Heads, Alike]]


@dataclass(frozen=True)
class Guess:
    """An architecture for zoo.toml that takes exactly these tensors, and why, in a sentence or two."""

    architecture: Mapping[str, Any]
    why: str


def recognised(tensors: Shapes, folder: Path, *, hints: Sequence[str] = ()) -> tuple[Guess, ...]:
    """The architectures that take tensors of these names and shapes, best first; empty where none is known to.

    A transformers configuration in `folder`, or in a folder of it, comes first; then what `hints` name, such as the model
    in a training script's own settings; then torchvision. The number of classes is read off the head.
    """
    return next((guesses for reading in _readings(tensors) if (guesses := _guesses(*reading, folder, hints))), ())


def _readings(tensors: Shapes) -> Iterator[tuple[Shapes, Collection[str]]]:
    """The tensors without what wrappers put within names; without each before all names; without what stands beside.

    That is what a family's files hold beside the network, and what a trainer's module does.
    """
    bare = tensors
    for names, _ in unwrappings(tensors):
        bare = {new: tensors[name] for name, new in names.items()}
        yield bare, ()
    families = [{"name": family} for family in architectures.FAMILIES]
    left_out = {name for name in bare for family in families if architectures.ignored(family, name)}
    if left_out:
        yield {name: shape for name, shape in bare.items() if name not in left_out}, left_out
    for names, _ in networks_within(tensors):
        yield {new: tensors[name] for name, new in names.items()}, ()


def _guesses(given: Shapes, left_out: Collection[str], folder: Path, hints: Sequence[str]) -> tuple[Guess, ...]:
    known = looked_up(given)
    guesses: list[Guess] = []
    for network, heads in _candidates(given, folder, hints, known):
        if not all(architectures.ignored(network, name) for name in left_out):
            continue
        missing = ""
        try:
            heads = _fitting_heads(network, given, folder)
        except NotInstalled as error:
            missing = f" {error}"
        except ZooError:  # a hint at nothing, or a release that lacks what the table's had
            continue
        if not heads:
            continue
        architecture = {"name": network["name"], "num_classes": given[heads[0]][0], **network}
        if all(_network(guess.architecture) != _network(architecture) for guess in guesses):
            why = _why(architecture, guesses[0].architecture if guesses else None, known, len(given), folder)
            if missing and network["name"].startswith("transformers:"):  # no table has it, so nothing was compared
                why = "The configuration of a classifier of transformers lies there; whether it fits could not be seen."
            guesses.append(Guess(architecture, why + missing))
    return tuple(guesses)


def _candidates(given: Shapes, folder: Path, hints: Sequence[str], known: Known) -> Iterator[tuple[Network, Heads]]:
    """Networks that may take these tensors, best first, with their heads where the table knows these."""
    configured, named = _configured(folder)
    likely = tuple(sorted(name for name, shape in given.items() if name.startswith("classifier.") and shape)[-1:])
    yield from (({"name": name}, likely) for name in configured)
    if given.get("features.0.weight") == (24, 1, 5, 5):
        hidden = {"hidden": given["hidden.0.weight"][0]} if given.get("hidden.0.weight") else {}
        batch = {"normalization": "batch"} if "features.1.running_mean" in given else {}
        yield {"name": "fashion_cnn", **hidden, **batch}, ()
    if "features.10.conv.2.bias" in given:
        yield {"name": "mobilenet_v2_blocks"}, ()
    for hint in dict.fromkeys(hint.rpartition("/")[2] for hint in (*named, *hints)):
        yield from (({"name": f"{family}:{hint}"}, ()) for family in ("torchvision", "timm"))
    yield from ((network, heads) for heads, alike in known for network in alike)


def _configured(folder: Path) -> tuple[list[str], list[str]]:
    """What config.json in a folder, or in those below it, says: transformers' classifiers, and names of other networks."""
    named: dict[str, str] = {}
    others = []
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return [], []
    for parent in (folder, *below[:FOLDERS_AT_MOST]):
        try:
            file = parent / "config.json"
            if not file.is_file() or file.stat().st_size > CONFIGURATION_AT_MOST:
                continue
            configuration = json.loads(file.read_bytes())
            if "model_type" in configuration and any(
                classifier in kind
                for kind in configuration.get("architectures") or CLASSIFIERS
                for classifier in CLASSIFIERS
            ):
                named.setdefault(
                    json.dumps(configuration, sort_keys=True), f"transformers:{parent.relative_to(folder)}"
                )
            elif isinstance(configuration.get("architecture"), str):
                others.append(configuration["architecture"])
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            continue
    return list(named.values()), others


def _fitting_heads(network: Network, given: Shapes, folder: Path) -> Heads:
    """The head of a network that takes these tensors; empty where it does not. Raises ZooError if it cannot be built."""
    for shapes in readings_of(network, folder):
        heads = heads_of(shapes)
        if heads and fingerprint(given, heads) == fingerprint(shapes, heads):
            return heads
    return ()


def _why(
    architecture: Mapping[str, Any], first: Mapping[str, Any] | None, known: Known, count: int, folder: Path
) -> str:
    """The reason to propose an architecture, on its own or beside the first that was proposed."""
    if first is None:
        classes = f"{architecture['num_classes']:,} classes"
        return f"All {count:,} tensors have the names and shapes of {_label(architecture)} with {classes}."
    network, other = _network(architecture), _network(first)
    if network == other or any(network in alike and other in alike for _, alike in known):
        return f"The same network as {_label(first)}. {_images(architecture, first, folder)}".strip()
    return (
        f"Its tensors have the names and shapes of {_label(first)} too, but it may compute something else with them "
        f"(padding, activation, pooling): choose it where the accuracy with {_label(first)} is unexpectedly low."
    )


def _images(architecture: Mapping[str, Any], first: Mapping[str, Any], folder: Path) -> str:
    """How the images that two architectures' own weights expect differ; empty where that is not known."""
    try:
        ours, theirs = (architectures.proposed_preprocessing(each, folder) for each in (architecture, first))
    except ZooError:
        return ""
    if ours is None or theirs is None:
        return ""
    if ours == theirs:
        return "Its own weights expect the same images."
    normalized = ours[1] != theirs[1]
    return (
        f"Its own weights expect images {_said(*ours, normalized)}; those of the other, {_said(*theirs, normalized)}."
    )


def _said(preprocessing: Preprocessing | Processor, normalization: Normalization, normalized: bool) -> str:
    if isinstance(preprocessing, Processor):
        sizes = f"as the processor in {Path(preprocessing.processor).name} makes them"
    else:
        how = "stretched" if preprocessing.stretch else "resized"
        sizes = f"{how} to {preprocessing.resize} and cropped to {preprocessing.crop} ({preprocessing.interpolation})"
    mean, std = (", ".join(f"{value:g}" for value in each) for each in (normalization.mean, normalization.std))
    return f"{sizes}, normalised by mean {mean} and deviation {std}" if normalized else sizes


def _label(architecture: Mapping[str, Any]) -> str:
    options = [
        f"{key} = {json.dumps(value)}" for key, value in architecture.items() if key not in ("name", "num_classes")
    ]
    return f"{architecture['name']} ({', '.join(options)})" if options else str(architecture["name"])


def _network(architecture: Mapping[str, Any]) -> Network:
    """An architecture as the table has it: without classes, and without the tag of timm's weights."""
    name = str(architecture["name"])
    untagged = name.partition(".")[0] if name.startswith("timm:") else name
    return {**{key: value for key, value in architecture.items() if key != "num_classes"}, "name": untagged}
