"""Zoos of a few bundled networks and some of their images, under other names: quick to open and to evaluate."""

from pathlib import Path

import safetensors.torch

import soup_core as sc
from soup_core.data import ASSETS
from tests.zoos import write_zoo

IMAGES = 150
HOSTILE = (
    "![x](http://192.0.2.1/x.png) <img src=http://192.0.2.1/y.png> **b** [l](http://192.0.2.1)",
    "%{y} <b>%{customdata[0]}</b> $x$ `x` :red[x]\n\u202eabc www.example.org",
    "n" * 250,
)


def made(folder: Path, names: dict[str, str], hyperparameters: list[str]) -> None:
    """A zoo of a few bundled networks and of their images, under other names."""
    bundled = ASSETS / "zoos" / "fashion"
    files = {
        name: safetensors.torch.load_file(bundled / f"ft-{index:02}.safetensors") for index, name in enumerate(names, 1)
    }
    base = safetensors.torch.load_file(bundled / "base.safetensors")
    write_zoo(folder, {**files, "base": base}, architecture="fashion_cnn")
    data = sc.open_zoo("fashion").data.split("held_out")
    safetensors.torch.save_file(
        {f"{split}.{kind}": tensor[start : start + IMAGES].contiguous()
         for start, split in ((0, "held_out"), (IMAGES, "test"), (2 * IMAGES, "train"))
         for kind, tensor in (("images", data.images), ("labels", data.labels))},
        folder / "data.safetensors",
    )  # fmt: skip
    text = (folder / "zoo.toml").read_text().replace("num_classes = 3", "num_classes = 10, hidden = 128")
    for name, shown in names.items():
        text = text.replace(f'name = "{name}"', f"name = {toml(shown)}")
    for each in hyperparameters:
        text = text.replace("{ learning_rate = 0.1 }", each, 1)
    (folder / "zoo.toml").write_text(text)


def toml(text: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"'
