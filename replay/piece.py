"""A replay that begins in the middle of a trace.

What memory holds there is taken from the trace's outline and the system's chronicle, as far as the piece to come uses
it: the frames of its pages, files in memory, segments, services and locks. Each page is then read once by each virtual
CPU that had touched it before, which fills second-level TLBs; caches and TLBs are otherwise cold, so the first rows of
a piece are to warm them and not to be counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.chronicle import Chronicle, code_of
from discotrace.replay.engine import Replay
from discotrace.replay.guest import Recalled
from discotrace.replay.journal import STILL
from discotrace.replay.mappings import PAGE_TABLE_KEY
from discotrace.replay.system import System
from discotrace.tracegen.outline import Outline, pages_touched
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Rows, TraceMeta, concat_rows, rows_from_records, slice_rows
from discotrace.tracegen.trail import last_of

I64 = npt.NDArray[np.int64]
PAGE_SHIFT = 12
ENTRY_SHIFT = 2  # log2 of the bytes of an entry of a page table
REFERENCES = (Kind.FETCH, Kind.LOAD, Kind.STORE)
TOUCHING = (*REFERENCES, Kind.ZERO_PAGE, Kind.RESIDENT, Kind.PRIVILEGED)  # rows that may map pages, or name files


@dataclass(frozen=True)
class Touches:
    """Touches of pages by virtual CPUs: the row, who, and the page."""

    row: I64
    vcpu: I64
    asid: I64
    key: I64
    vpn: I64

    def part(self, which: I64) -> "Touches":
        """Some of them."""
        return Touches(self.row[which], self.vcpu[which], self.asid[which], self.key[which], self.vpn[which])


def touches_of(row: I64, rows: Rows, kinds: Sequence[int]) -> Touches:
    """The pages that rows of some kinds touch, one after the other."""
    is_touch = np.isin(rows.kind, kinds)
    row, rows = row[is_touch], Rows._make(column[is_touch] for column in rows)
    shift = np.uint64(PAGE_SHIFT)
    size = np.where(rows.kind == Kind.PRIVILEGED, 1, np.maximum(rows.size, 1)).astype(np.uint64)
    first = rows.vaddr >> shift
    count = ((rows.vaddr + size - np.uint64(1) >> shift) - first).astype(np.int64) + 1
    of = np.repeat(np.arange(len(row)), count)
    further = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    vpn = first[of].astype(np.int64) + further
    key = np.where(rows.vaddr[of] < np.uint64(KERNEL_BASE), rows.asid[of], 0).astype(np.int64)
    return Touches(row[of], rows.vcpu[of].astype(np.int64), rows.asid[of].astype(np.int64), key, vpn)


class Past:
    """What is known of a trace under a system, in the form in which pieces ask for it."""

    def __init__(self, meta: TraceMeta, outline: Outline, chronicle: Chronicle) -> None:
        self.meta = meta
        self.outline = outline
        self.chronicle = chronicle
        touches = touches_of(outline.row, outline.rows, REFERENCES)
        code = code_of(touches.key, touches.vpn)
        order = np.lexsort((touches.row, code))
        self._code = code[order]
        self._touches = touches.part(order)
        is_wired = outline.kind == Kind.PRIVILEGED  # rows of the outline that write such an entry
        by_vcpu = [np.flatnonzero(is_wired & (outline.vcpu == vcpu)) for vcpu in range(meta.cpus)]
        self._wired = [(places, outline.row[places]) for places in by_vcpu]
        self._begins, self._ends = _segments_of(meta, outline)

    def segments(self, row: int) -> list[int]:
        """Segments that hold before a row."""
        held: list[int] = np.flatnonzero((self._begins < row) & (row <= self._ends)).tolist()
        return held

    def wired(self, row: int) -> Rows:
        """The last row before a row with which each virtual CPU wrote its wired TLB entry."""
        before = [places[: np.searchsorted(rows, row)] for places, rows in self._wired]
        last = np.array(sorted(places[-1] for places in before if len(places)), np.int64)
        return Rows._make(column[last] for column in self.outline.rows)

    def touches_before(self, row: int, mapped: I64) -> Touches:
        """First touches before a row of pages at these places of the chronicle, since they were mapped, in order."""
        code = self.chronicle.page_code[mapped]
        first = np.searchsorted(self._code, code, side="left")
        count = np.searchsorted(self._code, code, side="right") - first
        places = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        since = np.repeat(self.chronicle.page_row[mapped], count)
        found = places[(self._touches.row[places] >= since) & (self._touches.row[places] < row)]
        return self._touches.part(found[np.argsort(self._touches.row[found], kind="stable")])


def _segments_of(meta: TraceMeta, outline: Outline) -> tuple[I64, I64]:
    """Rows of the trace in which each segment begins, -1 = it holds from the beginning, and in which it ends."""
    by_event = np.array([one.by_event for one in meta.segments], np.bool_)
    begins, ends = np.where(by_event, STILL, -1), np.full(len(by_event), STILL)
    for at, number in ((begins, Kind.MAP), (ends, Kind.UNMAP)):
        of_kind = outline.kind == number
        np.minimum.at(at, outline.arg[of_kind], outline.row[of_kind])
    exits = outline.kind == Kind.PROCESS_EXIT
    exit_row = dict(zip(outline.asid[exits].tolist(), outline.row[exits].tolist(), strict=True))
    return begins, np.minimum(ends, np.array([exit_row.get(one.asid, STILL) for one in meta.segments], np.int64))


@dataclass(frozen=True)
class Piece:
    """A piece of a trace, from mark ``mark`` of its outline on, with the ``trail`` from some row before it to its end
    and the ``numbers`` of these rows in the trace.

    The trail from mark ``whole_mark`` to the piece is replayed row by row. Before that, references only warm caches:
    the last ones of each line, of pages that are still mapped at that mark.
    """

    numbers: I64
    trail: Rows
    whole_mark: int
    mark: int


def begun(piece: Piece, system: System, window: int, past: Past) -> Replay:
    """A replay of a new system that has all before a piece behind it, and is about to replay its rows."""
    outline, chronicle = past.outline, past.chronicle
    row, begin = outline.row_of(piece.whole_mark), outline.row_of(piece.mark)
    whole, after = np.searchsorted(piece.numbers, [row, begin])
    system.hold_segments(past.segments(row))
    nodes = system.machine.nodes
    system.memory.begin_in_use(chronicle.fresh_at(row, nodes), chronicle.freed_at(row, nodes))
    for guest in system.guests:
        guest.begin_with(lambda page: _recall(system, chronicle, row, page))
    wired = past.wired(row)
    last = last_of(slice_rows(piece.trail, 0, whole))
    older = Rows._make(column[last] for column in piece.trail)
    to_come = slice_rows(piece.trail, whole, len(piece.numbers))
    mapped = chronicle.pages_at(row, *_pages_of(concat_rows([wired, older, to_come])))
    _map(system, chronicle, mapped)
    replay = Replay(past.meta, system, window)
    replay.feed(wired)
    replay.feed(_reads(past.touches_before(row, mapped)))
    replay.feed(_still_mapped(piece.numbers[last], older, chronicle, mapped))
    system.deal_from(chronicle.dealt_at(row))  # whatever was mapped only because TLBs were empty
    replay.feed(slice_rows(piece.trail, whole, after))
    replay.feed(_inside(outline, piece.mark))
    replay.begin_at(begin, int(outline.instructions[piece.mark]))
    return replay


def _recall(system: System, chronicle: Chronicle, row: int, page: FilePage) -> Recalled:
    """How a page of a file came into memory before a row, if it is there; its frame is the next to be given."""
    found = chronicle.file_page_at(row, page)
    if found is None:
        return Recalled.NO
    node, index, is_written = found
    system.memory.next_is(node, index)
    return Recalled.AS_WRITTEN if is_written else Recalled.AS_READ


def _pages_of(rows: Rows) -> tuple[I64, I64]:
    """Keys and numbers of the pages that rows touch, and of their page tables."""
    key, vpn = pages_touched(rows, TOUCHING)
    table = vpn >> (PAGE_SHIFT - ENTRY_SHIFT)
    return np.concatenate([key, key + PAGE_TABLE_KEY]), np.concatenate([vpn, table])


def _still_mapped(numbers: I64, older: Rows, chronicle: Chronicle, mapped: I64) -> Rows:
    """Those references whose pages have been mapped ever since, at these places of the chronicle."""
    touches = touches_of(np.arange(len(numbers)), older, REFERENCES)
    order = np.argsort(chronicle.page_code[mapped])
    codes, since = chronicle.page_code[mapped][order], chronicle.page_row[mapped][order]
    code = code_of(touches.key, touches.vpn)
    place = np.searchsorted(codes[:-1], code)
    is_there = (codes[place] == code) & (since[place] <= numbers[touches.row])
    keeps = np.ones(len(numbers), np.bool_)
    keeps[touches.row[~is_there]] = False
    return Rows._make(column[keeps] for column in older)


def _map(system: System, chronicle: Chronicle, mapped: I64) -> None:
    """Give pages the frames that they have."""
    columns = chronicle.key[mapped], chronicle.vpn[mapped], chronicle.node[mapped], chronicle.index[mapped]
    system.memory.keep(zip(chronicle.node[mapped].tolist(), chronicle.index[mapped].tolist(), strict=True))
    with system.now.uncounted():
        for key, vpn, node, index in zip(*(column.tolist() for column in columns), strict=True):
            system.memory.next_is(node, index)
            system.map_page(key, vpn, vpn << PAGE_SHIFT)
            system.memory.next_is_any()


def _reads(touched: Touches) -> Rows:
    """A read of each page by each virtual CPU that had touched it."""
    count = len(touched.row)
    return Rows(
        touched.vcpu.astype(np.uint16),
        touched.asid.astype(np.uint32),
        np.full(count, Kind.LOAD, np.uint8),
        touched.vpn.astype(np.uint64) << np.uint64(PAGE_SHIFT),
        np.ones(count, np.uint32),
        np.zeros(count, np.uint32),
    )


def _inside(outline: Outline, mark: int) -> Rows:
    """Rows that bring virtual CPUs into the services that they are in, with the locks that they hold."""
    inside: list[tuple[int, int, int, int, int, int]] = []
    for stacks, depth, kind in (
        (outline.services[mark], outline.depth[mark, 0], Kind.ENTER),
        (outline.locks[mark], outline.depth[mark, 1], Kind.LOCK),
    ):
        for vcpu, deep in enumerate(depth.tolist()):
            asid = int(outline.running[mark, vcpu])
            inside += [(vcpu, asid, kind, 0, 0, what) for what in stacks[vcpu, :deep].tolist()]
    return rows_from_records(inside)
