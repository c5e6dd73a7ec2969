"""What speaks against all of a zoo's numbers: models near chance, or right in another order of classes, and the reason."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from soup_core.analysis.first_look.chance import Standing, is_surely_above, standing
from soup_core.analysis.first_look.class_order import SURER, UNQUESTIONED, ClassOrder, explaining_order
from soup_core.analysis.first_look.model import Model, loaded, with_weights
from soup_core.analysis.first_look.preparations import preparation_of, sizes
from soup_core.analysis.first_look.search import TriedPreparation, most_right, searched, tried_preparation
from soup_core.data import Data
from soup_core.data.sample import Sample, sample
from soup_core.errors import CheckpointError, DataError
from soup_core.evaluation import Evaluator, compare_bits
from soup_core.runtime.files import listed, shown
from soup_core.soup import Soup
from soup_core.zoo import other_weights

IMAGES = 200
MORE_IMAGES = 2000  # of a model near chance, to find an order of many classes
A_CLASS = 10  # images of each
MODELS = 5  # that are tried before all are said to be near chance
SECONDS = 20.0  # for all ways to prepare images together, told by the time of a few: large networks run fewer images
WAYS = 9  # that are tried, about
IMAGES_AT_LEAST = 16
SAME_ANSWER = 0.95  # of the images
NAMED_CLASSES = 12  # that stand in a sentence

Cause = Literal[
    "order of classes", "preprocessing", "place in the file", "split", "same answer", "untrained", "unknown"
]


@dataclass(frozen=True)
class Doubt:
    """Why a zoo's numbers should not be believed: the likeliest cause, in a sentence, and what zoo.toml would say instead.

    `correct` of `total` images are right in the best of the `models` tried; guessing gets `guessed`. `remedy` are lines
    for zoo.toml, empty where none would help, and `classes` the order of classes that is among them.
    """

    near_chance: bool
    models: int
    name: str
    standing: Standing
    cause: Cause
    reason: str
    remedy: str = ""
    classes: tuple[str, ...] = ()
    things: str = "images"

    @property
    def sentence(self) -> str:
        """What was found and the likeliest reason."""
        at = self.standing
        who = "the model tried" if self.models == 1 else f"the best of {self.models} models tried"
        found = f"{who}, {shown(self.name)}, has {at.correct} of {at.total} held-out {self.things} right"
        if self.near_chance:
            found = f"near chance: {found}, and guessing gets {at.guessed}"
        return f"{found}. {self.reason}"


def doubt_of(evaluate: Evaluator, names: Iterable[str] | None = None) -> Doubt | None:
    """What speaks against all numbers of a zoo, or of the named ingredients, on an evaluator's split; None if nothing does.

    The first model that is above chance ends it, and one whose evaluation is known takes no image; at most `MODELS` are
    tried. The reason is looked for only where there is a doubt, and takes some seconds. Raises as the evaluator does.
    """
    chosen = list(names) if names is not None else list(evaluate.zoo.names)
    labels, classes = evaluate.data.labels, len(evaluate.outputs)
    if not chosen or len(labels.unique()) < 2:
        return None
    known = [its for name in chosen if (its := evaluate.known(Soup.single(name)))]
    if any(each.accuracy >= UNQUESTIONED and is_surely_above(each, labels, classes) for each in known):
        return None
    few = evaluate if evaluate.total <= IMAGES else evaluate.on(evaluate.split, IMAGES)
    tried: dict[str, tuple[Standing, Tensor]] = {}
    for name in chosen[:: -(-len(chosen) // MODELS)]:
        logits = few.logits(Soup.single(name))
        tried[name] = standing(logits, few.data.labels), logits
        if not tried[name][0].near_chance:
            break
    name = max(tried, key=lambda each: (not tried[each][0].near_chance, tried[each][0].correct))
    at, logits = tried[name]
    data = evaluate.zoo.data
    if not at.near_chance:
        order = explaining_order(logits, few.data.labels, data.classes)
        return _of_order(order, data, at, name) if order else None
    model, preparation = loaded(evaluate.zoo, name, evaluate.device), preparation_of(evaluate.zoo)
    drawn = sample(data, evaluate.split, min(MORE_IMAGES, max(IMAGES, A_CLASS * classes)))
    drawn = drawn.first(max(IMAGES, model.images_within(SECONDS / 2, drawn, preparation)))
    doubt = explained(model, drawn, tried_preparation(model, drawn, preparation), at)
    return replace(doubt, models=len(tried)) if doubt else None


def explained(
    model: Model, images: Sample, given: TriedPreparation, at: Standing, others: Sequence[TriedPreparation] = ()
) -> Doubt | None:
    """The doubt about a model at a standing, with its likeliest reason on a sample; None if there is none.

    `others` are preparations that were compared before, which is done here otherwise.
    """
    data = model.zoo.data
    if given.order or not at.near_chance:
        return _of_order(given.order, data, at, model.name) if given.order else None
    cause, reason, remedy = (
        _of_preparation(model, images, given, others)
        or _of_place(model, images, given)
        or _of_split(model, images, given)
        or _of_answers(given.logits, data.holds_texts)
        or _unknown(data.classes)
    )
    return Doubt(True, 1, model.name, at, cause, reason, remedy, things=data.things)


def _of_order(order: ClassOrder, data: Data, at: Standing, name: str) -> Doubt:
    """That the classes stand in another order than in training."""
    names = order.names(data.classes)
    remedy = f"classes = {json.dumps(list(names), ensure_ascii=False)}" if names else ""
    what = (
        "The likeliest reason is the order of classes"
        if at.near_chance
        else "The classes seem to stand in another order"
    )
    found = f"{what}: {order.words}, {order.correct} of {len(order.bits)} {data.things} are right."
    if names and len(names) <= NAMED_CLASSES:
        found += f" If that is so, say under [data] in zoo.toml: {remedy}"
    elif names:
        found += (
            f" If that is so, say it by classes under [data] in zoo.toml, from {shown(names[0])} to {shown(names[-1])}."
        )
    else:
        moved = [f"{label} is {output}" for label, output in enumerate(order.outputs) if label != output]
        found += f" Label {listed(moved)} there; correct the labels."
    return Doubt(at.near_chance, 1, name, at, "order of classes", found, remedy, names, data.things)


Reason = tuple[Cause, str, str]


def _of_preparation(
    model: Model, images: Sample, given: TriedPreparation, others: Sequence[TriedPreparation]
) -> Reason | None:
    """Whether the images are prepared in another way than in training."""
    if not others:
        number = model.images_within(SECONDS / WAYS, images, given.preparation)
        images = images.first(max(IMAGES_AT_LEAST, number))
        others = searched(model, images, given.preparation, list(sizes(model.zoo, images)), every=False)
        given = next((each for each in others if each.preparation == given.preparation), given)
    if not others or compare_bits((best := most_right(others)).bits, given.bits).low <= 0:
        return None
    if standing(best.logits, images.labels).near_chance and not best.order:
        return None
    remedy = "\n".join(f"{key} = {_toml(value)}" for key, value in best.preparation.table().items())
    return (
        "preprocessing",
        f"The likeliest reason is how the images are prepared: {best.preparation.words}, {best.correct} of "
        f"{len(best.bits)} are right instead of {given.correct}. If training did it so, say under [data] in zoo.toml: "
        f"{remedy.replace(chr(10), '; ')}",
        remedy,
    )


def _of_place(model: Model, images: Sample, given: TriedPreparation) -> Reason | None:
    """Whether weights at another place of the ingredient's file are better."""
    for place, zoo in other_weights(model.zoo, model.name):
        try:
            there = tried_preparation(with_weights(model, zoo), images, given.preparation)
        except (CheckpointError, DataError):
            continue
        if compare_bits(there.bits, given.bits).low > 0:
            remedy = f"weights = {json.dumps(place, ensure_ascii=False)}"
            return (
                "place in the file",
                f"The likeliest reason is the place in the file: the weights under {shown(place)} have {there.correct} of "
                f"{len(there.bits)} images right instead of {given.correct}; say {remedy} under each ingredient in zoo.toml.",
                remedy,
            )
    with_weights(model, model.zoo)
    return None


def _of_split(model: Model, images: Sample, given: TriedPreparation) -> Reason | None:
    """Whether the model is right on training images, so that the held-out ones are others, or labelled otherwise."""
    try:
        train = sample(model.zoo.data, "train", len(images))
        (logits,) = model.logits(train, given.preparation)
    except DataError:
        return None
    at = standing(logits, train.labels)
    if at.near_chance:
        return None
    return (
        "split",
        f"The likeliest reason is the split: {at.correct} of {at.total} training images are right, so network and "
        "preprocessing fit, and the held-out images are others or have other labels; see which folder or file became the "
        "held-out split.",
        "",
    )


def _of_answers(logits: Tensor, are_of_texts: bool) -> Reason | None:
    """Whether the answers are those of weights that are not trained, or of images on another scale, or of other tokens."""
    things, otherwise = "images", "images on another scale than in training; see normalize in zoo.toml"
    if are_of_texts:
        things, otherwise = "texts", "another tokenizer than in training; see tokenizer in zoo.toml"
    answers = logits.nan_to_num().argmax(1)
    commonest = torch.bincount(answers, minlength=logits.shape[1])
    share = float(commonest.max()) / len(answers)
    if share >= SAME_ANSWER:
        return (
            "same answer",
            f"It gives {100 * share:.0f} % of the {things} the same answer, class {int(commonest.argmax())}: the likeliest "
            f"reason is weights that were not trained, or {otherwise}, "
            "and that each file holds a finished run.",
            "",
        )
    confidence = float(logits.softmax(1).amax(1).mean())
    if confidence < SURER / logits.shape[1]:
        return (
            "untrained",
            f"Its answers are hardly surer than guessing ({100 * confidence:.1f} % in the mean): the likeliest reason is "
            "weights that were not trained, such as a head that begins anew; see that each file holds a finished run.",
            "",
        )
    return None


def _unknown(classes: Sequence[str]) -> Reason:
    order = f" (now {listed(map(shown, classes), 6)})" if classes else ""
    return (
        "unknown",
        f"No other order of classes, preparation of images or split that was tried explains it. Look first at the order of "
        f"classes{order}, then at preprocessing, and that the weights are those of a finished run.",
        "",
    )


def _toml(value: object) -> str:
    """A plain value as TOML has it, tables on one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value)
