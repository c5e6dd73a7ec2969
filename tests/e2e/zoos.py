"""Zoos of a few bundled networks and some of their images, under other names: quick to open and to evaluate."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch

import soup_core as sc
from soup_core.data import ASSETS
from tests.zoos import write_zoo

IMAGES = 60  # of a split
FIVE = ("m0", "m1", "m2", "m3", "m4")
HOSTILE = (
    "![x](http://192.0.2.1/x.png) <img src=http://192.0.2.1/y.png> **b** [l](http://192.0.2.1)",
    "%{y} <b>%{customdata[0]}</b> $x$ `x` :red[x]\n\u202eabc www.example.org",
    "n" * 250,
)


def write_fashion_zoo(
    folder: Path,
    names: Sequence[str],
    hyperparameters: Sequence[str] = (),
    *,
    images: int = IMAGES,
    trajectory: bool = False,
) -> None:
    """A zoo of the first bundled networks, named so, and their base; `hyperparameters` are inline tables of TOML."""
    bundled = ASSETS / "zoos" / "fashion"
    files = {
        f"m{index}": safetensors.torch.load_file(bundled / f"ft-{index + 1:02}.safetensors")
        for index in range(len(names))
    }
    base = safetensors.torch.load_file(bundled / "base.safetensors")
    write_zoo(folder, {**files, "base": base}, architecture="fashion_cnn", trajectory=trajectory)
    data = sc.open_zoo("fashion").data.split("held_out")
    safetensors.torch.save_file(
        {
            f"{split}.{kind}": tensor[start : start + images].contiguous()
            for start, split in ((0, "held_out"), (images, "test"), (2 * images, "train"))
            for kind, tensor in (("images", data.images), ("labels", data.labels))
        },
        folder / "data.safetensors",
    )
    text = (folder / "zoo.toml").read_text().replace("num_classes = 3", "num_classes = 10, hidden = 128")
    for index, name in enumerate(names):
        text = text.replace(f'name = "m{index}"', f"name = {toml_string(name)}")
    for each in hyperparameters:
        text = text.replace("{ learning_rate = 0.1 }", each, 1)
    (folder / "zoo.toml").write_text(text)


def write_five(folder: Path) -> None:
    """The zoo that most tests share, so that what one of them has computed need not be computed for the next."""
    rates = ((1, 4), (2, 8), (3, 4), (4, 8), (5, 4))
    write_fashion_zoo(folder, FIVE, [f"{{ learning_rate = {rate}, epochs = {epochs} }}" for rate, epochs in rates])


def toml_string(text: str) -> str:
    """The text as a basic string of TOML."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"'
