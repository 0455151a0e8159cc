"""The recording pass: accesses are handed on in order, as often as room is short, and nothing depends on when."""

from collections import defaultdict
from typing import Any
from unittest.mock import patch

import pytest

from discotrace.replay.kernels.state import U64
from discotrace.replay.recording import LINES, PAGES, TRANSLATIONS, Recording, RecordingSystem
from discotrace.tracegen.schema import KSEG0_START, Kind, TraceMeta, rows_from_records
from tests.machines import machine
from tests.unit.replay.driving import AT, PAGE, Record, event, fetch, load, native, store, trace


class Reader:
    """Keeps all that it is given."""

    def __init__(self) -> None:
        self.accesses: dict[int, list[list[int]]] = defaultdict(list)
        self.calls = 0
        self.freed_slots: list[int] = []

    def read(self, owner: int, words: U64, count: int) -> None:
        self.calls += 1
        self.accesses[owner] += words.reshape(-1, 2)[:count].tolist()

    def freed(self, slots: list[int]) -> None:
        self.freed_slots += slots


def recorded(what: str, meta: TraceMeta, *records: Record, **changes: Any) -> tuple[Reader, RecordingSystem]:
    system = RecordingSystem(meta, machine(**changes).for_trace(meta.cpus), what)
    reader = Reader()
    recording = Recording(meta, system, reader)
    recording.feed(rows_from_records(list(records)))
    recording.close()
    return reader, system


def test_a_translation_is_recorded_as_key_and_group() -> None:
    reader, _ = recorded(TRANSLATIONS, trace(), load(AT + 2 * PAGE), load(AT + 3 * PAGE, vcpu=1), load(KSEG0_START))
    assert reader.accesses == {0: [[1, AT // PAGE // 2 + 1]], 1: [[1, AT // PAGE // 2 + 1]]}


def test_a_line_is_recorded_with_its_cache_and_its_virtual_number() -> None:
    """The handler's load of page-table entries comes first; frame 0 is the page's, frame 1 the page table's."""
    reader, _ = recorded(LINES, trace(1), load(AT + 64), fetch(4, AT + 64))
    table_offset = AT // PAGE * 4
    table_line = PAGE // 32 + table_offset % PAGE // 32
    assert reader.accesses == {
        0: [
            [table_line << 1 | 1, table_offset // 32],
            [(64 // 32) << 1 | 1, (AT + 64) // 32],
            [(64 // 64) << 1, (AT + 64) // 64],
        ]
    }


def test_a_freed_frame_is_told_after_the_accesses_before_it() -> None:
    reader, _ = recorded(PAGES, trace(1), load(), event(Kind.PROCESS_EXIT))
    assert reader.accesses == {0: [[1, 0], [0, 0]]}
    assert sorted(reader.freed_slots) == [0, 1]


def rows_of_all_sorts() -> list[Record]:
    records = []
    for step in range(60):
        vaddr = AT + PAGE * (step * 7 % 40)
        records += [fetch(5, vaddr), load(vaddr + 8, size=PAGE), event(Kind.ZERO_PAGE, vaddr, 2 * PAGE, 999)]
        records += [store(KSEG0_START + 64 * step, size=200, vcpu=1)]
    return records


@pytest.mark.parametrize("what", [TRANSLATIONS, LINES, PAGES])
def test_how_often_accesses_are_handed_on_changes_nothing(what: str) -> None:
    """A little room is that for two pages: the loop stops inside references and before pages that are cleared."""
    roomy, system = recorded(what, trace(), *rows_of_all_sorts())
    with patch("discotrace.replay.recording._ROOM", 1):
        tight, other = recorded(what, trace(), *rows_of_all_sorts())
    assert tight.accesses == roomy.accesses
    assert other.hardware.state.cpus.retired.tolist() == system.hardware.state.cpus.retired.tolist()
    if what == LINES:
        assert tight.calls > 50 > roomy.calls


def test_instructions_retire_as_in_replay() -> None:
    """They choose the TLB entry that a refill writes."""
    run = native(trace(), memory__mib_per_node=32)
    run.feed(*rows_of_all_sorts())
    _, system = recorded(LINES, trace(), *rows_of_all_sorts())
    assert system.hardware.state.cpus.retired.tolist() == run.system.hardware.state.cpus.retired.tolist()
