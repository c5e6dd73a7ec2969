"""The one averaging kernel: coefficients and checkpoints become a state_dict, tensor by tensor.

Sums run in float32 or wider and are cast once, at the end (Wortsman et al. 2022, arXiv 2203.05482, equation 1).
"""

import math
from collections.abc import Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from soup_core.errors import CheckpointError, CoefficientError
from soup_core.soup import Soup
from soup_core.zoo import Zoo

REESTIMATION_BATCH = 500


def state_dict(zoo: Zoo, soup: Soup, device: str = "cpu") -> dict[str, Tensor]:
    """Average the zoo's checkpoints by a soup's coefficients, holding one accumulator and one tensor at a time.

    Integer and boolean tensors are the first ingredient's, in the zoo's order. Other buffers are averaged with
    coefficients scaled to sum to one; BatchNorm's running statistics follow the soup's choice. Raises CoefficientError
    for unknown names, CheckpointError where a file has changed or a cast overflows.
    """
    members = zoo.members(soup)
    buffers = {name for name, _ in zoo.reference.named_buffers()}
    theta: dict[str, Tensor] = {}
    with ExitStack() as stack:
        readers = {member.name: stack.enter_context(member.checkpoint.reader()) for member in members}
        for name, reference in zoo.reference.state_dict().items():
            coefficients = soup.of(name)
            present = [member.name for member in members if member.name in coefficients]
            first = readers[present[0]](name)
            if not reference.is_floating_point() or (name in buffers and soup.batch_norm == "first"):
                theta[name] = first.to(device)
                continue
            scale = _buffer_scale(coefficients, name) if name in buffers else 1.0
            total = first.to(torch.promote_types(first.dtype, torch.float32)).mul_(coefficients[present[0]] * scale)
            for member in present[1:]:
                total.add_(readers[member](name), alpha=coefficients[member] * scale)
            theta[name] = _cast(total, first.dtype, name).to(device)
    if soup.batch_norm == "re-estimated":
        theta = reestimated(zoo, theta, device)
    return theta


def reestimated(zoo: Zoo, theta: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    """Replace BatchNorm's running statistics by those of the fine-tuning images under these weights."""
    module = zoo.module().to(device)
    module.load_state_dict(theta, strict=True)
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()):
        images = zoo.data.split("train").images
        batches = (zoo.data.normalization(batch.to(device)) for batch in images.split(REESTIMATION_BATCH))
        with torch.no_grad():
            torch.optim.swa_utils.update_bn(batches, module, device=torch.device(device))
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _buffer_scale(coefficients: Mapping[str, float], name: str) -> float:
    total = math.fsum(coefficients.values())
    if abs(total) < 1e-9:
        raise CoefficientError(
            f"The coefficients for the statistics in {name} sum to zero, and they must be scaled to sum to one; "
            "choose another soup, or the first ingredient's statistics."
        )
    return 1 / total


def _cast(total: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    result = total.to(dtype)
    if dtype.itemsize < total.dtype.itemsize and not bool(torch.isfinite(result).all() | ~torch.isfinite(total).all()):
        raise CheckpointError(
            f"The average of {name} is too large for {str(dtype).removeprefix('torch.')}; save the checkpoints in "
            "float32."
        )
    return result
