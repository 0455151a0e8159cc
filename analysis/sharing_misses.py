"""Misses of L2 by how the CPUs share the page missed on: private, read-shared, write-shared.

The class of a page is that of the whole trace, as ``info`` tells it; the misses are those of a native replay.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from discotrace.analysis.run import NO_WINDOWS, replay_alone
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.mappings import PAGE_TABLE_KEY
from discotrace.replay.native import NativeSystem
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.live_segments import LiveSegments
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import TraceMeta
from discotrace.tracegen.sharing import CLASSES, Content, PageClass, content_of

PAGE_TABLES = PageClass("page tables", "")  # the refill handler alone reads them; the trace has no reference to them


@dataclass(frozen=True)
class ClassMisses:
    """Misses of L2 on the pages of one class, over the whole replay, by all CPUs."""

    space: str  # user, kernel or page tables
    sharing: str  # as ``Sharing`` has it; empty for page tables
    l2_misses: int


class _WatchedNative(NativeSystem):
    """The native system, writing down the misses on each page by what it holds. Frames are used again, pages not."""

    def __init__(self, meta: TraceMeta, machine: Machine) -> None:
        self.misses: Counter[Content] = Counter()
        self._meta = meta
        self._spaces = LiveSegments()
        self._content: dict[int, Content] = {}  # by slot
        self._counted: Counter[int] = Counter()  # misses on a slot that are written down
        for number, segment in enumerate(meta.segments):
            if not segment.by_event:
                self._spaces.add(number, segment)
        super().__init__(meta, machine)

    def map_page(self, key: int, vpn: int, vaddr: int) -> None:
        """The page has its frame from here on."""
        super().map_page(key, vpn, vaddr)
        self._content[self.mappings.get(key, vpn).gfn] = self._content_at(key, vpn)

    def free(self, vm: int, gfn: int) -> None:
        """What was missed on the frame is the page's."""
        self._write_down(gfn)
        self._content.pop(gfn, None)
        super().free(vm, gfn)

    def begin_segment(self, number: int) -> None:
        """MAP."""
        super().begin_segment(number)
        self._spaces.add(number, self._meta.segments[number])

    def end_segment(self, number: int) -> None:
        """UNMAP."""
        super().end_segment(number)
        self._spaces.remove(number, self._meta.segments[number])

    def end_process(self, asid: int) -> None:
        """PROCESS_EXIT."""
        super().end_process(asid)
        self._spaces.remove_all(asid)

    def end_of_trace(self) -> None:
        """What was missed on pages that are still in use is theirs."""
        for slot in self._content:
            self._write_down(slot)

    def _content_at(self, key: int, vpn: int) -> Content:
        if key & PAGE_TABLE_KEY:
            return PAGE_TABLES.space, key, vpn
        number = int(self._spaces.find(np.array([key], np.uint32), np.array([vpn * PAGE_BYTES], np.uint64))[0])
        return content_of(number, self._meta.segments[number], vpn)

    def _write_down(self, slot: int) -> None:
        misses = int(self.hardware.misses(slot).sum(dtype=np.int64))
        if slot in self._content:
            self.misses[self._content[slot]] += misses - self._counted[slot]
        self._counted[slot] = misses


def misses_by_class(
    reader: TraceReader, machine: Machine, classes: dict[Content, PageClass], on_rows: Callable[[int], None]
) -> list[ClassMisses]:
    """Replay a trace natively and add up the misses of L2 by class: user, kernel, page tables.

    ``classes``: of all pages of the trace; ``on_rows`` is told how many more rows are done. Raises ConfigError for
    pages of another size than the trace's, and as ``replay_runs`` does.
    """
    if machine.page_bytes != PAGE_BYTES:
        raise ConfigError(
            f"memory.page_kib is {machine.memory.page_kib}: the sharing of pages is told for those of "
            f"{PAGE_BYTES // 1024} KiB, so their misses need memory.page_kib={PAGE_BYTES // 1024}"
        )
    system = _WatchedNative(reader.meta, machine.for_trace(reader.meta.cpus))
    replay = Replay(reader.meta, system, NO_WINDOWS)
    replay_alone(reader, replay, on_rows)
    replay.finish()
    return _added_up(system.misses, classes)


def _added_up(misses: Counter[Content], classes: dict[Content, PageClass]) -> list[ClassMisses]:
    sums: Counter[PageClass] = Counter()
    for content, count in misses.items():
        if count:  # a page that only a wired TLB entry needed has no class, and no misses
            sums[PAGE_TABLES if content[0] == PAGE_TABLES.space else classes[content]] += count
    order = [PageClass(space, sharing) for space in ("user", "kernel") for sharing in CLASSES] + [PAGE_TABLES]
    return [ClassMisses(*one, sums[one]) for one in order if sums[one]]
