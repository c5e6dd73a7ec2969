"""What a recipe says of itself, beside its code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """A recipe's name, the paper it is from, where that is, and a paragraph: what it does, when it fails."""

    name: str
    paper: str
    link: str
    text: str
