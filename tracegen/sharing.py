"""How the CPUs of a trace share its pages: private, read-shared, write-shared.

A page is private if one CPU alone uses it, else read-shared until it is written: that the first CPU writes it before
any other comes is how it is filled, not sharing.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import NO_PAGE, PAGE_BYTES, PAGE_SHIFT, PlacedPages
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Rows, Segment

T = TypeVar("T", bound=np.generic)
Content = tuple[str, int, int]  # what a page holds: backing, object and page of it; or "private", segment and page
PRIVATE, READ_SHARED, WRITE_SHARED = "private", "read_shared", "write_shared"
CLASSES = (PRIVATE, READ_SHARED, WRITE_SHARED)
_UNKNOWN = 0  # content of pages that lie in no segment
_USER, _KERNEL = np.uint8(1), np.uint8(2)
_ARRAYS = ("_segment", "_vpn", "_space", "_references", "_first_cpu", "_shared_at", "_written_at")  # by content


@dataclass(frozen=True)
class Sharing:
    """Pages of one class. A page counts once for each identity; ``references`` are rows that touch it."""

    space: str  # user or kernel
    sharing: str  # one of CLASSES
    kib: int
    references: int


class PageClass(NamedTuple):
    """The class of one page."""

    space: str  # user or kernel
    sharing: str  # one of CLASSES


def content_of(number: int, segment: Segment, vpn: int) -> Content:
    """What page ``vpn`` holds while it lies in segment ``number`` of the metadata: equal for two that are one page."""
    if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
        return PRIVATE, number, vpn
    return segment.backing, segment.object, vpn + ((segment.offset - segment.start) >> PAGE_SHIFT)


class SharingCount:
    """Who reads and writes each page, whichever process and address it is used through."""

    def __init__(self, segments: list[Segment], pages: PlacedPages) -> None:
        self._segments = segments
        self._pages = pages
        self._content = np.zeros(1024, np.int64)  # by number of page
        self._known: dict[Content, int] = {}  # those that several virtual pages may show
        self._count = 1
        # By content: a segment and page that show it; whether a process or the kernel touches it first; rows that touch
        # it; the CPU of the first of them plus 1; the first row, from 1 on, of others; the last row that writes it.
        self._segment = np.zeros(1024, np.int32)
        self._vpn = np.zeros(1024, np.uint64)
        self._space = np.zeros(1024, np.uint8)
        self._references = np.zeros(1024, np.int64)
        self._first_cpu = np.zeros(1024, np.uint32)
        self._shared_at = np.zeros(1024, np.int64)
        self._written_at = np.zeros(1024, np.int64)
        self._rows_before = 0  # of the batches before

    def place(self, placed: npt.NDArray[np.int64]) -> None:
        """Pages that have been found to lie in a segment, since the last time they were asked about."""
        if self._pages.index.count > len(self._content):
            self._content = _longer(self._content, 2 * self._pages.index.count)
        in_segment = self._pages.segment(placed)
        for number in np.unique(in_segment).tolist():
            self._place_in(number, placed[in_segment == number])

    def add(self, rows: Rows, at: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        """Rows ``at`` of the batch, ascending, touch the pages ``numbers``; NO_PAGE where they touch none."""
        touching = numbers != NO_PAGE
        row, content = at[touching], self._content[numbers[touching]]
        place = row + (self._rows_before + 1)
        cpu = rows.vcpu[row].astype(np.uint32) + np.uint32(1)
        np.add.at(self._references, content, 1)
        _set_first(self._space, content, np.where(rows.vaddr[row] < np.uint64(KERNEL_BASE), _USER, _KERNEL))
        _set_first(self._first_cpu, content, cpu)
        others = cpu != self._first_cpu[content]
        _set_first(self._shared_at, content[others], place[others])
        writes = (rows.kind[row] == Kind.STORE) | (rows.kind[row] == Kind.ZERO_PAGE)
        self._written_at[content[writes]] = place[writes]  # numpy assigns in order: the last stays

    def end_batch(self, rows: Rows) -> None:
        """All pages that these rows touch have been added."""
        self._rows_before += len(rows.kind)

    def finish(self) -> list[Sharing]:
        """All classes that have pages, user before kernel."""
        found = []
        for (space, sharing), chosen in self._chosen().items():
            if chosen.any():
                kib = int(chosen.sum()) * PAGE_BYTES // 1024
                found.append(Sharing(space, sharing, kib, int(self._references[chosen].sum())))
        return found

    def classes(self) -> dict[Content, PageClass]:
        """The class of every page that was touched."""
        found = {}
        for of_class, chosen in self._chosen().items():
            for content in np.flatnonzero(chosen).tolist():
                number = int(self._segment[content])
                found[content_of(number, self._segments[number], int(self._vpn[content]))] = of_class
        return found

    def _chosen(self) -> dict[PageClass, npt.NDArray[np.bool_]]:
        """Which contents are of each class."""
        is_used = self._references > 0
        is_used[_UNKNOWN] = False
        shared = self._shared_at > 0
        written = self._written_at >= self._shared_at
        of_class = {PRIVATE: ~shared, READ_SHARED: shared & ~written, WRITE_SHARED: shared & written}
        spaces = {"user": self._space == _USER, "kernel": self._space == _KERNEL}
        return {PageClass(s, c): is_used & spaces[s] & of_class[c] for s in spaces for c in CLASSES}

    def _place_in(self, number: int, pages: npt.NDArray[np.int64]) -> None:
        segment = self._segments[number]
        vpn = self._pages.index.vpn[pages]
        contents = [content_of(number, segment, one) for one in vpn.tolist()]
        if contents[0][0] == PRIVATE:
            self._content[pages] = self._new(number, vpn)
            return
        for page, content in enumerate(contents):
            if content not in self._known:
                self._known[content] = int(self._new(number, vpn[page : page + 1])[0])
            self._content[pages[page]] = self._known[content]

    def _new(self, number: int, vpn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """New contents, of pages of a segment."""
        first = self._count
        self._count += len(vpn)
        if self._count > len(self._references):
            for name in _ARRAYS:
                setattr(self, name, _longer(getattr(self, name), 2 * self._count))
        new = np.arange(first, self._count)
        self._segment[new] = number
        self._vpn[new] = vpn
        return new


def _set_first(array: npt.NDArray[T], places: npt.NDArray[np.int64], values: npt.NDArray[T]) -> None:
    """Sets elements that are 0 yet; of several values for one the first counts."""
    unset = array[places] == 0
    array[places[unset][::-1]] = values[unset][::-1]  # numpy assigns in order: the last stays


def _longer(array: npt.NDArray[T], length: int) -> npt.NDArray[T]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
