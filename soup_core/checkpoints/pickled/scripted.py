"""TorchScript's weights: attributes in its pickle that the text of its classes calls parameters or buffers.

Nothing of the text is run; in it are looked for the lines that begin a class and those that list names, as written by
torch/csrc/jit/serialization/python_print.cpp, https://github.com/pytorch/pytorch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .values import Opaque, Refused, Tensor, class_name, damaged

CLASS = re.compile(r"class (?P<name>\w+)(?P<module>\(Module\))?[(:]?")
LISTED = re.compile(r"  __(?:parameters|buffers)__ = \[(?P<names>.*)\]")
NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
MODULES_AT_MOST = 100_000
DEPTH = 64
SAVE = "save its weights, torch.save(torch.jit.load(file).state_dict(), other_file)"


@dataclass(frozen=True)
class ModuleClass:
    """The names of the parameters and buffers that a class of modules lists."""

    tensors: frozenset[str]


def classes_in(texts: Mapping[str, str]) -> dict[str, ModuleClass]:
    """The classes of modules in a program's texts, by the names that its pickle has for them: "__torch__.a.b Name".

    The texts are by the names of the archive's parts, "code/__torch__/a/b.py".
    """
    classes: dict[str, ModuleClass] = {}
    for part, text in texts.items():
        where = part.removeprefix("code/").removesuffix(".py").replace("/", ".")
        current, names = "", set[str]()
        for line in text.splitlines():
            if match := CLASS.match(line):
                current = f"{where} {match['name']}" if match["module"] else ""
                names = set()
            elif current and (match := LISTED.match(line)):
                names |= set(NAME.findall(match["names"]))
            if current:
                classes[current] = ModuleClass(frozenset(names))
    return classes


def scripted(described: Any, classes: Mapping[str, ModuleClass]) -> dict[str, Tensor]:
    """What `state_dict()` of a program would give, from what its pickle describes.

    Raises Refused where a module gives its state in a form of its own, or where no tensor has a name.
    """
    if not isinstance(described, Opaque) or described.name not in classes:
        raise damaged("its pickle and its text are of different programs")
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, Opaque, tuple[Opaque, ...]]] = [("", described, ())]
    for _ in range(MODULES_AT_MOST):
        if not waiting:
            break
        prefix, module, above = waiting.pop()
        if not isinstance(module.state, dict):
            raise Refused(f"is a program (TorchScript) whose module {class_name(module)} packs its state; {SAVE}.")
        if len(above) > DEPTH or any(module is other for other in above):
            raise damaged("a module of it holds itself, or too many others within another")
        named = [(name, value) for name, value in module.state.items() if isinstance(name, str)]
        own = classes[module.name].tensors
        tensors |= {prefix + name: value for name, value in named if name in own and isinstance(value, Tensor)}
        waiting += reversed(
            [
                (f"{prefix}{name}.", value, (*above, module))
                for name, value in named
                if isinstance(value, Opaque) and value.name in classes
            ]
        )
    else:
        raise Refused(f"is a program (TorchScript) of more than {MODULES_AT_MOST:,} modules; {SAVE}.")
    if not tensors:
        raise Refused(
            "is a program (TorchScript) whose weights are constants without names, as torch.jit.freeze makes them; save the "
            "weights, or the program, before it is frozen."
        )
    return tensors


def is_text(part: str) -> bool:
    """Whether a part of the archive is a program's text, which alone is compressed in it."""
    return part.startswith("code/")
