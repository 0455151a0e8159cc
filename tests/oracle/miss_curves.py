"""Misses of TLBs, caches and memories of one size each, replayed one by one from lists of what the machine accesses.

The accesses are those of the naive machine running natively; whatever holds the accessed is a plain list, most recent
first, of exactly the size that is asked for: ``docs/curves.md``.
"""

from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from discotrace.tracegen.schema import TraceMeta
from tests.oracle.caches import Line
from tests.oracle.machine import Oracle
from tests.oracle.memory import Frame, GuestPage, Page
from tests.oracle.tlb import Tag

FOREVER = 1 << 62


class LruMemory:
    """Room for so many names; when it is needed, the least recently used one goes."""

    def __init__(self, size: int):
        """Nothing is here."""
        self.size = size
        self.names: list[Hashable] = []
        self.misses = 0

    def use(self, name: Hashable) -> None:
        """An access."""
        if name in self.names:
            self.names.remove(name)
        else:
            self.misses += 1
            if len(self.names) == self.size:
                self.names.pop()
        self.names.insert(0, name)

    def forget(self, name: Hashable) -> None:
        """What has this name is no more; its room is free."""
        if name in self.names:
            self.names.remove(name)


class VirtuallyIndexedCache:
    """One L1: of the sets that a line may be in, under several virtual addresses, one at most has it (section 6)."""

    def __init__(self, sets: int, ways: int):
        """Empty."""
        self.sets = [LruMemory(ways) for _ in range(sets)]

    def use(self, line: Line, index: int) -> bool:
        """An access to a line in the set of a virtual line number; whether it hits."""
        home = self.sets[index % len(self.sets)]
        hits = line in home.names
        if not hits:
            for other in self.sets:
                if other is not home:
                    other.forget(line)
        home.use(line)
        return hits

    @property
    def misses(self) -> int:
        """All of them."""
        return sum(one.misses for one in self.sets)


class LineAccess(NamedTuple):
    """An access of a first-level cache: of which CPU, ``l1i`` or ``l1d``, which line, its virtual number."""

    cpu: int
    cache: str
    line: Line
    index: int


class Watched(Oracle):
    """The naive machine, running natively, and what it accesses: TLB entries, lines, and uses and frees of pages."""

    def __init__(self, meta: TraceMeta, tables: Mapping[str, Mapping[str, Any]]):
        """Nothing has been accessed."""
        super().__init__(meta, tables, "native", FOREVER)
        self.tables = tables
        self.translations: list[tuple[int, Tag]] = []
        self.lines: list[LineAccess] = []
        self.pages: list[tuple[str, Frame]] = []  # "use" or "free"
        self._access, self._translate, self._free = (
            self.caches.access,
            self.translation.translate,
            self.guests[0].free,
        )
        self.caches.access = self._watch_access  # type: ignore[method-assign]
        self.translation.translate = self._watch_translation  # type: ignore[method-assign]
        self.guests[0].free = self._watch_free  # type: ignore[method-assign]

    def _touch_lines(self, kind: str, first: int, stop: int, frame: Frame) -> None:
        self.pages.append(("use", frame))
        super()._touch_lines(kind, first, stop, frame)

    def _watch_access(self, cpu: int, kind: str, vaddr: int, frame: Frame) -> None:
        if self.now.context == "kernel:utlb_miss":  # the handler's load of page-table entries
            self.pages.append(("use", frame))
        cache = "l1i" if kind == "fetch" else "l1d"
        line_b = self.tables[cache]["line_b"]
        line = Line(frame, vaddr % self.layout.page_bytes // line_b)
        self.lines.append(LineAccess(cpu, cache, line, vaddr // line_b))
        self._access(cpu, kind, vaddr, frame)

    def _watch_translation(self, page: Page, touched: int) -> Frame:
        self.translations.append((self.now.cpu, self.translation.tlb.tag_of(page)))
        return self._translate(page, touched)

    def _watch_free(self, guest_page: GuestPage) -> None:
        self.pages.append(("free", self.frames.pmap[guest_page]))
        self._free(guest_page)

    def tlb_misses(self, entries: int) -> int:
        """Of TLBs of so many entries that replace the least recently used one, wired or not, and never flush."""
        tlbs = [LruMemory(entries) for _ in range(self.layout.cpus)]
        for cpu, tag in self.translations:
            tlbs[cpu].use(tag)
        return sum(tlb.misses for tlb in tlbs)

    def l1_misses(self, cache: str, sets: int, ways: int) -> int:
        """Of first-level caches from which no other cache takes anything."""
        caches = [VirtuallyIndexedCache(sets, ways) for _ in range(self.layout.cpus)]
        for access in self.lines:
            if access.cache == cache:
                caches[access.cpu].use(access.line, access.index)
        return sum(one.misses for one in caches)

    def l2_misses(self, sets: int, ways: int) -> int:
        """Of second-level caches behind the machine's own first level, likewise."""
        caches = [[LruMemory(ways) for _ in range(sets)] for _ in range(self.layout.cpus)]
        for cpu, line in self.l2_accesses:
            address = self.layout.machine_address(line.frame, line.number * self.tables["l2"]["line_b"])
            caches[cpu][address // self.tables["l2"]["line_b"] % sets].use(line)
        return sum(one.misses for sets_of_cpu in caches for one in sets_of_cpu)

    @cached_property
    def l2_accesses(self) -> list[tuple[int, Line]]:
        """What the first-level caches miss, once the rows have run: CPU and line."""
        caches = {}
        for cache in ("l1i", "l1d"):
            geometry = self.tables[cache]
            sets = geometry["size_kib"] * 1024 // (geometry["ways"] * geometry["line_b"])
            for cpu in range(self.layout.cpus):
                caches[cpu, cache] = VirtuallyIndexedCache(sets, geometry["ways"])
        missed = []
        for access in self.lines:
            if not caches[access.cpu, access.cache].use(access.line, access.index):
                first_byte = access.line.number * self.tables[access.cache]["line_b"]
                missed.append((access.cpu, Line(access.line.frame, first_byte // self.tables["l2"]["line_b"])))
        return missed

    def page_misses_at(self, size: int) -> int:
        """Of a memory of so many pages; what is freed leaves its room to the next."""
        memory = LruMemory(size)
        for what, frame in self.pages:
            if what == "use":
                memory.use(frame)
            else:
                memory.forget(frame)
        return memory.misses
