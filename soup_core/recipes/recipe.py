"""What a recipe is beside its code: where it comes from, what it needs, what it lets one choose, and how it is run."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Protocol, TypeGuard

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluator
from soup_core.soup import Soup
from soup_core.zoo import Zoo

Kind = Literal["integer", "number", "flag", "choice", "order", "names", "pair", "soup"]


class Need(Enum):
    """What a recipe needs beyond ingredients, in words."""

    BASE = "a base"
    RUN = "checkpoints of one run"
    PAIR = "two ingredients"


class Step(Protocol):
    """A step of a recipe: it holds the soup so far."""

    @property
    def soup(self) -> Soup:
        """The soup after this step."""


@dataclass(frozen=True)
class ClosedForm:
    """The only step of a recipe that computes its soup at once."""

    soup: Soup


@dataclass(frozen=True)
class About:
    """A recipe's name, the paper it is from, where that is, and a paragraph: what it does, when it fails."""

    name: str
    paper: str
    link: str
    text: str


@dataclass(frozen=True)
class Parameter:
    """One thing that a recipe lets one choose, as the command line, a job and a page offer it.

    `low` and `high` bound numbers, both included. A choice is one of `choices`; an order is "accuracy", "random:SEED" or
    names; names and a pair are those of ingredients; a soup is the value or its JSON, the uniform one where none is
    given. A default of None leaves the choice to the recipe, unless it is `required`.
    """

    name: str
    kind: Kind
    meaning: str
    default: str | float | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        match self.kind:
            case "integer" | "number":
                number = "a whole number" if self.kind == "integer" else "a finite number"
                at_least = "" if self.low is None else f" of at least {self.low}"
                return number + (at_least if self.high is None else f" from {self.low} to {self.high}")
            case "flag":
                return "true or false"
            case "choice":
                return one_of(self.choices)
            case "order":
                return '"accuracy", "random:SEED" or names of ingredients'
            case "names" | "pair":
                return f"the names of {'two ' if self.kind == 'pair' else ''}ingredients"
            case "soup":
                return "a soup"

    def accepts(self, value: object) -> bool:
        """Whether a value is of the kind and within the range; whether a zoo has such names is for the recipe to say."""
        match self.kind:
            case "integer" | "number":
                numbers = int if self.kind == "integer" else (int, float)
                return (
                    isinstance(value, numbers)
                    and not isinstance(value, bool)
                    and abs(value) <= sys.float_info.max  # neither infinite, NaN, nor an integer beyond all floats
                    and (self.low is None or value >= self.low)
                    and (self.high is None or value <= self.high)
                )
            case "flag":
                return isinstance(value, bool)
            case "choice":
                return value in self.choices
            case "order":
                return isinstance(value, str) or _are_names(value)
            case "names":
                return _are_names(value)
            case "pair":
                return _are_names(value) and len(value) == 2
            case "soup":
                return isinstance(value, (Soup, str))


@dataclass(frozen=True)
class Recipe:
    """A way of making a soup; with one line in the registry it is on the command line, among the jobs, in the face-off.

    `make(zoo, evaluate, **parameters)` gives the soup, or a generator of steps that each hold the soup so far.
    `averages` says whether the soup's models are averaged, or run one by one and their outputs averaged. The face-off
    runs what is `compared`: not a recipe that leaves a choice to people. `command` is its own on the command line; the
    others are `soup KEY`.
    """

    key: str
    about: About
    make: Callable[..., Soup | Iterator[Step]]
    needs: tuple[Need, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    averages: Literal["weights", "outputs"] = "weights"
    compared: bool = True
    command: str | None = None

    @property
    def command_line(self) -> str:
        """What one types on the command line to run it."""
        return self.command or f"soup {self.key}"

    def steps(self, zoo: Zoo, evaluate: Evaluator, **arguments: Any) -> Iterator[Step]:
        """Run it; in closed form it has a single step. Raises CoefficientError as `checked` does."""
        result = self.make(zoo, evaluate, **self.checked(arguments))
        if isinstance(result, Soup):
            yield ClosedForm(result)
        else:
            yield from result

    def soup(self, zoo: Zoo, evaluate: Evaluator, **arguments: Any) -> Soup:
        """The soup that it ends with. Raises CoefficientError as `checked` does."""
        *_, last = self.steps(zoo, evaluate, **arguments)
        return last.soup

    def checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """These arguments and the defaults of the others; None stands for a default.

        Raises CoefficientError for an argument that is no parameter, a value that its parameter does not accept, and
        where a required one is missing.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in arguments:
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise CoefficientError(f"The recipe {self.key} has no parameter {name!r}; its parameters: {allowed}.")
        values: dict[str, Any] = {}
        for name, parameter in known.items():
            value = arguments.get(name)
            value = parameter.default if value is None else value
            if value is None and not parameter.required:
                continue
            if not parameter.accepts(value):
                raise CoefficientError(f"The recipe {self.key} takes as {name} {parameter.expected}; found {value!r}.")
            values[name] = Soup.from_json(value) if parameter.kind == "soup" and isinstance(value, str) else value
        return values


def one_of(options: tuple[str, ...]) -> str:
    """Options as one chooses among them: "a, b or c"."""
    return " or ".join(part for part in (", ".join(options[:-1]), *options[-1:]) if part)


def _are_names(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(name, str) for name in value)
