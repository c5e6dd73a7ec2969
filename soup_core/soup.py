"""The Soup value: coefficients over checkpoints, and the algebra of mixing them.

Every method of averaging ends in one of these (Wortsman et al. 2022, arXiv 2203.05482).
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

from soup_core.errors import CoefficientError

BatchNorm = Literal["averaged", "re-estimated", "first"]
Coefficients = Mapping[str, float]


@dataclass(frozen=True)
class Soup:
    """Coefficients by ingredient name, optionally others for single tensors, and how BatchNorm statistics are made.

    A coefficient of exactly zero is the same as none. The base is named "base". Two soups are equal when their
    coefficients are. Raises CoefficientError where nothing is left or a coefficient is not finite.

    >>> Soup({"a": 1.0, "b": 0.0}) == Soup({"a": 1.0})
    True
    >>> soup = Soup({"a": 0.5, "b": 0.5}, {"head.bias": {"c": 1.0}})
    >>> dict(soup.coefficients_for("head.weight")), dict(soup.coefficients_for("head.bias")), soup.names
    ({'a': 0.5, 'b': 0.5}, {'c': 1.0}, ('a', 'b', 'c'))
    """

    coefficients: Coefficients
    tensors: Mapping[str, Coefficients] = field(default_factory=dict)
    batch_norm: BatchNorm = "averaged"

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _frozen(self.coefficients))
        tensors = {tensor: _frozen(coefficients) for tensor, coefficients in sorted(self.tensors.items())}
        different = {tensor: mix for tensor, mix in tensors.items() if mix != self.coefficients}
        object.__setattr__(self, "tensors", MappingProxyType(different))
        if self.batch_norm not in get_args(BatchNorm):
            raise CoefficientError(
                f"BatchNorm statistics are made as one of {', '.join(get_args(BatchNorm))}; found {self.batch_norm!r}."
            )

    def __hash__(self) -> int:
        return hash(self.to_json())

    @classmethod
    def single(cls, name: str, *, batch_norm: BatchNorm = "averaged") -> "Soup":
        """One ingredient alone, or the base.

        >>> Soup.single("a").coefficients["a"]
        1.0
        """
        return cls({name: 1.0}, batch_norm=batch_norm)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all ingredients with a coefficient anywhere, sorted."""
        return tuple(sorted({*self.coefficients, *(name for mix in self.tensors.values() for name in mix)}))

    def coefficients_for(self, tensor: str) -> Coefficients:
        """The coefficients that hold for one tensor of the model."""
        return self.tensors.get(tensor, self.coefficients)

    def add(self, name: str) -> "Soup":
        """Let one more ingredient in with the average coefficient of the n there: (n * self + name) / (n + 1).

        A uniform soup stays uniform, exactly, so that what was evaluated before is recognised.

        >>> Soup({"a": 0.5, "b": 0.5}).add("c") == uniform("abc")
        True
        >>> dict(Soup({"a": 0.75, "b": 0.25}).add("c").coefficients)
        {'a': 0.5, 'b': 0.16666666666666669, 'c': 0.3333333333333333}
        """
        if self._is_uniform():
            return uniform({*self.coefficients, name}, batch_norm=self.batch_norm)
        return interpolate(self, Soup.single(name, batch_norm=self.batch_norm), 1 / (len(self.coefficients) + 1))

    def drop(self, name: str) -> "Soup":
        """Take an ingredient out, of single tensors too, and scale the others up to the same sum.

        Raises CoefficientError where no other ingredient is left, or the others sum to zero.

        >>> dict(Soup({"a": 0.5, "b": 0.25, "c": 0.25}).drop("a").coefficients)
        {'b': 0.5, 'c': 0.5}
        """
        if self._is_uniform():
            return uniform(set(self.coefficients) - {name}, batch_norm=self.batch_norm)
        tensors = {tensor: _without(coefficients, name) for tensor, coefficients in self.tensors.items()}
        return Soup(_without(self.coefficients, name), tensors, self.batch_norm)

    def _is_uniform(self) -> bool:
        return self == uniform(self.coefficients, batch_norm=self.batch_norm)

    def to_json(self) -> str:
        """One line of JSON: {name: coefficient}, with "tensors" beside it where it differs per tensor.

        >>> Soup({"a": 1.0}, {"head.bias": {"b": 1.0}}).to_json()
        '{"a": 1.0, "tensors": {"head.bias": {"b": 1.0}}}'
        """
        content: dict[str, Any] = dict(self.coefficients)
        if self.tensors:
            content["tensors"] = {tensor: dict(coefficients) for tensor, coefficients in self.tensors.items()}
        if self.batch_norm != "averaged":
            content["batch_norm"] = self.batch_norm
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> "Soup":
        """Read what `to_json` wrote. Raises CoefficientError for anything else."""
        try:
            content = json.loads(text)
            tensors, batch_norm = content.pop("tensors", {}), content.pop("batch_norm", "averaged")
            return cls(content, tensors, batch_norm)
        except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            raise CoefficientError(
                f'A soup is a JSON object {{"NAME": coefficient, …}}; found {text[:60]!r} ({error}).'
            ) from error


def uniform(names: Iterable[str], *, batch_norm: BatchNorm = "averaged") -> Soup:
    """The soup that gives each of the n names the same coefficient, 1/n; a name given twice counts once.

    Raises CoefficientError where no name is given.

    >>> dict(uniform(["a", "b", "a"]).coefficients)
    {'a': 0.5, 'b': 0.5}
    """
    distinct = set(names)
    return Soup({name: 1 / len(distinct) for name in distinct}, batch_norm=batch_norm)


def mix(shares: Mapping[Soup, float]) -> Soup:
    """The soup whose weights are the shares' combination of those soups' weights. Shares need not sum to one.

    Raises CoefficientError where the soups' BatchNorm statistics are made in different ways, or nothing is left.

    >>> base, a, b = Soup.single("base"), Soup.single("a"), Soup.single("b")
    >>> dict(mix({base: -1.0, a: 1.0, b: 1.0}).coefficients)  # base + (a - base) + (b - base)
    {'a': 1.0, 'b': 1.0, 'base': -1.0}
    """
    soups = list(shares)
    if len({soup.batch_norm for soup in soups}) > 1:
        raise CoefficientError("Soups whose BatchNorm statistics are made in different ways cannot be mixed.")
    tensors = {tensor for soup in soups for tensor in soup.tensors}
    return Soup(
        _combined([(soup.coefficients, shares[soup]) for soup in soups]),
        {tensor: _combined([(soup.coefficients_for(tensor), shares[soup]) for soup in soups]) for tensor in tensors},
        soups[0].batch_norm if soups else "averaged",
    )


def interpolate(soup_a: Soup, soup_b: Soup, alpha: float) -> Soup:
    """(1 - alpha) * a + alpha * b; alpha below 0 or above 1 goes beyond the ends.

    Raises CoefficientError as `mix` does.

    >>> a, b = Soup.single("a"), Soup.single("b")
    >>> dict(interpolate(a, b, 0.25).coefficients)
    {'a': 0.75, 'b': 0.25}
    >>> dict(interpolate(a, b, 1.5).coefficients)
    {'a': -0.5, 'b': 1.5}
    """
    if soup_a == soup_b:
        return soup_a
    return mix({soup_a: 1 - alpha, soup_b: alpha})


def _combined(parts: list[tuple[Coefficients, float]]) -> dict[str, float]:
    names = {name for coefficients, _ in parts for name in coefficients}
    return {name: math.fsum(share * c[name] for c, share in parts if name in c) for name in names}


def _without(coefficients: Coefficients, name: str) -> dict[str, float]:
    left = {key: value for key, value in coefficients.items() if key != name}
    scale = math.fsum(coefficients.values()) / (math.fsum(left.values()) or math.nan)
    return {key: value * scale for key, value in left.items()}


def _frozen(coefficients: Coefficients) -> Coefficients:
    for name, value in coefficients.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise CoefficientError(f"The coefficient of {name} must be a finite number; found {value!r}.")
    kept = {name: float(value) for name, value in sorted(coefficients.items()) if value != 0}
    if not kept:
        raise CoefficientError("A soup needs at least one ingredient with a coefficient other than zero; found none.")
    return MappingProxyType(kept)
