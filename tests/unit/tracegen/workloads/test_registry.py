"""Which workload a name means."""

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from discotrace.tracegen import workloads
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.workloads import registry
from discotrace.tracegen.workloads.registry import GROUP, find_workload, installed_workloads, shipped_workloads
from discotrace.tracegen.workloads.workload import Workload
from tests.unit.tracegen.workloads.toy import TOY, toy_file

IMPORT = "from discotrace.tracegen.workloads.workload import Workload\n"
SHIPPED = shipped_workloads()


def plug(monkeypatch: pytest.MonkeyPatch, *plugins: EntryPoint) -> None:
    """Make these the entry points that are installed."""

    def installed(group: str, name: str | None = None) -> list[EntryPoint]:
        return [plugin for plugin in plugins if plugin.group == group and name in (None, plugin.name)]

    monkeypatch.setattr(registry, "entry_points", installed)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped__each_is_found_and_says_what_it_runs(name: str) -> None:
    found = find_workload(name)
    assert found.is_shipped
    assert found.name == name
    assert found.source_sha256 is None
    assert found.kind.__name__.lower() == name.replace("-", "")
    assert found.kind.summary
    assert found.kind().cpu_count >= 1


def test_shipped__foundation_and_helpers_are_none() -> None:
    assert not {"workload", "stage", "registry", "program", "knobs"} & set(SHIPPED)


def test_shipped__one_more_needs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_file(tmp_path, "one_more.py")
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(tmp_path)])
    assert "one-more" in shipped_workloads()
    assert find_workload("one-more").is_shipped
    del sys.modules[f"{workloads.__name__}.one_more"]
    del vars(workloads)["one_more"]


def test_unknown__a_name_nearly_right_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("radio", "a:B", GROUP))
    with pytest.raises(ConfigError, match=r"^'radioo' is no workload; did you mean radio\? Known: .*radio, and files"):
        find_workload("radioo")


@pytest.mark.parametrize("wrong", ["", "zzz", "stage", "workload", "."])
def test_unknown__other_names_get_the_list(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    known = f"known: {', '.join(SHIPPED)}, and files ending in .py"
    with pytest.raises(ConfigError, match=f"^'{re.escape(wrong)}' is no workload; {known}$"):
        find_workload(wrong)


def test_path__a_file_is_a_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_file(tmp_path, "radix.py")
    monkeypatch.chdir(tmp_path)
    for path in ("radix.py", "./radix.py", str(tmp_path / "radix.py")):
        found = find_workload(path)
        assert (found.name, found.kind.__name__, found.is_shipped) == ("radix", "Toy", False)
        assert found.source_sha256 is not None


def test_path__an_edit_counts_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert find_workload(toy_file(tmp_path)).kind().pages == 64  # type: ignore[attr-defined]
    assert find_workload(toy_file(tmp_path, "toy.py", ("64", "65"))).kind().pages == 65  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == ["toy.py"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("import sys\ndef start(:\n", 2, "not valid Python: .+"),
        ("\nimport no_such_module\n", 2, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit()\n", 2, "SystemExit:"),
        (IMPORT, 1, "defines no workload, that is, no subclass of .*Workload"),
        (IMPORT + "class A(Workload):\n    start = 1\nclass B(A):\n    pass\n", 4, r"defines 2 workloads \(A, B\), .*"),
        (IMPORT + "class A(Workload):\n    pass\n", 2, "A has no method start"),
        (
            IMPORT + "class A(Workload):\n    n: int = 3\n    def start(self, stage):\n        pass\n",
            2,
            r"A has knobs: decorate it with @dataclass\(frozen=True\)",
        ),
    ],
)
def test_path__a_bad_file_is_one_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    path = str(tmp_path / "mine.py")
    with pytest.raises(ConfigError, match=f"^workload mine: {re.escape(path)}:{line}: {what}$"):
        find_workload(path)


@pytest.mark.parametrize(("name", "reason"), [("none.py", "No such file or directory"), ("", "Is a directory")])
def test_path__what_cannot_be_read_is_an_error(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^workload file '.*' cannot be read: {reason}$"):
        find_workload(f"{tmp_path}/{name}")


def test_plugin__an_entry_point_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_file(tmp_path, "plugged_workload.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    plug(monkeypatch, EntryPoint("mine", "plugged_workload:Toy", GROUP))
    assert installed_workloads() == ["mine"]
    found = find_workload("mine")
    assert (found.name, found.is_shipped) == ("mine", False)
    assert issubclass(found.kind, Workload)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("no_such_module:Mine", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:Mine", "cannot be loaded: AttributeError: .*"),
        ("json", "is not a subclass of Workload"),
        ("json:JSONDecoder", "is not a subclass of Workload"),
    ],
)
def test_plugin__a_bad_one_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str, what: str) -> None:
    plug(monkeypatch, EntryPoint("mine", value, GROUP))
    with pytest.raises(ConfigError, match=f"^workload mine: plug-in {value} {what}$"):
        find_workload("mine")


def test_plugin__two_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("mine", "a:Mine", GROUP), EntryPoint("mine", "b:Mine", GROUP))
    with pytest.raises(ConfigError, match=r"^workload mine: several plug-ins have this name: a:Mine, b:Mine$"):
        find_workload("mine")


def test_blamed__a_fault_of_the_file_names_its_last_line_there(tmp_path: Path) -> None:
    found = find_workload(
        toy_file(tmp_path, "toy.py", ("        for instance", "        [].pop()\n        for instance"))
    )
    line = TOY.splitlines().index("    def start(self, stage):") + 2
    with pytest.raises(ConfigError, match=rf"toy\.py:{line}: IndexError: pop from empty list$"), found.blamed():
        found.kind().start(None)  # type: ignore[arg-type]


def test_blamed__errors_of_ours_pass(tmp_path: Path) -> None:
    found = find_workload(toy_file(tmp_path))
    with pytest.raises(TraceError, match=r"^x$"), found.blamed():
        raise TraceError("x")


def test_blamed__a_shipped_workload_keeps_its_traceback(tmp_path: Path) -> None:
    found = find_workload(toy_file(tmp_path))
    shipped = registry.Found(found.kind, found.source, is_shipped=True)
    with pytest.raises(ZeroDivisionError), shipped.blamed():
        raise ZeroDivisionError
