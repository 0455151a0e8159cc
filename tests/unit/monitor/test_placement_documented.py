"""The policy that docs/policies.md shows is one that works, and the page says what there is."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Reason, Stay
from discotrace.monitor.placement.registry import GROUP, find_policy, shipped_policies
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Migration
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import Kind, Process, Segment, TraceMeta, rows_from_records
from tests.machines import machine

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
LONGEST_EXAMPLE = 40  # lines


def block(language: str) -> str:
    """The one block of code of a language in the document."""
    (text,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)
    return str(text)


@pytest.fixture
def example(tmp_path: Path) -> Policy:
    """The policy of the document, on three nodes of two CPUs."""
    path = tmp_path / "my_policy.py"
    path.write_text(block("python"))
    return find_policy(str(path))(machine(cpu__count=6, cpu__per_node=2, migration__trigger=10, migration__moves=2))


def hot(misses: list[int], moves: int = 0) -> HotPage:
    """A page of node 1, made hot by CPU 0."""
    return HotPage(cpu=0, home=1, copies=(), misses=misses, writes=[0] * 6, moves=moves, per_node=2)


def test_example__moves_a_page_in_a_replay(tmp_path: Path) -> None:
    """CPU 0 touches a page first; CPU 1 misses on it until it is hot, and has it on its own node afterwards."""
    path = tmp_path / "my_policy.py"
    path.write_text(block("python"))
    segment = Segment(1, 0x40_0000, 0x40_1000, "shared", object=1)
    meta = TraceMeta(2, [Process(1, "p")], [segment])
    resolved = machine(cpu__count=2, placement__policy=str(path), migration__trigger=10, migration__moves=2)
    system = DiscoSystem(meta, resolved)
    run = Replay(meta, system, window=1000)
    touched = [(0, 1, Kind.LOAD, 0x40_0000, 4, 0), (1, 1, Kind.LOAD, 0x40_0000, 128 * 9, 0)]
    run.feed(rows_from_records(touched))
    assert home(system) == 0
    run.feed(rows_from_records([(1, 1, Kind.LOAD, 0x40_0000 + 128 * 9, 4, 0)]))
    assert home(system) == 1


def home(system: DiscoSystem) -> int:
    """The node of process 1's page."""
    mapping = system.mappings.get(1, 0x400)
    return system.frames.node(system.slot(mapping.vm, mapping.gfn))


def test_example__is_short() -> None:
    assert len(block("python").splitlines()) < LONGEST_EXAMPLE


def test_example__places_locally_and_takes_the_trigger(example: Policy) -> None:
    assert [example.place(5, node) for node in range(3)] == [0, 1, 2]
    assert example.hot_trigger == 10


@pytest.mark.parametrize(
    ("misses", "expected"),
    [
        ([10, 0, 5, 0, 0, 0], Migrate(0, "10 misses there, 5 at home")),
        ([9, 0, 5, 0, 0, 0], Stay(Reason.OTHER, "node 0 misses 9 times, the page's own 5 times")),
        ([6, 4, 2, 3, 0, 0], Migrate(0, "10 misses there, 5 at home")),
        ([10, 0, 5, 0, 6, 5], Migrate(2, "11 misses there, 5 at home")),
        ([10, 0, 5, 0, 10, 0], Migrate(0, "10 misses there, 5 at home")),
        ([10, 0, 50, 0, 0, 0], Stay(Reason.OTHER, "node 1 misses 50 times, the page's own 50 times")),
    ],
)
def test_example__moves_to_the_busiest_node_that_has_twice_the_misses(
    example: Policy, misses: list[int], expected: Decision
) -> None:
    assert example.decide(hot(misses)) == expected


@pytest.mark.parametrize(("moves", "kind"), [(1, Migrate), (2, Stay)])
def test_example__gives_up_on_a_page_that_moves_on_and_on(example: Policy, moves: int, kind: type) -> None:
    assert isinstance(example.decide(hot([10, 0, 0, 0, 0, 0], moves)), kind)


def test_document__shows_the_error_that_a_fault_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_policy.py").write_text(block("python").replace("return cpu_node", "return 9"))
    with pytest.raises(ConfigError) as caught:
        find_policy("./my_policy.py")(machine(cpu__count=8)).place(0, 0)
    assert f"    {caught.value}\n" in PAGE


def test_document__has_every_shipped_policy() -> None:
    table = PAGE.partition("| name | a new page goes to |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"(?m)^\| `([\w-]+)` \|", table)) == shipped_policies()


def test_document__has_every_threshold_and_where_it_is_from() -> None:
    explained = re.findall(r"(?m)^\| `migration\.(\w+)` \|.*(?:unverified|likewise|ours) \|$", PAGE)
    assert sorted(explained) == sorted(field.name for field in fields(Migration))


def test_document__has_every_field_of_a_hot_page() -> None:
    methods = [name for name in vars(HotPage) if name.startswith(("node", "misses_"))]
    table = PAGE.partition("a `HotPage`:")[2].partition("**What it may answer**")[0]
    explained = re.findall(r"(?m)^\| `(\w+)(?:\(\w+\))?` \|", table)
    assert sorted(explained) == sorted([*(field.name for field in fields(HotPage)), *methods])


def test_document__has_every_reason() -> None:
    assert sorted(re.findall(r"`Stay\(Reason\.(\w+)\)`", PAGE)) == sorted(Reason.__members__)


def test_document__registers_in_the_group_that_is_read() -> None:
    assert list(tomllib.loads(block("toml"))["project"]["entry-points"]) == [GROUP]
