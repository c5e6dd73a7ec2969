"""What averaging LoRA's factors apart makes, against averaging what they multiply to.

The mean of the B times the mean of the A is (1/K²) Σᵢⱼ Bᵢ Aⱼ: a K-th of each model's own step, and products of factors that
never met in training. It is the mean of the products only where all share one of the two, as FFA-LoRA has it (Sun et al.
2024, arXiv 2403.12313). LoRA is Hu et al. 2021 (arXiv 2106.09685).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from soup_core.errors import ZooError
from soup_core.zoo import Zoo


def factors(difference: Tensor) -> tuple[Tensor, Tensor]:
    """B and A with B · A = the difference, a matrix, without loss: its singular vectors, each with half of the scale.

    A vector's sign is free; the largest number of each column of B is positive, so that all machines have the same.

    >>> b, a = factors(torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    >>> tuple(b.shape), tuple(a.shape), (b @ a).round().tolist()
    ((2, 2), (2, 3), [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    """
    left, values, right = torch.linalg.svd(difference, full_matrices=False)
    largest = left.abs().argmax(0, keepdim=True)
    signs, root = left.gather(0, largest).sign(), values.sqrt()
    return left * signs * root, (signs * root).T * right


def averaged_apart(zoo: Zoo, names: Sequence[str]) -> dict[str, Tensor]:
    """A state_dict of the base plus, for each matrix, the mean of the models' B times the mean of their A.

    Convolutions are matrices of outputs by all else; vectors are averaged as ever, and buffers of no floats are the
    base's. Raises ZooError for a zoo without a base.
    """
    if zoo.base is None:
        raise ZooError(f"Factors are of differences from a base, and the zoo {zoo.name} has none.")
    theta: dict[str, Tensor] = {}
    for name, start in zoo.base.checkpoint.read_all():
        if not start.is_floating_point():
            theta[name] = start
            continue
        steps = [zoo.by_name[each].checkpoint.read(name).double() - start.double() for each in names]
        if start.dim() < 2:
            step = torch.stack(steps).mean(0)
        else:
            b, a = (
                torch.stack(kind).mean(0) for kind in zip(*(factors(each.flatten(1)) for each in steps), strict=True)
            )
            step = (b @ a).view_as(start)
        theta[name] = (start.double() + step).to(start.dtype)
    return theta


def share_off(zoo: Zoo, names: Sequence[str], apart: dict[str, Tensor]) -> float:
    """How far the factors' average lies from the models', as a share of the models' average's distance from the base.

    Over matrices and convolutions. Raises ZooError for a zoo without a base.
    """
    if zoo.base is None:
        raise ZooError(f"Factors are of differences from a base, and the zoo {zoo.name} has none.")
    off = step = 0.0
    for name, start in zoo.base.checkpoint.read_all():
        if start.is_floating_point() and start.dim() > 1:
            mean = torch.stack([zoo.by_name[each].checkpoint.read(name).double() for each in names]).mean(0)
            off += float((apart[name].double() - mean).square().sum())
            step += float((mean - start.double()).square().sum())
    return float((off / step) ** 0.5) if step else 0.0
