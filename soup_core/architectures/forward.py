"""One pass of images through a network: its logits out of whatever it gives, and one sentence where it fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.errors import DataError, SoupError, ZooError
from soup_core.runtime.devices import is_out_of_memory
from soup_core.runtime.files import listed, shown


def logits_of(module: nn.Module, inputs: Any, output: Any) -> Tensor:
    """A forward hook: the logits (N×num_classes) of what a network gives, itself or its `logits`.

    A dictionary, as transformers' networks and many trainers' give it, and an object hold them under that name. Raises
    ZooError where there are none.
    """
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if isinstance(found, Tensor):
        return found
    if isinstance(output, Mapping):
        what = f"a dictionary of {listed(map(shown, map(str, output)))}" if output else "an empty dictionary"
    else:
        what = f"a {type(output).__name__}"
    raise ZooError(
        f"The network ({type(module).__name__}) gives {what}; expected its logits as a tensor, or under the name logits. "
        "Return them so from the function that builds it."
    )


@contextmanager
def failures_in_words(architecture: Mapping[str, Any], module: nn.Module, images: Tensor) -> Iterator[None]:
    """Within it, whatever a network raises on images (N×C×H×W) or texts (int64, N×3×L) becomes a DataError: their shape, why, and what to do.

    Errors of the core pass, and so do a lack of memory and a broken device.
    """
    try:
        yield
    except SoupError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError, ArithmeticError) as error:
        if is_out_of_memory(error) or isinstance(error, torch.AcceleratorError):
            raise
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        if images.dtype == torch.int64 and images.ndim == 3:
            raise DataError(
                f"{architecture['name']} does not take texts of {images.shape[2]:,} tokens: {shown(reason.rstrip('.'), 200)}. See "
                "that the tokenizer is the one that it was trained with, and max_length in [data] of zoo.toml."
            ) from error
        shape = "×".join(map(str, images.shape[1:]))
        raise DataError(
            f"{architecture['name']} does not take images of {shape} (channels, height, width): "
            f"{shown(reason.rstrip('.'), 200)}. {_remedy(module, images.shape[1])}"
        ) from error


def _remedy(module: nn.Module, channels: int) -> str:
    """What zoo.toml can say, or how images can be saved, so that a network takes them."""
    wanted = next((layer.in_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)), channels)
    if wanted != channels:
        means = "one mean and one std makes image files grey" if wanted == 1 else "three of each keeps them in colour"
        return (
            f"The network takes {wanted} channel{'' if wanted == 1 else 's'}, and the images have {channels}: normalize in "
            f"zoo.toml with {means}; tensors must be saved again with {wanted}; or the architecture has an option for it, "
            "such as timm's in_chans."
        )
    return (
        "Give the size that it was trained on by preprocessing = { resize = 256, crop = 224 } under [data] in zoo.toml, "
        "tensors by saving them again in that size; or the architecture has an option for it, such as timm's img_size."
    )
