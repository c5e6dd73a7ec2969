"""Tensors of classes of their own, saved whole: DTensor, which may hold all of it or a part, and quantised ones.

As torch/_utils.py and torch/distributed/tensor rebuild them, https://github.com/pytorch/pytorch.
"""

from typing import Any

from .values import Opaque, Refused, Tensor, class_name

REBUILT = "torch._utils _rebuild_"  # how the names of torch's functions that make tensors begin
DISTRIBUTED = (
    "torch.distributed.tensor DTensor",
    "torch.distributed._tensor DTensor",
    "torch.distributed._tensor.api DTensor",
)
WHOLE = ("Replicate", "Shard")  # placements with which a local tensor of the whole one's shape is the whole one

# What torch rebuilds otherwise than by plain numbers: what it is, and how it is made plain.
NOT_PLAIN = {
    "torch._utils _rebuild_qtensor": ("quantised weights", ".dequantize()"),
    "torch._utils _rebuild_sparse_tensor": ("sparse weights", ".to_dense()"),
    "torch._utils _rebuild_sparse_csr_tensor": ("sparse weights", ".to_dense()"),
    "torch._utils _rebuild_nested_tensor": ("nested weights", ".to_padded_tensor(0)"),
    "torch._utils _rebuild_meta_tensor_no_storage": ("weights without numbers, from the meta device", ""),
    "torch._utils _rebuild_tensor_v3": ("weights of a type such as 8-bit floats", ".float()"),
}
CLASSES = (("torchao.", "quantised weights of torchao", ".dequantize()"),)


def of_class(kind: str, made: Any, state: Any) -> Tensor | Opaque:
    """A tensor of a class, `made` by its function and filled with `state`: the plain one in it where that is the whole."""
    found = Opaque(kind, (made,), state)
    if kind in DISTRIBUTED and isinstance(made, Opaque) and len(made.arguments) > 2:
        local, spec = found.attributes.get("_local_tensor"), found.attributes.get("_spec")
        placements = spec.attributes.get("placements") if isinstance(spec, Opaque) else None
        if (
            isinstance(local, Tensor)
            and local.shape == made.arguments[2]
            and isinstance(placements, tuple)
            and all(isinstance(each, Opaque) and each.name.rpartition(" ")[2] in WHOLE for each in placements)
        ):
            return local
    return found


def is_made_of_tensors(found: Opaque) -> bool:
    """Whether an object is a tensor of a class of its own, by what it is made from."""
    return any(
        isinstance(each, Tensor) or (isinstance(each, Opaque) and each.name.startswith(REBUILT))
        for each in found.arguments
    )


def not_plain(name: str, found: Any) -> Refused:
    """The refusal of an object where a plain tensor is expected, with what makes it one."""
    if isinstance(found, Opaque) and found.name in DISTRIBUTED:
        return Refused(
            f"holds a part of {name} alone, in a DTensor of several processes; save whole tensors: in all of them take "
            "tensor.full_tensor() of each DTensor of the state_dict, and save that in one."
        )
    what, how = NOT_PLAIN.get(getattr(found, "name", ""), ("", ""))
    for begins, its, remedy in CLASSES:
        if isinstance(found, Opaque) and found.name.startswith(begins):
            what, how = its, remedy
    if how:
        return Refused(
            f"holds {what}, as {name}, which cannot be averaged; save plain ones, tensor{how} for each of these in the "
            "state_dict."
        )
    if what:
        return Refused(f"holds {what}, as {name}; save the state_dict of a model that has them.")
    return Refused(
        f"holds under {name} an object of {class_name(found)} where a tensor is expected, which is not built here; save the "
        "state_dict with plain tensors, such as tensor.dequantize() or tensor.full_tensor() gives where it has these."
    )
