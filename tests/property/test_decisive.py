"""What is left out of the keys that decide a replay changes none of its counters."""

import hypothesis
import pytest
from hypothesis import strategies as st

from discotrace.analysis.configuration import STRUCTURAL_KEYS
from discotrace.analysis.decisive import decisive
from discotrace.replay.machine import Machine
from tests.machines import machine
from tests.property.engine import as_dict, memory_of, replay
from tests.property.traces import Case, cases, machines


@st.composite
def cases_with_another_machine(draw: st.DrawFn) -> tuple[Case, Machine, Machine]:
    """A case, its machine, and one that differs from it in keys that do not decide."""
    case = draw(cases())
    mine = Machine.from_tables(case.tables)
    kept = decisive(case.system, mine)
    other = draw(machines(st.just(case.tables["cpu"]["count"]), st.just(case.tables["memory"]["page_kib"])))
    tables = {table: other[table] | kept.get(table, {}) for table in case.tables}
    if case.system != "native" and tables["vm"]["count"] == 1:
        tables["vm"]["nfs"] = draw(st.booleans())
    return case, mine, Machine.from_tables(tables | {"disks": case.tables["disks"]})


@hypothesis.given(cases_with_another_machine())
def test_keys_that_do_not_decide_change_nothing(drawn: tuple[Case, Machine, Machine]) -> None:
    case, mine, other = drawn
    assert decisive(case.system, mine) == decisive(case.system, other)
    runs = [replay(case.meta, case.rows, one, case.system, case.window, crash=case.crash) for one in (mine, other)]
    first, second = (as_dict(run.finish()) for run in runs)
    assert first == second
    assert memory_of(runs[0]) == memory_of(runs[1])


@pytest.mark.parametrize("system", ["native", "disco", "splashos"])
def test_caches_tlbs_and_nodes_always_decide(system: str) -> None:
    kept = decisive(system, machine(cpu__count=2))
    for table in ("cpu", "memory", "tlb", "l1i", "l1d", "l2"):
        assert set(kept[table]) == set(STRUCTURAL_KEYS[table])


def test_natively_the_monitor_does_not() -> None:
    kept = decisive("native", machine(cpu__count=2))
    assert not {"monitor", "migration", "vm", "disks"} & set(kept)
    assert set(kept["placement"]) == {"native"}


def test_under_the_monitor_the_native_placement_does_not() -> None:
    assert set(decisive("disco", machine(cpu__count=2))["placement"]) == {"policy"}


@pytest.mark.parametrize(
    ("policy", "count"), [("first-touch", 0), ("random", 0), ("round-robin", 0), ("disco", 5), ("origin", 4)]
)
def test_a_policy_is_decided_by_the_thresholds_that_it_asks(policy: str, count: int) -> None:
    kept = decisive("disco", machine(cpu__count=2, placement__policy=policy))
    assert len(kept.get("migration", {})) == count


def test_on_one_node_placement_decides_nothing() -> None:
    for system in ("native", "disco"):
        kept = decisive(system, machine(cpu__count=1))
        assert "placement" not in kept
        assert "migration" not in kept


def test_a_policy_of_the_users_may_ask_anything() -> None:
    kept = decisive("disco", machine(cpu__count=1, placement__policy="./mine.py"))
    assert set(kept["migration"]) == set(STRUCTURAL_KEYS["migration"])
    assert kept["placement"] == {"policy": "./mine.py"}
