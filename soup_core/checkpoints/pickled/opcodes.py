"""Pickles read as data: their opcodes are walked by `pickletools`, and nothing that they name is imported or called.

Calls of torch's tensor-rebuilding functions become `Tensor` values, which say where the numbers lie; all other names
are refused. The opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

INSTRUCTIONS_AT_MOST = 2_000_000  # 60,000 tensors, read in a second
NAME_AT_MOST = 250
DIMENSIONS_AT_MOST = 64  # torch's own limit

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
}
DTYPES = (
    "torch float64", "torch float32", "torch float16", "torch bfloat16", "torch int64", "torch int32", "torch int16",
    "torch int8", "torch uint8", "torch bool", "torch complex32", "torch complex64", "torch complex128",
)  # fmt: skip
NOT_PLAIN = {
    "torch._utils _rebuild_qtensor": "quantised weights",
    "torch._utils _rebuild_sparse_tensor": "sparse weights",
    "torch._utils _rebuild_sparse_csr_tensor": "sparse weights",
    "torch._utils _rebuild_nested_tensor": "nested weights",
    "torch._utils _rebuild_meta_tensor_no_storage": "weights without numbers, from the meta device,",
    "torch._utils _rebuild_tensor_v3": "weights of a type such as 8-bit floats",
}
PLAIN = "save the state_dict alone, torch.save(model.state_dict(), file), or as safetensors"


class Refused(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name.

    `places` are the parts to choose from, where several hold weights.
    """

    def __init__(self, sentence: str, places: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.places = places


@dataclass(frozen=True)
class Named:
    """A class, function or constant that a pickle names as "module name"."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A run of numbers of one type, kept elsewhere in the file under a key."""

    key: str
    dtype: str
    item_bytes: int
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, counted in elements; nothing is checked yet but that these are whole numbers from 0 on."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def damaged(what: str) -> Refused:
    """A refusal of a file that is not as torch writes it."""
    return Refused(f"is damaged or incomplete: {what}. Copy or save it again.")


def read_pickle(stream: BinaryIO, persistent: Callable[[Any], Any]) -> Any:
    """The object that the pickle at the stream's place describes; the stream then stands behind it.

    `persistent` gives what an identifier of a persistent object stands for. Raises Refused for whatever is no plain
    container, number, text or tensor.
    """
    stack: list[Any] = []
    marked: list[list[Any]] = []
    memo: dict[int, Any] = {}
    count = 0
    try:
        argument: Any
        for opcode, argument, _ in pickletools.genops(stream):
            count += 1
            if count > INSTRUCTIONS_AT_MOST:
                raise Refused(f"holds more than {INSTRUCTIONS_AT_MOST:,} instructions of pickle; {PLAIN}.")
            match opcode.name:
                case "BINPUT" | "LONG_BINPUT" | "PUT":
                    memo[argument] = stack[-1]
                case "BINGET" | "LONG_BINGET" | "GET":
                    stack.append(memo[argument])
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case (
                    "BININT1"
                    | "BININT2"
                    | "BININT"
                    | "LONG1"
                    | "LONG4"
                    | "INT"
                    | "LONG"
                    | "BINFLOAT"
                    | "FLOAT"
                    | "BINUNICODE"
                    | "SHORT_BINUNICODE"
                    | "BINUNICODE8"
                    | "UNICODE"
                    | "BINSTRING"
                    | "SHORT_BINSTRING"
                    | "STRING"
                    | "BINBYTES"
                    | "SHORT_BINBYTES"
                    | "BINBYTES8"
                ):
                    stack.append(argument)
                case "MARK":
                    marked.append(stack)
                    stack = []
                case "TUPLE":
                    items, stack = stack, marked.pop()
                    stack.append(tuple(items))
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    length = int(opcode.name[-1])
                    stack[-length:] = [tuple(_last(stack, length))]
                case "NONE" | "NEWTRUE" | "NEWFALSE":
                    stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
                case "REDUCE":
                    function, arguments = _last(stack, 2)
                    stack[-2:] = [_called(function, arguments)]
                case "BINPERSID":
                    stack.append(persistent(stack.pop()))
                case "GLOBAL":
                    stack.append(_named(argument))
                case "STACK_GLOBAL":
                    stack[-2:] = [_named(" ".join(_last(stack, 2)))]
                case "EMPTY_DICT" | "EMPTY_LIST":
                    stack.append({} if opcode.name == "EMPTY_DICT" else [])
                case "DICT" | "LIST":
                    items, stack = stack, marked.pop()
                    stack.append(_filled({}, items) if opcode.name == "DICT" else items)
                case "SETITEM":
                    items = _last(stack, 2)
                    del stack[-2:]
                    _filled(stack[-1], items)
                case "SETITEMS":
                    items, stack = stack, marked.pop()
                    _filled(stack[-1], items)
                case "APPEND":
                    item = stack.pop()
                    _listed(stack[-1]).append(item)
                case "APPENDS":
                    items, stack = stack, marked.pop()
                    _listed(stack[-1]).extend(items)
                case (
                    "BUILD"
                ):  # attributes: an OrderedDict has those of torch's state_dict, which say nothing of weights
                    stack.pop()
                    if not isinstance(stack[-1], dict):
                        raise more_than_weights("an object with attributes")
                case "POP":
                    stack.pop()
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack[-1]
                case "INST":
                    raise more_than_weights(argument)
                case _:
                    raise more_than_weights(f"the opcode {opcode.name}")
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise damaged("its pickle cannot be read") from error
    raise AssertionError("genops ends with STOP or raises")


def _last(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise LookupError
    return stack[-count:]


def _filled(table: Any, items: list[Any]) -> dict[Any, Any]:
    if not isinstance(table, dict) or len(items) % 2:
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, (str, int, float, bytes, type(None))):
            raise more_than_weights(f"a key of type {type(key).__name__}")
        table[key] = value
    return table


def _listed(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise TypeError
    return found


def _named(name: str) -> Named:
    if name in NOT_PLAIN:
        raise Refused(f"holds {NOT_PLAIN[name]} which cannot be averaged; save plain floating-point weights.")
    if name not in FUNCTIONS and name not in STORAGES and name not in DTYPES:
        raise more_than_weights(name)
    return Named(name)


def more_than_weights(what: str) -> Refused:
    """A refusal of a pickle that names something which no weights need."""
    return Refused(
        f"contains code, or objects beyond weights: it names {what.replace(' ', '.')[:NAME_AT_MOST]!r}. Nothing of it was "
        f"run; {PLAIN}."
    )


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, Named) or function.name not in FUNCTIONS or not isinstance(arguments, tuple):
        raise TypeError
    return FUNCTIONS[function.name](*arguments)


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


def _parameter(tensor: Any, requires_grad: Any, hooks: Any, state: Any = None) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError
    return tensor


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return _filled({}, [value for key, item in pairs for value in (key, item)])


def _size(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, (tuple, list)) or not all(type(number) is int for number in numbers):
        raise TypeError
    return tuple(numbers)


def _device(kind: Any, index: Any = None) -> None:
    return None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch Size": _size,
    "torch device": _device,
}
