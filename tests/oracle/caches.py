"""The caches of all CPUs and who holds what: sections 6 and 7 of ``docs/model.md``.

There is no directory here: asking every other second-level cache gives the same answers.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.oracle.counters import FrameCounters
from tests.oracle.memory import Frame, Layout
from tests.oracle.now import Now

SHARED, EXCLUSIVE, MODIFIED = "shared", "exclusive", "modified"


class Line(NamedTuple):
    """A line: its frame and its number within the frame, in lines of the cache that it is in."""

    frame: Frame
    number: int


class FirstLevel:
    """One L1: for each set its lines, least recent first, and whether each is dirty."""

    def __init__(self, size_kib: int, ways: int, line_b: int):
        """Empty."""
        self.ways = ways
        self.line_b = line_b
        self.sets: list[OrderedDict[Line, bool]] = [OrderedDict() for _ in range(size_kib * 1024 // (ways * line_b))]

    def set_at(self, vaddr: int) -> OrderedDict[Line, bool]:
        """The set that a virtual address indexes."""
        return self.sets[vaddr // self.line_b % len(self.sets)]

    def remove(self, frame: Frame, first_byte: int, size: int) -> int:
        """Removes the lines of these bytes of a frame at all virtual indices; returns how many were dirty."""
        dirty = 0
        for ways in filter(None, self.sets):
            for line in [line for line in ways if self._lies_in(line, frame, first_byte, size)]:
                dirty += ways.pop(line)
        return dirty

    def clean(self, frame: Frame, first_byte: int, size: int) -> None:
        """Makes the lines of these bytes of a frame clean."""
        for ways in filter(None, self.sets):
            for line in ways:
                if self._lies_in(line, frame, first_byte, size):
                    ways[line] = False

    def _lies_in(self, line: Line, frame: Frame, first_byte: int, size: int) -> bool:
        return line.frame == frame and first_byte <= line.number * self.line_b < first_byte + size


class SecondLevel:
    """One L2: for each set its lines, least recent first, and the state of each."""

    def __init__(self, size_kib: int, ways: int, line_b: int, layout: Layout):
        """Empty; ``layout`` knows the machine addresses that index it."""
        self.ways = ways
        self.line_b = line_b
        self.layout = layout
        self.sets: list[OrderedDict[Line, str]] = [OrderedDict() for _ in range(size_kib * 1024 // (ways * line_b))]

    def set_of(self, line: Line) -> OrderedDict[Line, str]:
        """The set that the line's machine address indexes."""
        address = self.layout.machine_address(line.frame, line.number * self.line_b)
        return self.sets[address // self.line_b % len(self.sets)]

    def state(self, line: Line) -> str | None:
        """Shared, Exclusive, Modified, or None if the line is not held."""
        return self.set_of(line).get(line)


class Caches:
    """All caches of the machine. Every count is made for the CPU that accesses."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        layout: Layout,
        counters: FrameCounters,
    ):
        """Empty; ``tables`` of the configuration."""
        cpus = range(tables["cpu"]["count"])
        l2 = tables["l2"]
        self.layout = layout
        self.node_of = layout.node_of
        self.count, self.count_at = now.count, now.count_at
        self.counters = counters
        self.inclusive: bool = l2["inclusive"]
        self.l1i = [FirstLevel(**tables["l1i"]) for _ in cpus]
        self.l1d = [FirstLevel(**tables["l1d"]) for _ in cpus]
        self.l2 = [SecondLevel(l2["size_kib"], l2["ways"], l2["line_b"], layout) for _ in cpus]

    def access(self, cpu: int, kind: str, vaddr: int, frame: Frame) -> None:
        """One access of the L1 line at ``vaddr`` within ``frame``; ``kind`` is fetch, load or store (section 6)."""
        l1 = self.l1i[cpu] if kind == "fetch" else self.l1d[cpu]
        name = "l1i" if kind == "fetch" else f"l1d_{kind}"
        line = Line(frame, vaddr % self.layout.page_bytes // l1.line_b)
        if line in l1.set_at(vaddr):
            self.count(f"{name}_hits")
            self._hit_l1(cpu, kind, l1.set_at(vaddr), line)
        else:
            self.count(f"{name}_misses")
            self._miss_l1(cpu, kind, l1, vaddr, line)

    def lines_go(self, frame: Frame) -> None:
        """The lines of a frame leave every cache, without write-back counts (section 9)."""
        for l1 in (*self.l1i, *self.l1d):
            l1.remove(frame, 0, self.layout.page_bytes)
        for l2 in self.l2:
            for ways in l2.sets:
                for line in [line for line in ways if line.frame == frame]:
                    del ways[line]

    def _second_line(self, line: Line, l1: FirstLevel) -> Line:
        return Line(line.frame, line.number * l1.line_b // self.l2[0].line_b)

    def _hit_l1(self, cpu: int, kind: str, ways: OrderedDict[Line, bool], line: Line) -> None:
        ways.move_to_end(line)
        if kind != "store":
            return
        if not ways[line]:
            second = self._second_line(line, self.l1d[cpu])
            if self.l2[cpu].state(second) is not None:
                self._modify(cpu, second)
        ways[line] = True

    def _miss_l1(self, cpu: int, kind: str, l1: FirstLevel, vaddr: int, line: Line) -> None:
        self._access_l2(cpu, kind, self._second_line(line, l1))
        home_set = l1.set_at(vaddr)
        for ways in l1.sets:
            if ways is not home_set and line in ways:
                self.count("alias_evictions")
                if ways.pop(line):
                    self._write_back_l1(cpu, line)
        if len(home_set) == l1.ways:
            victim, is_dirty = home_set.popitem(last=False)
            if is_dirty:
                self._write_back_l1(cpu, victim)
        home_set[line] = kind == "store"

    def _write_back_l1(self, cpu: int, line: Line) -> None:
        """A dirty L1D line goes to L2, whose order of use stays; to memory if L2 does not hold it any more."""
        self.count("l1d_writebacks")
        second = self._second_line(line, self.l1d[cpu])
        if self.l2[cpu].state(second) is None:
            self._count_write_back(cpu, second)
        else:
            self.l2[cpu].set_of(second)[second] = MODIFIED

    def _count_write_back(self, cpu: int, line: Line) -> None:
        self.count(f"writebacks_{self._distance(cpu, line)}")
        self.count_at(line.frame.node, "memory_writebacks")

    def _distance(self, cpu: int, line: Line) -> str:
        return "local" if line.frame.node == self.node_of(cpu) else "remote"

    def _access_l2(self, cpu: int, kind: str, line: Line) -> None:
        """Section 6, L2 access."""
        ways = self.l2[cpu].set_of(line)
        if line in ways:
            self.count(f"l2_{kind}_hits")
            ways.move_to_end(line)
            if kind == "store":
                self._modify(cpu, line)
            return
        state = self._serve_store(cpu, line) if kind == "store" else self._serve_read(cpu, kind, line)
        self.count_at(line.frame.node, "memory_requests")
        self.counters.missed(line.frame, cpu, kind)
        if len(ways) == self.l2[cpu].ways:
            self._evict_l2(cpu, ways)
        ways[line] = state

    def _modify(self, cpu: int, line: Line) -> None:
        """A store to a line that this L2 holds: an upgrade if it is Shared (section 7)."""
        if self.l2[cpu].state(line) == SHARED:
            self.count(f"upgrades_{self._distance(cpu, line)}")
            self.count_at(line.frame.node, "memory_requests")
            self.counters.written(line.frame, cpu)
            for other in self._other_holders(cpu, line):
                self._invalidate(other, line)
        self.l2[cpu].set_of(line)[line] = MODIFIED

    def _evict_l2(self, cpu: int, ways: OrderedDict[Line, str]) -> None:
        """The least recent line of a full set leaves (section 6)."""
        line, state = ways.popitem(last=False)
        if state == MODIFIED:
            self._count_write_back(cpu, line)
        if self.inclusive:
            for _ in range(self._remove_l1(cpu, line)):
                self.count("l1d_writebacks")

    def _bytes(self, line: Line) -> tuple[Frame, int, int]:
        line_b = self.l2[0].line_b
        return line.frame, line.number * line_b, line_b

    def _remove_l1(self, cpu: int, line: Line) -> int:
        """Removes an L2 line from the L1s of a CPU; returns how many L1D lines of it were dirty."""
        self.l1i[cpu].remove(*self._bytes(line))
        return self.l1d[cpu].remove(*self._bytes(line))

    def _other_holders(self, cpu: int, line: Line) -> list[int]:
        return [other for other, l2 in enumerate(self.l2) if other != cpu and l2.state(line) is not None]

    def _invalidate(self, other: int, line: Line) -> None:
        """Removes the line from another CPU's caches without write-back counts (section 7)."""
        self.count("invalidations")
        del self.l2[other].set_of(line)[line]
        self._remove_l1(other, line)

    def _count_server(self, cpu: int, kind: str, line: Line) -> None:
        """Who serves a miss: the cache that holds the line Modified, else the home memory (section 7)."""
        owners = [other for other in self._other_holders(cpu, line) if self.l2[other].state(line) == MODIFIED]
        if owners:
            is_near = self.node_of(owners[0]) == self.node_of(cpu)
            self.count(f"l2_{kind}_dirty_{'local' if is_near else 'remote'}")
        else:
            self.count(f"l2_{kind}_{self._distance(cpu, line)}")

    def _serve_read(self, cpu: int, kind: str, line: Line) -> str:
        """A fetch or load that missed: returns the state in which the line arrives (section 7)."""
        self._count_server(cpu, kind, line)
        holders = self._other_holders(cpu, line)
        for other in holders:
            if self.l2[other].state(line) == MODIFIED:
                self.l1d[other].clean(*self._bytes(line))
            self.l2[other].set_of(line)[line] = SHARED
        return SHARED if holders else EXCLUSIVE

    def _serve_store(self, cpu: int, line: Line) -> str:
        """A store that missed: every other holder is invalidated (section 7)."""
        self._count_server(cpu, "store", line)
        for other in self._other_holders(cpu, line):
            self._invalidate(other, line)
        return MODIFIED
