"""Pictures that a small network learns to tell apart in seconds: a disc on noise, whose colour and place say the class."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat", "dog")
SIDE = 64
A_CLASS = {"train": 12, "val": 10, "test": 10}


def make_pictures(folder: Path) -> None:
    """Class folders below train, val and test."""
    for number, (split, count) in enumerate(A_CLASS.items()):
        generator = np.random.default_rng(number)
        for index, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for picture in range(count):
                _disc(generator, 2 * math.pi * index / len(CLASSES)).save(folder / split / name / f"{picture}.png")


def _disc(generator: np.random.Generator, hue: float) -> Image.Image:
    pixels = generator.normal(0.45, 0.15, (SIDE, SIDE, 3))
    colour = [0.5 + 0.3 * math.cos(hue - 2 * math.pi * channel / 3) for channel in range(3)]
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    centre = 0.5 + 0.15 * np.array([math.cos(hue), math.sin(hue)]) + generator.normal(0, 0.05, 2)
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.05
    pixels[disc] = colour + generator.normal(0, 0.15, (int(disc.sum()), 3))
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))
