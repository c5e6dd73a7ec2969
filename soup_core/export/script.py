"""A soup as a command line, as a script beside its file, and as lines of Python."""

import json
import pprint
import shlex

from soup_core.export.export import Export, title_of
from soup_core.soup import uniform
from soup_core.zoo import Zoo, find_zoo

ASKED = ("uniform", "greedy", "learned")  # what --soup takes for a recipe and not for a name
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
held_out = {held_out}
test = {test}
sc.export_soup(sc.Export(soup, held_out, test, {title}, {format}, {evaluates}), Path(__file__).with_suffix(""))
'''


def command(export: Export, file: str, source: str = "", *, adapter: str = "", evaluate: bool | None = None) -> str:
    """The command line that writes the file; `source` names a file with the recipe, by default the card.

    It evaluates as the export does, or as `evaluate` says.
    With `adapter`, "concat" or "svd", it writes an adapter into a folder of that name instead.
    """
    asked = ",".join(export.soup.names)
    spelled = export.soup == uniform(export.soup.names) and asked not in ASKED and asked.isprintable()
    spelled = spelled and asked.count(",") == len(export.soup.names) - 1
    options = {
        "--soup": asked if spelled else source or f"{file}.md",
        "-o": file,
        "--adapter": adapter,
        "--metric": "" if export.zoo.metric == "accuracy" else export.zoo.metric,
        "--format": "" if export.format == "safetensors" else export.format,
        "--title": "" if export.title == title_of(export.soup) else export.title,
    }
    if export.evaluator:
        options |= {"--device": export.evaluator.device, "--precision": export.evaluator.precision}
        options = {key: value for key, value in options.items() if (key, value) != ("--precision", "float32")}
    evaluate = export.evaluates and export.evaluator is not None if evaluate is None else evaluate
    flags = ["--test"] if export.test else ["--evaluate"] if evaluate else []
    words = ["python", "-m", "soup_core", "export", zoo_argument(export.zoo), *flags]
    return shell_line(*words, *(word for key, value in options.items() if value for word in (key, value)))


def shell_line(*words: str) -> str:
    """Words as a shell takes them; what would not be seen, or would end the line, is replaced."""
    return "".join(sign if sign.isprintable() else "?" for sign in shlex.join(words))


def remaking_script(export: Export) -> str:
    """A Python script that makes the file again; it lies beside the file, under its name and .py."""
    recipe = json.loads(export.recipe)
    digests = {name: {"digest": entry["digest"]} for name, entry in recipe["ingredients"].items()}
    evaluators = {"held_out": "zoo", "test": "None"}
    if export.evaluator and (export.evaluates or export.standings):
        how = f"{export.evaluator.device!a}, precision={export.evaluator.precision!a}"
        splits = ("held_out", "test") if export.test else ("held_out",)
        evaluators |= {split: f'sc.Evaluator(zoo, "{split}", {how})' for split in splits}
    return SCRIPT.format(
        recipe=pprint.pformat({"soup": recipe["soup"], "ingredients": digests}, width=110, sort_dicts=False),
        zoo=ascii(zoo_argument(export.zoo)),
        **evaluators,
        title=ascii(export.title),
        format=ascii(export.format),
        evaluates=export.evaluates,
    )


def python(export: Export) -> str:
    """The soup as Python, to be pasted into a script or a notebook: its weights, and its accuracy on held-out images."""
    soup = export.soup
    if not soup.tensors:
        parts = ", ".join(f"{name!a}: {value!r}" for name, value in soup.coefficients.items())
        statistics = f", batch_norm={soup.batch_norm!a}" * (soup.batch_norm != "averaged")
        source = f"sc.Soup({{{parts}}}{statistics})"
    else:  # a coefficient a tensor
        source = f"sc.Soup.from_json({soup.to_json()!a})"
    return "\n".join(
        (
            "import soup_core as sc",
            "",
            f"zoo = sc.open_zoo({zoo_argument(export.zoo)!a})",
            f"soup = {source}",
            "theta = sc.state_dict(zoo, soup)",
            'evaluation = sc.Evaluator(zoo, split="held_out")(soup)',
        )
    )


def zoo_argument(zoo: Zoo) -> str:
    """What opens the zoo again: its name where that is known, else its folder."""
    known = find_zoo(zoo.name)
    return zoo.name if known and known.resolve() == zoo.folder.resolve() else str(zoo.folder.resolve())
