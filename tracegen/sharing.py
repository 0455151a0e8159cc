"""How the CPUs of a trace share its pages: by one alone, read by several, written and used by several."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import NO_PAGE, PAGE_BYTES, PAGE_SHIFT, PlacedPages
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Rows, Segment

T = TypeVar("T", bound=np.generic)
PRIVATE, READ_SHARED, WRITE_SHARED = "private", "read_shared", "write_shared"
CLASSES = (PRIVATE, READ_SHARED, WRITE_SHARED)
_LAST_BIT = 63  # CPUs from this one on count as one
_UNKNOWN = 0  # content of pages that lie in no segment


@dataclass(frozen=True)
class Sharing:
    """Pages of one class. A page counts once for each identity; ``references`` are rows that touch it."""

    space: str  # user or kernel
    sharing: str  # one of CLASSES
    kib: int
    references: int


class SharingCount:
    """Who reads and writes each page, whichever process and address it is used through."""

    def __init__(self, segments: list[Segment], pages: PlacedPages) -> None:
        self._segments = segments
        self._pages = pages
        self._content = np.zeros(1024, np.int64)  # by number of page
        self._known: dict[tuple[str, int, int], int] = {}  # identity -> content
        self._count = 1
        self._readers = np.zeros(1024, np.uint64)  # by content: bit c = CPU c
        self._writers = np.zeros(1024, np.uint64)
        self._references = np.zeros(1024, np.int64)
        self._is_kernel = np.zeros(1024, np.bool_)

    def place(self, placed: npt.NDArray[np.int64]) -> None:
        """Pages that have been found to lie in a segment, since the last time they were asked about."""
        if self._pages.index.count > len(self._content):
            self._content = _longer(self._content, 2 * self._pages.index.count)
        in_segment = self._pages.segment(placed)
        for number in np.unique(in_segment).tolist():
            self._place_in(self._segments[number], placed[in_segment == number])

    def add(self, rows: Rows, at: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        """Rows ``at`` touch the pages ``numbers``; NO_PAGE where they touch none."""
        touching = numbers != NO_PAGE
        content = self._content[numbers[touching]]
        row = at[touching]
        writes = (rows.kind[row] == Kind.STORE) | (rows.kind[row] == Kind.ZERO_PAGE)
        cpu = np.minimum(rows.vcpu[row], _LAST_BIT).astype(np.int64)
        uses, times = np.unique((content << 7) | (cpu << 1) | writes, return_counts=True)
        content, bit = uses >> 7, np.uint64(1) << (uses >> 1 & _LAST_BIT).astype(np.uint64)
        is_write = (uses & 1).astype(np.bool_)
        np.bitwise_or.at(self._readers, content, bit)
        np.bitwise_or.at(self._writers, content[is_write], bit[is_write])
        np.add.at(self._references, content, times)

    def finish(self) -> list[Sharing]:
        """All classes that have pages, user before kernel."""
        users = np.bitwise_count(self._readers)
        written = self._writers != 0
        is_used = users > 0
        is_used[_UNKNOWN] = False
        of_class = {PRIVATE: users == 1, READ_SHARED: (users > 1) & ~written, WRITE_SHARED: (users > 1) & written}
        found = []
        for space, in_space in (("user", ~self._is_kernel), ("kernel", self._is_kernel)):
            for sharing in CLASSES:
                chosen = is_used & in_space & of_class[sharing]
                if chosen.any():
                    kib = int(chosen.sum()) * PAGE_BYTES // 1024
                    found.append(Sharing(space, sharing, kib, int(self._references[chosen].sum())))
        return found

    def _place_in(self, segment: Segment, numbers: npt.NDArray[np.int64]) -> None:
        is_private = segment.backing == "anonymous" or (segment.backing == "file" and segment.writable)
        if is_private:
            first = self._new(len(numbers), segment)
            self._content[numbers] = np.arange(first, first + len(numbers))
            return
        page_of_object = (segment.offset - segment.start) >> PAGE_SHIFT
        for number, vpn in zip(numbers.tolist(), self._pages.index.vpn[numbers].tolist(), strict=True):
            identity = segment.backing, segment.object, vpn + page_of_object
            if identity not in self._known:
                self._known[identity] = self._new(1, segment)
            self._content[number] = self._known[identity]

    def _new(self, count: int, segment: Segment) -> int:
        """The first of so many new contents. A page that kernel and processes share counts as the first's."""
        first = self._count
        self._count += count
        if self._count > len(self._readers):
            for name in ("_readers", "_writers", "_references", "_is_kernel"):
                setattr(self, name, _longer(getattr(self, name), 2 * self._count))
        self._is_kernel[first : self._count] = segment.start >= KERNEL_BASE
        return first


def _longer(array: npt.NDArray[T], length: int) -> npt.NDArray[T]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
