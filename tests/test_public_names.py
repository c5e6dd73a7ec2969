"""The core's public names: imported when first used, and those that type checkers read are the ones that are given."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import soup_core as sc


def declared() -> dict[str, set[str]]:
    """The names of each module that `if TYPE_CHECKING:` imports; a room's own name stands under the empty one."""
    tree = ast.parse(Path(sc.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        module = (node.module or "").removeprefix("soup_core").removeprefix(".")
        found.setdefault(module, set()).update(alias.asname or alias.name for alias in node.names)
    return found


def test_what_type_checkers_read_is_what_is_given() -> None:
    rooms = declared().pop("")
    names = {name for module, names in declared().items() if module for name in names}
    assert {module: set(given) for module, given in sc._NAMES.items()} | {"": rooms} == declared()
    assert set(sc.__all__) == names - {"__version__"} | rooms
    assert all(getattr(sc, name) is not None for name in sc.__all__)
    assert set(sc.__all__) <= set(dir(sc))


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'soup_core' has no attribute 'soap'"):
        _ = sc.soap


def test_importing_the_core_imports_no_torch_and_a_name_what_it_needs() -> None:
    program = "import sys, soup_core as sc; before = 'torch' in sys.modules; sc.Soup({'a': 1.0}); print(before)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
