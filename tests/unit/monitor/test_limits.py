"""The whole monitor where the answer is known: one node, no migration, one disk for all."""

from random import Random
from typing import Any

import pytest

from discotrace.replay.counts import Event
from tests.property.engine import as_dict
from tests.unit.replay.driving import (
    AT,
    FILE_AT,
    FILE_PAGES,
    KSEG0_START,
    LINE,
    PAGE,
    Driven,
    Record,
    disco,
    fetch,
    file_read,
    load,
    store,
    trace_with_file,
)

CPUS = 4
BUSY = {"migration__trigger": 3, "migration__sharing": 2, "migration__moves": 2, "migration__reset_instructions": 50}


def busy_rows() -> list[Record]:
    """Two processes on four CPUs that read, write and share pages, so that many become hot."""
    draw = Random(3)
    rows = []
    for _ in range(600):
        vcpu, asid = draw.randrange(CPUS), draw.choice((1, 2))
        at = draw.choice((AT, FILE_AT, KSEG0_START)) + draw.randrange(4) * PAGE + draw.randrange(32) * LINE
        rows.append(draw.choices((load, store, fetch), (90, 3, 20))[0](vaddr=at, vcpu=vcpu, asid=asid))
    return rows


def replayed(rows: list[Record], batch: int = 1000, **changes: Any) -> Driven[Any]:
    run = disco(trace_with_file(CPUS), **BUSY | changes)
    for start in range(0, len(rows), batch):
        run.feed(*rows[start : start + batch])
    return run


def counts(run: Driven[Any]) -> dict[Any, int]:
    return as_dict(run.replay.finish())


def test_the_rows_are_busy() -> None:
    run = replayed(busy_rows())
    happens = (Event.MIGRATIONS, Event.REPLICATIONS, Event.COLLAPSES, Event.COW_FAULTS, Event.HOT_LEFT_WRITTEN)
    assert all(run.counts(*happens).values())


def test_one_node__migration_changes_nothing() -> None:
    on, off = (replayed(busy_rows(), cpu__per_node=CPUS, **one) for one in ({}, {"placement__policy": "first-touch"}))
    assert on.count(Event.HOT_PAGES) == 0
    assert counts(on) == counts(off)


@pytest.mark.parametrize("trigger", [0, 1 << 30])
def test_migration_off__is_a_trigger_that_is_never_reached(trigger: int) -> None:
    never = counts(replayed(busy_rows(), migration__trigger=trigger))
    assert never == counts(replayed(busy_rows(), placement__policy="first-touch"))


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_batches__do_not_matter_with_migration_on(batch: int) -> None:
    whole, parts = replayed(busy_rows()), replayed(busy_rows(), batch)
    assert counts(whole) == counts(parts)
    assert whole.system.memory.frames == parts.system.memory.frames


@pytest.mark.parametrize("vms", [1, 2, 4, 8])
def test_one_disk__its_whole_pages_are_in_memory_once_however_many_vms_read_them(vms: int) -> None:
    """Eight pages, the file ends inside the last: that one is each VM's own, and the disk cache's."""
    run = disco(trace_with_file(8, 8, size=FILE_PAGES * PAGE - 1), vm__count=vms)
    run.feed(*(file_read(0, FILE_PAGES, vcpu=vcpu, asid=vcpu + 1) for vcpu in range(8)))
    assert run.frames_in_use == FILE_PAGES + vms
    assert run.count(Event.DISK_PAGES_DONE) == FILE_PAGES
    assert sum(run.replay.footprints.end.virtual.values()) == vms * FILE_PAGES


@pytest.mark.parametrize("vms", [1, 2, 4, 8])
def test_one_disk__what_grows_with_the_vms_is_the_kernels_data(vms: int) -> None:
    run = disco(trace_with_file(8, 8), vm__count=vms)
    rows = [(load(FILE_AT, n, n + 1), load(KSEG0_START, n, n + 1)) for n in range(8)]
    run.feed(*(row for both in rows for row in both))
    assert run.frames_in_use == 1 + vms + 8, "the file's page, a kernel page for each VM, a page table for each process"
