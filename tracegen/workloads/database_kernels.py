"""The server's loops over rows: each does its work on the data, and writes down every reference that it makes.

All take ``out`` (the rows of the trace, room for at least ``ROOM`` rows), begin at item ``first`` and stop before
``last``, or earlier when less than ``ROOM`` rows are left; they return where they stopped and the number of rows.
``at`` is the layout as this server sees it. Work for one item needs fewer rows than ``ROOM``, as hash chains are short.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads import database_layout as d
from discotrace.tracegen.workloads.database_layout import FUNCTIONS, Places
from discotrace.tracegen.workloads.program import References

F = TypeVar("F", bound=Callable[..., Any])
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FETCH, LOAD, STORE = 0, 1, 2
NOTHING = -1
ROOM = 512
# In the order of the layout.
FIX, UNFIX, SCAN_PAGE, SCAN_ROW, FETCH_ORDER, INDEX_NODE, INDEX_STEP, FETCH_CUSTOMER = range(8)
CLEAR, BUILD, PROJECT, PROBE, CHAIN, SEND, RECEIVE, GROUP, GROUP_NEW, AGGREGATE = range(8, 18)
POINTERS, SIFT, COMPARE, PUBLISH, MERGE = range(18, len(FUNCTIONS))
ORDERS_PER_PAGE, LINES_PER_PAGE = d.rows_per_page(d.ORDER_BYTES), d.rows_per_page(d.LINE_BYTES)
CUSTOMERS_PER_PAGE = d.rows_per_page(d.CUSTOMER_BYTES)


class Orders(NamedTuple):
    """Orders of a partition by row."""

    key: Ints
    customer: Ints
    date: Ints


class Lines(NamedTuple):
    """Lines of a partition by row."""

    order: Ints
    part: Ints
    price: Floats
    discount: Floats
    shipped: Ints


class Customers(NamedTuple):
    """Balance of each customer, and the first pages of table and leaves, and the root's."""

    balance: Floats
    page: int
    leaf: int
    root: int


class Query(NamedTuple):
    """Days [from, to) of orders and of lines, and the least balance of a customer."""

    ordered_from: int
    ordered_to: int
    shipped_from: int
    shipped_to: int
    balance: float


class OrderTable(NamedTuple):
    """Hash table of orders: first node of each bucket; next node and key of each node; ``free`` (1,) the next node
    that this server may use."""

    heads: Ints
    links: Ints
    keys: Ints
    free: Longs


class Work(NamedTuple):
    """Matches for each owner (servers, capacity); their number and the address of the work table (servers,)."""

    part: Ints
    revenue: Floats
    sent: Longs
    start: Longs


class Groups(NamedTuple):
    """Hash table of groups, as that of orders. ``order``: groups as the array of pointers has them; ``used`` (1,)."""

    heads: Ints
    links: Ints
    parts: Ints
    revenue: Floats
    lines: Ints
    order: Ints
    used: Longs


@part
def put(out: References, n: int, kind: int, vaddr: int, size: int, arg: int) -> int:
    """Write row ``n``; returns the number of rows."""
    out.kind[n] = kind
    out.vaddr[n] = vaddr
    out.size[n] = size
    out.arg[n] = arg
    return n + 1


@part
def call(out: References, n: int, at: Places, function: int) -> int:
    """The instructions of a function."""
    return put(out, n, FETCH, at.text[function, 0], at.text[function, 1] * 4, at.text[function, 1])


@part
def bucket_of(key: int, buckets: int) -> int:
    """Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4); ``buckets`` is a power of two."""
    return int((np.uint64(key) * np.uint64(2654435761) >> np.uint64(12)) & np.uint64(buckets - 1))


@part
def fix(out: References, n: int, at: Places, frame_of: Longs, page: int) -> tuple[int, int]:
    """Pin a page that is in the pool. Returns the rows and the frame's address."""
    frame = frame_of[page]
    header = at.headers + frame * d.HEADER_BYTES
    n = call(out, n, at, FIX)
    n = put(out, n, LOAD, at.directory + page * d.DIRECTORY_ENTRY, 8, 0)
    n = put(out, n, LOAD, header, 16, 0)
    n = put(out, n, STORE, header + 8, 4, 0)
    return n, at.frames + frame * 4096


@part
def unfix(out: References, n: int, at: Places, frame: int) -> int:
    """Let the page at this address go."""
    n = call(out, n, at, UNFIX)
    return put(out, n, STORE, at.headers + (frame - at.frames) // 4096 * d.HEADER_BYTES + 8, 4, 0)


@part
def slot(out: References, n: int, frame: int, number: int, row_bytes: int) -> tuple[int, int]:
    """Look up a row in its page. Returns the rows and the row's address."""
    n = put(out, n, LOAD, frame + 4096 - (number + 1) * d.SLOT_BYTES, 2, 0)
    return n, frame + d.PAGE_HEADER + number * row_bytes


@part
def search(  # a node of the index
    out: References, n: int, at: Places, node: int, entries: int, first: int, step: int, key: int
) -> tuple[int, int]:
    """Binary search for the last of the keys first, first + step ... that is not above ``key``: its number."""
    n = call(out, n, at, INDEX_NODE)
    n = put(out, n, LOAD, node, 16, 0)
    low, high = 0, entries
    while high - low > 1:
        middle = (low + high) // 2
        n = call(out, n, at, INDEX_STEP)
        n = put(out, n, LOAD, node + d.PAGE_HEADER + middle * d.INDEX_ENTRY, 4, 0)
        if first + middle * step <= key:
            low = middle
        else:
            high = middle
    return n, low


@part
def find_customer(out: References, n: int, at: Places, frame_of: Longs, all_: Customers, key: int) -> tuple[int, float]:
    """Look a customer up by the index and read the balance."""
    count = len(all_.balance)
    leaves = (count + d.INDEX_ENTRIES - 1) // d.INDEX_ENTRIES
    n, root = fix(out, n, at, frame_of, all_.root)
    n, leaf_number = search(out, n, at, root, leaves, 0, d.INDEX_ENTRIES, key)
    n = unfix(out, n, at, root)
    first = leaf_number * d.INDEX_ENTRIES
    n, leaf = fix(out, n, at, frame_of, all_.leaf + leaf_number)
    n, number = search(out, n, at, leaf, min(d.INDEX_ENTRIES, count - first), first, 1, key)
    row_number = first + number
    n = unfix(out, n, at, leaf)
    n, frame = fix(out, n, at, frame_of, all_.page + row_number // CUSTOMERS_PER_PAGE)
    n = call(out, n, at, FETCH_CUSTOMER)
    n, row = slot(out, n, frame, row_number % CUSTOMERS_PER_PAGE, d.CUSTOMER_BYTES)
    n = put(out, n, LOAD, row + d.CUSTOMER_BALANCE, 8, 0)
    n = unfix(out, n, at, frame)
    return n, all_.balance[row_number]


@compiled
def clear_buckets(out: References, at: Places, first: int, last: int, table: OrderTable) -> int:
    """Empty buckets [first, last) of the table of orders, page by page. Returns the rows."""
    n, done = 0, first
    table.heads[first:last] = NOTHING
    while done < last:
        stop = min(last, done + 4096 // d.BUCKET_BYTES)
        n = call(out, n, at, CLEAR)
        n = put(out, n, STORE, at.order_buckets + done * d.BUCKET_BYTES, (stop - done) * d.BUCKET_BYTES, 0)
        done = stop
    return n


@part
def insert(out: References, n: int, at: Places, table: OrderTable, key: int) -> int:
    """Put an order at the head of its bucket's chain."""
    node = table.free[0]
    bucket = bucket_of(key, len(table.heads))
    address = at.order_nodes + node * d.ORDER_NODE
    n = call(out, n, at, BUILD)
    n = put(out, n, LOAD, at.order_buckets + bucket * d.BUCKET_BYTES, 4, 0)
    n = put(out, n, STORE, address, d.ORDER_NODE, 0)
    n = put(out, n, STORE, at.order_buckets + bucket * d.BUCKET_BYTES, 4, 0)
    table.links[node] = table.heads[bucket]
    table.keys[node] = key
    table.heads[bucket] = node
    table.free[0] = node + 1
    return n


@part
def scan_row(
    out: References, n: int, at: Places, frame_of: Longs, frame: int, page: int, number: int, fixes: bool, size: int
) -> tuple[int, int, int]:
    """The scan comes to a row of ``size`` bytes, the ``number``-th of its page, which it pins first if it ``fixes``.

    ``frame``: of the page if that is pinned already. Returns the rows, the frame's and the row's address.
    """
    if fixes:
        n, frame = fix(out, n, at, frame_of, page)
        n = call(out, n, at, SCAN_PAGE)
        n = put(out, n, LOAD, frame, 24, 0)
    n = call(out, n, at, SCAN_ROW)
    n, row = slot(out, n, frame, number, size)
    return n, frame, row


@compiled
def build_orders(
    out: References,
    at: Places,
    frame_of: Longs,
    first_page: int,
    first: int,
    last: int,
    orders: Orders,
    customers: Customers,
    query: Query,
    table: OrderTable,
) -> tuple[int, int]:
    """Scan orders of the query's days; those of customers with enough balance go into the hash table."""
    n, frame = 0, 0
    for i in range(first, last):
        if n + ROOM > len(out.kind):
            return i, n
        number = i % ORDERS_PER_PAGE
        fixes = i == first or number == 0
        n, frame, row = scan_row(
            out, n, at, frame_of, frame, first_page + i // ORDERS_PER_PAGE, number, fixes, d.ORDER_BYTES
        )
        n = put(out, n, LOAD, row + d.ORDER_DATE, 4, 0)
        if query.ordered_from <= orders.date[i] < query.ordered_to:
            n = call(out, n, at, FETCH_ORDER)
            n = put(out, n, LOAD, row + d.ORDER_KEY, 8, 0)
            n = put(out, n, STORE, at.stack, 8, 0)
            n, balance = find_customer(out, n, at, frame_of, customers, orders.customer[i])
            if balance >= query.balance:
                n = insert(out, n, at, table, orders.key[i])
        if i + 1 == last or number + 1 == ORDERS_PER_PAGE:
            n = unfix(out, n, at, frame)
    return last, n


@part
def probe(out: References, n: int, at: Places, table: OrderTable, key: int) -> tuple[int, int]:
    """Look an order up in the hash table. Returns the rows and its node, -1 = not there."""
    bucket = bucket_of(key, len(table.heads))
    n = call(out, n, at, PROBE)
    n = put(out, n, LOAD, at.order_buckets + bucket * d.BUCKET_BYTES, 4, 0)
    node = table.heads[bucket]
    while node != NOTHING:
        n = call(out, n, at, CHAIN)
        n = put(out, n, LOAD, at.order_nodes + node * d.ORDER_NODE, 8, 0)
        if table.keys[node] == key:
            break
        node = table.links[node]
    return n, node


@part
def send(out: References, n: int, at: Places, work: Work, part: int, revenue: float) -> int:
    """Put a match into the work table of the server that owns its group."""
    owner = part % len(work.sent)
    i = work.sent[owner]
    n = call(out, n, at, SEND)
    n = put(out, n, STORE, work.start[owner] + i * d.WORK_ENTRY, d.WORK_ENTRY, 0)
    work.part[owner, i] = part
    work.revenue[owner, i] = revenue
    work.sent[owner] = i + 1
    return n


@compiled
def probe_lines(
    out: References,
    at: Places,
    frame_of: Longs,
    first_page: int,
    first: int,
    last: int,
    lines: Lines,
    query: Query,
    table: OrderTable,
    work: Work,
) -> tuple[int, int]:
    """Scan lines of the query's days; those whose order is in the hash table go into the work tables."""
    n, frame = 0, 0
    for i in range(first, last):
        if n + ROOM > len(out.kind):
            return i, n
        number = i % LINES_PER_PAGE
        fixes = i == first or number == 0
        n, frame, row = scan_row(
            out, n, at, frame_of, frame, first_page + i // LINES_PER_PAGE, number, fixes, d.LINE_BYTES
        )
        n = put(out, n, LOAD, row + d.LINE_SHIPPED, 4, 0)
        if query.shipped_from <= lines.shipped[i] < query.shipped_to:
            n = call(out, n, at, PROJECT)
            n = put(out, n, LOAD, row + d.LINE_ORDER, 8, 0)
            n = put(out, n, STORE, at.stack, 8, 0)
            n, node = probe(out, n, at, table, lines.order[i])
            if node != NOTHING:
                n = call(out, n, at, PROJECT)
                n = put(out, n, LOAD, row + d.LINE_PRICE, 16, 0)
                n = send(out, n, at, work, lines.part[i], lines.price[i] * (1 - lines.discount[i]))
        if i + 1 == last or number + 1 == LINES_PER_PAGE:
            n = unfix(out, n, at, frame)
    return last, n


@part
def find_group(out: References, n: int, at: Places, groups: Groups, part: int) -> tuple[int, int]:
    """The group of a part, a new one if it has none. Returns the rows and its number."""
    bucket = bucket_of(part, len(groups.heads))
    n = call(out, n, at, GROUP)
    n = put(out, n, LOAD, at.group_buckets + bucket * d.BUCKET_BYTES, 4, 0)
    group = groups.heads[bucket]
    while group != NOTHING:
        n = call(out, n, at, CHAIN)
        n = put(out, n, LOAD, at.groups + group * at.group_bytes, 8, 0)
        if groups.parts[group] == part:
            return n, group
        group = groups.links[group]
    group = groups.used[0]
    n = call(out, n, at, GROUP_NEW)
    n = put(out, n, STORE, at.groups + group * at.group_bytes, 24, 0)
    n = put(out, n, STORE, at.group_buckets + bucket * d.BUCKET_BYTES, 4, 0)
    groups.parts[group] = part
    groups.links[group] = groups.heads[bucket]
    groups.revenue[group] = 0
    groups.lines[group] = 0
    groups.heads[bucket] = group
    groups.used[0] = group + 1
    return n, group


@compiled
def aggregate(
    out: References, at: Places, start: int, first: int, last: int, part: Ints, revenue: Floats, groups: Groups
) -> tuple[int, int]:
    """Add the matches of the work table at ``start`` to the groups of their parts."""
    n = 0
    for i in range(first, last):
        if n + ROOM > len(out.kind):
            return i, n
        n = call(out, n, at, RECEIVE)
        n = put(out, n, LOAD, start + i * d.WORK_ENTRY, d.WORK_ENTRY, 0)
        n, group = find_group(out, n, at, groups, part[i])
        address = at.groups + group * at.group_bytes + d.GROUP_REVENUE
        n = call(out, n, at, AGGREGATE)
        n = put(out, n, LOAD, address, 16, 0)
        n = put(out, n, STORE, address, 16, 0)
        groups.revenue[group] += revenue[i]
        groups.lines[group] += 1
    return last, n
