"""Which policy a name means."""

import pkgutil
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from discotrace.monitor import placement
from discotrace.monitor.placement import registry
from discotrace.monitor.placement.base import Policy
from discotrace.monitor.placement.registry import GROUP, NO_POLICIES, find_policy, installed_policies, shipped_policies
from discotrace.tracegen.errors import ConfigError
from tests.machines import machine

IMPORT = "from discotrace.monitor.placement.base import Policy\n"
LAST = """class {name}(Policy):
    def place(self, allocated, cpu_node):
        return self.machine.nodes - 1
"""
SHIPPED = shipped_policies()


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    """The path of a file with this text."""
    path = folder / name
    path.write_text(text)
    return str(path)


def place(name_or_path: str) -> int:
    """Where the first page goes on three nodes, touched on node 0."""
    return find_policy(name_or_path)(machine(cpu__count=3)).place(0, 0)


def plug(monkeypatch: pytest.MonkeyPatch, *plugins: EntryPoint) -> None:
    """Make these the entry points that are installed."""

    def installed(group: str, name: str | None = None) -> list[EntryPoint]:
        return [plugin for plugin in plugins if plugin.group == group and name in (None, plugin.name)]

    monkeypatch.setattr(registry, "entry_points", installed)


def test_shipped__are_listed_by_name() -> None:
    assert sorted(SHIPPED) == SHIPPED
    assert {"disco", "first-touch", "origin", "random", "round-robin"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped__each_is_found_and_places(name: str) -> None:
    assert 0 <= place(name) < 3


def test_shipped__modules_that_are_no_policies_exist() -> None:
    assert {module.name for module in pkgutil.iter_modules(placement.__path__)} > NO_POLICIES


def test_shipped__one_more_needs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, IMPORT + LAST.format(name="LastNode"), "last_node.py")
    monkeypatch.setattr(placement, "__path__", [*placement.__path__, str(tmp_path)])
    assert "last-node" in shipped_policies()
    assert place("last-node") == 2
    del sys.modules[f"{placement.__name__}.last_node"]
    del vars(placement)["last_node"]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("discoo", r"did you mean disco\?"),
        ("first_touch", r"did you mean first-touch\?"),
        ("roundrobin", r"did you mean round-robin\?"),
    ],
)
def test_unknown__a_name_nearly_right_gets_a_hint(wrong: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    known = f"Known: {', '.join(SHIPPED)}, and files ending in .py"
    with pytest.raises(ConfigError, match=f"^placement.policy is '{wrong}', which is no policy; {hint} {known}$"):
        find_policy(wrong)


@pytest.mark.parametrize("wrong", ["", "zzz", "base", "registry", "."])
def test_unknown__other_names_get_the_list(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    known = f"known: {', '.join(SHIPPED)}, and files ending in .py"
    with pytest.raises(ConfigError, match=f"^placement.policy is '{re.escape(wrong)}', which is no policy; {known}$"):
        find_policy(wrong)


def test_path__a_file_is_a_policy(tmp_path: Path) -> None:
    assert place(write(tmp_path, IMPORT + LAST.format(name="Mine"))) == 2


def test_path__a_relative_one_begins_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, IMPORT + LAST.format(name="Mine"))
    monkeypatch.chdir(tmp_path)
    assert [place("mine.py"), place("./mine.py")] == [2, 2]


def test_path__another_suffix_needs_a_directory(tmp_path: Path) -> None:
    assert place(write(tmp_path, IMPORT + LAST.format(name="Mine"), "mine.policy")) == 2


def test_path__a_file_named_like_a_shipped_policy_is_the_file(tmp_path: Path) -> None:
    assert place(write(tmp_path, IMPORT + LAST.format(name="Mine"), "disco.py")) == 2


def test_path__its_base_may_be_a_shipped_policy(tmp_path: Path) -> None:
    text = "from discotrace.monitor.placement.disco import Disco\n" + LAST.format(name="Mine").replace(
        "Policy", "Disco"
    )
    assert find_policy(write(tmp_path, text))(machine(cpu__count=3)).hot_trigger > 0


def test_path__an_edit_counts_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Same length, same second: what Python's cache of compiled files takes for the same file."""
    text = IMPORT + LAST.format(name="Mine")
    assert place(write(tmp_path, text)) == 2
    assert place(write(tmp_path, text.replace("- 1", "- 2"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_path__it_may_define_dataclasses(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + IMPORT
    text += "@dataclass\nclass Seen:\n    node: int\n" + LAST.format(name="Mine")
    assert place(write(tmp_path, text)) == 2


def test_path__two_names_of_one_class_are_one_policy(tmp_path: Path) -> None:
    assert place(write(tmp_path, IMPORT + LAST.format(name="Mine") + "Other = Mine\n")) == 2


def test_path__without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^policy file '.*/none.py' cannot be read: No such file or directory$"):
        find_policy(str(tmp_path / "none.py"))


def test_path__a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^policy file '.*' cannot be read: Is a directory$"):
        find_policy(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("import sys\ndef place(:\n", 2, "not valid Python: .+"),
        ("\xff\n", 1, "not valid Python: .+"),
        ("x = '\x00'\n", 1, ".*null bytes"),
        ("\nimport no_such_module\n", 2, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit()\n", 2, "SystemExit:"),
        (IMPORT, 1, "defines no policy, that is, no subclass of .*base.Policy"),
        (IMPORT + "class Mine:\n    pass\n", 1, "defines no policy, .*"),
        ("from discotrace.monitor.placement.disco import Disco\n", 1, "defines no policy, .*"),
        (
            IMPORT + LAST.format(name="A") + LAST.format(name="B"),
            5,
            r"defines 2 policies \(A, B\), expected one",
        ),
    ],
)
def test_path__a_bad_file_is_one_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    (tmp_path / "mine.py").write_bytes(text.encode("latin-1"))
    path = str(tmp_path / "mine.py")
    with pytest.raises(ConfigError, match=f"^policy mine: {re.escape(path)}:{line}: {what}$"):
        find_policy(path)


def test_plugin__an_entry_point_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, IMPORT + LAST.format(name="Mine"), "plugged_policy.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    plug(monkeypatch, EntryPoint("mine", "plugged_policy:Mine", GROUP))
    assert installed_policies() == ["mine"]
    assert place("mine") == 2


def test_plugin__a_package_that_is_installed_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, IMPORT + LAST.format(name="Mine"), "plugged_truly.py")
    about = tmp_path / "plugged-1.0.dist-info"
    about.mkdir()
    write(about, "Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n", "METADATA")
    write(about, f"[{GROUP}]\nplugged = plugged_truly:Mine\n", "entry_points.txt")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "plugged" in installed_policies()
    assert place("plugged") == 2


def test_plugin__a_shipped_policy_of_the_name_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("first-touch", "no_such_module:Mine", GROUP))
    assert place("first-touch") == 0


def test_plugin__is_named_in_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("mine", "plugged_policy:Mine", GROUP))
    with pytest.raises(ConfigError, match=r"did you mean mine\?"):
        find_policy("mines")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("no_such_module:Mine", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:Mine", "cannot be loaded: AttributeError: .*"),
        ("json", "is not a subclass of Policy"),
        ("json:JSONDecoder", "is not a subclass of Policy"),
        ("json:loads", "is not a subclass of Policy"),
    ],
)
def test_plugin__a_bad_one_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str, what: str) -> None:
    plug(monkeypatch, EntryPoint("mine", value, GROUP))
    with pytest.raises(ConfigError, match=f"^policy mine: plug-in {value} {what}$"):
        find_policy("mine")


def test_plugin__two_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("mine", "a:Mine", GROUP), EntryPoint("mine", "b:Mine", GROUP))
    with pytest.raises(ConfigError, match=r"^policy mine: several plug-ins have this name: a:Mine, b:Mine$"):
        find_policy("mine")


def test_what_is_found_makes_policies_anew_each_time() -> None:
    make = find_policy("disco")
    one, other = make(machine(cpu__count=3)), make(machine(cpu__count=3))
    assert one is not other
    assert isinstance(one, Policy)
