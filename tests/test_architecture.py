"""The shape of the source: which way imports go, what kernels may hold, how long functions are."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {"discotrace": ROOT / "src" / "discotrace"} | {
    f"discotrace.{name}": ROOT / name for name in ("tracegen", "replay", "monitor", "analysis")
}
LAYERS = ["tracegen", "replay", "monitor", "analysis", "cli"]  # each may import those before it
LONGEST_FUNCTION = 70
NOT_FOR_KERNELS = {"os", "io", "sys", "pathlib", "logging", "json", "pyarrow", "polars", "threading", "time"}
IS_NO_KERNEL = "compile.py"  # it says how kernels are compiled and where the results are kept


def modules() -> dict[str, Path]:
    """Every module of the package by name; a package has the name of its folder."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()
KERNELS = {name: path for name, path in MODULES.items() if "kernels" in name and path.name != IS_NO_KERNEL}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> str | None:
    """The layer of a module, None of a module that is in no layer."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "discotrace" and parts[1] in LAYERS else None


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    """Functions of a module and methods of its classes, with the class."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            yield from ((method, node) for method in node.body if isinstance(method, ast.FunctionDef))


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    own = layer(name)
    if own is None:
        return
    for imported in imports(MODULES[name]):
        other = layer(imported)
        if other is not None:
            assert LAYERS.index(other) <= LAYERS.index(own), f"{name} imports {imported}"


@pytest.mark.parametrize("name", MODULES)
def test_imports_of_our_own_use_the_full_name(name: str) -> None:
    assert not {imported.split(".")[0] for imported in imports(MODULES[name])} & set(LAYERS)


def test_the_package_list_is_what_is_on_disk() -> None:
    on_disk = {
        package if folder == inner else ".".join([package, *inner.relative_to(folder).parts])
        for package, folder in FOLDERS.items()
        for inner in {path.parent for path in folder.rglob("*.py")}
    }
    assert sorted(on_disk) == sorted(SETTINGS["tool"]["setuptools"]["packages"])


def test_every_package_is_a_regular_one() -> None:
    for folder in {path.parent for path in MODULES.values()}:
        assert (folder / "__init__.py").is_file(), folder


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_hold_no_classes_but_tuples(name: str) -> None:
    for node in ast.walk(tree(KERNELS[name])):
        if isinstance(node, ast.ClassDef):
            assert [ast.unparse(base) for base in node.bases] == ["NamedTuple"], node.name


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_touch_nothing_outside(name: str) -> None:
    for imported in imports(KERNELS[name]):
        assert imported.split(".")[0] not in NOT_FOR_KERNELS, imported
        assert layer(imported) not in ("analysis", "cli"), imported
    calls = [node.func for node in ast.walk(tree(KERNELS[name])) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"open", "print", "input"}


@pytest.mark.parametrize("name", MODULES)
def test_functions_fit_on_a_screen(name: str) -> None:
    for function, _ in functions(MODULES[name]):
        assert function.end_lineno is not None
        lines = function.end_lineno - function.body[0].lineno + 1
        assert lines <= LONGEST_FUNCTION, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_says_what_it_does(name: str) -> None:
    """A method without a docstring of its own is one that its base class explains."""
    module = tree(MODULES[name])
    is_empty = not module.body
    assert is_empty or ast.get_docstring(module), name
    for node in module.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
    for function, owner in functions(MODULES[name]):
        is_private = function.name.startswith("_") or (owner is not None and owner.name.startswith("_"))
        is_explained_by_base = owner is not None and bool(owner.bases)
        assert is_private or is_explained_by_base or ast.get_docstring(function), function.name


@pytest.mark.parametrize("module", ["numpy", "pyarrow", "numba", "polars"])
def test_the_command_line_answers_without_heavy_imports(module: str) -> None:
    script = f"import sys, discotrace.cli; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
