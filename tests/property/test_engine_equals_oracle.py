"""The compiled engine and the naive twin agree on random traces and machines: every counter, every final mapping."""

import hypothesis
import pytest
from hypothesis import strategies as st

from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from tests.oracle.laws import check_laws
from tests.oracle.machine import Oracle
from tests.property.engine import as_dict, memory_of, misses_by_frame, replay
from tests.property.traces import Case, cases, small_memory_cases


def counted_by_oracle(case: Case) -> Oracle:
    oracle = Oracle(case.meta, case.tables, case.system, case.window, case.crash)
    oracle.run(case.rows)
    return oracle


def replayed(case: Case, batch: int = 1 << 20) -> Replay:
    machine = Machine.from_tables(case.tables)
    return replay(case.meta, case.rows, machine, case.system, case.window, batch, case.crash)


def assert_they_agree(case: Case, run: Replay, oracle: Oracle) -> None:
    counts = as_dict(run.finish())
    differing = {
        key: (counts.get(key, 0), oracle.counts.get(key, 0))
        for key in counts.keys() | oracle.counts.keys()
        if counts.get(key, 0) != oracle.counts.get(key, 0)
    }
    assert not differing, f"(engine, oracle): {differing}"
    frames = {frame: {c: n for c, n in cpus.items() if n} for frame, cpus in oracle.page_misses.items()}
    assert misses_by_frame(run) == {frame: cpus for frame, cpus in frames.items() if cpus}
    memory = memory_of(run)
    assert memory.mappings == oracle.mappings
    assert memory.replicas == {master: copies for master, copies in oracle.replicas.items() if copies}
    assert memory.read_only == oracle.read_only
    if case.system != "native":
        assert memory.pmap == oracle.pmap
    end = run.footprints.end
    assert {"virtual": end.virtual, "machine": end.machine} == oracle.footprint


@hypothesis.given(cases())
def test_engine_counts_what_the_oracle_counts(case: Case) -> None:
    oracle = counted_by_oracle(case)
    run = replayed(case)
    assert_they_agree(case, run, oracle)
    counts = as_dict(run.finish())
    check_laws(case.rows, case.tables, case.system, counts, oracle.page_misses, case.meta, case.crash)


@hypothesis.given(small_memory_cases())
def test_they_agree_when_memory_is_short(case: Case) -> None:
    """Buffer caches evict, nodes spill, replicas are taken back; and both run out of memory at the same time."""
    try:
        oracle = counted_by_oracle(case)
    except MemoryError:
        with pytest.raises(ConfigError, match="out of memory"):
            replayed(case)
    else:
        assert_they_agree(case, replayed(case), oracle)


@hypothesis.given(cases(), st.sampled_from([1, 7, 4096]))
def test_batch_size_changes_nothing(case: Case, batch: int) -> None:
    whole, parts = replayed(case), replayed(case, batch)
    assert as_dict(whole.finish()) == as_dict(parts.finish())
    assert memory_of(whole) == memory_of(parts)
    assert whole.footprints == parts.footprints
