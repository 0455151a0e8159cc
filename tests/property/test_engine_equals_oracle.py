"""The compiled engine and the naive twin count the same, counter by counter, on random traces and machines."""

import hypothesis
from hypothesis import strategies as st

from discotrace.replay.machine import Machine
from tests.oracle.laws import check_laws
from tests.oracle.machine import Oracle
from tests.property.engine import as_dict, misses_by_frame, replay
from tests.property.traces import Case, cases


def counted_by_oracle(case: Case) -> Oracle:
    oracle = Oracle(case.meta, case.tables, case.system, case.window)
    oracle.run(case.rows)
    return oracle


@hypothesis.given(cases())
def test_engine_counts_what_the_oracle_counts(case: Case) -> None:
    oracle = counted_by_oracle(case)
    run = replay(case.meta, case.rows, Machine.from_tables(case.tables), case.system, case.window)
    counts = as_dict(run.finish())
    differing = {
        key: (counts.get(key, 0), oracle.counts.get(key, 0))
        for key in counts.keys() | oracle.counts.keys()
        if counts.get(key, 0) != oracle.counts.get(key, 0)
    }
    assert not differing, f"(engine, oracle): {differing}"
    frames = {frame: {c: n for c, n in cpus.items() if n} for frame, cpus in oracle.page_misses.items()}
    assert misses_by_frame(run) == {frame: cpus for frame, cpus in frames.items() if cpus}
    check_laws(case.rows, case.tables, case.system, counts, oracle.page_misses)


@hypothesis.given(cases(), st.sampled_from([1, 7, 4096]))
def test_batch_size_changes_nothing(case: Case, batch: int) -> None:
    machine = Machine.from_tables(case.tables)
    whole = replay(case.meta, case.rows, machine, case.system, case.window).finish()
    parts = replay(case.meta, case.rows, machine, case.system, case.window, batch).finish()
    assert as_dict(whole) == as_dict(parts)
