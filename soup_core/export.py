"""Out of it: a soup as a file that plain libraries load, its model card, and a script that makes it again; and back in.

All that a soup is made of is its recipe: one JSON object, which travels in the file's metadata and in the card.
"""

import copy
import csv
import io
import json
import math
import pprint
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from soup_core import __version__, architectures, checkpoints
from soup_core.analysis.face_off import Entry
from soup_core.errors import CoefficientError, SoupError
from soup_core.evaluation import Comparison, Evaluation, Evaluator, accuracy_interval, compare
from soup_core.formatting import percent, plain, points
from soup_core.recipes.greedy import GreedyStep, candidate_order
from soup_core.runtime.files import Writer, write_together
from soup_core.soup import Soup, uniform
from soup_core.weight_space.averaging import state_dict
from soup_core.zoo import Zoo, zoo_folders

FORMATS = ("safetensors", "torchvision", "timm", "transformers")
ASKED = ("uniform", "greedy", "learned")  # what --soup takes for a recipe and not for a name
STATISTICS = {
    "averaged": "averaged as the weights are",
    "re-estimated": "estimated anew on the fine-tuning images",
    "first": "the first ingredient's",
}
RECIPE_BYTES_AT_MOST = 8_000_000
READ_AT_MOST = 8 + RECIPE_BYTES_AT_MOST + 1  # bytes of a file that `imported` looks at
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
SCRIPT = '''"""Makes the file beside it again, the one named as this is without .py, from the checkpoints of a zoo.

On the same machine it has the same bytes. Run it where Python finds soup_core; it takes another place of the zoo.
"""

import json
import sys
from pathlib import Path

import soup_core as sc

RECIPE = {recipe}

zoo = sc.open_zoo(sys.argv[1] if len(sys.argv) > 1 else {zoo})
soup = sc.imported(json.dumps(RECIPE).encode(), zoo)
held_out = sc.Evaluator(zoo, "held_out", {device}, precision={precision})
test = {test}
sc.export_soup(sc.Export(soup, held_out, test, {title}, {format}), Path(__file__).with_suffix(""))
'''
CARD = """# {title}

{what} Averaging the weights of fine-tuned models, a model soup, is from
[Wortsman et al. 2022](https://arxiv.org/abs/2203.05482). At inference it costs what one model costs.

## Accuracy

| images | this model | the best single one, {best} | difference |
| --- | --- | --- | --- |
{accuracies}

In brackets are 95 % intervals; the differences are paired on the same images, and p is of McNemar's exact test.
{splits}

## Ingredients

{ingredients}

## How to load it

```python
{loading}
```

{inputs}

## How to make it again

Run where Python finds `soup_core`, on the same machine and with the same checkpoints, either makes the same bytes:

```
{command}
python {script}
```

## Citation

```bibtex
@inproceedings{{wortsman2022model,
  title     = {{Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
               inference time}},
  author    = {{Wortsman, Mitchell and Ilharco, Gabriel and Gadre, Samir Yitzhak and Roelofs, Rebecca and
               Gontijo-Lopes, Raphael and Morcos, Ari S. and Namkoong, Hongseok and Farhadi, Ali and Carmon, Yair and
               Kornblith, Simon and Schmidt, Ludwig}},
  booktitle = {{International Conference on Machine Learning}},
  year      = {{2022}},
  note      = {{arXiv:2203.05482}},
}}
```

## Recipe

```json
{recipe}
```
"""


@dataclass(frozen=True)
class Standing:
    """A soup and the best single model on the same images, whose digest is `split`."""

    split: str
    evaluation: Evaluation
    best: Evaluation

    @property
    def gain(self) -> Comparison:
        """The soup against the best single model."""
        return compare(self.evaluation, self.best)


@dataclass(frozen=True, eq=False)
class Export:
    """A soup on its way out, with the evaluators that say what it is worth; `test` only where that was asked for.

    Nothing is evaluated before it is needed. An empty title becomes `title_of(soup)`; the format is one of FORMATS.
    """

    soup: Soup
    held_out: Evaluator
    test: Evaluator | None = None
    title: str = ""
    format: str = "safetensors"

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or title_of(self.soup))

    @property
    def zoo(self) -> Zoo:
        """Where the ingredients are."""
        return self.held_out.zoo

    @cached_property
    def best(self) -> str:
        """The name of the best single model by held-out accuracy."""
        singles = {name: self.held_out(Soup({name: 1.0})) for name in self.zoo.names}
        return candidate_order(singles, "accuracy")[0]

    @cached_property
    def standings(self) -> Mapping[str, Standing]:
        """Where the soup stands on "held_out", and on "test" where asked."""
        return {
            split: Standing(evaluate.data.digest, evaluate(self.soup), evaluate(Soup({self.best: 1.0})))
            for split, evaluate in (("held_out", self.held_out), ("test", self.test))
            if evaluate is not None
        }

    @cached_property
    def recipe(self) -> str:
        """All that is known of the soup, as one line of JSON in ASCII."""
        content = {
            "title": self.title,
            "soup": json.loads(self.soup.to_json()),
            "batch_norm": self.soup.batch_norm if self.zoo.has_batch_norm else None,
            "ingredients": {
                each.name: {"file": each.file.name, "digest": each.digest, "hyperparameters": {**each.hyperparameters}}
                for each in self.zoo.members(self.soup)
            },
            "zoo": {
                "name": self.zoo.name,
                "title": self.zoo.title,
                "digest": self.zoo.digest,
                "architecture": dict(self.zoo.architecture),
                "normalization": asdict(self.zoo.data.normalization),
            },
            "splits": {
                split: {"digest": each.split, "images": each.evaluation.total} for split, each in self.standings.items()
            },
            "accuracy": {split: self._told(each) for split, each in self.standings.items()},
            "computed": {"device": self.held_out.device.partition(":")[0], "precision": self.held_out.precision},
            "made_by": {"soup_core": __version__, "torch": torch.__version__},
        }
        return json.dumps(_finite(content), allow_nan=False)

    def _told(self, standing: Standing) -> dict[str, Any]:
        gain = asdict(standing.gain)
        gain["interval"] = [gain.pop("low"), gain.pop("high")]
        return {
            **_counted(standing.evaluation),
            "best_single": {"name": self.best, **_counted(standing.best)},
            "against_best_single": gain,
        }


def title_of(soup: Soup, kind: str = "") -> str:
    """One line: the kind of soup, where it has one, and of how many ingredients; a single model is its name."""
    if soup == uniform(soup.names[:1], batch_norm=soup.batch_norm):
        return soup.names[0]
    even = soup == uniform(soup.names, batch_norm=soup.batch_norm)
    count = len(soup.names)
    return f"{kind or ('Uniform soup' if even else 'Soup')} of {count} ingredient{'s' if count > 1 else ''}"


def export_soup(export: Export, path: Path) -> tuple[Path, ...]:
    """Write a soup to `path`, its card to `path`.md and its script to `path`.py, all of them or none; gives the paths.

    "safetensors" holds the recipe in its metadata. "torchvision" and "timm" are a state_dict by torch.save,
    "transformers" a folder with config.json and model.safetensors; each loads with strict=True where its format says. No
    more than one model is in memory. Raises SoupError for a format that does not suit the architecture, for a place
    where a file of the zoo lies, and where the disk is full; CheckpointError where a cast overflows. What stood there
    before is then intact.
    """
    config, prefix = _suited(export)
    if path.resolve() in {each.file.resolve() for each in export.zoo.by_name.values()}:
        raise SoupError(f"{path} is a checkpoint of the zoo {export.zoo.name}; export the soup under another name.")
    texts = {
        path.with_name(f"{path.name}.md"): card(export, path.name),
        path.with_name(f"{path.name}.py"): script(export),
    }
    theta = {name.removeprefix(prefix): tensor for name, tensor in weights(export.zoo, export.soup).items()}
    if export.format == "transformers":
        model, writer = (
            path / "model.safetensors",
            checkpoints.writer(_apart(theta), {"format": "pt"}),
        )  # what it asks for
        texts[path / "config.json"] = config
    elif export.format == "safetensors":
        model, writer = path, checkpoints.writer(_apart(theta), {"soup_core": export.recipe})
    else:
        model, writer = path, _torch_writer(theta)
    contents = {place: text.encode(errors="replace") for place, text in texts.items()}
    writers = {model: writer, **{place: _bytes_writer(content) for place, content in contents.items()}}
    write_together(writers, checkpoints.size_of(theta) + sum(map(len, contents.values())))
    return tuple(writers)


def safetensors_bytes(export: Export) -> bytes:
    """What `export_soup` writes as safetensors, for one who has no place to write to."""
    return safetensors.torch.save(_apart(weights(export.zoo, export.soup)), {"soup_core": export.recipe})


def weights(zoo: Zoo, soup: Soup) -> dict[str, Tensor]:
    """The soup's state_dict on the CPU; tied tensors are one, with the values that a module has once it has loaded them."""
    theta = state_dict(zoo, soup)
    parameters = dict(zoo.reference.named_parameters(remove_duplicate=False))
    loaded = {id(parameters[name]): name for name in theta if name in parameters}  # the last of those that are tied
    return {name: theta[loaded[id(parameters[name])]] if name in parameters else theta[name] for name in theta}


def imported(content: bytes, zoo: Zoo) -> Soup:
    """The soup of a recipe, a card, an exported safetensors file or plain coefficients; of these no more than 8 MB.

    Its ingredients must be in the zoo and, where it says which files they were, be those. Of a safetensors file the
    beginning suffices. Nothing in it is run. Raises CoefficientError for whatever else it is given.
    """
    recipe = _recipe_in(content)
    given = recipe["soup"] if isinstance(recipe.get("soup"), dict) else recipe
    soup = Soup.from_json(json.dumps(given))
    zoo.members(soup)
    ingredients = recipe.get("ingredients")
    for name in soup.names:
        entry = ingredients.get(name) if isinstance(ingredients, dict) else None
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if digest is not None and digest != zoo.by_name[name].digest:
            raise CoefficientError(
                f"The recipe's {name} is another file than the one in the zoo {zoo.name}: its SHA-256 begins with "
                f"{str(digest)[:12]!a}, and here with {zoo.by_name[name].digest[:12]}. Open the zoo that it was made from."
            )
    return soup


def read_recipe(path: Path) -> bytes:
    """As much of a file as `imported` looks at. Raises SoupError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(READ_AT_MOST)
    except OSError as error:
        raise SoupError(f"{path} cannot be read ({error.strerror}).") from error


def command(export: Export, file: str, source: str = "") -> str:
    """The command line that writes the file; `source` names a file with the recipe, by default the card."""
    asked = ",".join(export.soup.names)
    spelled = export.soup == uniform(export.soup.names) and asked not in ASKED and asked.isprintable()
    spelled = spelled and asked.count(",") == len(export.soup.names) - 1
    options = {
        "--soup": asked if spelled else source or f"{file}.md",
        "-o": file,
        "--format": "" if export.format == "safetensors" else export.format,
        "--title": "" if export.title == title_of(export.soup) else export.title,
        "--device": export.held_out.device,
        "--precision": "" if export.held_out.precision == "float32" else export.held_out.precision,
    }
    words = ["python", "-m", "soup_core", "export", _place(export.zoo), *(["--test"] if export.test else [])]
    return _on_a_line(*words, *(word for key, value in options.items() if value for word in (key, value)))


def _on_a_line(*words: str) -> str:
    """Words as a shell takes them; what would not be seen, or would end the line, is replaced."""
    return "".join(sign if sign.isprintable() else "?" for sign in shlex.join(words))


def script(export: Export) -> str:
    """A Python script that makes the file again; it lies beside the file, under its name and .py."""
    recipe = json.loads(export.recipe)
    digests = {name: {"digest": entry["digest"]} for name, entry in recipe["ingredients"].items()}
    device, precision = ascii(export.held_out.device), ascii(export.held_out.precision)
    return SCRIPT.format(
        recipe=pprint.pformat({"soup": recipe["soup"], "ingredients": digests}, width=110, sort_dicts=False),
        zoo=ascii(_place(export.zoo)),
        device=device,
        precision=precision,
        test=f'sc.Evaluator(zoo, "test", {device}, precision={precision})' if export.test else None,
        title=ascii(export.title),
        format=ascii(export.format),
    )


def card(export: Export, file: str) -> str:
    """The model card, in Markdown: what it is, what it is worth, how to load it, how to make it again."""
    zoo, soup = export.zoo, export.soup
    several = f"a mix of {len(soup.names)} checkpoints" if len(soup.names) > 1 else "those of one checkpoint"
    network = f"{plain(str(zoo.architecture['name']))} network with {zoo.architecture['num_classes']} classes"
    choice = "The held-out images choose; the test images only report."
    normalization = zoo.data.normalization
    return CARD.format(
        title=plain(export.title),
        what=f"A {network}, whose weights are {several} of “{plain(zoo.title)}”.",
        best=plain(export.best),
        accuracies="\n".join(_accuracy_row(split, each) for split, each in export.standings.items()),
        splits=choice if export.test else "The held-out images choose, so these numbers flatter what was chosen; the test "
        "images were not asked.",
        ingredients=_ingredient_table(export),
        loading=_loading(export, file),
        inputs=f"It takes images (N×C×H×W) on the 0 to 1 scale, less the mean {list(normalization.mean)}, divided by the "
        f"standard deviation {list(normalization.std)}, channel by channel.",
        command=command(export, file),
        script=_on_a_line(f"{file}.py"),
        recipe=json.dumps(json.loads(export.recipe), indent=1),
    )  # fmt: skip


def ingredient_rows(zoo: Zoo, singles: Mapping[str, Evaluation]) -> list[dict[str, object]]:
    """A row an ingredient: its held-out counts, its hyperparameters, its digest."""
    rows = []
    for name in zoo.names:
        found = {"name": name, **_flat("held_out", singles[name]), "digest": zoo.by_name[name].digest}
        given = zoo.by_name[name].hyperparameters
        rows.append({**found, **{key if key not in found else f"hyperparameter {key}": given[key] for key in given}})
    return rows


def step_row(step: GreedyStep) -> dict[str, object]:
    """A candidate of a greedy search; `correct` is None where it was rejected early, and `correct_at_most` bounds it."""
    return {
        "step": step.index,
        "candidate": step.candidate,
        "accepted": step.accepted,
        "correct": step.evaluation.correct if step.evaluation else None,
        "correct_at_most": step.correct_at_most,
        "images_evaluated": step.images_evaluated,
        "ingredients": list(step.soup.names),
    }


def entry_rows(entries: Iterable[Entry], best: Evaluation) -> list[dict[str, object]]:
    """A row a recipe of the face-off: counts on both splits, the gain over the best single model's `best`, the cost."""
    return [
        {
            "recipe": entry.about.name,
            "ingredients": list(entry.soup.names),
            **_flat("held_out", entry.held_out),
            **_flat("test", entry.test),
            **{f"test_{key}": value for key, value in asdict(compare(entry.test, best)).items()},
            **asdict(entry.cost),
        }
        for entry in entries
    ]


def python(export: Export) -> str:
    """The soup as Python, to be pasted into a script or a notebook: its weights, and its accuracy on held-out images."""
    soup = export.soup
    if not soup.tensors:
        parts = ", ".join(f"{name!a}: {value!r}" for name, value in soup.coefficients.items())
        statistics = f", batch_norm={soup.batch_norm!a}" * (soup.batch_norm != "averaged")
        made = f"sc.Soup({{{parts}}}{statistics})"
    else:  # a coefficient a tensor
        made = f"sc.Soup.from_json({soup.to_json()!a})"
    return "\n".join((
        "import soup_core as sc", "", f"zoo = sc.open_zoo({_place(export.zoo)!a})", f"soup = {made}",
        "theta = sc.state_dict(zoo, soup)", 'evaluation = sc.Evaluator(zoo, split="held_out")(soup)',
    ))  # fmt: skip


def markdown_table(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as a table in Markdown, with the union of their keys as the heads; its cells are literal text."""
    rows = list(rows)
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return _table(map(plain, heads), ([_value(row.get(head)) for head in heads] for row in rows))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as comma-separated values, with the union of their keys as the heads.

    Lists are joined by semicolons. A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    rows = list(rows)
    heads = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(map(_cell, heads))
    lines.writerows([_cell(row.get(head)) for head in heads] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    is_formula = (
        isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(value)
    )
    return f"'{value}" if is_formula else value


def _flat(split: str, evaluation: Evaluation) -> dict[str, object]:
    found = _counted(evaluation)
    found["low"], found["high"] = found.pop("interval")
    return {f"{split}_{key}": value for key, value in found.items()}


def _counted(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "correct": evaluation.correct,
        "total": evaluation.total,
        "accuracy": evaluation.accuracy,
        "interval": list(accuracy_interval(evaluation)),
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity; a hyperparameter may be one."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _recipe_in(content: bytes) -> dict[str, Any]:
    """The JSON object in a recipe, a card or a safetensors file."""
    try:
        header = int.from_bytes(content[:8], "little")
        if content[8:9] == b"{" and header <= RECIPE_BYTES_AT_MOST:
            content = _object(content[8 : 8 + header])["__metadata__"]["soup_core"].encode()
        elif b"```json" in content:
            content = content.rpartition(b"```json")[2].partition(b"\n```")[0]
        if len(content) > RECIPE_BYTES_AT_MOST:
            raise ValueError(f"more than {RECIPE_BYTES_AT_MOST / 1e6:.0f} MB")
        return _object(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CoefficientError(
            "There is no recipe of a soup in this file; expected a recipe as JSON, a model card, or a safetensors file, "
            f"each as exported here. Found {content[:40]!r} ({type(error).__name__}: {str(error)[:80]!a})."
        ) from error


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content, object_pairs_hook=checkpoints.without_repetition)
    if not isinstance(found, dict):
        raise ValueError("no table of names and values")
    return found


def _suited(export: Export) -> tuple[str, str]:
    """The text of config.json and the prefix of the names for transformers, else two empty texts; refuse what cannot be."""
    architecture = str(export.zoo.architecture["name"])
    if export.format not in FORMATS:
        raise SoupError(f"The format is one of {', '.join(FORMATS)}; found {export.format!r}.")
    if export.format in ("torchvision", "timm") and not architecture.startswith(f"{export.format}:"):
        raise SoupError(
            f"The format {export.format} is for an architecture {export.format}:NAME, and that of the zoo "
            f"{export.zoo.name} is {architecture}; take safetensors, which suits all."
        )
    if export.format != "transformers":
        return "", ""
    for name, module in export.zoo.reference.named_modules():
        prefix = f"{name}." if name else ""
        if hasattr(getattr(module, "config", None), "to_json_string") and all(
            tensor.startswith(prefix) for tensor in export.zoo.tensors
        ):
            config = copy.deepcopy(module.config)
            config.architectures = [type(module).__name__]
            return config.to_json_string(), prefix
    raise SoupError(
        f"The format transformers is for networks of that library, and that of the zoo {export.zoo.name} is "
        f"{architecture}; take safetensors, which suits all."
    )


def _apart(theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tied tensors each with memory of its own, as a safetensors file needs them."""
    owner = {id(tensor): name for name, tensor in theta.items()}
    return {name: tensor if owner[id(tensor)] == name else tensor.clone() for name, tensor in theta.items()}


def _torch_writer(theta: Mapping[str, Tensor]) -> Writer:
    def write(place: Path) -> None:
        try:
            with place.open("wb") as file:  # given a path, torch would put its name into the bytes
                torch.save(dict(theta), file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise

    return write


def _bytes_writer(content: bytes) -> Writer:
    return lambda place: place.write_bytes(content)


def _place(zoo: Zoo) -> str:
    """What opens the zoo again: its name where that is known, else its folder."""
    known = zoo_folders().get(zoo.name)
    return zoo.name if known and known.resolve() == zoo.folder.resolve() else str(zoo.folder.resolve())


def _accuracy_row(split: str, standing: Standing) -> str:
    def told(evaluation: Evaluation) -> str:
        low, high = (100 * end for end in accuracy_interval(evaluation))
        return f"{evaluation.correct:,} of {evaluation.total:,}: {percent(evaluation)} ({low:.2f} to {high:.2f})"

    gain = standing.gain
    what = split.replace("_", "-")
    return f"| {what} | {told(standing.evaluation)} | {told(standing.best)} | {points(gain)}, p = {gain.p_value:.2g} |"


def _ingredient_table(export: Export) -> str:
    members = export.zoo.members(export.soup)
    keys = list(dict.fromkeys(key for member in members for key in member.hyperparameters))
    heads = ["ingredient", "coefficient", *(plain(key.replace("_", " ")) for key in keys), "file"]
    rows = [
        [plain(member.name), _coefficient(export, member.name),
         *(_value(member.hyperparameters.get(key, "")) for key in keys), plain(member.file.name)]
        for member in members
    ]  # fmt: skip
    notes = [
        f"\n\nBatchNorm's running statistics are {STATISTICS[export.soup.batch_norm]}."
    ] * export.zoo.has_batch_norm
    notes += ["\n\nTensors differ in their coefficients; all are in the recipe below."] * bool(export.soup.tensors)
    return _table(heads, rows) + "".join(notes)


def _value(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return plain(value) if isinstance(value, str) else "" if value is None else str(value)


def _coefficient(export: Export, name: str) -> str:
    values = [export.soup.of(tensor).get(name, 0.0) for tensor in export.zoo.floating]
    low, high = min(values), max(values)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _loading(export: Export, file: str) -> str:
    architecture = dict(export.zoo.architecture)
    name, classes = str(architecture.pop("name")), architecture.pop("num_classes")
    library, _, plain_name = name.partition(":")
    options = "".join(f", {key}={value!a}" for key, value in architecture.items())
    if export.format == "transformers":
        (kind,) = json.loads(_suited(export)[0])["architectures"]
        return f"from transformers import {kind}\n\nmodel = {kind}.from_pretrained({file!a}).eval()"
    if library == "torchvision":
        lines = [
            "from torchvision.models import get_model",
            f"model = get_model({plain_name!a}, num_classes={classes}{options})",
        ]
    elif library == "timm":
        lines = ["import timm", f"model = timm.create_model({plain_name!a}, num_classes={classes}{options})"]
    else:
        where = (
            "  # run in the zoo's folder" if architectures.file_of(export.zoo.architecture, export.zoo.folder) else ""
        )
        lines = [
            "from soup_core.architectures import build",
            f"model = build({name!a}, {classes}, {architecture!a}){where}",
        ]
    importing, load = "import torch", f"torch.load({file!a})"
    if export.format == "safetensors":
        importing, load = "import safetensors.torch", f"safetensors.torch.load_file({file!a})"
    return "\n".join([importing, lines[0], "", lines[1], f"model.load_state_dict({load}, strict=True)", "model.eval()"])
