"""Ways to prepare images where nobody has said one: few, the likeliest first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from soup_core.architectures import arguments
from soup_core.architectures.transformers_processors import default_processor
from soup_core.data import UNNORMALIZED, UNNORMALIZED_COLOUR, Normalization, Preprocessing, Processor
from soup_core.data.sample import Sample
from soup_core.zoo import Zoo

USUAL_SIDE = 224
RESIZED_SHARE = 256 / 224  # what is cut from the middle was resized to, in most recipes since AlexNet's
NORMALIZATIONS: Mapping[int, Mapping[str, Normalization]] = {
    3: {
        "normalised by 0.5 and 0.5": Normalization((0.5,) * 3, (0.5,) * 3),
        "normalised as for ImageNet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "normalised as for CLIP": Normalization(
            (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        ),
        "from 0 to 1": UNNORMALIZED_COLOUR,
    },
    1: {
        "normalised by 0.5 and 0.5": Normalization((0.5,), (0.5,)),
        "normalised as for MNIST": Normalization((0.1307,), (0.3081,)),
        "from 0 to 1": UNNORMALIZED,
    },
}


@dataclass(frozen=True)
class Preparation:
    """A way to prepare images; without preprocessing they stay in their own size."""

    preprocessing: Preprocessing | Processor | None
    normalization: Normalization

    @property
    def words(self) -> str:
        """The way in a few words."""
        channels = NORMALIZATIONS.get(len(self.normalization.mean), {})
        mean, std = (
            " ".join(f"{value:g}" for value in each) for each in (self.normalization.mean, self.normalization.std)
        )
        known = (words for words, each in channels.items() if each == self.normalization)
        return f"{self._size}, {next(known, f'normalised by {mean} and {std}')}"

    @property
    def _size(self) -> str:
        way = self.preprocessing
        if not isinstance(way, Preprocessing):
            return "their own size" if way is None else "as given"
        if way.stretch:
            return f"{way.resize} {way.interpolation} stretched"
        return f"{way.resize} {way.interpolation}" + (f", {way.crop} cut out" if way.crop != way.resize else "")

    def table(self) -> dict[str, Any]:
        """The entries of zoo.toml's [data] that say it."""
        table = {"preprocessing": self.preprocessing.table()} if isinstance(self.preprocessing, Preprocessing) else {}
        normalize = {"mean": list(self.normalization.mean), "std": list(self.normalization.std)}
        return {**table, "normalize": normalize}


def preparation_of(zoo: Zoo) -> Preparation:
    """The way that the zoo's images are prepared now."""
    return Preparation(zoo.data.preprocessing, zoo.data.normalization)


def usual_preparation(zoo: Zoo) -> Preparation | None:
    """What the network's family does by default, at the network's own size; None where it has no default that is known."""
    family, _, folder = str(arguments(zoo.architecture, zoo.folder)["name"]).partition(":")
    usual = default_processor(Path(folder)) if family == "transformers" else None
    return Preparation(*usual) if usual else None


def sizes(zoo: Zoo, images: Sample) -> Iterator[Preparation]:
    """Ways that differ in size alone, with the zoo's normalisation: of the network's size, of their own, or the usual."""
    if images.is_prepared:
        yield preparation_of(zoo)
        return
    ways: list[Preprocessing | None] = []
    known = network_side(zoo)
    for side in [known] if known else [*({images.size[0]} if images.size else ()), USUAL_SIDE]:
        ways.append(Preprocessing(side, side, "bilinear", stretch=True))
        if not all(width == height for width, height in images.sizes):
            ways.append(Preprocessing(side, side))
        ways.append(Preprocessing(round(side * RESIZED_SHARE), side))
    if images.size and images.size != (known, known):
        ways.append(None)
    yield from (Preparation(way, zoo.data.normalization) for way in dict.fromkeys(ways))


def normalizations(preparation: Preparation, images: Sample) -> Iterator[Preparation]:
    """Ways that differ in normalisation alone; of texts none."""
    if images.holds_texts:
        return
    channels = images.source.shape[1] if isinstance(images.source, Tensor) else len(preparation.normalization.mean)
    known = NORMALIZATIONS.get(channels, {})
    yield from (replace(preparation, normalization=each) for each in known.values())


def bicubic(preparation: Preparation) -> Iterator[Preparation]:
    """The same way by bicubic interpolation, where it is by bilinear."""
    way = preparation.preprocessing
    if isinstance(way, Preprocessing) and way.interpolation == "bilinear":
        yield replace(preparation, preprocessing=replace(way, interpolation="bicubic"))


def network_side(zoo: Zoo) -> int | None:
    """The side of the images that the network was made for, where its options or its library's object say one."""
    options = zoo.architecture
    module = zoo.reference
    config = getattr(module, "config", None)
    candidates = (
        options.get("img_size"),
        options.get("image_size"),
        getattr(config, "image_size", None),
        getattr(module, "image_size", None),
        getattr(getattr(module, "patch_embed", None), "img_size", None),
    )
    for each in candidates:
        side = each[0] if isinstance(each, (tuple, list)) and each else each
        if isinstance(side, int) and side > 0:
            return side
    return None
