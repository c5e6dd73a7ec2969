"""How the evaluations of one run have their network run: decided once, before the first, and held from then on.

In small evaluations and in other precisions than float32 the network is run as it is. SOUP_EVALUATION overrules the trial,
but not the rule that a way's logits agree with those of the network as it is. The number of threads is torch's, and part
of the choice's key: torch sets it for a whole process, in which others compute too.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from soup_core.evaluation.choosing import (
    WORTH_A_TRIAL,
    Choice,
    Context,
    kept_choice,
    key_of,
    made_choice,
    with_compiling,
)
from soup_core.evaluation.running import Running
from soup_core.runtime import settings
from soup_core.runtime.devices import is_out_of_memory
from soup_core.runtime.store import Store
from soup_core.zoo import Zoo

AUTO, COMPILED = "auto", "compiled"
# Layout and fusing are of use to convolutions: a transformer has one, which cuts its patches, and is best left alone.
FEWEST_CONVOLUTIONS = 2


@dataclass(frozen=True)
class Decided:
    """A way of running a network, and the size of batches that suits it; None leaves the size as it is."""

    running: Running
    batch_size: int | None = None


IN_WORDS = {
    "channels_last": "with channels last in memory",
    "fused": "with BatchNorm and activations fused into its convolutions",
    "compiled": "compiled by torch.compile",
}


@dataclass(frozen=True)
class Work:
    """What a run is going to evaluate: so many images of a shape (C, H, W), under every ingredient at least.

    `batch_size` is what the user asked for, if anything.
    """

    zoo: Zoo
    images: int
    shape: tuple[int, ...]
    device: str
    precision: str
    batch_size: int | None
    store: Store

    @property
    def setting(self) -> str:
        """The way that the user wants, or "auto"."""
        return settings.EVALUATION()

    @property
    def expected_images(self) -> int:
        """How many images a run has to do with at least: every ingredient's."""
        return self.images * len(self.zoo.names)

    @property
    def is_tried(self) -> bool:
        """Whether another way than "plain" comes into question."""
        if self.precision != "float32" or self.setting == "plain":
            return False
        if len(self.shape) != 3:
            return False  # texts: the layout is one of images, and a compiled network would wait for each new length
        if self.setting != AUTO:
            return True
        height, width = self.shape[-2:]
        tensors = self.zoo.tensors.values()
        is_worth_it = sum(map(Tensor.numel, tensors)) * height * width * self.images >= WORTH_A_TRIAL
        return is_worth_it and sum(tensor.dim() == 4 for tensor in tensors) >= FEWEST_CONVOLUTIONS

    @property
    def key(self) -> str:
        """Of the choice in the store."""
        return key_of(dict(self.zoo.network), self.shape, self.device, self.setting, self.batch_size)

    def kept_ways(self) -> list[str]:
        """The ways in which the run would go by what the store holds, the best first; none where that is not known."""
        choice = kept_choice(self.store, self.key) if self.is_tried else None
        return self._ways(choice) if choice else []

    def in_words(self, way: str) -> str | None:
        """A sentence on how the network is run and why; None where it is run as it is."""
        if way not in IN_WORDS:
            return None
        sentence = f"For evaluations the network is run {IN_WORDS[way]}"
        choice = kept_choice(self.store, self.key)
        if choice is None or not choice.seconds.get(way):
            return f"{sentence}."
        gain = choice.seconds["plain"] / choice.seconds[way]
        return f"{sentence}, {gain:.1f} times as fast here as unchanged, by a short trial; SOUP_EVALUATION=plain leaves it as it is."

    def decide(self, module: nn.Module, first: Callable[[int], Tensor], context: Context) -> Decided:
        """Decide on the way, by a trial where none is kept; `first` gives the first images, as many as it is given.

        The module holds a soup's weights. The work can be ended meanwhile. Raises what the network raises as it is.
        """
        if not self.is_tried:
            return Decided(Running(module))
        with self.store.claim(f"trial-{self.key.rpartition(' ')[2]}"):
            choice = kept_choice(self.store, self.key)
            if choice is None and (choice := self._made(module, first, context)) is None:
                return Decided(Running(module))
            wanted = self.setting == COMPILED and COMPILED not in choice.seconds
            if wanted or (self.setting == AUTO and choice.may_gain_by_compiling(self.expected_images)):
                choice = self._with_compiling(choice, module, first, context)
        size = min(choice.batch_size, self.images)
        for way in self._ways(choice):
            try:
                running = Running(module, way)
            except Exception:  # another version of the network's library may be one that torch cannot trace
                continue
            if running.prepare(first(size), lambda: context(first(size))):
                return Decided(running, choice.batch_size)
        return Decided(Running(module), choice.batch_size)

    def _made(self, module: nn.Module, first: Callable[[int], Tensor], context: Context) -> Choice | None:
        ways = ("channels_last", "fused") if self.setting == AUTO else tuple({self.setting} - {COMPILED})
        try:
            choice = made_choice(module, first, self.device, context, ways=ways, batch_size=self.batch_size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        self.store.keep_choice(self.key, choice.to_json())
        return choice

    def _with_compiling(
        self, choice: Choice, module: nn.Module, first: Callable[[int], Tensor], context: Context
    ) -> Choice:
        more = with_compiling(choice, module, first, self.device, context)
        self.store.keep_choice(self.key, more.to_json())
        return more

    def _ways(self, choice: Choice) -> list[str]:
        if self.setting in (AUTO, "plain"):
            return choice.ranked(self.expected_images)
        return [self.setting] if choice.seconds.get(self.setting, float("inf")) < float("inf") else []
