"""The metrics by their words, image by image in plain Python: what the core's own are held to where decisions follow."""

from collections.abc import Callable, Sequence

from torch import Tensor


def _rights(logits: Tensor, labels: Sequence[int]) -> list[bool]:
    return [int(row.argmax()) == label for row, label in zip(logits, labels, strict=True)]


def _means(rights: Sequence[bool], cells: Sequence[int]) -> list[float]:
    return [
        sum(right for right, at in zip(rights, cells, strict=True) if at == cell) / list(cells).count(cell)
        for cell in sorted(set(cells))
    ]


def accuracy(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    return sum(_rights(logits, labels)) / len(labels)


def balanced_accuracy(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    means = _means(_rights(logits, labels), labels)
    return sum(means) / len(means)


def worst_class(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    return min(_means(_rights(logits, labels), labels))


def worst_group(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    return min(_means(_rights(logits, labels), groups))


def macro_f1(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    found = logits.argmax(1).tolist()
    scores = []
    for each in set(labels) | set(found):
        both = sum(a == b == each for a, b in zip(found, labels, strict=True))
        scores.append(2 * both / (list(labels).count(each) + found.count(each)))
    return sum(scores) / len(scores)


def log_loss(logits: Tensor, labels: Sequence[int], groups: Sequence[int]) -> float:
    scores = logits.double().log_softmax(1)
    return -sum(float(row[label]) for row, label in zip(scores, labels, strict=True)) / len(labels)


BY_WORDS: dict[str, Callable[[Tensor, Sequence[int], Sequence[int]], float]] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "worst-class": worst_class,
    "worst-group": worst_group,
    "macro-f1": macro_f1,
    "log-loss": log_loss,
}
