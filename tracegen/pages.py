"""The pages that a trace touches: numbered densely in the order of appearance, and the segment that each lies in.

Pages are the 4 KiB pages of the format, whatever page size replay uses: segments are made of them, so a page lies
in a segment as a whole or not at all.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.live_segments import NO_SEGMENT, LiveSegments
from discotrace.tracegen.schema import KERNEL_ASID, KERNEL_BASE, Kind, Rows, Segment, slice_rows

PAGE_SHIFT = 12
PAGE_BYTES = 1 << PAGE_SHIFT
NO_PAGE = 0  # the number that rows get which touch no page

_T = TypeVar("_T", bound=np.generic)
_VPN_BITS = 64 - PAGE_SHIFT
_NOT_A_VPN = 1 << _VPN_BITS  # one past the last page of the address space
_CACHE_BITS = 17
_NOWHERE = -2  # the "segment" of NO_PAGE: nothing to look for
# Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): neighbouring pages never fall into one slot.
_VPN_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)
_KEY_FACTOR = np.uint64(0xC2B2_AE3D_27D4_EB4F)


class Touched(NamedTuple):
    """The pages that rows touch first. ``key``: asid that owns the page, 0 for kernel pages; ``vpn``: its number.

    ``longer``: indices of the rows that go on into the next page, ascending.
    """

    key: npt.NDArray[np.uint32]
    vpn: npt.NDArray[np.uint64]
    longer: npt.NDArray[np.int64]


def kind_table(*kinds: Kind) -> npt.NDArray[np.bool_]:
    """Table of 256 flags, true for these kinds: to be indexed with the column ``kind``."""
    table = np.zeros(256, np.bool_)
    table[list(kinds)] = True
    return table


def touched_pages(rows: Rows, touching: npt.NDArray[np.bool_]) -> Touched:
    """The first page of each row whose kind is in the table ``touching``; other rows get a page that is none."""
    vpn = rows.vaddr >> np.uint64(PAGE_SHIFT)
    key = np.where(rows.vaddr < np.uint64(KERNEL_BASE), rows.asid, np.uint32(KERNEL_ASID))
    longer = rows_into_next_page(rows.vaddr, rows.size)
    others = np.flatnonzero(~touching[rows.kind])
    if len(others):
        vpn[others], key[others] = _NOT_A_VPN, 0
        longer = longer[touching[rows.kind[longer]]]
    return Touched(key, vpn, longer)


def rows_into_next_page(vaddr: npt.NDArray[np.uint64], size: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Indices of the rows whose bytes do not end in their first page, ascending."""
    room = np.uint16(PAGE_BYTES) - (vaddr.astype(np.uint16) & np.uint16(PAGE_BYTES - 1))
    return np.flatnonzero(size > room)


class PageIndex:
    """Gives each page (key, vpn) a number from 1 on. Memory follows the number of distinct pages."""

    def __init__(self) -> None:
        # A direct-mapped cache in front of the dictionary answers for whole arrays at once.
        self._slot_key = np.zeros(1 << _CACHE_BITS, np.uint32)
        self._slot_vpn = np.full(1 << _CACHE_BITS, np.iinfo(np.uint64).max, np.uint64)
        self._slot_number = np.zeros(1 << _CACHE_BITS, np.int64)
        self._numbers: dict[int, int] = {_NOT_A_VPN: NO_PAGE}
        self._key = np.zeros(1024, np.uint32)
        self._vpn = np.zeros(1024, np.uint64)

    @property
    def count(self) -> int:
        """Numbers given so far, NO_PAGE included."""
        return len(self._numbers)

    @property
    def key(self) -> npt.NDArray[np.uint32]:
        """Owner of each page, by number."""
        return self._key[: self.count]

    @property
    def vpn(self) -> npt.NDArray[np.uint64]:
        """Page number in the address space, by number."""
        return self._vpn[: self.count]

    def numbers(self, key: npt.NDArray[np.uint32], vpn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The numbers of pages, new ones for new pages. Shapes (n,), (n,) -> (n,)."""
        hashed = vpn * _VPN_FACTOR + key.astype(np.uint64) * _KEY_FACTOR
        slot = (hashed >> np.uint64(64 - _CACHE_BITS)).astype(np.int64)
        numbers = self._slot_number[slot]
        missed = np.flatnonzero((self._slot_vpn[slot] != vpn) | (self._slot_key[slot] != key))
        if len(missed):
            slot, key, vpn = slot[missed], key[missed], vpn[missed]
            numbers[missed] = self._slot_number[slot] = self._look_up(key, vpn)
            # The last of several pages for one slot stays, in all three arrays: numpy assigns in order.
            self._slot_key[slot], self._slot_vpn[slot] = key, vpn
        return numbers

    def _look_up(self, key: npt.NDArray[np.uint32], vpn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        order = np.lexsort((vpn, key))
        key, vpn = key[order], vpn[order]
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = (key[1:] != key[:-1]) | (vpn[1:] != vpn[:-1])
        # In the order of appearance, so that numbers do not depend on how the rows were cut into batches.
        first = np.flatnonzero(fresh)
        appearance = np.argsort(order[first])
        distinct = np.empty(len(first), np.int64)
        distinct[appearance] = self._number_each(key[first][appearance], vpn[first][appearance])
        numbers = np.empty(len(order), np.int64)
        numbers[order] = distinct[np.cumsum(fresh) - 1]
        return numbers

    def _number_each(self, key: npt.NDArray[np.uint32], vpn: npt.NDArray[np.uint64]) -> list[int]:
        numbers = self._numbers
        before = len(numbers)
        given = [
            numbers.setdefault(owner << (_VPN_BITS + 1) | page, len(numbers))
            for owner, page in zip(key.tolist(), vpn.tolist(), strict=True)
        ]
        fresh = np.array(given, np.int64) >= before
        self._key = _appended(self._key, before, key[fresh])
        self._vpn = _appended(self._vpn, before, vpn[fresh])
        return given


class PlacedPages:
    """Pages together with the segment that each lies in while it holds."""

    def __init__(self) -> None:
        self.index = PageIndex()
        self.spaces = LiveSegments()
        self._segment = np.full(1024, NO_SEGMENT, np.int32)
        self._segment[NO_PAGE] = _NOWHERE

    def place(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Finds the segments of pages that have none yet; the pages that got one, each once, ascending."""
        self._segment = _grown(self._segment, self.index.count, NO_SEGMENT)
        unplaced = np.unique(numbers[self._segment[numbers] == NO_SEGMENT])
        if not len(unplaced):
            return unplaced
        vaddr = self.index.vpn[unplaced] << np.uint64(PAGE_SHIFT)
        segment = self.spaces.find(self.index.key[unplaced], vaddr)
        self._segment[unplaced] = segment
        placed: npt.NDArray[np.int64] = unplaced[segment != NO_SEGMENT]
        return placed

    def segment(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The segment of each placed page, else NO_SEGMENT; another negative number for NO_PAGE."""
        return self._segment[numbers]

    def end_segment(self, number: int, segment: Segment) -> bool:
        """The segment does not hold any more; false if it did not before."""
        held = self.spaces.remove(number, segment)
        if held:
            known = self._segment[: self.index.count]
            known[known == number] = NO_SEGMENT
        return held

    def end_process(self, asid: int) -> None:
        """None of the process's segments hold any more."""
        self.spaces.remove_all(asid)
        known = self._segment[: self.index.count]
        known[self.index.key[: len(known)] == asid] = NO_SEGMENT


_CHANGES_SPACES = kind_table(Kind.MAP, Kind.UNMAP, Kind.PROCESS_EXIT)


def stretches(rows: Rows) -> Iterator[tuple[int, int, Rows | None]]:
    """Cuts rows where address spaces change: (start, stop, event).

    In rows ``start`` to ``stop`` (exclusive) the same segments and processes hold. ``event`` is their last row, one
    record of kind MAP, UNMAP or PROCESS_EXIT, whose effect begins after it; None in the last stretch.
    """
    start = 0
    for place in np.flatnonzero(_CHANGES_SPACES[rows.kind]).tolist():
        yield start, place + 1, slice_rows(rows, place, place + 1)
        start = place + 1
    if start < len(rows.kind):
        yield start, len(rows.kind), None


def _grown(array: npt.NDArray[_T], length: int, fill: int) -> npt.NDArray[_T]:
    """The array, or a copy with room for at least ``length`` and the rest filled."""
    if length <= len(array):
        return array
    larger = np.full(max(length, 2 * len(array)), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def _appended(array: npt.NDArray[_T], used: int, values: npt.NDArray[_T]) -> npt.NDArray[_T]:
    array = _grown(array, used + len(values), 0)
    array[used : used + len(values)] = values
    return array
