"""Decision support on a relational server: one memory-hungry process.

A query asks which parts brought most revenue in a span of days with customers of good standing: select l_partkey,
sum(l_extendedprice * (1 - l_discount)) from orders, customer, lineitem group by l_partkey order by 2 desc. Its plan:
scan orders, look up their customers by an index, build a hash table; scan lines, probe it; aggregate by hashing; sort.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.database_kernels import ORDERS_PER_PAGE, Query
from discotrace.tracegen.workloads.database_layout import Layout
from discotrace.tracegen.workloads.database_pool import Pool
from discotrace.tracegen.workloads.database_server import Instance, Server, Task
from discotrace.tracegen.workloads.database_tables import DATES, LINES_PER_ORDER, Tables, make_tables
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload

EARLIER_ROUNDS = 8  # through the partitions: they have left the pool as the trace finds it


@dataclass(frozen=True)
class Database(Workload):
    """A relational server, its tables and its queries."""

    summary: ClassVar[str] = "decision support on a relational server, one memory-hungry process"
    # The second knob's range keeps TLB misses within what figure 5 allows.
    runs_on: ClassVar[bool] = True
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "pool_percent": (96, 99),
        "parts": (5400, 7500),
    }

    queries: int = 117  # queries of a whole run, one after the other
    partitions: int = 8  # stretches of time that the tables are clustered by; a query reads one of them
    orders: int = 2000  # rows of orders in a partition; four times as many of lineitem
    customers: int = 4000  # rows of customer
    parts: int = 6000  # different parts: groups of a query, at most
    group_bytes: int = 400  # length of a group's row in work memory, of which few bytes are used until the end
    pool_percent: float = 96.7  # pages of the tables that the buffer pool has room for
    lines_percent: int = 90  # lines of a partition that a query's span of days has
    balance_percent: int = 90  # customers with enough balance
    module_bytes: int = 4096  # distance of the server's functions in its text
    warm: bool = True  # the table files are in the buffer cache when the trace begins; else reads wait for the disk

    def __post_init__(self) -> None:
        """Raises ConfigError for knobs that make no database."""
        least = {"group_bytes": 24, "module_bytes": 256}
        for name in ("queries", "partitions", "orders", "customers", "parts", "group_bytes", "module_bytes"):
            if getattr(self, name) < least.get(name, 1):
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least.get(name, 1)}")
        for name in ("pool_percent", "lines_percent", "balance_percent"):
            if not 1 <= getattr(self, name) <= 100:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 to 100")
        if self.scale <= 0:
            raise ConfigError(f"scale is {self.scale}, expected more than 0")

    def start(self, stage: Stage) -> None:
        """Each instance has the CPUs from its number on, one server for each; more instances than CPUs share all."""
        servers = max(1, self.cpu_count // self.instance_count)
        apart = servers * self.instance_count <= self.cpu_count
        for number in range(self.instance_count):
            instance = self.instance(number, servers)
            for server in range(servers):
                cpu = number * servers + server
                cpus = range(cpu, cpu + 1) if apart else range(self.cpu_count)
                program = Server(instance, server, self.module_bytes, warm=self.warm).run
                stage.start(program, "dataserver", number, cpus)

    def instance(self, number: int, servers: int) -> Instance:
        """Tables, pool and queries of an instance."""
        rng = np.random.default_rng([self.seed, number])
        tables = make_tables(rng, self.partitions, self.orders, self.customers, self.parts)
        layout = self._layout(tables, servers)
        pool = Pool(rng, tables.pages, layout.frames, tables.first_customer_page)
        turns = rng.permutation(self.partitions).tolist()
        for partition in turns * EARLIER_ROUNDS:
            pool.load(tables.order_pages_of(partition))
            pool.load(tables.line_pages_of(partition))
        return Instance(number, tables, pool, layout, self._tasks(rng, tables, turns))

    def _layout(self, tables: Tables, servers: int) -> Layout:
        capacity = -(-self.parts // servers)
        bound = tables.pages - tables.first_customer_page
        return Layout(
            pages=tables.pages,
            frames=max(int(tables.pages * self.pool_percent / 100), bound + servers * tables.line_pages + 1),
            servers=servers,
            order_buckets=_power_of_two(self.orders),
            order_capacity=servers * (-(-tables.order_pages // servers)) * ORDERS_PER_PAGE,
            group_buckets=_power_of_two(capacity),
            group_capacity=capacity,
            group_bytes=self.group_bytes,
            work_capacity=self.orders * LINES_PER_ORDER,
        )

    def _tasks(self, rng: np.random.Generator, tables: Tables, turns: list[int]) -> list[Task]:
        """Whole queries, about one partition after the other; a part of one if the run is shorter than that."""
        length = self.queries * self.scale
        shares = [1.0] * round(length) if length >= 1 else [length]
        balance = float(np.quantile(tables.balance, 1 - self.balance_percent / 100))
        days = DATES * self.lines_percent // 100
        tasks = []
        for number, share in enumerate(shares):
            first = int(rng.integers(DATES - days + 1))
            query = Query(0, DATES, first, first + days, balance)
            tasks.append(Task(turns[number % self.partitions], share, query))
        return tasks


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
