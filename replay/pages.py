"""Pages of the traced programs: which segment a page lies in, what its identity is, which frame it has.

``docs/model.md`` section 2. The compiled page map answers "which frame?" during replay; this class decides it once per
page.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import Segment, TraceMeta

PAGE_TABLE_KEY = 1 << 32  # keys from here on are page tables
Identity = tuple[str, int, int]  # backing, object, page of the object


class Mapping(NamedTuple):
    """Frame slot of a page, and whether the page has it for itself."""

    slot: int
    private: bool


class Pages:
    """The mapped pages of one replay."""

    def __init__(self, meta: TraceMeta, page_bytes: int) -> None:
        self._meta = meta
        self._page_bytes = page_bytes
        # By asid, ascending: (start, end, number of the segment)
        self._live: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self._mapped: dict[int, dict[int, Mapping]] = defaultdict(dict)  # key -> vpn -> mapping
        self._slots: dict[Identity, int] = {}
        for number, segment in enumerate(meta.segments):
            if not segment.by_event:
                insort(self._live[segment.asid], (segment.start, segment.end, number))

    def map(self, key: int, vpn: int, vaddr: int, allocate: Callable[[], int]) -> tuple[Mapping, bool]:
        """Map a page that is touched first at ``vaddr``. Returns the mapping and whether the frame is new.

        Raises TraceError when no segment holds there.
        """
        identity = None if key >= PAGE_TABLE_KEY else self._identity(self._segment_at(key, vaddr), vpn)
        known = identity in self._slots
        if identity is None:
            mapping = Mapping(allocate(), private=True)
        else:
            if not known:
                self._slots[identity] = allocate()
            mapping = Mapping(self._slots[identity], private=False)
        self._mapped[key][vpn] = mapping
        return mapping, not known

    def begin_segment(self, number: int) -> None:
        """MAP: segment ``number`` of the metadata holds from here on.

        Raises TraceError when there is no such segment.
        """
        segment = self._segment(number)
        insort(self._live[segment.asid], (segment.start, segment.end, number))

    def end_segment(self, number: int) -> tuple[int, dict[int, Mapping]]:
        """UNMAP: the segment ends. Returns its key and the mappings that go, in ascending order of page.

        Raises TraceError when the segment does not hold.
        """
        segment = self._segment(number)
        entry = (segment.start, segment.end, number)
        if entry not in self._live[segment.asid]:
            raise TraceError(f"UNMAP of segment {number}, which does not hold")
        self._live[segment.asid].remove(entry)
        pages = self._mapped[segment.asid]
        inside = sorted(vpn for vpn in pages if segment.start <= vpn * self._page_bytes < segment.end)
        return segment.asid, {vpn: pages.pop(vpn) for vpn in inside}

    def end_process(self, asid: int) -> list[tuple[int, dict[int, Mapping]]]:
        """PROCESS_EXIT: keys (the process, its page tables) with the mappings that go, in ascending order of page."""
        self._live.pop(asid, None)
        gone = []
        for key in (asid, asid + PAGE_TABLE_KEY):
            pages = self._mapped.pop(key, {})
            gone.append((key, {vpn: pages[vpn] for vpn in sorted(pages)}))
        return gone

    def _segment(self, number: int) -> Segment:
        if number >= len(self._meta.segments):
            raise TraceError(f"segment {number} is not in the metadata, which has {len(self._meta.segments)}")
        return self._meta.segments[number]

    def _segment_at(self, key: int, vaddr: int) -> Segment:
        live = self._live[key]
        place = bisect_right(live, vaddr, key=lambda entry: entry[0]) - 1
        if place < 0 or vaddr >= live[place][1]:
            owner = f"process {key}" if key else "the kernel"
            raise TraceError(f"address {vaddr:#x} of {owner} lies in no segment that holds")
        return self._meta.segments[live[place][2]]

    def _identity(self, segment: Segment, vpn: int) -> Identity | None:
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            return None
        offset = segment.offset + vpn * self._page_bytes - segment.start
        page, rest = divmod(offset, self._page_bytes)
        return None if rest or page < 0 else (segment.backing, segment.object, page)
