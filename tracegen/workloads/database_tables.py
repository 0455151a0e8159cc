"""The tables, made at random like those of TPC-D: orders, their lines, customers; and where each row lies.

Orders are clustered by date into partitions; lines by the partition of their order, within it as they were shipped:
in no order of the key. Rows of a partition begin on a page of their own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.workloads.database_layout import (
    CUSTOMER_BYTES,
    INDEX_ENTRIES,
    LINE_BYTES,
    ORDER_BYTES,
    rows_per_page,
)

Ints = npt.NDArray[np.int32]
DATES = 100  # days of a partition
LINES_PER_ORDER = 4


class Tables(NamedTuple):
    """Columns, and the first page of each table; pages are numbered through all tables.

    Columns of orders have the shape (partitions, orders of one), those of lines likewise; ``balance`` (customers,).
    Customer ``k`` is row ``k`` of its table. ``order_pages``, ``line_pages``: pages of a partition. Behind the
    customers come the leaves of their index, then its root.
    """

    order_key: Ints
    order_customer: Ints
    order_date: Ints
    line_order: Ints
    line_part: Ints
    line_price: npt.NDArray[np.float64]
    line_discount: npt.NDArray[np.float64]
    line_shipped: Ints
    balance: npt.NDArray[np.float64]
    order_pages: int
    line_pages: int
    first_line_page: int
    first_customer_page: int
    first_leaf_page: int
    root_page: int

    @property
    def pages(self) -> int:
        """Pages of all tables and the index."""
        return self.root_page + 1

    def order_pages_of(self, partition: int) -> range:
        """Pages of a partition's orders."""
        return range(partition * self.order_pages, (partition + 1) * self.order_pages)

    def line_pages_of(self, partition: int) -> range:
        """Pages of a partition's lines."""
        first = self.first_line_page + partition * self.line_pages
        return range(first, first + self.line_pages)


def make_tables(rng: np.random.Generator, partitions: int, orders: int, customers: int, parts: int) -> Tables:
    """Random tables: ``orders`` per partition, four lines to an order on average."""
    lines = orders * LINES_PER_ORDER
    keys = rng.permutation(partitions * orders).astype(np.int32).reshape(partitions, orders)
    line_order = np.take_along_axis(keys, rng.integers(0, orders, (partitions, lines)), axis=1)
    order_pages = -(-orders // rows_per_page(ORDER_BYTES))
    line_pages = -(-lines // rows_per_page(LINE_BYTES))
    first_line_page = partitions * order_pages
    first_customer_page = first_line_page + partitions * line_pages
    first_leaf_page = first_customer_page + -(-customers // rows_per_page(CUSTOMER_BYTES))
    root_page = first_leaf_page + -(-customers // INDEX_ENTRIES)
    return Tables(
        order_key=keys,
        order_customer=rng.integers(0, customers, (partitions, orders), dtype=np.int32),
        order_date=rng.integers(0, DATES, (partitions, orders), dtype=np.int32),
        line_order=line_order.astype(np.int32),
        line_part=rng.integers(0, parts, (partitions, lines), dtype=np.int32),
        line_price=rng.uniform(900, 100_000, (partitions, lines)).round(2),
        line_discount=rng.integers(0, 11, (partitions, lines)) / 100,
        line_shipped=rng.integers(0, DATES, (partitions, lines), dtype=np.int32),
        balance=rng.uniform(-1000, 10_000, customers).round(2),
        order_pages=order_pages,
        line_pages=line_pages,
        first_line_page=first_line_page,
        first_customer_page=first_customer_page,
        first_leaf_page=first_leaf_page,
        root_page=root_page,
    )
