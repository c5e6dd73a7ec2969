"""A whole pickled network read as data: the state_dict that its `state_dict()` would give, from what its object is filled with.

As torch.nn.Module does it, https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/module.py: each module's own
parameters, then its buffers but for those that are not persistent, then its modules', in the order they were registered.
"""

from collections.abc import Iterator
from typing import Any

from .values import NAME_AT_MOST, Opaque, Refused, class_name, damaged

MODULES_AT_MOST = 20_000
DEPTH = 64
TABLES = ("_parameters", "_buffers", "_modules")
# What changes a state_dict after it is made, and what only tells of versions in it.
HOOKS = ("_state_dict_hooks", "_state_dict_pre_hooks")
TELLING_HOOKS = ("torch.nn.utils.spectral_norm SpectralNormStateDictHook",)
# Modules that keep their weights otherwise than in these tables, or give them in another form, by where their classes lie.
OTHERWISE = (
    "torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized", "torch.nn.intrinsic.quantized",
    "torch.jit", "torch.distributed.fsdp", "bitsandbytes", "transformer_engine", "deepspeed", "optimum.quanto",
)  # fmt: skip


def is_module(found: Any) -> bool:
    """Whether an object is filled with the tables that every torch.nn.Module has."""
    return isinstance(found, Opaque) and all(isinstance(_table(found, name), dict) for name in TABLES)


def state_dict_of(module: Opaque) -> dict[Any, Any]:
    """What `state_dict()` of a module would give, tensors by name, in its order.

    Raises Refused where a module holds itself, or one of its classes is known to give its state in another way.
    """
    tensors: dict[Any, Any] = {}
    for count, (prefix, each) in enumerate(_within(module, "", (module,))):
        if count == MODULES_AT_MOST:
            raise Refused(f"holds a network of more than {MODULES_AT_MOST:,} modules; save the state_dict alone.")
        _check_state_is_plain(each)
        not_persistent = _table(each, "_non_persistent_buffers_set")
        left_out = not_persistent if isinstance(not_persistent, (set, frozenset)) else ()
        own = {
            **_table(each, "_parameters"),
            **{k: v for k, v in _table(each, "_buffers").items() if k not in left_out},
        }
        for name, tensor in own.items():
            if not isinstance(name, str):
                raise damaged(f"a tensor of its module {class_name(each)} has no name")
            if tensor is not None:
                tensors[prefix + name] = tensor
    return tensors


def _within(module: Opaque, prefix: str, above: tuple[Any, ...]) -> Iterator[tuple[str, Opaque]]:
    yield prefix, module
    for name, child in _table(module, "_modules").items():
        if child is None:
            continue
        if not isinstance(name, str):
            raise damaged(f"a part of its module {class_name(module)} has no name")
        if not is_module(child):
            raise Refused(
                f"holds a network whose part {(prefix + name)[:NAME_AT_MOST]!r}, {class_name(child)}, hides its state "
                "otherwise than modules do; save the state_dict alone, torch.save(model.state_dict(), file)."
            )
        if any(child is other for other in above):
            raise Refused("holds a module that holds itself; save the state_dict alone.")
        if len(above) > DEPTH:
            raise Refused(f"holds a network of more than {DEPTH} modules within another; save the state_dict alone.")
        yield from _within(child, f"{prefix}{name}.", (*above, child))


def _check_state_is_plain(module: Opaque) -> None:
    name = class_name(module)
    hooks = [hook for kind in HOOKS if isinstance(table := _table(module, kind), dict) for hook in table.values()]
    otherwise = any(name == place or name.startswith(f"{place}.") for place in OTHERWISE)
    if otherwise or any(not isinstance(hook, Opaque) or hook.name not in TELLING_HOOKS for hook in hooks):
        what = f"is of the class {name}, which" if otherwise else f"of the class {name} has hooks, with which it"
        raise Refused(
            f"holds a network a module of which {what} hides its state otherwise than modules do; save the state_dict "
            "alone, torch.save(model.state_dict(), file)."
        )


def _table(module: Opaque, name: str) -> Any:
    """What a module is filled with under a name; torch.fx hands its modules' as the first argument of a call."""
    if module.name == "torch.fx.graph_module reduce_graph_module" and module.arguments:
        body = module.arguments[0]
        return body.get(name) if isinstance(body, dict) else None
    return module.attributes.get(name)
