"""What the guest kernel knows of memory: segments and touched pages of a process, the page cache, page descriptors."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.pages import PAGE_SHIFT, rows_into_next_page
from discotrace.tracegen.schema import KERNEL_BASE, LAST_REFERENCE, Segment

FILTER_ENTRIES = 8192  # direct-mapped by page number; 64 KiB per process, larger than most working sets in pages
NOTHING = np.uint64(2**64 - 1)
Kinds = npt.NDArray[np.uint8]
Addresses = npt.NDArray[np.uint64]
Sizes = npt.NDArray[np.uint32]


def pages_of(start: int, end: int) -> range:
    """Numbers of the pages that hold bytes start .. end - 1."""
    return range(start >> PAGE_SHIFT, -(-end >> PAGE_SHIFT))


def cut_segment(segment: Segment, start: int, end: int) -> list[Segment]:
    """What is left of a segment outside [start, end): no, one or two pieces, each mapped by an event of its own."""
    pieces = []
    if segment.start < start:
        pieces.append(replace(segment, end=start, by_event=True))
    if segment.end > end:
        offset = segment.offset + (end - segment.start if segment.backing != "anonymous" else 0)
        pieces.append(replace(segment, start=end, offset=offset, by_event=True))
    return pieces


def is_private(segment: Segment) -> bool:
    """Whether its pages belong to the process alone (``docs/trace-format.md``, page identity)."""
    return segment.backing == "anonymous" or (segment.backing == "file" and segment.writable)


class PageDescriptors:
    """Numbers of the page descriptors in use. The one given back last is taken first, as from a free list."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._fresh = 0
        self._free: list[int] = []

    def take(self) -> int:
        """A descriptor. Raises TraceError when all are in use."""
        if self._free:
            return self._free.pop()
        if self._fresh == self._count:
            raise TraceError(
                f"guest kernel: the traced programs hold {self._count} pages, all that there are descriptors for: "
                "raise memory.page_descriptors"
            )
        self._fresh += 1
        return self._fresh - 1

    def give_back(self, pages: list[int]) -> None:
        """The opposite of ``take``."""
        self._free += pages


class PageCache:
    """Pages of one kind of object (files, shared memory) that are in memory, and their descriptors.

    ``warm``: every page counts as there from the beginning.
    """

    def __init__(self, descriptors: PageDescriptors, warm: bool) -> None:
        self._descriptors = descriptors
        self._warm = warm
        self._pages: dict[tuple[int, int], int] = {}

    def has(self, owner: int, page: int) -> bool:
        """Whether this page of the object is in memory."""
        return self._warm or (owner, page) in self._pages

    def descriptor(self, owner: int, page: int) -> int:
        """The page's descriptor; the page is in memory from here on."""
        found = self._pages.get((owner, page))
        if found is None:
            found = self._descriptors.take()
            self._pages[owner, page] = found
        return found


@dataclass(frozen=True)
class Mapping:
    """A segment that holds, and its number in the metadata."""

    number: int
    segment: Segment


class AddressSpace:
    """One process: its mappings, which pages it has touched, and the descriptors of its private pages."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._mappings: list[Mapping] = []
        self._touched: set[int] = set()
        self._filter = np.full(FILTER_ENTRIES, NOTHING)
        self.private: dict[int, int] = {}  # page number -> descriptor
        self.inherited: dict[int, int] = {}  # private pages of the parent at the fork, not touched since

    def mappings(self) -> list[Mapping]:
        """All that hold, by address."""
        return list(self._mappings)

    def find(self, vaddr: int) -> Mapping | None:
        """The mapping that holds at an address."""
        i = bisect_right(self._starts, vaddr) - 1
        if i >= 0 and vaddr < self._mappings[i].segment.end:
            return self._mappings[i]
        return None

    def next_above(self, vaddr: int) -> Mapping | None:
        """The lowest mapping that starts above an address."""
        i = bisect_right(self._starts, vaddr)
        return self._mappings[i] if i < len(self._mappings) else None

    def end_below(self, vaddr: int) -> int:
        """Where the mapping below an address that none holds ends; 0 if there is none."""
        i = bisect_right(self._starts, vaddr) - 1
        return self._mappings[i].segment.end if i >= 0 else 0

    def overlapping(self, start: int, end: int) -> list[Mapping]:
        """The mappings that hold somewhere in [start, end), by address."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, end - 1)
        return [m for m in self._mappings[first:last] if m.segment.end > start]

    def insert(self, mapping: Mapping) -> None:
        """Add one that overlaps none."""
        i = bisect_right(self._starts, mapping.segment.start)
        self._starts.insert(i, mapping.segment.start)
        self._mappings.insert(i, mapping)

    def remove(self, mapping: Mapping) -> list[int]:
        """Take one away with all that was touched of it; returns the descriptors of its private pages."""
        i = bisect_left(self._starts, mapping.segment.start)
        del self._starts[i], self._mappings[i]
        segment = mapping.segment
        self._touched -= self._inside(self._touched, segment)
        for page in self._inside(self.inherited.keys(), segment):
            del self.inherited[page]
        self._filter.fill(NOTHING)
        return [self.private.pop(page) for page in self.private_pages(segment)]

    def private_pages(self, segment: Segment) -> list[int]:
        """Numbers of the private pages of a segment that were touched, ascending."""
        return sorted(self._inside(self.private.keys(), segment))

    @staticmethod
    def _inside(pages: Collection[int], segment: Segment) -> set[int]:
        span = pages_of(segment.start, segment.end)
        if len(span) < len(pages):
            return {page for page in span if page in pages}
        return {page for page in pages if page in span}

    def inherit(self, parent: "AddressSpace") -> None:
        """The parent's private pages are to be copied on first touch."""
        self.inherited = parent.inherited | parent.private

    def touch(self, page: int) -> None:
        """A page does not fault any more."""
        self._touched.add(page)
        self.inherited.pop(page, None)

    def has_touched(self, page: int) -> bool:
        """Whether a page was touched since it was mapped."""
        return page in self._touched

    def first_touches(self, kind: Kinds, vaddr: Addresses, size: Sizes) -> Iterator[tuple[int, int]]:
        """(index of the row, page number) of every user page that rows touch first, in order of touch.

        Pages touched meanwhile by a fault on another page are still reported.
        """
        index, pages = self._unfiltered(kind, vaddr, size)
        if not len(index):
            return
        unique, first = np.unique(pages, return_index=True)
        known = np.fromiter((page in self._touched for page in unique.tolist()), dtype=bool, count=len(unique))
        self._filter[unique % FILTER_ENTRIES] = unique  # each is known or will be, before rows are asked about again
        order = np.lexsort((unique[~known], index[first[~known]]))
        yield from zip(index[first[~known]][order].tolist(), unique[~known][order].tolist(), strict=True)

    def _unfiltered(
        self, kind: Kinds, vaddr: Addresses, size: Sizes
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint64]]:
        """(row index, user page) pairs that the filter does not know to be touched, by row."""
        first = vaddr >> np.uint64(PAGE_SHIFT)
        miss = self._is_unknown(first)
        longer = rows_into_next_page(vaddr, size)
        if len(longer):
            last = (vaddr[longer] + (size[longer] - np.uint32(1))) >> np.uint64(PAGE_SHIFT)
            miss[longer] |= self._is_unknown(last) | (last - first[longer] > 1)
        candidates = np.flatnonzero(miss)
        if not len(candidates):
            return candidates, first[:0]
        candidates = candidates[(kind[candidates] <= LAST_REFERENCE) & (vaddr[candidates] < np.uint64(KERNEL_BASE))]
        last = (vaddr[candidates] + (size[candidates] - np.uint32(1))) >> np.uint64(PAGE_SHIFT)
        counts = (last - first[candidates]).astype(np.intp) + 1
        index = np.repeat(candidates, counts)
        step = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        return index, first[index] + step.astype(np.uint64)

    def _is_unknown(self, pages: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether the filter does not know each page."""
        place = (pages & np.uint64(FILTER_ENTRIES - 1)).view(np.int64)  # numpy would convert unsigned indices
        unknown: npt.NDArray[np.bool_] = self._filter.take(place) != pages
        return unknown
