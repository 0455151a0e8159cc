"""Segments of the traced address spaces: which holds where, and what a page of it is the page of.

``docs/model.md`` section 2, ``docs/trace-format.md``.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import KSEG0_END, KSEG0_START, Segment, TraceMeta


class Identity(NamedTuple):
    """Page ``page`` of object ``object`` of backing ``backing`` (file or shared)."""

    backing: str
    object: int
    page: int


class Segments:
    """The segments that hold at this point of the trace."""

    def __init__(self, meta: TraceMeta, page_bytes: int) -> None:
        self._meta = meta
        self._page_bytes = page_bytes
        self.hold(number for number, segment in enumerate(meta.segments) if not segment.by_event)

    def hold(self, numbers: Iterable[int]) -> None:
        """These segments of the metadata hold, and no others."""
        # By asid, ascending: (start, end, number of the segment)
        self._live: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for number in numbers:
            segment = self._meta.segments[number]
            self._live[segment.asid].append((segment.start, segment.end, number))
        for live in self._live.values():
            live.sort()

    def identity(self, asid: int, vpn: int, vaddr: int) -> Identity | None:
        """What the page that is touched at ``vaddr`` is the page of; None if it is private.

        Raises TraceError when no segment holds there.
        """
        segment = self._segment_at(asid, vaddr)
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            return None
        page, rest = divmod(segment.offset + vpn * self._page_bytes - segment.start, self._page_bytes)
        return None if rest or page < 0 else Identity(segment.backing, segment.object, page)

    def begin(self, number: int) -> None:
        """MAP: segment ``number`` of the metadata holds from here on. Raises TraceError when there is none."""
        segment = self._segment(number)
        insort(self._live[segment.asid], (segment.start, segment.end, number))

    def end(self, number: int) -> Segment:
        """UNMAP: the segment ends. Raises TraceError when it does not hold."""
        segment = self._segment(number)
        entry = (segment.start, segment.end, number)
        if entry not in self._live[segment.asid]:
            raise TraceError(f"UNMAP of segment {number}, which does not hold")
        self._live[segment.asid].remove(entry)
        return segment

    def end_all(self, asid: int) -> None:
        """PROCESS_EXIT: no segment of the process holds any more."""
        self._live.pop(asid, None)

    def _segment(self, number: int) -> Segment:
        if number >= len(self._meta.segments):
            raise TraceError(f"segment {number} is not in the metadata, which has {len(self._meta.segments)}")
        return self._meta.segments[number]

    def _segment_at(self, asid: int, vaddr: int) -> Segment:
        live = self._live[asid]
        place = bisect_left(live, (vaddr + 1,)) - 1
        if place < 0 or vaddr >= live[place][1]:
            owner = f"process {asid}" if asid else "the kernel"
            raise TraceError(f"address {vaddr:#x} of {owner} lies in no segment that holds")
        return self._meta.segments[live[place][2]]


def kernel_files(meta: TraceMeta) -> set[int]:
    """Files that hold the kernel itself: those that it shows in KSEG0. In memory since the boot."""
    return {
        segment.object
        for segment in meta.segments
        if segment.asid == 0
        and (segment.backing, segment.writable) == ("file", False)
        and KSEG0_START <= segment.start < KSEG0_END
    }
