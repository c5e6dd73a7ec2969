"""The greedy soup as Wortsman et al. publish it, as a process of its own: `python -m benchmarks.published_greedy ZOO`.

After main.py and utils.py of github.com/mlfoundations/model-soups (commits 1843982 and f326391), in our own words: models are
evaluated one by one on the held-out images and their results kept as JSON lines, each candidate's state_dict is loaded and
averaged in by a dict comprehension, every candidate sees all images through a DataLoader that decodes them anew, and the soup
is evaluated on every split at the end. With the results of an earlier run at hand the models are not evaluated again.
There is no package of it on PyPI. It imports nothing of ours, and reads of zoo.toml what it needs.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

BATCH_SIZE, WORKERS = 256, 2  # theirs are 256 and 8, here there are two cores
State = dict[str, Tensor]


def network(architecture: dict[str, Any]) -> nn.Module:
    """The network of zoo.toml by its library."""
    library, _, name = architecture["name"].partition(":")
    options = {key: value for key, value in architecture.items() if key != "name"}
    if library == "timm":
        import timm

        made: nn.Module = timm.create_model(name, **options)
    else:
        made = torchvision.models.get_model(name, **options)
    return made


def loader(folder: Path, normalize: dict[str, list[float]]) -> "DataLoader[Any]":
    """Images of a folder, decoded whenever they are asked for."""
    steps = [transforms.ToTensor(), transforms.Normalize(normalize["mean"], normalize["std"])]
    dataset = ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(dataset, batch_size=BATCH_SIZE, num_workers=WORKERS)


def count_correct(model: nn.Module, theta: State, images: "DataLoader[Any]") -> int:
    """How many images a model with these weights gets right."""
    model.load_state_dict(theta)
    model.eval()
    with torch.no_grad():
        return sum(int((model(batch).argmax(1) == labels).sum()) for batch, labels in images)


def main(folder: Path) -> None:
    """Evaluate the models where no results are kept, search greedily, evaluate the soup; write its decisions."""
    content = tomllib.loads((folder / "zoo.toml").read_text())
    model = network(content["architecture"])
    files = {entry["name"]: folder / entry["file"] for entry in content["ingredients"]}
    images = {name: loader(folder / "images" / name, content["data"]["normalize"]) for name in ("val", "test")}

    results = folder / "individual_model_results.jsonl"
    if not results.exists():
        for name, file in files.items():
            correct = count_correct(model, torch.load(file, map_location="cpu"), images["val"])
            with results.open("a") as lines:
                lines.write(json.dumps({"model_name": name, "correct": correct}) + "\n")
    individual = {row["model_name"]: row["correct"] for row in map(json.loads, results.read_text().splitlines())}

    first, *others = sorted(individual, key=lambda name: (-individual[name], name))
    chosen, best = [first], individual[first]
    soup: State = torch.load(files[first], map_location="cpu")
    decisions = [[first, True]]
    for name in others:
        new: State = torch.load(files[name], map_location="cpu")
        count = len(chosen)
        candidate = {
            key: soup[key].clone() * (count / (count + 1.0)) + new[key].clone() * (1.0 / (count + 1)) for key in new
        }
        correct = count_correct(model, candidate, images["val"])
        decisions.append([name, correct > best])
        if correct > best:
            chosen, best, soup = [*chosen, name], correct, candidate
    final = {split: count_correct(model, soup, each) for split, each in images.items()}
    (folder / "published.json").write_text(json.dumps({"decisions": decisions, **final}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
