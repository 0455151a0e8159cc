"""The tidy table of counts: order, locks, and events of nodes and disks."""

from collections.abc import Iterable
from typing import Any

from discotrace.analysis.counts_file import COLUMNS
from discotrace.replay.counts import EVENT_NAMES, Event
from discotrace.replay.engine import Replay
from discotrace.replay.native import NativeSystem
from discotrace.tracegen.schema import File, Kind, TraceMeta, rows_from_records
from tests.machines import machine
from tests.unit.replay.driving import (
    AT,
    PAGE,
    Driven,
    Record,
    disco,
    event,
    file_read,
    file_write,
    load,
    native,
    resident,
    store,
    trace,
)

FILES = [File(1, "/a", 8 * PAGE, 5), File(2, "/b", 8 * PAGE, 0)]


def table(run: Driven[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.replay.finish().table().to_pylist()
    return rows


def at(rows: Iterable[dict[str, Any]], name: str) -> dict[int, int]:
    """How often an event was counted, by place."""
    found: dict[int, int] = {}
    for row in rows:
        if row["event"] == name:
            assert (row["lock"], row["context"]) == (0, "any")
            found[row["at"]] = found.get(row["at"], 0) + row["count"]
    return found


def with_files(cpus: int = 2, processes: int = 1) -> TraceMeta:
    return trace(cpus, processes, files=FILES)


def windows_of(rows: list[Record], window: int) -> list[dict[str, Any]]:
    meta = with_files()
    run = Replay(meta, NativeSystem(meta, machine(memory__mib_per_node=1).for_trace(2)), window)
    run.feed(rows_from_records(rows))
    found: list[dict[str, Any]] = run.finish().table().to_pylist()
    return found


def test_the_columns_are_those_of_the_counts_file() -> None:
    run = native(with_files())
    run.feed(load())
    assert tuple(run.replay.finish().table().column_names) == COLUMNS[1:]


def test_rows_are_in_the_order_of_their_columns() -> None:
    run = native(with_files())
    kernel = event(Kind.ENTER, arg=3)
    run.feed(load(), load(vcpu=1), event(Kind.LOCK, arg=2), load(AT + PAGE), kernel, load(AT + 2 * PAGE), file_read(0))
    keys = [
        (row["window"], row["cpu"], row["vm"], row["lock"], EVENT_NAMES.index(row["event"]), row["at"])
        for row in table(run)
        if row["context"] == "user" or row["context"] == "any"
    ]
    assert keys == sorted(keys)


def test_a_trace_without_files_and_rows_has_an_empty_table() -> None:
    assert table(native(trace())) == []


def test_memory_requests__at_the_home_node_whoever_asks() -> None:
    """CPU 0 touches a page first; CPU 1, on another node, reads the line from the cache of CPU 0, then upgrades it."""
    run = native(trace(), placement__native="first-touch")
    run.feed(store(), load(vcpu=1), store(vcpu=1))
    before = run.counts(Event.L2_LOAD_DIRTY_REMOTE, Event.UPGRADES_REMOTE)
    assert before == {Event.L2_LOAD_DIRTY_REMOTE: 1, Event.UPGRADES_REMOTE: 1}
    of_cpu = [row for row in table(run) if row["cpu"] == 1]
    page_table_loads = 1  # of the handler of CPU 1, from the same node
    assert at(of_cpu, "memory_requests") == {0: 2 + page_table_loads}


def test_memory_writebacks__at_the_home_node() -> None:
    run = native(trace(), placement__native="first-touch", l2__size_kib=1, l2__ways=1, l1d__size_kib=1, l1d__ways=1)
    run.feed(store(), load(AT + 1024), load(AT + 1024, vcpu=1), store(vcpu=1), load(AT + 1024, vcpu=1))
    assert at(table(run), "memory_writebacks") == {0: 2}


def test_disks__requests_and_pages_at_the_disk_of_the_file() -> None:
    run = native(with_files())
    run.feed(file_read(0, 3), file_read(4, 2, file=2), file_read(0, 3))
    rows = table(run)
    assert at(rows, "disk_requests") == {5: 1, 0: 1}
    assert at(rows, "disk_pages") == {5: 3, 0: 2}


def test_disks__what_the_disk_cache_has_is_not_asked_of_a_disk() -> None:
    run = disco(with_files(2, 2), vm__count=2)
    run.feed(file_read(0, 2, asid=1), file_read(0, 3, asid=2))
    rows = table(run)
    assert at(rows, "disk_requests") == {5: 2}
    assert at([row for row in rows if row["vm"] == 1], "disk_pages") == {5: 1}


def test_disks__under_nfs_they_are_on_the_account_of_the_client() -> None:
    run = disco(with_files(2, 2), vm__count=2, vm__nfs=True)
    run.feed(file_read(0, 2, asid=2))
    rows = table(run)
    assert at(rows, "disk_pages") == {5: 2}
    assert {row["vm"] for row in rows if row["event"] == "disk_pages"} == {1}


def test_disks__a_written_page_that_is_evicted_is_one_request_and_one_page() -> None:
    for new in (native, disco):
        run: Driven[Any] = new(with_files(), guest__buffer_cache_percent=0)
        run.feed(file_write(0), file_read(0, file=2))
        rows = table(run)
        assert at(rows, "disk_requests") == at(rows, "disk_pages") == {5: 1, 0: 1}


def test_files_created__each_write_from_the_beginning_of_a_file() -> None:
    run = native(with_files())
    run.feed(file_write(0, 2), file_write(1), event(Kind.FILE_WRITE, 0, 10, 1), file_write(0, file=2))
    assert at(table(run), "files_created") == {5: 2, 0: 1}


def test_what_has_been_in_memory_asks_nothing_of_nodes_and_disks() -> None:
    run = disco(with_files())
    run.feed(resident(0, 3, file=1), resident(AT, 3))
    assert {row["event"] for row in table(run)} == {"resident_pages"}


def test_windows__nodes_and_disks_and_locks_are_in_the_window_of_their_rows() -> None:
    one_million = (0, 1, Kind.FETCH, AT, 4, 1_000_000)
    taken, released = event(Kind.LOCK, arg=3), event(Kind.UNLOCK, arg=3)
    rows = windows_of(
        [file_read(0), taken, one_million, load(), file_read(1), released, one_million, load()], 1_000_000
    )
    assert [row["window"] for row in rows if row["event"] == "disk_pages"] == [0, 1]
    of_loads = [(row["window"], row["lock"]) for row in rows if row["event"] == "load_rows"]
    assert of_loads == [(1, 3), (2, 0)]
    assert [row["window"] for row in rows if row["event"] == "lock_releases"] == [1]
