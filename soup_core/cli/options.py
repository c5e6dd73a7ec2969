"""Arguments that commands share, and what they mean: the open zoo, how to compute on it, and a soup by its words."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from soup_core.analysis.first_look import doubt_of
from soup_core.cli.output import Row, figures
from soup_core.errors import DataError, SoupError
from soup_core.evaluation import METRICS, Evaluator
from soup_core.export import imported, read_recipe
from soup_core.recipes import RECIPES
from soup_core.recipes.uniform import uniform_soup
from soup_core.runtime.devices import PRECISIONS
from soup_core.runtime.store import default_store
from soup_core.soup import Soup
from soup_core.zoo import Zoo, open_zoo

SPLITS = ("held_out", "test")
ZooName = Annotated[str, typer.Argument(help="A bundled zoo's name, or a folder that holds zoo.toml.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images a forward pass; default 250, on CUDA all.")]
Precision = Annotated[str, typer.Option(help=f"One of {', '.join(PRECISIONS)}.")]
MetricName = Annotated[
    str | None, typer.Option("--metric", help=f"What soups are selected by: {', '.join(METRICS)}; default the zoo's.")
]
SoupOption = Annotated[
    str | None,
    typer.Option(
        "--soup", help="Names with commas between, uniform, greedy, learned, or a file: JSON or what export wrote."
    ),
]


class ZooCommand:
    """What the commands share: the open zoo and how to compute on it; `examine` as for `open_zoo`.

    Without a `metric` soups are selected by the zoo's own.
    """

    def __init__(
        self,
        zoo: str,
        device: str,
        batch_size: int | None,
        precision: str,
        metric: str | None = None,
        *,
        examine: bool = True,
    ) -> None:
        opened = open_zoo(zoo, examine=examine)
        self.zoo = opened if metric is None else opened.judged_by(metric)
        self._how: Row = {"device": device, "batch_size": batch_size, "precision": precision}
        self._is_looked_at = False

    def evaluator(self, split: str = "held_out") -> Evaluator:
        """The zoo's evaluator on a split, computing as the options say; before the first, what speaks against all numbers."""
        if not self._is_looked_at:
            self._is_looked_at = True
            self._say_doubt()
        return Evaluator(self.zoo, split, **self._how)

    def informed(self, split: str = "held_out") -> Evaluator | Zoo:
        """The zoo's evaluator where it may know something without an image being decoded or a model run, else the zoo."""
        store = default_store()
        if self.zoo.data.is_ready(split) and (self.zoo.evaluations_file.is_file() or store.has_evaluations()):
            with suppress(SoupError):
                return Evaluator(self.zoo, split, **self._how)
        return self.zoo

    def _say_doubt(self) -> None:
        """One line on standard error where all models are near chance, or right in another order of the classes."""
        try:
            doubt = doubt_of(Evaluator(self.zoo, **self._how))
        except DataError:  # whoever asks for the split is told
            return
        if doubt:
            print(doubt.sentence, file=sys.stderr)

    def soup(self, text: str) -> Soup:
        """A soup as the command line takes it: uniform, greedy, learned, names with commas between, or a file."""
        if text == "uniform":
            return uniform_soup(self.zoo)
        if text in ("greedy", "learned"):
            return RECIPES[text].soup(self.zoo, self.evaluator())
        if Path(text).is_file():
            return imported(read_recipe(Path(text)), self.zoo)
        return uniform_soup(self.zoo, [name for name in text.split(",") if name])

    def report(self, soup: Soup, splits: Sequence[str] = SPLITS) -> Row:
        """A soup and its figures on these splits, by default on held-out and test images."""
        evaluators = {split: self.evaluator(split) for split in splits}
        evaluations = {split: figures(evaluate(soup)) for split, evaluate in evaluators.items()}
        for sentence in dict.fromkeys(evaluate.way_in_words for evaluate in evaluators.values()):
            if sentence:
                print(sentence, file=sys.stderr)
        return {"soup": json.loads(soup.to_json()), **evaluations}
