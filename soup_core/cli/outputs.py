"""What commands print of a zoo of outputs: its models, their evaluations, and ensembles of them."""

import json
import sys
from collections.abc import Iterator, Sequence

from soup_core.cli.output import Row, figures
from soup_core.errors import SoupError
from soup_core.evaluation import Evaluation, OutputsEvaluator, accuracy_interval, best_first, compare
from soup_core.export import step_row
from soup_core.recipes.ensemble import ensemble
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.runtime.files import shown
from soup_core.soup import Soup, uniform
from soup_core.zoo.outputs import OutputsZoo, open_outputs, outputs_from, outputs_zoo_folder
from soup_core.zoo.outputs.proposal import OutputsProposal

SPLITS = ("held_out", "test")


def opened_outputs(name: str) -> OutputsZoo | None:
    """The zoo of outputs of this name or in this folder, None where it is a zoo of another kind, or none."""
    return open_outputs(name) if outputs_zoo_folder(name) else None


def model_rows(zoo: OutputsZoo) -> Iterator[Row]:
    """A row a model, then what is left out, and what to know."""
    for model in zoo.models:
        yield {
            "name": model.name,
            "file": shown(model.file),
            "outputs": "probabilities" if model.are_probabilities else "logits",
            **model.hyperparameters,
        }
    yield from ({"split": name, "images": len(split), "classes": zoo.num_classes} for name, split in zoo.splits.items())
    yield from ({"name": excluded.name, "excluded": excluded.reason} for excluded in zoo.excluded)
    yield from ({"notice": notice} for notice in zoo.notices)


def proposed_outputs_row(proposal: OutputsProposal, force: bool) -> Row:
    """Write a proposed zoo.toml, once the zoo was opened as it will be; what is left out goes to standard error."""
    zoo = outputs_from(proposal.content, proposal.folder)
    file = proposal.write(replace_old=force)
    for notice in (*proposal.notices, *zoo.notices, *(excluded.reason for excluded in zoo.excluded)):
        print(notice, file=sys.stderr)
    counted = {"models": len(zoo.models), "left_out": len(zoo.excluded), "classes": zoo.num_classes}
    return {"file": shown(file), "labels": proposal.content.labels, **counted, "splits": list(zoo.splits)}


def evaluation_rows(zoo: OutputsZoo, metric: str | None, soup: str | None, split: str | None) -> Iterator[Row]:
    """A row a model, best by the metric on the held-out images first, or of the one that is named, with intervals of the accuracies.

    Raises SoupError for several, or for a soup that is made of weights.
    """
    zoo = zoo.judged_by(metric or zoo.metric)
    evaluators = {each: OutputsEvaluator(zoo, each) for each in ([split] if split else SPLITS)}
    if soup is not None and soup not in zoo.by_name:
        names = [name for name in soup.split(",") if name]
        if len(names) > 1 or soup in ("uniform", "greedy", "learned"):
            raise SoupError(
                f"{zoo.name} is a zoo of outputs, without weights, so that {shown(soup)!r} cannot be averaged; name one model, "
                "or run `ensemble`, which averages outputs."
            )
        zoo.check_names([soup])
    names = [soup] if soup else best_first(OutputsEvaluator(zoo).singles())
    for name in names:
        yield _report(Soup.single(name), {each: evaluate(Soup.single(name)) for each, evaluate in evaluators.items()})


def ensemble_rows(
    zoo: OutputsZoo, metric: str | None, names: str | None, greedily: bool, average: str
) -> Iterator[Row]:
    """With `greedily` a row a candidate; then the ensemble's evaluation, and its difference from the best single model."""
    zoo = zoo.judged_by(metric or zoo.metric)
    held_out, test = (OutputsEvaluator(zoo, split) for split in SPLITS)
    chosen: Sequence[str] = [name for name in names.split(",") if name] if names else zoo.names
    if greedily:
        for step in greedy_ensemble(zoo, held_out, average=average):
            chosen = step.soup.names
            yield step_row(step)
    zoo.check_names(chosen)
    evaluations = {each.split: ensemble(each, chosen, average=average) for each in (held_out, test)}
    best = best_first(held_out.singles())[0]
    difference = compare(evaluations["test"], test(Soup.single(best)))
    against = {"best": best, "difference": difference.value, "low": difference.low, "high": difference.high}
    yield {**_report(uniform(chosen), evaluations), "test_against_best": {**against, "p_value": difference.p_value}}


def _report(soup: Soup, evaluations: dict[str, Evaluation]) -> Row:
    intervals = {
        f"{split}_interval": dict(zip(("low", "high"), accuracy_interval(each), strict=True))
        for split, each in evaluations.items()
    }
    named = {split: figures(each) for split, each in evaluations.items()}
    return {"soup": json.loads(soup.to_json()), **named, **intervals}
