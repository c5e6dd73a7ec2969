"""Zoos far larger than the bundled ones, made of these with seeds.

    python -m benchmarks.large_zoos FOLDER --kind ingredients|classes|images|published

Each brings the evaluations of its single models, as the bundled zoos do.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core.data import ASSETS
from soup_core.evaluation.evaluation import row_of
from soup_core.evaluation.shipped import shipped_text
from tests.published_results import drawn_sweep

FASHION = ASSETS / "zoos" / "fashion"
INGREDIENTS, CLASSES, IMAGES, PUBLISHED = 200, 1000, 50_000, 3000
INGREDIENTS_OF_CLASSES, IMAGES_OF_CLASSES = 36, 20_000
RIDGE, SURENESS = 0.1, 40.0
SEED = 17
Weights = Mapping[str, Tensor]


def ingredients(folder: Path, count: int = INGREDIENTS, images: int | None = None) -> Path:
    """The bundled zoo with `count` ingredients: each a mix of two bundled ones and of noise, as much as its rate says.

    `images` takes so many of the held-out and of the test images; without it the zoo has the bundled images.
    """
    bundled = [_weights(FASHION / f"{name}.safetensors") for name in sc.open_zoo("fashion").names]
    chance = np.random.default_rng(SEED)
    files, settings = {}, {}
    for number in range(1, count + 1):
        first, second = (bundled[int(index)] for index in chance.choice(len(bundled), 2, replace=False))
        share, rate = chance.random(), 10 ** chance.uniform(-4, -2)
        noise = float(0.6 * chance.random() ** 2)
        name = f"run-{number:03}"
        files[name] = _noisy(_between(first, second, share), noise, SEED + number)
        settings[name] = {
            "learning_rate": float(f"{rate:.3g}"),
            "weight_decay": float(f"{10 ** chance.uniform(-4, -1):.3g}"),
            "epochs": int(chance.choice([4, 8, 12, 16])),
            "augmentation": str(chance.choice(["none", "shift", "flip+shift"])),
            "noise": round(noise, 3),
            "seed": SEED + number,
        }
    data = None if images is None else {split: _bundled(split, images) for split in ("held_out", "test")}
    return _written(
        folder, f"{count} ingredients", files, settings, base=_weights(FASHION / "base.safetensors"), data=data
    )


def classes(folder: Path, count: int = INGREDIENTS_OF_CLASSES, images: int = IMAGES_OF_CLASSES) -> Path:
    """A zoo of 1,000 classes: the bundled network's features with a head fitted to seeded patterns, and noise on it."""
    base = dict(_weights(FASHION / "base.safetensors"))
    patterns = torch.rand(CLASSES, 1, 7, 7, generator=_seeded(SEED))
    data = {
        split: _patterned(patterns, size, seed) for seed, (split, size) in enumerate(_split_sizes(images).items(), 1)
    }
    base |= _fitted_head(base, *_patterned(patterns, 12 * CLASSES, 0))
    chance = np.random.default_rng(SEED)
    files, settings = {}, {}
    for number in range(1, count + 1):
        noise, name = float(chance.uniform(0.1, 0.5)), f"run-{number:02}"
        files[name] = _noisy(base, noise, SEED + number)
        settings[name] = {"noise": round(noise, 3), "seed": SEED + number}
    return _written(folder, "1,000 classes", files, settings, base=base, data=data, classes=CLASSES)


def images(folder: Path, count: int = IMAGES, ingredients: int = 24) -> Path:
    """The first bundled ingredients, judged by `count` held-out images: the bundled ones moved and dimmed with seeds."""
    names = sc.open_zoo("fashion").names[:ingredients]
    files = {name: _weights(FASHION / f"{name}.safetensors") for name in names}
    settings = {name: {"seed": 2000 + index} for index, name in enumerate(names, 1)}
    data = {"held_out": _moved(*_bundled("held_out"), count), "test": _bundled("test")}
    base = _weights(FASHION / "base.safetensors")
    return _written(folder, f"{count:,} held-out images", files, settings, base=base, data=data)


def published(folder: Path, count: int = PUBLISHED) -> Path:
    """Published results of `count` models, without weights."""
    return drawn_sweep(count, seed=SEED).written(folder)


KINDS: Mapping[str, Callable[[Path], Path]] = {
    "ingredients": ingredients, "classes": classes, "images": images, "published": published,
}  # fmt: skip


def _split_sizes(images: int) -> dict[str, int]:
    return {"held_out": images, "test": images // 4}


def _weights(file: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(file)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _between(first: Weights, second: Weights, share: float) -> dict[str, Tensor]:
    return {name: torch.lerp(tensor, second[name], share) for name, tensor in first.items()}


def _noisy(weights: Weights, noise: float, seed: int) -> dict[str, Tensor]:
    """Weights with noise of so many of each tensor's own standard deviations."""
    drawn = _seeded(seed)
    return {
        name: tensor + noise * tensor.std(correction=0) * torch.randn(tensor.shape, generator=drawn)
        for name, tensor in weights.items()
    }


def _bundled(split: str, images: int | None = None) -> tuple[Tensor, Tensor]:
    data = sc.open_zoo("fashion").data.split(split)
    return data.images[:images].clone(), data.labels[:images].clone()


def _moved(images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """So many of these images drawn anew, each moved by up to two pixels and dimmed a little."""
    chance = np.random.default_rng(SEED)
    rows = torch.from_numpy(chance.integers(len(images), size=count))
    found = images[rows].float() * torch.from_numpy(chance.uniform(0.7, 1, (count, 1, 1, 1))).float()
    ways = torch.from_numpy(chance.integers(-2, 3, size=(count, 2)))
    for down in range(-2, 3):
        for right in range(-2, 3):
            those = (ways == torch.tensor([down, right])).all(1)
            found[those] = found[those].roll((down, right), (2, 3))
    return found.byte(), labels[rows]


def _patterned(patterns: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """So many noisy pictures of seeded patterns (C×1×7×7), a class a pattern: uint8 images N×1×28×28, labels N."""
    drawn = _seeded(1000 + seed)
    labels = torch.arange(count) % len(patterns)
    pictures = patterns[labels].repeat_interleave(4, 2).repeat_interleave(4, 3)
    pictures += 0.25 * torch.randn(pictures.shape, generator=drawn)
    return (255 * pictures.clamp(0, 1)).byte(), labels


def _fitted_head(weights: Weights, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The head that fits these labels best in least squares over the network's features, by ridge regression."""
    zoo = sc.open_zoo("fashion")
    module = zoo.module()
    module.load_state_dict(dict(weights))
    module.head = torch.nn.Identity()
    with torch.inference_mode():
        features = torch.cat([module(zoo.data.normalization(part)) for part in images.split(500)]).double()
    middle = features.mean(0)
    centred = features - middle
    sums = torch.zeros(CLASSES, features.shape[1], dtype=torch.float64).index_add_(0, labels, centred)
    inner = centred.T @ centred + RIDGE * len(labels) * torch.eye(features.shape[1], dtype=torch.float64)
    matrix = SURENESS * torch.linalg.solve(inner, sums.T).T
    matrix *= CLASSES**0.5
    return {"head.weight": matrix.float(), "head.bias": (-matrix @ middle).float()}


def _written(
    folder: Path,
    title: str,
    files: Mapping[str, Weights],
    settings: Mapping[str, Mapping[str, object]],
    *,
    base: Weights,
    data: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    classes: int = 10,
) -> Path:
    """Write a zoo of these weights, and the evaluations of its single models."""
    folder.mkdir(parents=True)
    source = "fashion_mnist" if data is None else "tensors:data.safetensors"
    if data is not None:
        tensors = {
            f"{split}.{kind}": each
            for split, pair in data.items()
            for kind, each in zip(("images", "labels"), pair, strict=True)
        }
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "data.safetensors"
        )
    lines = [
        "format = 1",
        f'title = "{title}"',
        f'architecture = {{ name = "fashion_cnn", num_classes = {classes}, hidden = 128 }}',
        'base = "base.safetensors"',
        "[data]",
        f'source = "{source}"',
        *([] if data is None else [_normalize()]),
    ]
    for name, weights in {"base": base, **files}.items():
        safetensors.torch.save_file(
            {key: tensor.contiguous() for key, tensor in weights.items()}, folder / f"{name}.safetensors"
        )
        if name in files:
            given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings[name].items())
            lines += [
                "[[ingredients]]",
                f'name = "{name}"',
                f'file = "{name}.safetensors"',
                f"hyperparameters = {{ {given} }}",
            ]
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    zoo = sc.open_zoo(folder)
    evaluators = [sc.Evaluator(zoo, split, "cpu") for split in ("held_out", "test")]
    soups = [sc.Soup.single(name) for name in zoo.by_name]
    evaluations = [row_of(evaluate.key(soup), evaluate(soup)) for evaluate in evaluators for soup in soups]
    zoo.evaluations_file.write_text(shipped_text(evaluations, {}))
    return folder


def _normalize() -> str:
    normalization = sc.open_zoo("fashion").data.normalization
    return f"normalize = {{ mean = {list(normalization.mean)}, std = {list(normalization.std)} }}"


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_zoos", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=list(KINDS), required=True)
    given = parser.parse_args()
    if given.folder.exists():
        shutil.rmtree(given.folder) if (given.folder / "zoo.toml").is_file() else parser.error(
            f"{given.folder} is there already"
        )
    print(KINDS[given.kind](given.folder))


if __name__ == "__main__":
    main()
