"""One instance of the database: its tables and pool, its queries, and the program of each of its servers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads import database_layout as d
from discotrace.tracegen.workloads.database_kernels import (
    LINES_PER_PAGE,
    NOTHING,
    ORDERS_PER_PAGE,
    Customers,
    Groups,
    Lines,
    Orders,
    OrderTable,
    Query,
    Work,
    aggregate,
    build_orders,
    clear_buckets,
    probe_lines,
)
from discotrace.tracegen.workloads.database_layout import Layout
from discotrace.tracegen.workloads.database_pool import Pool
from discotrace.tracegen.workloads.database_sort_kernels import fill_pointers, merge, publish, sort, sort_steps
from discotrace.tracegen.workloads.database_tables import Tables
from discotrace.tracegen.workloads.program import (
    Barrier,
    Leave,
    Map,
    OtherCall,
    Preload,
    Process,
    Read,
    References,
    Resident,
    Step,
    Unmap,
)

CHUNK_ROWS = 1 << 15


@dataclass(frozen=True)
class Task:
    """A query about the first ``share`` of a partition's pages."""

    partition: int
    share: float
    query: Query


class Instance:
    """What the servers of an instance share. ``orders[s]``, ``work[s]``, ``groups[s]``: as server ``s`` fills them."""

    def __init__(self, number: int, tables: Tables, pool: Pool, layout: Layout, tasks: list[Task]) -> None:
        """``number`` names its files, its disk, its shared memory and its barrier."""
        self.number, self.tables, self.pool, self.layout, self.tasks = number, tables, pool, layout, tasks
        each = range(layout.servers)
        heads = np.full(layout.order_buckets, NOTHING, np.int32)
        links, keys = np.zeros((2, layout.order_capacity), np.int32)
        self.orders = [OrderTable(heads, links, keys, np.zeros(1, np.int64)) for _ in each]
        self.work = [self._work(source) for source in each]
        self.groups = [self._groups() for _ in each]
        self.results: list[list[tuple[int, float]]] = [[] for _ in each]  # (part, revenue), the best first

    def _work(self, source: int) -> Work:
        layout = self.layout
        shape = (layout.servers, layout.work_capacity)
        starts = [layout.work_table(source, owner) for owner in range(layout.servers)]
        return Work(
            np.zeros(shape, np.int32),
            np.zeros(shape),
            np.zeros(layout.servers, np.int64),
            np.array(starts, np.int64),
        )

    def _groups(self) -> Groups:
        heads, capacity = np.full(self.layout.group_buckets, NOTHING, np.int32), self.layout.group_capacity
        links, parts, lines, order = np.zeros((4, capacity), np.int32)
        return Groups(heads, links, parts, np.zeros(capacity), lines, order, np.zeros(1, np.int64))


class Server:
    """One server process. ``run`` is its program."""

    def __init__(self, instance: Instance, number: int, module_bytes: int, *, warm: bool) -> None:
        """``number`` of the server in its instance; ``warm``: the tables' files are in memory."""
        layout = instance.layout
        self._instance, self._number, self._module_bytes = instance, number, module_bytes
        self._at = layout.places(number, module_bytes)
        self._table = instance.orders[number]
        self._out = References(
            np.zeros(CHUNK_ROWS, np.uint8),
            np.zeros(CHUNK_ROWS, np.uint64),
            np.zeros(CHUNK_ROWS, np.uint32),
            np.zeros(CHUNK_ROWS, np.uint32),
        )
        self._files = (0, 0)
        self._warm = warm

    def run(self, process: Process) -> Iterator[Step]:
        """Answer all queries. The server has been running for some time when the trace begins, and runs on."""
        tables, number = self._instance.tables, self._instance.number
        line_bytes = (tables.first_customer_page - tables.first_line_page) * PAGE_BYTES
        self._files = (
            process.file(f"/database{number}/orders", tables.first_line_page * PAGE_BYTES, number),
            process.file(f"/database{number}/lineitem", line_bytes, number),
        )
        program = process.file("/usr/bin/dataserver", d.text_bytes(self._module_bytes), 0)
        for file in (program, *(self._files if self._warm else ())):
            yield Preload(file)
        for segment in self._segments(program):
            yield Map(segment)
            yield Resident(segment.start, segment.end)
        for task in self._instance.tasks:
            yield from self._answer(task)
        yield Leave()

    def _segments(self, program: int) -> list[Segment]:
        shared_end = self._instance.layout.shared_end
        return [
            Segment(0, d.TEXT, d.TEXT + d.text_bytes(self._module_bytes), "file", program, writable=False),
            Segment(0, d.DATA, d.DATA + d.DATA_BYTES, "anonymous"),
            Segment(0, d.STACK_TOP - d.STACK_BYTES, d.STACK_TOP, "anonymous"),
            Segment(0, d.SHARED, shared_end, "shared", self._instance.number + 1),
        ]

    # ---- the plan of a query --------------------------------------------------------------------------------------

    def _answer(self, task: Task) -> Iterator[Step]:
        heap = range(d.HEAP, d.HEAP + self._instance.layout.heap_bytes)
        yield from self._clear()
        yield from self._meet()
        yield from self._build(task)
        yield from self._meet()
        yield from self._probe(task)
        yield from self._meet()
        yield Map(Segment(0, heap.start, heap.stop, "anonymous"), grows_heap=True)
        yield from self._aggregate()
        yield from self._sort()
        yield from self._publish()
        yield Unmap(heap.start, heap.stop)
        yield from self._meet()
        if self._number == 0:
            yield from self._reply()

    def _meet(self) -> Iterator[Step]:
        servers = self._instance.layout.servers
        if servers > 1:
            yield Barrier(self._instance.number + 1, servers)

    def _mine(self, count: int) -> range:
        """This server's share of so many things."""
        servers = self._instance.layout.servers
        return range(count * self._number // servers, count * (self._number + 1) // servers)

    def _clear(self) -> Iterator[Step]:
        mine = self._mine(len(self._table.heads))
        self._table.free[0] = self._mine(len(self._table.links)).start
        yield self._rows(clear_buckets(self._out, self._at, mine.start, mine.stop, self._table))

    def _build(self, task: Task) -> Iterator[Step]:
        """The servers share the orders, page by page, and fill one hash table."""
        tables, table, out = self._instance.tables, self._table, self._out
        columns = Orders(*(c[task.partition] for c in (tables.order_key, tables.order_customer, tables.order_date)))
        customers = Customers(tables.balance, tables.first_customer_page, tables.first_leaf_page, tables.root_page)
        first_page = tables.order_pages_of(task.partition).start
        frame_of = self._instance.pool.frame_of

        def scan(first: int, last: int) -> tuple[int, int]:
            return build_orders(out, self._at, frame_of, first_page, first, last, columns, customers, task.query, table)

        rows = self._rows_of(int(len(columns.key) * task.share), ORDERS_PER_PAGE)
        yield from self._scan(first_page, rows, ORDERS_PER_PAGE, scan)

    def _probe(self, task: Task) -> Iterator[Step]:
        """The servers share the lines, page by page."""
        tables, work = self._instance.tables, self._instance.work[self._number]
        work.sent.fill(0)
        names = (tables.line_order, tables.line_part, tables.line_price, tables.line_discount, tables.line_shipped)
        columns = Lines(*(column[task.partition] for column in names))
        first_page = tables.line_pages_of(task.partition).start
        frame_of = self._instance.pool.frame_of

        def scan(first: int, last: int) -> tuple[int, int]:
            return probe_lines(
                self._out, self._at, frame_of, first_page, first, last, columns, task.query, self._table, work
            )

        rows = self._rows_of(int(len(columns.order) * task.share), LINES_PER_PAGE)
        yield from self._scan(first_page, rows, LINES_PER_PAGE, scan)

    def _rows_of(self, count: int, rows_per_page: int) -> range:
        """This server's pages of the first ``count`` rows of a partition."""
        pages = self._mine(-(-count // rows_per_page))
        return range(pages.start * rows_per_page, min(pages.stop * rows_per_page, count))

    def _aggregate(self) -> Iterator[Step]:
        groups = self._instance.groups[self._number]
        groups.heads.fill(NOTHING)
        groups.used[0] = 0
        for source in self._instance.work:
            part, revenue = source.part[self._number], source.revenue[self._number]
            start, last, done = int(source.start[self._number]), int(source.sent[self._number]), 0
            while done < last:
                done, count = aggregate(self._out, self._at, start, done, last, part, revenue, groups)
                yield self._rows(count)

    def _sort(self) -> Iterator[Step]:
        groups = self._instance.groups[self._number]
        last, done = int(groups.used[0]), 0
        while done < last:
            done, count = fill_pointers(self._out, self._at, done, last, groups)
            yield self._rows(count)
        last, done = sort_steps(last), 0
        while done < last:
            done, count = sort(self._out, self._at, done, last, groups)
            yield self._rows(count)

    def _publish(self) -> Iterator[Step]:
        groups = self._instance.groups[self._number]
        best = groups.order[: min(d.RESULT_ROWS, int(groups.used[0]))]
        self._instance.results[self._number] = [(int(groups.parts[g]), float(groups.revenue[g])) for g in best]
        if len(best):
            yield self._rows(publish(self._out, self._at, groups, len(best)))

    def _reply(self) -> Iterator[Step]:
        """The first server sends the best rows of all to the client."""
        layout, results = self._instance.layout, self._instance.results
        found = [(-revenue, s, i) for s, rows in enumerate(results) for i, (_, revenue) in enumerate(rows)]
        best = sorted(found)[: d.RESULT_ROWS]
        rows = [layout.places(s, self._module_bytes).results + i * d.RESULT_BYTES for _, s, i in best]
        if rows:
            yield self._rows(merge(self._out, self._at, np.array(rows, np.int64)))
        yield OtherCall()

    # ---- rows and pages -------------------------------------------------------------------------------------------

    def _scan(
        self, first_page: int, rows: range, rows_per_page: int, scan: Callable[[int, int], tuple[int, int]]
    ) -> Iterator[Step]:
        """Run ``scan`` over rows whose pages are in the pool, and read those that are not when it comes to them."""
        pool, done = self._instance.pool, rows.start
        end_page = first_page + -(-rows.stop // rows_per_page)
        while done < rows.stop:
            page = first_page + done // rows_per_page
            here = pool.resident_run(range(page, end_page))
            if not here:
                yield self._read(page)
                continue
            pool.pin(here)
            last = min(rows.stop, (here.stop - first_page) * rows_per_page)
            while done < last:
                done, count = scan(done, last)
                yield self._rows(count)
            pool.unpin(here)

    def _read(self, page: int) -> Read:
        first_line = self._instance.tables.first_line_page
        file, first = (self._files[1], first_line) if page >= first_line else (self._files[0], 0)
        buffer = self._at.frames + self._instance.pool.replace(page) * PAGE_BYTES
        return Read(file, (page - first) * PAGE_BYTES, PAGE_BYTES, buffer)

    def _rows(self, count: int) -> References:
        """The first rows of the buffer, which is used again while others still hold them."""
        kind, vaddr, size, arg = self._out
        return References(kind[:count].copy(), vaddr[:count].copy(), size[:count].copy(), arg[:count].copy())
