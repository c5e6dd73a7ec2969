"""What a label of a text stands for among a network's outputs: a number for itself, a name for the class called so."""

from collections.abc import Sequence

from soup_core.data.class_names import matched, placed
from soup_core.data.text_files import Label
from soup_core.errors import DataError


def placement_of(
    own: Sequence[Label], present: Sequence[Label], classes: Sequence[str], num_classes: int | None, where: str
) -> tuple[int, ...]:
    """The output of each of the labels that a file has, of which those `present` have texts; -1 for one that is left out.

    Raises DataError for numbers that are no output, and as `placed` does for names.

    >>> placement_of(["no", "yes"], ["no", "yes"], ["yes", "no"], 2, "x.csv")
    (1, 0)
    """
    names = [str(label) for label in own]
    numbers = [label for label in own if isinstance(label, int)]
    if len(numbers) < len(own) or (classes and len(matched(names, classes)) == len(names)):
        return placed(names, [str(label) for label in present], classes, where).outputs
    outputs = num_classes or len(classes)
    beyond = [number for number in numbers if number in present and not 0 <= number < (outputs or number + 1)]
    if beyond:
        what = "texts without a known label are of no use here" if beyond[0] == -1 else "correct the labels"
        raise DataError(
            f"{where} have the label {beyond[0]}, and the network's {outputs} outputs are numbered from 0 to {outputs - 1}; "
            f'{what}, or name the outputs by classes = ["…", …] in [data] of zoo.toml.'
        )
    return tuple(numbers)
