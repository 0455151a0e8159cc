"""Cache hierarchies side by side behind one front each count what they count alone, to the last counter."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from discotrace.analysis.fronts import Run, may_share
from discotrace.analysis.run import new_system
from discotrace.replay.crash import Crash
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.native import NativeSystem
from discotrace.tracegen.schema import Segment
from tests.machines import machine
from tests.oracle.machine import Oracle
from tests.property.engine import as_dict, batches, memory_of
from tests.property.traces import Case, cases, hierarchies
from tests.unit.replay.driving import FILE_AT, Driven, disco, load, trace, trace_with_file

EXAMPLES = hypothesis.settings().max_examples * 2 // 5  # each example replays several times
STATIC = ("round-robin", "first-touch", "random")


@st.composite
def shared_cases(draw: st.DrawFn) -> tuple[Case, list[Machine]]:
    """A case in which nothing depends on caches, and the machine with others beside its own."""
    case = draw(cases())
    policy = draw(st.sampled_from((*STATIC, "disco")))
    trigger = 0 if policy == "disco" else case.tables["migration"]["trigger"]
    changed: dict[str, Any] = {
        "placement": case.tables["placement"] | {"policy": policy},
        "migration": case.tables["migration"] | {"trigger": trigger},
    }
    case = case._replace(tables=case.tables | changed)
    others = draw(st.lists(hierarchies(case.tables["cpu"]["count"]), min_size=1, max_size=3))
    return case, [Machine.from_tables(case.tables | other) for other in [{}, *others]]


def side_by_side(case: Case, machines: list[Machine], batch: int = 1 << 20) -> Replay:
    beside = [one.caches for one in machines[1:]]
    system = new_system(case.system, case.meta, machines[0], None, beside)
    run = Replay(case.meta, system, case.window, Crash(*case.crash) if case.crash else None)
    for part in batches(case.rows, batch):
        run.feed(part)
    return run


def alone(case: Case, one: Machine) -> Replay:
    return side_by_side(case, [one])


@hypothesis.given(shared_cases(), st.sampled_from([7, 1 << 20]))
@hypothesis.settings(max_examples=EXAMPLES)
def test_each_hierarchy_counts_what_it_counts_alone(shared: tuple[Case, list[Machine]], batch: int) -> None:
    case, machines = shared
    run = side_by_side(case, machines, batch)
    together = [counts.table() for counts in run.finish_lanes()]
    for one, counts in zip(machines, together, strict=True):
        by_itself = alone(case, one)
        assert counts.equals(by_itself.finish().table())
        assert memory_of(run) == memory_of(by_itself)
        assert run.footprints == by_itself.footprints
        assert run.loss == by_itself.loss


@hypothesis.given(shared_cases())
@hypothesis.settings(max_examples=EXAMPLES)
def test_each_hierarchy_counts_what_the_oracle_counts(shared: tuple[Case, list[Machine]]) -> None:
    case, machines = shared
    for one, counts in zip(machines, side_by_side(case, machines).finish_lanes(), strict=True):
        oracle = Oracle(case.meta, one.to_tables(), case.system, case.window, case.crash)
        oracle.run(case.rows)
        found, expected = as_dict(counts), {key: count for key, count in oracle.counts.items() if count}
        assert {k: (found.get(k), expected.get(k)) for k in found | expected if found.get(k) != expected.get(k)} == {}


@hypothesis.given(shared_cases())
@hypothesis.settings(max_examples=EXAMPLES)
def test_misses_of_pages_are_those_of_the_first_hierarchy(shared: tuple[Case, list[Machine]]) -> None:
    case, machines = shared
    together, by_itself = side_by_side(case, machines), alone(case, machines[0])
    assert (together.misses_by_page == by_itself.misses_by_page).all()


@hypothesis.given(cases())
def test_where_replays_may_share_no_page_is_ever_hot(case: Case) -> None:
    one = Machine.from_tables(case.tables)
    if may_share(Run("", case.system, one)):
        assert not any(key.event == "hot_pages" for key in as_dict(alone(case, one).finish()))


def test_caches_side_by_side_are_refused_where_they_decide_which_pages_move() -> None:
    meta = trace()
    assert disco(meta).system.machine.nodes == 2
    with pytest.raises(AssertionError, match="caches decide which pages move"):
        new_system("disco", meta, machine().for_trace(2), None, [machine().caches])


def test_a_line_at_an_address_of_another_colour_is_no_hit_for_all() -> None:
    """The first hierarchy has one colour of pages; the second has several, and no copy of the line at the other."""
    other = FILE_AT + 0x100_1000
    meta = trace_with_file(cpus=1, processes=1)
    meta.segments.append(Segment(1, other, other + 4096, "file", 1, 0, False))
    one_colour, several = machine(l1d__size_kib=4, l1d__ways=1), machine(l1d__size_kib=16, l1d__ways=1)
    driven = Driven(NativeSystem(meta, one_colour.for_trace(1), [several.caches]), meta)
    driven.feed(load(FILE_AT), load(other), load(FILE_AT), load(other), load(FILE_AT))
    found = [as_dict(counts) for counts in driven.replay.finish_lanes()]
    evictions = [sum(n for key, n in counts.items() if key.event == "alias_evictions") for counts in found]
    assert evictions == [0, 3]
