"""The functions that torch names to rebuild tensors, here making values that say where the numbers lie.

As in torch/_utils.py, https://github.com/pytorch/pytorch; what plain Python objects need beside is here too. All other
names stand for objects that are not made.
"""

import struct
from collections.abc import Callable
from typing import Any

from . import wrapped
from .code import claims_memory, contains_code, runs_code
from .values import PLAIN, Named, Opaque, Refused, Storage, Tensor

DIMENSIONS_AT_MOST = 64  # torch's own limit
KEY_DEPTH = 4  # of tuples within a key

# torch's storage classes: safetensors' name of the type, and the bytes that a number takes.
STORAGES = {
    "torch DoubleStorage": ("F64", 8),
    "torch FloatStorage": ("F32", 4),
    "torch HalfStorage": ("F16", 2),
    "torch BFloat16Storage": ("BF16", 2),
    "torch LongStorage": ("I64", 8),
    "torch IntStorage": ("I32", 4),
    "torch ShortStorage": ("I16", 2),
    "torch CharStorage": ("I8", 1),
    "torch ByteStorage": ("U8", 1),
    "torch BoolStorage": ("BOOL", 1),
    "torch ComplexFloatStorage": ("complex", 8),
    "torch ComplexDoubleStorage": ("complex", 16),
    "torch QInt8Storage": ("quantised", 1),
    "torch QUInt8Storage": ("quantised", 1),
    "torch QInt32Storage": ("quantised", 4),
    "torch QUInt4x2Storage": ("quantised", 1),
    "torch QUInt2x4Storage": ("quantised", 1),
    "torch UntypedStorage": ("bytes", 1),
    "torch.storage UntypedStorage": ("bytes", 1),
}
NUMBERS = {"f2": "e", "f4": "f", "f8": "d", "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H"}
NUMBERS |= {"u4": "I", "u8": "Q"}  # numpy's names of types, and what struct calls them
PLAIN_CLASSES = ("torch Tensor", "torch._tensor Tensor", "torch.nn.parameter Parameter", "torch.nn.parameter Buffer")


def called(function: Any, arguments: Any, keywords: Any = None) -> Any:
    """What a call within a pickle stands for: a tensor, a plain value, or an object that is not made.

    Raises Refused where it would claim memory, TypeError or ValueError where no pickler writes such a call.
    """
    if not isinstance(function, (Named, Opaque)) or not isinstance(arguments, tuple):
        raise TypeError
    if isinstance(function, Opaque):
        return Opaque(function.name, arguments)
    name = function.name
    if name in FUNCTIONS and not keywords:
        return FUNCTIONS[name](*arguments)
    if claims_memory(name, arguments):
        raise contains_code(name)
    if name in MAKING and arguments and isinstance(arguments[0], (Named, Opaque)):
        return Opaque(arguments[0].name, arguments[1:])
    if name.endswith(" _make_skeleton_class") and len(arguments) > 3 and isinstance(arguments[1], str):
        within = arguments[3].get("__module__") if isinstance(arguments[3], dict) else None
        return Opaque(f"{within if isinstance(within, str) else '__main__'} {arguments[1]}", arguments)
    return Opaque(name, arguments)


def named(name: str) -> Named:
    """The value of a name. Raises Refused for one that only a pickle made to do harm has a use for."""
    if runs_code(name):
        raise contains_code(name)
    return Named(name)


def hashable(key: Any, depth: int = KEY_DEPTH) -> Any:
    """The same as the key of a table or the member of a set. Raises TypeError for what can be none, or lies too deep."""
    if isinstance(key, (tuple, frozenset)):
        if not depth:
            raise TypeError
        for part in key:
            hashable(part, depth - 1)
    elif not isinstance(key, (str, int, float, bytes, type(None), Named, Opaque, Tensor, Storage)):
        raise TypeError
    return key


def table_of(items: list[Any], table: dict[Any, Any]) -> dict[Any, Any]:
    """The table with these keys and values, one after the other, put into it."""
    if len(items) % 2:
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        table[hashable(key)] = value
    return table


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise TypeError
    if len(shape) != len(stride) or len(shape) > DIMENSIONS_AT_MOST:
        raise ValueError
    if not all(type(n) is int and 0 <= n < 2**62 for n in (offset, *shape, *stride)):
        raise ValueError
    if hooks or metadata or not isinstance(requires_grad, bool):
        raise Refused(f"holds a tensor with hooks, or a conjugated or negated view; {PLAIN}.")
    return Tensor(storage, offset, shape, stride)


def _parameter(tensor: Any, requires_grad: Any, hooks: Any, state: Any = None) -> Any:
    if not isinstance(tensor, (Tensor, Opaque)):  # an object where the tensor is one that cannot be read
        raise TypeError
    return tensor


def _of_type(function: Any, of_class: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes is a tensor; one of a class of its own may mean other numbers than its storage holds."""
    if not isinstance(of_class, (Named, Opaque)) or not isinstance(function, (Named, Opaque)):
        raise TypeError
    if of_class.name in PLAIN_CLASSES:
        return called(function, arguments)
    return wrapped.of_class(of_class.name, called(function, arguments), state)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return table_of([value for key, item in pairs for value in (key, item)], {})


def _sizes(numbers: Any = ()) -> tuple[int, ...]:
    if not isinstance(numbers, (tuple, list)) or not all(type(number) is int for number in numbers):
        raise TypeError
    return tuple(numbers)


def _device(kind: Any, index: Any = None) -> None:
    return None


def _set(members: Any = ()) -> set[Any]:
    if not isinstance(members, (list, tuple)):
        raise TypeError
    return {hashable(member) for member in members}


def _frozenset(members: Any = ()) -> frozenset[Any]:
    return frozenset(_set(members))


def _encoded(text: Any, encoding: Any = "utf-8") -> Any:
    """Bytes, as pickles had them before protocol 3: a text of as many characters."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        return Opaque("_codecs encode", (text, encoding))
    return text.encode("latin-1")


def _scalar(kind: Any, content: Any = b"") -> Any:
    """The number of a numpy scalar, where its type is one of plain numbers."""
    known = isinstance(kind, Opaque) and kind.name == "numpy dtype" and kind.arguments and isinstance(content, bytes)
    code = NUMBERS.get(kind.arguments[0]) if known and isinstance(kind.arguments[0], str) else None
    order = kind.state[1] if code and isinstance(kind.state, tuple) and len(kind.state) > 1 else None
    if code is None or order not in ("<", "|", "=") or len(content) != struct.calcsize(f"<{code}"):
        return Opaque("numpy scalar", (kind, content))
    return struct.unpack(f"<{code}", content)[0]


MAKING = {
    f"{module} {function}"
    for module in ("copyreg", "copy_reg")
    for function in ("_reconstructor", "__newobj__", "__newobj_ex__")
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._tensor _rebuild_from_type_v2": _of_type,
    "torch Size": _sizes,
    "torch device": _device,
    "builtins set": _set,
    "__builtin__ set": _set,
    "builtins frozenset": _frozenset,
    "__builtin__ frozenset": _frozenset,
    "_codecs encode": _encoded,
    "numpy.core.multiarray scalar": _scalar,
    "numpy._core.multiarray scalar": _scalar,
}
