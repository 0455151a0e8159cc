"""The database workload: its join, groups and order are right, and what it does is written down within its memory."""

from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.schema import Kind, Rows, Service, TraceMeta, concat_rows
from discotrace.tracegen.workloads import database_layout as d
from discotrace.tracegen.workloads.database import Database
from discotrace.tracegen.workloads.database_pool import NOWHERE, Pool
from discotrace.tracegen.workloads.database_server import Instance, Server
from discotrace.tracegen.workloads.database_tables import Tables, make_tables
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.program import Process, References, Step
from discotrace.tracegen.workloads.stage import Stage

SMALL = {
    "queries": 2,
    "scale": 1.0,
    "partitions": 3,
    "orders": 150,
    "customers": 700,
    "parts": 90,
    "lines_percent": 60,
    "balance_percent": 70,
    "pool_percent": 80,
}


def run(workload: Database) -> tuple[Instance, Rows, TraceMeta]:
    """Run one instance in memory, a server for each CPU."""
    meta = TraceMeta(workload.cpu_count)
    parts: list[Rows] = []
    stage = Stage(meta, parts.append)
    instance = workload.instance(0, workload.cpu_count)
    for cpu in range(workload.cpu_count):
        program = Server(instance, cpu, workload.module_bytes, warm=workload.warm).run
        stage.start(program, "dataserver", 0, range(cpu, cpu + 1))
    stage.run()
    return instance, concat_rows(parts), meta


def revenue_by_part(instance: Instance) -> dict[int, float]:
    """The answer to the last query, the obvious way."""
    task, t = instance.tasks[-1], instance.tables
    good = {
        int(key)
        for key, customer, date in zip(
            *(c[task.partition] for c in (t.order_key, t.order_customer, t.order_date)), strict=True
        )
        if t.balance[customer] >= task.query.balance and task.query.ordered_from <= date < task.query.ordered_to
    }
    columns = (t.line_order, t.line_part, t.line_price, t.line_discount, t.line_shipped)
    found: dict[int, float] = {}
    for order, part, price, discount, shipped in zip(*(c[task.partition] for c in columns), strict=True):
        if order in good and task.query.shipped_from <= shipped < task.query.shipped_to:
            found[int(part)] = found.get(int(part), 0.0) + price * (1 - discount)
    return found


@pytest.mark.parametrize("cpus", [1, 3])
def test_groups_and_their_order_are_those_of_a_naive_query(cpus: int) -> None:
    instance, _, _ = run(Database(cpus=cpus, **SMALL))  # type: ignore[arg-type]
    expected = revenue_by_part(instance)
    reached: dict[int, float] = {}
    for server, groups in enumerate(instance.groups):
        used = int(groups.used[0])
        assert set((groups.parts[:used] % cpus).tolist()) <= {server}
        order = groups.order[:used]
        assert sorted(order.tolist()) == list(range(used))
        assert (np.diff(groups.revenue[order]) <= 0).all()
        reached |= dict(zip(groups.parts[:used].tolist(), groups.revenue[:used].tolist(), strict=True))
        assert instance.results[server] == [(groups.parts[g], groups.revenue[g]) for g in order[: d.RESULT_ROWS]]
    assert len(expected) > 50
    assert reached == pytest.approx(expected)


@pytest.mark.parametrize(("cpus", "instances"), [(1, 1), (3, 1), (2, 2), (1, 2)])
def test_trace_keeps_the_rules_of_the_format(tmp_path: Path, cpus: int, instances: int) -> None:
    workload = Database(cpus=cpus, instances=instances, **SMALL)  # type: ignore[arg-type]
    meta = TraceMeta(cpus)
    parts: list[Rows] = []
    stage = Stage(meta, parts.append)
    workload.start(stage)
    stage.run()
    assert check_rows(meta, concat_rows(parts)) == []
    assert {process.instance for process in meta.processes} == set(range(instances))


def test_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    traces = []
    for i, seed in enumerate([5, 5, 6]):
        path = tmp_path / f"{i}.parquet"
        generate(Database(seed=seed, **SMALL), "database", path, version="1")  # type: ignore[arg-type]
        traces.append(path.read_bytes())
    assert traces[0] == traces[1] != traces[2]


def test_scale_changes_the_length_and_not_the_rates() -> None:
    lengths, stores = [], []
    for scale in (1.0, 3.0):
        _, rows, _ = run(Database(**SMALL | {"scale": scale}))  # type: ignore[arg-type]
        user = rows.vaddr < 1 << 63
        lengths.append(int(rows.arg[user & (rows.kind == Kind.FETCH)].sum()))
        stores.append(int((user & (rows.kind == Kind.STORE)).sum()))
    assert lengths[1] / lengths[0] == pytest.approx(3, rel=0.15)
    assert stores[1] / stores[0] == pytest.approx(lengths[1] / lengths[0], rel=0.05)


def test_less_than_a_query_reads_part_of_a_partition() -> None:
    whole, part = (run(Database(**SMALL | {"scale": scale}))[1] for scale in (0.5, 0.25))  # type: ignore[arg-type]
    assert 0.3 < len(part.kind) / len(whole.kind) < 0.7


def test_absent_pages_are_read_into_the_pool_and_no_others() -> None:
    instance, rows, meta = run(Database(**SMALL))  # type: ignore[arg-type]
    reads = rows.kind == Kind.FILE_READ
    names = {file.id: file.name for file in meta.files}
    assert {names[file] for file in rows.arg[reads].tolist()} <= {"/database0/orders", "/database0/lineitem"}
    assert (rows.size[reads] == 4096).all()
    in_pool = instance.pool.frame_of != NOWHERE
    assert 0 < reads.sum() < 2 * len(in_pool)
    full, rows, _ = run(Database(**SMALL | {"pool_percent": 100}))  # type: ignore[arg-type]
    assert not (rows.kind == Kind.FILE_READ).any()
    assert (full.pool.frame_of != NOWHERE).all()


@pytest.mark.parametrize(("warm", "resident"), [(True, {"orders", "lineitem", "dataserver"}), (False, {"dataserver"})])
def test_files_of_tables_are_in_memory_unless_the_trace_is_cold(warm: bool, resident: set[str]) -> None:
    _, rows, meta = run(Database(warm=warm, **SMALL))  # type: ignore[arg-type]
    names = {file.id: file.name.rsplit("/")[-1] for file in meta.files}
    sizes = {file.id: file.size for file in meta.files}
    found = (rows.kind == Kind.RESIDENT) & (rows.arg != 0)
    assert {names[file] for file in rows.arg[found].tolist()} == resident
    assert rows.size[found].tolist() == [sizes[file] for file in rows.arg[found].tolist()]
    reads = rows.kind == Kind.FILE_READ
    assert reads.any()
    assert np.flatnonzero(found).max() < np.flatnonzero(reads).min()


def test_what_was_there_before_the_trace_does_not_fault() -> None:
    instance, rows, _ = run(Database(**SMALL))  # type: ignore[arg-type]
    entered = rows.arg[rows.kind == Kind.ENTER]
    assert not np.isin([Service.PAGE_IN, Service.QUICK_FAULT, Service.COPY_ON_WRITE], entered).any()
    assert (entered == Service.DEMAND_ZERO).sum() == SMALL["queries"] * instance.layout.heap_bytes // 4096


def test_pages_of_memory_do_not_overlap() -> None:
    instance, _, _ = run(Database(cpus=2, **SMALL))  # type: ignore[arg-type]
    layout = instance.layout
    starts = [layout.frames_start, layout.places(0, 4096).order_buckets, layout.places(0, 4096).order_nodes]
    for server in range(2):
        at = layout.places(server, 4096)
        starts += [at.groups, layout.work_table(server, 0), layout.work_table(server, 1), at.results]
    assert starts == sorted(starts)
    assert starts[-1] < layout.shared_end
    assert starts[3] - starts[2] >= layout.order_capacity * d.ORDER_NODE
    assert starts[4] - starts[3] >= layout.group_capacity * layout.group_bytes


def test_pool_keeps_pinned_and_bound_pages() -> None:
    pool = Pool(np.random.default_rng(1), pages=20, frames=16, first_bound=15)
    present = [page for page in range(15) if pool.frame_of[page] != NOWHERE]
    assert len(present) == 11
    kept = range(present[0], present[0] + 1)
    pool.pin(kept)
    for _ in range(3):
        pool.load(range(15))
    assert (pool.frame_of[15:] != NOWHERE).all()
    assert pool.frame_of[kept.start] != NOWHERE
    assert sorted(pool.frame_of[pool.frame_of != NOWHERE].tolist()) == list(range(16))
    pool.unpin(kept)


def test_rows_of_tables_fit_their_pages() -> None:
    for row_bytes in (d.ORDER_BYTES, d.LINE_BYTES, d.CUSTOMER_BYTES):
        rows = d.rows_per_page(row_bytes)
        assert d.PAGE_HEADER + rows * (row_bytes + d.SLOT_BYTES) <= 4096
    tables: Tables = make_tables(np.random.default_rng(1), 2, 100, 1000, 10)
    assert sorted(tables.order_key.ravel().tolist()) == list(range(200))
    assert tables.pages - tables.root_page == 1
    for partition in range(2):
        assert set(tables.line_order[partition].tolist()) <= set(tables.order_key[partition].tolist())


def test_chunks_begin_with_instructions() -> None:
    instance = Database(**SMALL).instance(0, 1)  # type: ignore[arg-type]
    process = Process(1, 0, lambda name, size, disk: 1)
    steps: list[Step] = list(Server(instance, 0, 4096, warm=True).run(process))
    chunks = [step for step in steps if isinstance(step, References)]
    assert chunks
    assert all(chunk.kind[0] == Kind.FETCH for chunk in chunks)


@pytest.mark.parametrize(
    "knobs", [{"parts": 0}, {"pool_percent": 101}, {"lines_percent": 0}, {"group_bytes": 8}, {"scale": 0.0}]
)
def test_impossible_knobs_are_named(knobs: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(knobs))):
        Database(**knobs)  # type: ignore[arg-type]
