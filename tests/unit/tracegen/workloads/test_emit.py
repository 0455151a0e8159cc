"""Building references in bulk: order, scalars and arrays, parts left out, stretches of long loops."""

import numpy as np
import pytest

from discotrace.tracegen.schema import Kind
from discotrace.tracegen.workloads.emit import (
    CHUNK_ROWS,
    INSTRUCTION_BYTES,
    Block,
    Text,
    joined,
    load,
    references,
    run,
    run_at,
    spans,
    store,
)
from discotrace.tracegen.workloads.program import References

BLOCK = Block(0x40_0000, 5)
KEYS = np.array([0x1000, 0x1004, 0x1008], np.uint64)


def rows(made: References) -> list[tuple[int, int, int, int]]:
    """Rows as (kind, vaddr, size, arg)."""
    return list(zip(*(column.tolist() for column in made), strict=True))


def test_iterations_follow_each_other_each_with_its_parts_in_order() -> None:
    made = references(3, run(BLOCK), load(KEYS, 4), store(0x2000, 8))
    fetch, put = (Kind.FETCH, 0x40_0000, 20, 5), (Kind.STORE, 0x2000, 8, 0)
    assert rows(made) == [row for key in KEYS.tolist() for row in (fetch, (Kind.LOAD, key, 4, 0), put)]


def test_columns_have_the_dtypes_of_a_trace() -> None:
    made = references(2, run(BLOCK), load(KEYS[:2], 4))
    assert [column.dtype for column in made] == [np.uint8, np.uint64, np.uint32, np.uint32]


def test_where_leaves_out_single_rows_and_keeps_the_order() -> None:
    made = references(3, run(BLOCK), load(KEYS, 4, where=np.array([True, False, True])), store(KEYS, 4))
    assert [row[1] for row in rows(made)] == [0x40_0000, 0x1000, 0x1000, 0x40_0000, 0x1004, 0x40_0000, 0x1008, 0x1008]


def test_where_on_a_run_is_a_branch() -> None:
    taken = np.array([False, True, False])
    made = references(3, run(BLOCK), run(Block(0x50_0000, 2), where=taken), load(0x3000, 4, where=taken))
    assert [row[1] for row in rows(made)] == [0x40_0000, 0x40_0000, 0x50_0000, 0x3000, 0x40_0000]


def test_run_at_begins_where_each_iteration_says() -> None:
    made = references(2, run_at(np.array([0x100, 0x200], np.uint64), 3))
    assert rows(made) == [(Kind.FETCH, 0x100, 12, 3), (Kind.FETCH, 0x200, 12, 3)]


def test_sizes_may_differ_from_iteration_to_iteration() -> None:
    made = references(2, run(BLOCK), load(0x1000, np.array([4, 8], np.uint32)))
    assert made.size.tolist() == [20, 4, 20, 8]


def test_no_iteration_makes_no_row() -> None:
    assert rows(references(0, run(BLOCK), load(KEYS[:0], 4))) == []


def test_joined_puts_pieces_one_after_the_other() -> None:
    first, second = references(1, run(BLOCK)), references(2, run(BLOCK), load(0x1000, 4))
    assert rows(joined(first, second)) == rows(first) + rows(second)


def test_addresses_of_the_upper_half_stay_exact() -> None:
    address = 2**63 + 2**40 + 1
    assert references(1, run(BLOCK), load(address, 1)).vaddr.tolist() == [0x40_0000, address]


@pytest.mark.parametrize(
    ("count", "rows_per_iteration"), [(0, 3), (1, 3), (100_000, 1), (100_000, 7), (3, CHUNK_ROWS * 2)]
)
def test_spans_cover_all_iterations_once_and_keep_chunks_small(count: int, rows_per_iteration: int) -> None:
    parts = list(spans(count, rows_per_iteration))
    assert [i for part in parts for i in (part.start, part.stop)] == sorted(
        [0, count] * (count > 0) + [part.stop for part in parts[:-1]] * 2
    )
    assert all(0 < part.stop - part.start <= max(1, CHUNK_ROWS // rows_per_iteration) for part in parts)


def test_text_lays_blocks_out_one_after_the_other() -> None:
    text = Text(0x40_0000)
    first = text.block(3)
    second = text.block(2)
    assert (first.start, second.start) == (0x40_0000, 0x40_0000 + 3 * INSTRUCTION_BYTES)
    text.align(64)
    assert text.block(1).start == text.end - INSTRUCTION_BYTES == 0x40_0040
