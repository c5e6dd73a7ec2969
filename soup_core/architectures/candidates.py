"""Preprocessings that may be meant where none is known for certain, likeliest first: for whoever can try them on images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core.architectures import arguments, proposed_preprocessing
from soup_core.architectures.transformers_processors import default_processor
from soup_core.data import Normalization, Preprocessing, Processor
from soup_core.errors import ZooError

USUAL_SIZE = 224
CROP_SHARE = 0.875  # torchvision's and timm's usual: 256 to 224
NORMALIZATIONS = {
    "ImageNet's mean and deviation": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "from -1 to 1": Normalization((0.5,) * 3, (0.5,) * 3),
    "from 0 to 1": Normalization((0.0,) * 3, (1.0,) * 3),
    "CLIP's mean and deviation": Normalization(
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ),
    "CIFAR-10's mean and deviation": Normalization((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
}


@dataclass(frozen=True)
class CandidatePreprocessing:
    """One that may be meant, and why; without `preprocessing` the images stay as they are, all of one size."""

    preprocessing: Preprocessing | Processor | None
    normalization: Normalization
    reason: str


def candidate_preprocessings(
    architecture: Mapping[str, Any],
    folder: Path,
    image_sizes: Sequence[tuple[int, int]],
    *,
    settings: Mapping[str, Any] | None = None,
) -> tuple[CandidatePreprocessing, ...]:
    """What images of these widths and heights may have gone through before this network, likeliest first.

    The first is what `proposed_preprocessing` finds, where it finds any; then each way to resize goes with each
    normalisation, the likeliest of both first. No two are equal. Raises ZooError for a network that is unknown.
    """
    try:
        known = proposed_preprocessing(architecture, folder, settings=settings)
    except ZooError:
        known = None
    kind, _, rest = arguments(architecture, folder)["name"].partition(":")
    default = default_processor(Path(rest)) if kind == "transformers" else None
    candidates = [
        CandidatePreprocessing(*found, reason)
        for found, reason in (
            (known, "what is saved with it, or its library says"),
            (default, "what its family does by default"),
        )
        if found
    ]
    normalizations = {each.reason: each.normalization for each in candidates}
    channels = {len(each.mean) for each in normalizations.values()} or {3}
    normalizations |= {name: each for name, each in NORMALIZATIONS.items() if len(each.mean) in channels}
    for way, preprocessing in _ways([each.preprocessing for each in candidates], set(image_sizes)):
        for name, normalization in normalizations.items():
            candidates.append(CandidatePreprocessing(preprocessing, normalization, f"{way}; normalised: {name}"))
    distinct: dict[object, CandidatePreprocessing] = {}
    for each in candidates:
        distinct.setdefault((each.preprocessing, each.normalization), each)
    return tuple(distinct.values())


def _ways(
    likely: Sequence[Preprocessing | Processor | None], image_sizes: set[tuple[int, int]]
) -> Iterator[tuple[str, Preprocessing | Processor | None]]:
    """Ways to bring images of these sizes to one, each with a name."""
    for each in likely:
        yield "resized as that says", each
    shapes = [each.shape for each in likely if isinstance(each, Preprocessing)]
    if len(image_sizes) == 1:
        ((width, height),) = image_sizes
        if not any(isinstance(each, Preprocessing) and each.keeps(width, height) for each in likely):
            yield "as they are", None
        shapes = shapes or [(height, width)]
    for height, width in shapes[:1] or [(USUAL_SIZE, USUAL_SIZE)]:
        if image_sizes == {(width, height)}:  # all that follows leaves them as they are
            continue
        yield f"both sides to {height}", Preprocessing(height, height, stretch=True)
        resized = round(height / CROP_SHARE)
        yield f"the shorter side to {resized}, cut to {height}", Preprocessing(resized, height)
        yield f"the shorter side to {height}, cut to {height}", Preprocessing(height, height)
