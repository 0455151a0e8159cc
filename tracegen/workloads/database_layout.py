"""Where the database server's text and data lie, in bytes.

Shared memory (one segment for all servers of an instance): the pool's page directory, its headers, its frames, the
hash table of orders, then for each server its groups, its work tables and its results. Private: the buckets of the
groups and the pointers to be sorted, in memory that a query takes from the heap and gives back.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.workloads.emit import INSTRUCTION_BYTES

TEXT, DATA, HEAP, SHARED, STACK_TOP = 0x0040_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x7FFF_0000
STACK_BYTES = 4 * PAGE_BYTES
DATA_BYTES = 4 * PAGE_BYTES

# A page of a table: header, rows, and from the end downwards a slot of 2 bytes per row. Rows are those of TPC-D with
# fixed lengths for all columns.
PAGE_HEADER, SLOT_BYTES = 32, 2
ORDER_BYTES, LINE_BYTES, CUSTOMER_BYTES = 104, 112, 180
ORDER_KEY, ORDER_CUSTOMER, ORDER_DATE = 0, 4, 24
LINE_ORDER, LINE_PART, LINE_PRICE, LINE_DISCOUNT, LINE_SHIPPED = 0, 4, 24, 32, 60
CUSTOMER_BALANCE = 76
INDEX_ENTRY = 8  # of the index on customer: key and page with slot, 4 bytes each
INDEX_ENTRIES = (PAGE_BYTES - PAGE_HEADER) // INDEX_ENTRY

DIRECTORY_ENTRY = 8  # of the pool: frame of a table's page
HEADER_BYTES = 64  # of a frame: page, pins, links
BUCKET_BYTES = 4
ORDER_NODE = 48  # of the hash table of orders: link, key, date, customer, priority
POINTER_BYTES = 4
RESULT_ROWS, RESULT_BYTES = 20, 64  # a server's part of the result, and what is kept of a row
WORK_ENTRY = 16  # of a work table: part (4 bytes), revenue (8)
GROUP_PART, GROUP_NEXT, GROUP_REVENUE, GROUP_LINES = 0, 4, 8, 16

# Functions of the server: instructions of the part that one pass runs, each in a module of its own.
FUNCTIONS = {
    "fix": 16,  # find a page in the pool and pin it
    "unfix": 7,
    "scan_page": 12,
    "scan_row": 11,  # next slot, and the predicate
    "fetch_order": 9,
    "index_node": 9,  # enter a node of the index
    "index_step": 6,  # one step of binary search
    "fetch_customer": 11,
    "clear": 640,  # a page of buckets
    "build": 17,  # hash an order and put it into the table
    "project": 8,  # columns of a line
    "probe": 10,  # hash and bucket
    "chain": 4,
    "send": 9,  # put a match into the work table of its group's server
    "receive": 6,
    "group": 10,
    "group_new": 24,
    "aggregate": 8,
    "pointers": 4,  # fill the array to be sorted
    "sift": 7,  # heapsort: begin with a pointer
    "compare": 8,  # pointer, call, key
    "publish": 40,  # leave a row of the result where the first server finds it
    "merge": 12,
}


def pages_up(size: int) -> int:
    """``size`` rounded up to whole pages."""
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def rows_per_page(row_bytes: int) -> int:
    """Rows that a page of a table holds."""
    return (PAGE_BYTES - PAGE_HEADER) // (row_bytes + SLOT_BYTES)


class Places(NamedTuple):
    """What a kernel needs of the layout: addresses in bytes; ``text`` row = address and instructions of a function."""

    text: npt.NDArray[np.int64]
    stack: int
    directory: int
    headers: int
    frames: int
    order_buckets: int
    order_nodes: int
    group_buckets: int
    groups: int
    pointers: int
    results: int
    group_bytes: int


@dataclass(frozen=True)
class Layout:
    """Sizes that the layout follows from. ``buckets`` and ``capacity`` of a hash table: its buckets, its entries."""

    pages: int  # of all tables
    frames: int
    servers: int
    order_buckets: int
    order_capacity: int
    group_buckets: int
    group_capacity: int
    group_bytes: int
    work_capacity: int  # matches that one server finds for one owner

    @property
    def _directory_bytes(self) -> int:
        return pages_up(self.pages * DIRECTORY_ENTRY)

    @property
    def frames_start(self) -> int:
        """Where frame 0 is."""
        return SHARED + self._directory_bytes + pages_up(self.frames * HEADER_BYTES)

    @property
    def _work_table_bytes(self) -> int:
        return pages_up(self.work_capacity * WORK_ENTRY)

    @property
    def _order_start(self) -> int:
        return self.frames_start + self.frames * PAGE_BYTES

    @property
    def _server_bytes(self) -> int:
        groups = pages_up(self.group_capacity * self.group_bytes)
        return groups + self.servers * self._work_table_bytes + pages_up(RESULT_ROWS * RESULT_BYTES)

    def _server_start(self, server: int) -> int:
        buckets, nodes = pages_up(self.order_buckets * BUCKET_BYTES), pages_up(self.order_capacity * ORDER_NODE)
        return self._order_start + buckets + nodes + server * self._server_bytes

    @property
    def shared_end(self) -> int:
        """The first byte behind the shared memory."""
        return self._server_start(self.servers)

    @property
    def heap_bytes(self) -> int:
        """Buckets of the groups, and pointers."""
        return pages_up(self.group_buckets * BUCKET_BYTES) + pages_up(self.group_capacity * POINTER_BYTES)

    def work_table(self, source: int, owner: int) -> int:
        """Where server ``source`` leaves matches for server ``owner``."""
        groups = pages_up(self.group_capacity * self.group_bytes)
        return self._server_start(source) + groups + owner * self._work_table_bytes

    def places(self, server: int, module_bytes: int) -> Places:
        """The layout as one server sees it; its functions ``module_bytes`` apart."""
        return Places(
            text=text_of(module_bytes),
            stack=STACK_TOP - 256,
            directory=SHARED,
            headers=SHARED + self._directory_bytes,
            frames=self.frames_start,
            order_buckets=self._order_start,
            order_nodes=self._order_start + pages_up(self.order_buckets * BUCKET_BYTES),
            group_buckets=HEAP,
            groups=self._server_start(server),
            pointers=HEAP + pages_up(self.group_buckets * BUCKET_BYTES),
            results=self._server_start(server + 1) - pages_up(RESULT_ROWS * RESULT_BYTES),
            group_bytes=self.group_bytes,
        )


def text_of(module_bytes: int) -> npt.NDArray[np.int64]:
    """Address and instructions of each function; in a module, code lies at a place of its own within its cache way."""
    starts = [TEXT + i * module_bytes + i * 448 % module_bytes // 64 * 64 for i in range(len(FUNCTIONS))]
    return np.array(list(zip(starts, FUNCTIONS.values(), strict=True)), dtype=np.int64)


def text_bytes(module_bytes: int) -> int:
    """Size of the server's text."""
    last = text_of(module_bytes)[-1]
    return pages_up(int(last[0] + last[1] * INSTRUCTION_BYTES) - TEXT)
