"""Chunks on their way into the trace: where they are cut, and that all rows come out once, in order."""

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from discotrace.tracegen.schema import Kind, Rows, concat_rows, rows_from_records
from discotrace.tracegen.workloads.chunk import Chunk, Outlet, run_starts
from discotrace.tracegen.workloads.program import References

KERNEL_ROW = rows_from_records([(0, 9, Kind.ZERO_PAGE, 0, 4096, 50)])


def made(runs: list[tuple[int, int]]) -> References:
    """Runs of so many instructions, each with so many loads behind it."""
    rows = [row for length, loads in runs for row in [(Kind.FETCH, length), *[(Kind.LOAD, 0)] * loads]]
    kind, arg = np.array(rows).T
    addresses = np.arange(len(rows), dtype=np.uint64)
    return References(kind.astype(np.uint8), addresses, np.ones(len(rows), np.uint32), arg.astype(np.uint32))


def chunk_of(references: References) -> Chunk:
    return Chunk(7, references, run_starts(references), deque())


def test_data_rows_start_with_their_run_and_the_last_entry_is_the_sum() -> None:
    assert run_starts(made([(10, 2), (5, 0), (1, 1)])).tolist() == [0, 0, 0, 10, 15, 15, 16]


def test_a_process_stops_before_the_first_run_that_begins_at_its_limit() -> None:
    chunk = chunk_of(made([(10, 2), (5, 0), (1, 1)]))
    assert [chunk.stop(limit) for limit in (1, 10, 11, 15, 16, 17, 100)] == [3, 3, 4, 4, 6, 6, 6]


def test_nothing_is_kept_of_a_chunk_that_has_run() -> None:
    parts: list[Rows] = []
    outlet, chunk = Outlet(parts.append), chunk_of(made([(10, 2), (5, 0)]))
    outlet.run(0, chunk, 3)
    outlet.pass_on(KERNEL_ROW)
    assert parts == []
    outlet.run(0, chunk, 4)
    assert [len(part.kind) for part in parts] == [5]


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1), st.booleans()), min_size=60, max_size=60),
)
def test_all_rows_come_out_once_in_order_and_are_counted(
    runs: list[tuple[int, int]], slices: list[tuple[int, int, bool]]
) -> None:
    parts: list[Rows] = []
    outlet, chunk = Outlet(parts.append), chunk_of(made(runs))
    kernel_rows, cpus = 0, []
    for length, vcpu, interrupts in slices:
        before = chunk.done
        outlet.run(vcpu, chunk, chunk.stop(length))
        cpus += [vcpu] * (chunk.done - before)
        if interrupts:
            outlet.pass_on(KERNEL_ROW)
            kernel_rows += 1
        if chunk.has_run:
            break
    outlet.flush()
    rows = concat_rows(parts)
    mine = rows.asid == 7
    np.testing.assert_array_equal(rows.vaddr[mine], np.arange(chunk.done))
    assert rows.vcpu[mine].tolist() == cpus
    assert (~mine).sum() == kernel_rows
    assert outlet.instructions == int(chunk.starts[chunk.done]) + 50 * kernel_rows
