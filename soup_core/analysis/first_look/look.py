"""One ingredient on a few held-out images, before anything rests on it; where no preparation is known, in several ways."""

from dataclasses import dataclass, replace

from soup_core.analysis.first_look.chance import Standing, standing
from soup_core.analysis.first_look.doubt import Doubt, explained
from soup_core.analysis.first_look.model import loaded
from soup_core.analysis.first_look.preparations import Preparation, preparation_of, sizes, usual_preparation
from soup_core.analysis.first_look.search import (
    TriedPreparation,
    is_better,
    most_right,
    searched,
    tried_preparation,
    with_further,
)
from soup_core.data import UNNORMALIZED, Preprocessing
from soup_core.data.sample import Sample, sample
from soup_core.errors import DataError
from soup_core.runtime.devices import resolve_device
from soup_core.runtime.files import listed, shown
from soup_core.zoo import Zoo

IMAGES = 200
IMAGES_AT_LEAST = 24
SECONDS = 20.0  # for all ways together, told by the time of a few images: a large network is judged on fewer of them
WAYS = 9  # that are tried where none is known, of a network for which each with each would take too long
FURTHER = 2  # ingredients that decide between ways by which the first is right alike
WAYS_AT_MOST = 30  # of sizes with normalisations


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What one ingredient gets of a few held-out images: by the preparation that is given, or by each that was tried.

    `tried` are the ways in their order, `best` the one that is taken, `given` what the zoo says, where it was tried; `doubt`
    says what speaks against the best, if anything does.
    """

    name: str
    tried: tuple[TriedPreparation, ...]
    best: TriedPreparation
    given: TriedPreparation | None
    standing: Standing
    doubt: Doubt | None
    things: str = "images"

    @property
    def is_significant(self) -> bool:
        """Whether the best way is better than every other by more than chance explains."""
        return all(is_better(self.best, each) for each in self.tried if each is not self.best)

    @property
    def is_doubtful(self) -> bool:
        """Whether a person should decide: something speaks against it, or which way is the best may be chance."""
        return self.doubt is not None or not self.is_significant

    @property
    def sentence(self) -> str:
        """What was found, in a sentence or two."""
        correct, total = self.best.correct, len(self.best.bits)
        result = f"{shown(self.name)} has {correct} of {total} held-out {self.things} right"
        guessed = f"guessing gets {self.standing.guessed}"
        if len(self.tried) == 1:
            return f"Of {total} held-out {self.things} {shown(self.name)} has {correct} right; {guessed}."
        others = [each for each in self.tried if each is not self.best]
        ranked = sorted(others, key=lambda each: -each.correct)
        found = listed([f"{each.preparation.words}: {each.correct}" for each in ranked], 3)
        unknown = f"How the images were prepared in training is not known. Of {len(self.tried)} ways"
        way = self.best.preparation.words
        if self.standing.near_chance and not self.best.order:
            return f"{unknown} none is above chance: {way}: {correct}, {found} of {total}; {guessed}. {way} is taken."
        if self.best.correct < ranked[0].correct:
            return f"{unknown} none is better than {way} by more than chance explains: {result} ({found}; {guessed})."
        sure = "" if self.is_significant else " The difference may be chance: see that it is how they were trained."
        return f"{unknown} the best is {way}: {result} ({found}; {guessed}).{self._with_further} It is taken.{sure}"

    @property
    def _with_further(self) -> str:
        """What all ingredients that were run have right, where the first alone did not decide; a sentence, or nothing."""
        rivals = [each for each in self.tried if each is not self.best and each.further]
        if not (self.best.further and rivals):
            return ""
        ours, most = (int(each.all_bits.sum()) for each in (self.best, most_right(rivals)))
        models = 1 + len(self.best.further)
        return f" Of {len(self.best.all_bits)} answers of {models} ingredients {ours} are right so, and {most} by the next way."


def first_look(
    zoo: Zoo,
    *,
    prepared: bool = True,
    name: str | None = None,
    split: str = "held_out",
    device: str = "auto",
    images: int = IMAGES,
    seconds: float = SECONDS,
    seed: int = 0,
) -> FirstLook:
    """Run one ingredient, by default the first, on at most so many images of a split: as many of each class as can be.

    With `prepared` the images are prepared as the zoo says, else in several ways: each size with each normalisation where
    time allows, or normalisations first, then sizes, each with the best of those before; then interpolations. What the network's family does by default, or else what the zoo says,
    is tried first, and stays where no other way is better by more than chance explains. Where all ways together would take longer than
    `seconds`, fewer images are run. Raises DataError where there are no images, or the network takes them in no way.
    """
    drawn = sample(zoo.data, split, images, seed=seed)
    model = loaded(zoo, name or zoo.names[0], resolve_device(device))
    given = preparation_of(zoo)
    ways = [given] if prepared else _ways(zoo, drawn)
    for first in ways:
        try:
            number = model.images_within(seconds / (1 if prepared else WAYS), drawn, first)
        except DataError:
            if first == ways[-1]:
                raise
        else:
            break
    of_each = number * WAYS // WAYS_AT_MOST
    every = 2 * of_each >= IMAGES_AT_LEAST
    if every and not prepared:
        number = of_each
    drawn = drawn.first(max(IMAGES_AT_LEAST, min(number, len(drawn))))
    tried = [tried_preparation(model, drawn, first)] if prepared else searched(model, drawn, first, ways, every=every)
    further = [] if prepared else [each for each in zoo.names if each != model.name][:FURTHER]
    tried = with_further(tried, (loaded(zoo, each, model.device) for each in further), drawn)
    best = most_right(each for each in tried if len(each.further) == max(len(way.further) for way in tried))
    if first in (given, usual_preparation(zoo)) and not is_better(best, tried[0]):
        best = tried[0]
    at = standing(best.logits, drawn.labels)
    doubt = explained(model, drawn, best, at, tried if len(tried) > 1 else ())
    return FirstLook(model.name, tuple(tried), best, tried[0] if first == given else None, at, doubt, zoo.data.things)


def _ways(zoo: Zoo, images: Sample) -> list[Preparation]:
    """What the network's family does, or else what the zoo says; then what differs in size.

    transformers' networks are hardly ever given images as they are. Last all that in grey, for networks of one channel.
    """
    usual = usual_preparation(zoo)
    first = [] if str(zoo.architecture["name"]).startswith("transformers:") else [preparation_of(zoo)]
    by_size = {_but_for_kernels(each): each for each in (*sizes(zoo, images), *([usual] if usual else first))}
    ways = sorted(by_size.values(), key=lambda each: each != usual and each not in first)
    return ways if images.is_prepared else [*ways, *(replace(way, normalization=UNNORMALIZED) for way in ways)]


def _but_for_kernels(preparation: Preparation) -> object:
    """The way to resize, whose kernels alone make a difference of a level or two."""
    way = preparation.preprocessing
    return replace(way, backend="pil") if isinstance(way, Preprocessing) else way
