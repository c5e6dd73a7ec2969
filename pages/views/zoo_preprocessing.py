"""How a proposed zoo's images are prepared: the fields that say it, and a few pictures as the network would see them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared import caching
from pages.shared.sentences import sentences
from soup_core.data import BUNDLED_SETS, Interpolation
from soup_core.data.sample import sample
from soup_core.errors import SoupError, ZooError
from soup_core.formatting import plain
from soup_core.zoo.proposal import Proposal
from soup_core.zoo.toml import DataEntry, checked

USUAL = {"resize": 256, "crop": 224, "interpolation": "bilinear"}
OF_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
OF_ANY = {"mean": [0.5], "std": [0.5]}  # of tensors, whose channels are not known here
PICTURES = 4
WIDTH_AT_MOST = 168  # on the page, of which four stand in a row, and two on a telephone


def preprocessed(proposal: Proposal, key: str) -> Proposal:
    """The proposal with the preprocessing that the fields say; where none was proposed, once a person asks for them."""
    data = dict(proposal.data)
    if data.get("source", "fashion_mnist") in BUNDLED_SETS or proposal.holds_texts:  # prepared in one way alone
        return proposal
    # What another network proposes is shown in fields of their own.
    key = f"{key}:{(proposal.architecture or {}).get('name')}"
    decoded = str(data["source"]).startswith(("imagefolder:", "torchvision:"))
    if ("preprocessing" if decoded else "normalize") not in data:
        if not st.toggle(
            "Say how images were prepared",
            key=f"{key}:prepared",
            help="Nothing beside the checkpoints tells it. Left off, a look at a few held-out images finds the likeliest way.",
        ):
            return proposal
        usual = {"preprocessing": USUAL, "normalize": OF_IMAGENET} if decoded else {"normalize": OF_ANY}
        data = {**usual, **data}
    columns = st.columns(5)
    if given := data.get("preprocessing"):
        data["preprocessing"] = _steps(given, key, columns)
    if "normalize" in data:
        data["normalize"] = _normalization(data["normalize"], key, columns[3:])
    told = proposal.are_images_told or data != proposal.data
    if not told:
        told = st.toggle(
            "Take this as it is",
            key=f"{key}:as-it-is",
            help="No run says it; it is what the network's own files expect. Left off, a look at a few held-out images may find a "
            "likelier way, and takes it.",
        )
    return replace(proposal, data=data, are_images_told=told)


def _steps(given: Mapping[str, Any], key: str, columns: Sequence[DeltaGenerator]) -> Mapping[str, Any]:
    """The table of preprocessing as the fields say it; what has no field stays as it is."""
    if "processor" in given:
        columns[0].caption(plain(f"Prepared by the processor in {given['processor']}."))
        return given
    if not all(isinstance(given[size], int) for size in ("resize", "crop")):
        columns[0].caption(plain(f"Resized to {given['resize']}, cut to {given['crop']}: height and width."))
        return given
    resize = columns[0].number_input(
        "Resize to", 1, 4096, given["resize"], key=f"{key}:resize", help="Pixels of the shorter side."
    )
    crop = columns[1].number_input(
        "Crop", 1, 4096, given["crop"], key=f"{key}:crop", help="Pixels of the square that is cut from the middle."
    )
    kinds = get_args(Interpolation)
    kind = columns[2].selectbox("Interpolation", kinds, kinds.index(given["interpolation"]), key=f"{key}:kind")
    stretch = columns[2].toggle(
        "Stretch",
        given.get("stretch", False),
        key=f"{key}:stretch",
        help="Resize both sides, whatever the image's shape, as transformers does for some.",
    )
    others = {name: value for name, value in given.items() if name != "stretch"}
    table = {**others, "resize": int(resize), "crop": int(crop), "interpolation": kind}
    return table | ({"stretch": True} if stretch else {})


def _normalization(given: Mapping[str, Any], key: str, columns: Sequence[DeltaGenerator]) -> dict[str, list[float]]:
    """Mean and standard deviation as the fields say them. Raises ZooError for what are no numbers."""
    read = {}
    for column, what in zip(columns, ("mean", "std"), strict=True):
        text = column.text_input(
            what.capitalize(),
            " ".join(f"{value!r}" for value in given[what]),
            key=f"{key}:{what}",
            help="A value a channel, on the 0 to 1 scale.",
        )
        try:
            read[what] = [float(value) for value in text.replace(",", " ").split()]
        except ValueError:
            raise ZooError(f"{what} takes a number a channel, such as 0.485 0.456 0.406; found {text!r}.") from None
    return read


@st.cache_resource(max_entries=16, show_spinner=False)
def _pictures(_proposal: Proposal, content: str, stamp: caching.Stamp) -> Sequence[np.ndarray] | SoupError:
    """A few held-out images, H×W×C as bytes, as they are before they are normalised; once for as long as files stay."""
    try:
        # Which output is which may still be asked for; pictures do not depend on it.
        table = {key: value for key, value in _proposal.data.items() if key not in ("classes", "outputs", "shifts")}
        data = checked(DataEntry, table, "What the fields say of images").opened(_proposal.folder)
        with caching.undrawn():
            drawn = sample(data, "held_out", PICTURES)
            (images,) = drawn.images([(data.preprocessing, len(data.normalization.mean))])
        return [image.permute(1, 2, 0).numpy() for image in images]
    except SoupError as error:
        return error


@st.cache_resource(max_entries=16, show_spinner=False)
def _texts(_proposal: Proposal, content: str, stamp: caching.Stamp) -> Sequence[tuple[str, str]] | SoupError:
    """A few held-out texts with their labels, once for as long as files stay."""
    try:
        architecture = _proposal.architecture or {}
        table = {key: value for key, value in _proposal.data.items() if key not in ("outputs", "shifts")}
        entry = checked(DataEntry, table, "What the fields say of texts")
        data = entry.opened(_proposal.folder, architecture.get("num_classes"), str(architecture.get("name", "")))
        with caching.undrawn():
            split = data.split("held_out")
        found = []
        for index in range(min(PICTURES, len(split))):
            label = int(split.labels[index])
            name = data.classes[label] if label < len(data.classes) else str(label)
            found.append((" / ".join(sentences(split, index)), name))
        return found
    except SoupError as error:
        return error


def _draw_texts(proposal: Proposal) -> None:
    """A few held-out texts with their labels, as literal text."""
    content = repr((proposal.data, proposal.architecture))
    found = _texts(proposal, content, caching.zoo_stamp(proposal.folder))
    if isinstance(found, SoupError):
        st.caption(f"No text can be shown so. {plain(str(found))}")
        return
    st.caption("Held-out texts, and what they are labelled:")
    for text, name in found:
        st.markdown(f"“{plain(text)}”: {plain(name)}")


def draw_pictures(proposal: Proposal) -> None:
    """A few held-out images as the network would see them, or texts, or why there are none; nothing without a source."""
    if "source" not in proposal.data or proposal.texts_asked:
        return
    if proposal.holds_texts:
        _draw_texts(proposal)
        return
    pictures = _pictures(proposal, repr(proposal.data), caching.zoo_stamp(proposal.folder))
    if isinstance(pictures, SoupError):
        st.caption(f"No picture can be shown so. {plain(str(pictures))}")
        return
    height, width = pictures[0].shape[:2]
    times = 2 if 2 * width <= WIDTH_AT_MOST else 1
    doubled = ", twice as large here" if times == 2 else ""
    st.caption(f"As the network sees them, {width}×{height} pixels{doubled}:")
    with st.container(horizontal=True, gap="small"):
        for number, pixels in enumerate(pictures, 1):
            larger = pixels.repeat(times, 0).repeat(times, 1)
            st.image(
                larger if pixels.shape[2] == 3 else larger[..., 0],  # one channel is shown in grey
                width=min(WIDTH_AT_MOST, times * width),
                output_format="PNG",
                alt=f"Held-out image {number}, as it is prepared",
            )
