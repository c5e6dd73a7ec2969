"""The model card, in Markdown: what a soup is, what it is worth, how to load it, how to make it again."""

import json
from collections.abc import Iterator

from soup_core import architectures
from soup_core.evaluation import Evaluation, Metric, compare_values, value_interval, wilson
from soup_core.export.export import Export, Standing
from soup_core.export.formats import suited
from soup_core.export.script import command, shell_line
from soup_core.export.tables import markdown, markdown_cell
from soup_core.formatting import interval, percent, plain, points, score, score_bounds, score_change
from soup_core.weight_space.result_types import mixed_types
from soup_core.zoo import Zoo

STATISTICS = {
    "averaged": "averaged as the weights are",
    "re-estimated": "estimated anew on the fine-tuning images",
    "first": "the first ingredient's",
}
CARD = """# {title}

{what} Averaging the weights of fine-tuned models, a model soup, is from
[Wortsman et al. 2022](https://arxiv.org/abs/2203.05482). At inference it costs what one model costs.

## Accuracy

{accuracy}

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


def model_card(export: Export, file: str) -> str:
    """The model card, in Markdown: what it is, what it is worth, how to load it, how to make it again."""
    zoo, soup = export.zoo, export.soup
    several = f"a mix of {len(soup.names)} checkpoints" if len(soup.names) > 1 else "those of one checkpoint"
    network = f"{plain(str(zoo.architecture['name']))} network with {zoo.architecture['num_classes']} classes"
    return CARD.format(
        title=plain(export.title),
        what=f"A {network}, whose weights are {several} of “{plain(zoo.title)}”.",
        accuracy=_accuracy(export, file),
        ingredients=_ingredient_table(export),
        loading=_loading(export, file),
        inputs=_inputs(zoo),
        command=command(export, file),
        script=shell_line(f"{file}.py"),
        recipe=json.dumps(json.loads(export.recipe), indent=1),
    )


def _inputs(zoo: Zoo) -> str:
    """What the network takes, in a sentence or two."""
    if zoo.data.holds_texts:
        length = f", at most {zoo.data.tokenizer.length} of a text" if zoo.data.tokenizer else ""
        return (
            f"It takes texts as the tokens of its own tokenizer{length}, with an attention mask; beside the zoo's pages one "
            "tensor, int64 n×3×L: tokens, attention mask and segments."
        )
    mean, std = zoo.data.normalization.mean, zoo.data.normalization.std
    return (
        f"It takes images (N×C×H×W) on the 0 to 1 scale, less the mean {list(mean)}, divided by the standard deviation "
        f"{list(std)}, channel by channel."
    )


def _accuracy(export: Export, file: str) -> str:
    """The table of what is known, what it means, and how to find out what is not."""
    parts = []
    if export.standings:
        best = f"the best single one, {plain(export.best)}" if export.best else "the best single one"
        things = export.zoo.data.things
        rows = [row for split, each in export.standings.items() for row in _rows(split, each)]
        parts.append(
            "\n".join([f"| {things} | this model | {best} | difference |", "| --- | --- | --- | --- |", *rows])
        )
        meaning = f"In brackets are 95 % intervals; the differences are paired on the same {things}, and p is of McNemar's exact test."
        measured = [each.evaluation for each in export.standings.values() if each.evaluation.measured]
        if measured:
            meaning += (
                f" Models are selected by {measured[0].metric.name}, whose intervals are {_how(measured[0].metric)}."
            )
        choice = f"The held-out {things} choose; the test {things} only report."
        if not export.test:
            choice = f"The held-out {things} choose, so these numbers flatter what was chosen; the test {things} were not asked."
        parts.append(f"{meaning}\n{choice}")
    if missing := not_evaluated(export):
        again = command(export, file, evaluate=True)
        parts.append(f"{missing} This evaluates, and writes the file anew with what it finds:\n\n```\n{again}\n```")
    return "\n\n".join(parts)


def not_evaluated(export: Export) -> str:
    """A sentence on what is not known of a soup's accuracy, empty where all is that was asked for."""
    if "held_out" not in export.standings:
        return "This soup was not evaluated, so that nothing is known here of its accuracy."
    if export.best is None:
        return "Not every ingredient was evaluated alone, so that it is not known here which one is the best."
    return ""


def _how(metric: Metric) -> str:
    if metric.key == "top-5":
        return "made as accuracy's are"
    return "Student's t of the images' losses" if metric.key == "log-loss" else "by resampling the images 1,000 times"


def _rows(split: str, standing: Standing) -> Iterator[str]:
    """The split's row of accuracy, and one of the metric that models are selected by, where that is another."""
    yield _accuracy_row(split, standing)
    ours, metric = standing.evaluation, standing.evaluation.metric
    if ours.measured is None:
        return

    def value(evaluation: Evaluation) -> str:
        known = value_interval(evaluation)
        return f"{score(evaluation)} ({score_bounds(known, metric)})"

    what = f"{split.replace('_', '-')}, {metric.name}"
    if standing.best is None:
        yield f"| {what} | {value(ours)} | not evaluated | |"
    else:
        change = score_change(compare_values(ours, standing.best), metric)
        yield f"| {what} | {value(ours)} | {value(standing.best)} | {change} |"


def _accuracy_row(split: str, standing: Standing) -> str:
    def accuracy(evaluation: Evaluation) -> str:
        bounds = interval(wilson(evaluation.correct, evaluation.total))
        return f"{evaluation.correct:,} of {evaluation.total:,}: {percent(evaluation)} ({bounds})"

    gain, what = standing.gain, split.replace("_", "-")
    if gain is None or standing.best is None:
        return f"| {what} | {accuracy(standing.evaluation)} | not evaluated | |"
    models = f"{accuracy(standing.evaluation)} | {accuracy(standing.best)}"
    return f"| {what} | {models} | {points(gain)}, p = {gain.p_value:.2g} |"


def _ingredient_table(export: Export) -> str:
    members = export.zoo.members(export.soup)
    keys = list(dict.fromkeys(key for member in members for key in member.hyperparameters))
    heads = ["ingredient", "coefficient", *(plain(key.replace("_", " ")) for key in keys), "file"]
    rows = [
        [
            plain(member.name),
            _coefficient(export, member.name),
            *(markdown_cell(member.hyperparameters.get(key, "")) for key in keys),
            plain(member.file.name),
        ]
        for member in members
    ]
    notes = [
        f"\n\nBatchNorm's running statistics are {STATISTICS[export.soup.batch_norm]}."
    ] * export.zoo.has_batch_norm
    notes += [f"\n\n{plain(types)}" for types in [mixed_types(members, export.zoo.floating)] if types]
    notes += ["\n\nTensors differ in their coefficients; all are in the recipe below."] * bool(export.soup.tensors)
    return markdown(heads, rows) + "".join(notes)


def _coefficient(export: Export, name: str) -> str:
    values = [export.soup.coefficients_for(tensor).get(name, 0.0) for tensor in export.zoo.floating]
    low, high = min(values), max(values)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _loading(export: Export, file: str) -> str:
    architecture = dict(export.zoo.architecture)
    name, classes = str(architecture.pop("name")), architecture.pop("num_classes")
    library, _, plain_name = name.partition(":")
    if library in ("torchvision", "timm"):  # whose networks have plain weights
        architecture.pop(architectures.FOLDED, None)
    options = "".join(f", {key}={value!a}" for key, value in architecture.items())
    if export.format == "transformers":
        (kind,) = json.loads(suited(export)[0])["architectures"]
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
