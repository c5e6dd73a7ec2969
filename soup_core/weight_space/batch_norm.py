"""BatchNorm's running statistics made anew under averaged weights (Izmailov et al. 2018, arXiv 1803.05407, section 3.2)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from soup_core.runtime.devices import exactly
from soup_core.runtime.interruption import yield_point
from soup_core.zoo import Zoo

REESTIMATION_BATCH = 500


def reestimated(zoo: Zoo, theta: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    """Replace BatchNorm's running statistics in a state_dict by those of the fine-tuning images or texts under these weights.

    Shapes and dtypes stay. Batches are of nearly equal size, and what is random in the network (dropout) is seeded:
    twice gives the same.
    """
    if not zoo.has_batch_norm:
        return dict(theta)
    module = zoo.module().to(device)
    module.load_state_dict(theta, strict=True)
    train = zoo.data.split("train")
    parts = torch.arange(len(train)).tensor_split(-(-len(train) // REESTIMATION_BATCH))
    on_device = [device] if device != "cpu" else []

    def batches() -> Iterator[Tensor]:
        for part in parts:
            with exactly("float32", device):
                if train.tokens is not None:
                    yield train.tokens[part].to(device)
                else:
                    yield zoo.data.normalization(train.images[part[0] : part[-1] + 1].to(device))
            drawn, drawn_on_device = torch.get_rng_state(), [torch.cuda.get_rng_state(each) for each in on_device]
            yield_point()  # where others may draw
            torch.set_rng_state(drawn)
            for each, state in zip(on_device, drawn_on_device, strict=True):
                torch.cuda.set_rng_state(state, each)

    with torch.no_grad(), torch.random.fork_rng(on_device):
        torch.manual_seed(0)
        torch.optim.swa_utils.update_bn(batches(), module, device=torch.device(device))
    buffers = {name: tensor.detach().to(theta[name].dtype) for name, tensor in module.named_buffers() if name in theta}
    return {**theta, **buffers}
