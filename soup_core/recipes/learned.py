"""Learned soup: section 3 and appendix of Wortsman et al. 2022 (arXiv 2203.05482).

Coefficients by gradient descent on held-out images, with one model in memory however many are mixed: the gradient of
the loss in coefficient k is the inner product of its gradient at the mixed weights with ingredient k's weights, so each
step needs one forward and backward pass of one model and a pass over the files, or over a bank.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adamw import adamw

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, Judge, measure
from soup_core.evaluation.side_by_side import side_by_side
from soup_core.recipes.recipe import About, Parameter, Recipe, one_of
from soup_core.runtime.devices import exactly
from soup_core.runtime.interruption import yield_point
from soup_core.soup import BatchNorm, Soup
from soup_core.weight_space.averaging import inner_products
from soup_core.zoo import Zoo
from soup_core.zoo.zoo import GRANULARITIES

PARAMETERIZATIONS = ("softmax", "unconstrained")
ROUNDS_AN_EPOCH = 8
FOLD_SHARE = 0.2
BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class LearnedStep:
    """Where the coefficients are after a round of batches; step 0 is the start, the uniform soup.

    `coefficients` is groups×names; `loss` is the mean cross-entropy in nats over the round's batches, NaN at the start;
    `fold` evaluates the images that are not trained on, at the temperature. `soup` is the best so far by the fold's
    loss, or by the zoo's metric on it where that is not accuracy, `best_index` its step; `temperature` multiplies the
    logits.
    """

    index: int
    total: int
    groups: tuple[str, ...]
    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    temperature: float
    loss: float
    fold: Evaluation
    best_index: int
    soup: Soup


def learned_soup(
    zoo: Zoo,
    evaluate: Evaluator,
    *,
    granularity: str = "tensor",
    parameterization: str = "softmax",
    names: Sequence[str] | None = None,
    epochs: int = 5,
    batch_size: int = BATCH_SIZE,
    learning_rate: float | None = None,
    weight_decay: float = 0.0,
    temperature: bool = True,
    patience: int = 12,
    batch_norm: BatchNorm = "averaged",
    seed: int = 0,
) -> Iterator[LearnedStep]:
    """Learn coefficients on the evaluator's split, yielding a step after each eighth of an epoch.

    "softmax" keeps coefficients positive with a sum of one; "unconstrained" starts at 1/K and lets them go anywhere.
    AdamW with a constant rate, by default 0.05 for the first and 0.005 for the second. A fifth of the images is not
    trained on; the run ends after `patience` rounds in which their loss did not fall, or, where the zoo's metric is another
    than accuracy, in which that did not get better there, or stayed as it was and the loss did not fall. Every round is kept in the store:
    run again with the same arguments, it goes on where it was. With "re-estimated" statistics the averaged ones stand
    in while it learns. Raises CoefficientError for an argument that is none of the above.
    """
    chosen = zoo.names if names is None else tuple(names)
    zoo.check_names(chosen)
    if not chosen or len(set(chosen)) < len(chosen):
        raise CoefficientError(f"A learned soup takes each ingredient once; found {', '.join(chosen) or 'no name'}.")
    for what, value, least in (
        ("batch size", batch_size, 1),
        ("patience", patience, 1),
        ("number of epochs", epochs, 0),
    ):
        if value < least:
            raise CoefficientError(f"The {what} is at least {least}; found {value}.")
    for what, amount in (("learning rate", learning_rate or 0.0), ("weight decay", weight_decay)):
        if not 0 <= amount < math.inf:
            raise CoefficientError(f"The {what} is a number of at least 0; found {amount}.")
    if evaluate.total < 2:
        raise CoefficientError("At least two images are needed, one to learn on and one to say when to stop; found 1.")
    if parameterization not in PARAMETERIZATIONS:
        raise CoefficientError(
            f"Coefficients are parameterised as {' or '.join(PARAMETERIZATIONS)}; found {parameterization!r}."
        )
    default = 0.05 if parameterization == "softmax" else 0.005
    rate = default if learning_rate is None else learning_rate
    mixture = _Mixture(zoo, chosen, granularity, parameterization, batch_norm)
    arguments = [
        granularity,
        parameterization,
        chosen,
        epochs,
        batch_size,
        rate,
        weight_decay,
        temperature,
        patience,
        batch_norm,
        seed,
        *([] if zoo.metric == "accuracy" else [zoo.metric]),
    ]

    def run_of(digest: str) -> str:
        content = ["learned", digest, evaluate.data.digest, evaluate.precision, evaluate.device[:4], *arguments]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    run = run_of(zoo.digest)
    if zoo.earlier_digest:
        evaluate.store.carry_over(run_of(zoo.earlier_digest), run)

    raw = mixture.start()
    scale = torch.ones((), dtype=torch.float64, requires_grad=temperature)
    optimizer = _AdamW([raw, *([scale] if temperature else [])], rate, weight_decay)
    train, fold = _parted(evaluate.total, seed)
    modules = evaluate.replicas()
    rounds = [part for epoch in range(epochs) for part in _rounds(train, batch_size, seed + epoch)]
    best_index, best_rank, best = 0, (-math.inf, -math.inf), mixture.soup(raw)
    judge = evaluate.judge.of(fold.numpy())

    def round_of(index: int) -> dict[str, Tensor]:
        losses = []
        for batch in rounds[index - 1] if index else []:
            losses.append(_learn(evaluate, mixture, modules, raw, scale, batch))
            optimizer.step()
            yield_point()
        loss = sum(losses) / len(losses) if losses else math.nan
        on_fold = _evaluate_fold(evaluate, modules, mixture.soup(raw, learning=True), scale.item(), judge, fold)
        return _state(optimizer, loss, on_fold)

    for index in range(len(rounds) + 1):
        state = evaluate.store.step(run, index)
        if state is None:
            with evaluate.store.claim(f"learned-{run}"):  # another session or process may be at the same run
                state = evaluate.store.step(run, index)
                if state is None:
                    state = round_of(index)
                    evaluate.store.keep_step(run, index, state)
        loss, unjudged = _restore(state, optimizer, evaluate.precision)
        on_fold = judge.judged(unjudged, state["answers"].numpy() if "answers" in state else None)
        if (rank := _rank(on_fold)) > best_rank:
            best_index, best_rank, best = index, rank, mixture.soup(raw)
        yield LearnedStep(
            index,
            len(rounds),
            mixture.groups,
            chosen,
            mixture.coefficients(raw).detach().numpy().copy(),
            scale.item(),
            loss,
            on_fold,
            best_index,
            best,
        )
        if index - best_index >= patience:
            return


def _rank(fold: Evaluation) -> tuple[float, float]:
    """By what the best round is chosen, higher is better: the metric, where it is not accuracy, then the loss."""
    loss = -math.inf if math.isnan(fold.loss) else -fold.loss
    return (0.0 if fold.measured is None else fold.standing), loss


def rounds_in(images: int, epochs: int, batch_size: int = BATCH_SIZE) -> int:
    """How many rounds a run over so many held-out images has at most."""
    train = images - _fold_size(images)
    return epochs * len(list(_rounds(torch.arange(train), batch_size, 0)))


class _AdamW:
    """AdamW by torch's own function, with its state as plain tensors; the class of torch takes seconds to import."""

    def __init__(self, values: list[Tensor], rate: float, weight_decay: float) -> None:
        self.values, self.rate, self.weight_decay = values, rate, weight_decay
        self.first = [torch.zeros_like(value) for value in values]
        self.second = [torch.zeros_like(value) for value in values]
        self.steps = [torch.zeros(()) for _ in values]

    def step(self) -> None:
        """Move the values by their gradients, and clear these."""
        gradients = [value.grad for value in self.values if value.grad is not None]
        with torch.no_grad():
            adamw(
                self.values,
                gradients,
                self.first,
                self.second,
                [],
                self.steps,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.rate,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )
        for value in self.values:
            value.grad = None

    def state(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by a name."""
        parts = {"value": self.values, "first": self.first, "second": self.second, "steps": self.steps}
        return {f"{name}.{index}": tensor for name, listed in parts.items() for index, tensor in enumerate(listed)}


class _Mixture:
    """How raw numbers, groups×names, become coefficients, and coefficients a soup."""

    def __init__(
        self, zoo: Zoo, names: tuple[str, ...], granularity: str, parameterization: str, batch_norm: BatchNorm
    ) -> None:
        self.zoo, self.names, self.parameterization, self.batch_norm = zoo, names, parameterization, batch_norm
        self.group_of = zoo.groups(granularity)
        self.groups = tuple(dict.fromkeys(self.group_of.values()))
        self.row = {group: row for row, group in enumerate(self.groups)}

    def start(self) -> Tensor:
        first = 0.0 if self.parameterization == "softmax" else 1 / len(self.names)
        return torch.full((len(self.groups), len(self.names)), first, dtype=torch.float64, requires_grad=True)

    def coefficients(self, raw: Tensor) -> Tensor:
        return raw.softmax(1) if self.parameterization == "softmax" else raw

    def soup(self, raw: Tensor, *, learning: bool = False) -> Soup:
        rows = self.coefficients(raw).detach().tolist()
        mixes = [dict(zip(self.names, row, strict=True)) for row in rows]
        batch_norm = "averaged" if learning and self.batch_norm == "re-estimated" else self.batch_norm
        if len(mixes) == 1:
            return Soup(mixes[0], batch_norm=batch_norm)
        tensors = {tensor: mixes[self.row[group]] for tensor, group in self.group_of.items()}
        return Soup({name: 1 / len(self.names) for name in self.names}, tensors, batch_norm)

    def gradient(self, products: Mapping[str, Tensor]) -> Tensor:
        """The gradient in the coefficients, groups×names, from each tensor's inner products."""
        total = torch.zeros(len(self.groups), len(self.names), dtype=torch.float64)
        for tensor, values in products.items():
            total[self.row[self.group_of[tensor]]] += values
        return total


def _learn(
    evaluate: Evaluator,
    mixture: _Mixture,
    modules: Sequence[torch.nn.Module],
    raw: Tensor,
    scale: Tensor,
    batch: Tensor,
) -> float:
    """Add to the gradients of `raw` and `scale` those of the loss on one batch; BatchNorm's statistics are constants.

    `modules` are replicas of one.
    """
    coefficients = mixture.coefficients(raw)
    evaluate.load(modules[0], mixture.soup(raw, learning=True))
    parameters = dict(modules[0].named_parameters())
    wanted = [*parameters.values(), *([scale] if scale.requires_grad else [])]

    def slopes_of(module: torch.nn.Module, part: Tensor) -> list[Tensor]:
        inputs, labels = evaluate.inputs(part), evaluate.data.labels[part].to(evaluate.device)
        with exactly(evaluate.precision, evaluate.device):
            scores = evaluate.judged(module(inputs)).float() * scale.float().to(evaluate.device)
            loss = F.cross_entropy(scores, labels) * (len(part) / len(batch))
            # some networks have parts that they train and do not run: their gradient is zero
            return [loss.detach(), *torch.autograd.grad(loss, wanted, materialize_grads=True)]

    summed: list[Tensor] = []
    for _, found in evaluate.halving(batch, len(batch), partial(side_by_side, modules, slopes_of)):
        for parts in found:
            summed = [one + other for one, other in zip(summed, parts, strict=True)] if summed else parts
    loss, *slopes = summed
    gradients = dict(zip(parameters, slopes, strict=False))
    coefficients.backward(mixture.gradient(inner_products(evaluate.zoo, mixture.names, gradients, evaluate.bank)))
    if scale.requires_grad:
        scale.grad = slopes[-1].to(scale.dtype).cpu()
    return float(loss)


def _evaluate_fold(
    evaluate: Evaluator, modules: Sequence[torch.nn.Module], soup: Soup, scale: float, judge: Judge, fold: Tensor
) -> Evaluation:
    evaluate.load(modules[0], soup)

    def logits_of(module: torch.nn.Module, part: Tensor) -> Tensor:
        with torch.inference_mode(), exactly(evaluate.precision, evaluate.device):
            logits: Tensor = evaluate.judged(module(evaluate.inputs(part))).float().cpu() * scale
            return logits

    collected = []
    for _, logits in evaluate.halving(fold, evaluate.batch_size, partial(side_by_side, modules, logits_of)):
        collected += logits
        yield_point()
    return replace(measure(torch.cat(collected), evaluate.data.labels[fold], judge), precision=evaluate.precision)


def _parted(total: int, seed: int) -> tuple[Tensor, Tensor]:
    """The images to train on and those of the fold, by seed."""
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    held = _fold_size(total)
    return order[held:].sort().values, order[:held].sort().values


def _fold_size(total: int) -> int:
    return max(1, round(FOLD_SHARE * total))


def _rounds(train: Tensor, batch_size: int, seed: int) -> Iterator[list[Tensor]]:
    """One epoch's batches, in at most ROUNDS_AN_EPOCH rounds of as many each."""
    order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))]
    batches = list(order.split(batch_size))
    size = -(-len(batches) // ROUNDS_AN_EPOCH)
    for begin in range(0, len(batches), size):
        yield batches[begin : begin + size]


def _state(optimizer: _AdamW, loss: float, fold: Evaluation) -> dict[str, Tensor]:
    """A round as the store keeps it: its loss before the fold's figures, the fold's bits, the optimizer's tensors."""
    packed = fold.to_tensors()
    figures = torch.cat([torch.tensor([loss], dtype=torch.float64), packed["figures"]])
    state = {name: tensor.detach().clone() for name, tensor in optimizer.state().items()}
    answers = {"answers": torch.from_numpy(fold.measured.answers)} if fold.measured else {}
    return {**packed, "figures": figures, **answers, **state}


def _restore(state: Mapping[str, Tensor], optimizer: _AdamW, precision: str) -> tuple[float, Evaluation]:
    with torch.no_grad():
        for name, tensor in optimizer.state().items():
            tensor.copy_(state[name])
    figures = state["figures"]
    return float(figures[0]), Evaluation.from_tensors({**state, "figures": figures[1:]}, precision)


RECIPE = Recipe(
    "learned",
    About(
        "Learned soup",
        "Wortsman et al. 2022, section 3 and appendix",
        "https://arxiv.org/abs/2203.05482",
        "Learns how much of each model goes into the average, by gradient descent on the held-out loss: one "
        "coefficient a model, a layer or a tensor, and a temperature. A part of the held-out images is not trained on "
        "and says when to stop. With few held-out images and many coefficients it learns those images by heart, so "
        "that the held-out accuracy flatters it more than greedy's; and a lower loss is not always a higher accuracy.",
    ),
    learned_soup,
    parameters=(
        Parameter(
            "granularity", "choice", f"One coefficient a {one_of(GRANULARITIES)}", "tensor", choices=GRANULARITIES
        ),
        Parameter("parameterization", "choice", one_of(PARAMETERIZATIONS), "softmax", choices=PARAMETERIZATIONS),
        Parameter("epochs", "integer", "Passes over the held-out images at most", 5, low=1),
        Parameter("learning_rate", "number", "Default 0.05, unconstrained 0.005", low=0),
        Parameter("seed", "integer", "The seed of the fold and of the batches", 0, low=0),
    ),
    command="learned",
)
