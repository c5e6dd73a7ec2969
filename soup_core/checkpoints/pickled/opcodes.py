"""Pickles read as data: their opcodes are walked by `pickletools`, and nothing that they name is imported or called.

Calls of torch's tensor-rebuilding functions become `Tensor` values, which say where the numbers lie; objects of all other
classes become `Opaque` ones. The opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from .rebuilding import called, hashable, named, table_of
from .values import PLAIN, Named, Opaque, Refused, damaged

INSTRUCTIONS_AT_MOST = 2_000_000  # 60,000 tensors, read in a second


def read_pickle(stream: BinaryIO, persistent: Callable[[Any], Any]) -> Any:
    """The object that the pickle at the stream's place describes; the stream then stands behind it.

    `persistent` gives what an identifier of a persistent object stands for. Raises Refused where the pickle names what
    runs code, and where no pickler writes such a one.
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
                    | "BYTEARRAY8"
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
                    stack[-2:] = [called(function, arguments)]
                case "NEWOBJ":
                    function, arguments = _last(stack, 2)
                    stack[-2:] = [called(function, arguments)]
                case "NEWOBJ_EX":
                    function, arguments, keywords = _last(stack, 3)
                    stack[-3:] = [called(function, arguments, keywords)]
                case "INST":
                    items, stack = stack, marked.pop()
                    stack.append(called(named(argument), tuple(items)))
                case "OBJ":
                    (function, *items), stack = stack, marked.pop()
                    stack.append(called(function, tuple(items)))
                case "BINPERSID":
                    stack.append(persistent(stack.pop()))
                case "GLOBAL":
                    stack.append(named(argument))
                case "STACK_GLOBAL":
                    stack[-2:] = [named(" ".join(_last(stack, 2)))]
                case "EXT1" | "EXT2" | "EXT4":  # a number for a name, which only the program that wrote it knows
                    stack.append(Named(f"extension {argument}"))
                case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_SET":
                    stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}[opcode.name]())
                case "DICT" | "LIST" | "FROZENSET":
                    items, stack = stack, marked.pop()
                    if opcode.name == "FROZENSET":
                        stack.append(frozenset(map(hashable, items)))
                    else:
                        stack.append(table_of(items, {}) if opcode.name == "DICT" else items)
                case "ADDITEMS":
                    items, stack = stack, marked.pop()
                    _members(stack[-1], items)
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
                case "BUILD":
                    _built(stack[-2], stack.pop())
                case "DUP":
                    stack.append(stack[-1])
                case "POP_MARK":
                    stack = marked.pop()
                case "POP":
                    if stack:
                        stack.pop()
                    else:
                        stack = marked.pop()
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack[-1]
                case _:  # out-of-band buffers and the text forms of persistent identifiers, which torch never writes
                    raise damaged(f"its pickle holds the instruction {opcode.name}")
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise damaged("its pickle cannot be read") from error
    raise AssertionError("genops ends with STOP or raises")


def _last(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise LookupError
    return stack[-count:]


def _filled(found: Any, items: list[Any]) -> None:
    if not isinstance(found, (dict, Opaque)):
        raise TypeError
    table_of(items, found.entries if isinstance(found, Opaque) else found)


def _listed(found: Any) -> list[Any]:
    if not isinstance(found, (list, Opaque)):
        raise TypeError
    return found.items if isinstance(found, Opaque) else found


def _members(found: Any, items: list[Any]) -> None:
    if isinstance(found, set):
        found.update(map(hashable, items))
    else:
        _listed(found).extend(items)


def _built(found: Any, state: Any) -> None:
    """Attributes: an OrderedDict has those of torch's state_dict, which say nothing of weights."""
    if isinstance(found, Opaque):
        found.state = state
    elif not isinstance(found, dict):
        raise TypeError
