"""Writes a valid trace: what the format's rules speak of is kept here, row by row (``docs/trace-format.md``)."""

from typing import NamedTuple

from discotrace.tracegen.schema import (
    KSEG0_START,
    Kind,
    Privileged,
    Rows,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
)

ALIGNMENT = 4096  # of segments, whatever the page size of the machine
BYTES_INTO_PAGE = (0, 0, 0, 0, 0, 4, 60, 64, 64, 128, 1000, 2048, -8, -1)
SIZES = (*(1, 4, 4, 4, 8, 8, 16, 32, 32, 60, 64) * 3, 128, 129, 300, 300, 4096, 9000)
LOCKS = (0, 1, 2, 6, 7, 16, 17, 1, 2, 3)
RUNS = (1, 1, 2, 4, 5, 16, 31, 100, 1000)
FAULTS = (Service.DEMAND_ZERO, Service.QUICK_FAULT, Service.COPY_ON_WRITE, Service.PAGE_IN)
SERVICES = (*(service for service in Service if service != Service.UTLB_MISS), *FAULTS, *FAULTS)

ACTIONS = (
    *("FETCH",) * 16,
    *("LOAD",) * 24,
    *("STORE",) * 16,
    *("ENTER", "EXIT", "PRIVILEGED", "LOCK", "SWITCH", "MAP", "ZERO_PAGE") * 2,
    *("FILE_READ", "FILE_WRITE") * 5,
    *("RESIDENT",) * 4,
    *("SHARE",) * 8,
    *("BARRIER", "IDLE", "FREE_PAGE", "UNMAP", "PROCESS_EXIT"),
)


class Step(NamedTuple):
    """One drawn step: who does what, and three numbers that choose the details."""

    vcpu: int
    action: str
    a: int
    b: int
    c: int


class Writer:
    """The state that the format's rules speak of, and the rows so far."""

    def __init__(self, meta: TraceMeta, unit: int):
        self.meta = meta
        self.unit = unit
        self.holding = {n for n, segment in enumerate(meta.segments) if not segment.by_event}
        self.to_map = {n for n, segment in enumerate(meta.segments) if segment.by_event}
        self.alive = [process.asid for process in meta.processes]
        self.asids: list[int | None] = [None] * meta.cpus
        self.services: list[list[int]] = [[] for _ in range(meta.cpus)]
        self.locks: list[set[int]] = [set() for _ in range(meta.cpus)]
        self.records: list[tuple[int, int, int, int, int, int]] = []
        self.vcpu = 0
        self.asid = 0

    def step(self, step: Step) -> None:
        """Writes the rows of one step; none if it is impossible now."""
        self._wake(step.vcpu % self.meta.cpus, step.a)
        if step.action in ("FETCH", "LOAD", "STORE"):
            self._reference(Kind[step.action], step)
        elif step.action in ("ZERO_PAGE", "FREE_PAGE"):
            self._page(Kind[step.action], step)
        else:
            getattr(self, f"_{step.action.lower()}")(step)

    def finish(self) -> Rows:
        """Closes the services that are open and returns the trace."""
        for vcpu, services in enumerate(self.services):
            while services:
                self._wake(vcpu, 0)
                self._add(Kind.EXIT, 0, 0, services.pop())
        return rows_from_records(self.records)

    def _wake(self, vcpu: int, choice: int) -> None:
        """Makes ``vcpu`` the one that acts; a process that is gone has to be switched from first."""
        self.vcpu = vcpu
        asid = self.asids[vcpu]
        if asid is None:
            asid = self._choose_asid(choice)
            self.asids[vcpu] = asid
        self.asid = asid
        if asid and asid not in self.alive:
            self._switch_to(self._choose_asid(choice))

    def _choose_asid(self, choice: int) -> int:
        return [0, *self.alive][choice % (len(self.alive) + 1)]

    def _switch_to(self, asid: int) -> None:
        before, self.asid = self.asid, asid
        self.asids[self.vcpu] = asid
        self._add(Kind.SWITCH, 0, 0, before)

    def _add(self, kind: Kind, vaddr: int, size: int, arg: int) -> None:
        self.records.append((self.vcpu, self.asid, kind, vaddr, size, arg))

    def _target(self, step: Step) -> Segment | None:
        """A segment that holds and that the CPU can reach."""
        reachable = [self.meta.segments[n] for n in sorted(self.holding)]
        reachable = [segment for segment in reachable if segment.asid in (0, self.asid)]
        return reachable[step.a % len(reachable)] if reachable else None

    def _page_of(self, segment: Segment, step: Step) -> int:
        return segment.start + step.b % ((segment.end - segment.start) // self.unit) * self.unit

    def _held_until(self, segment: Segment) -> int:
        """The end of the run of adjoining segments that begins with this one."""
        end = segment.end
        starts = {s.start: s for s in (self.meta.segments[n] for n in self.holding) if s.asid == segment.asid}
        while end in starts:
            end = starts[end].end
        return end

    def _reference(self, kind: Kind, step: Step) -> None:
        segment = self._target(step)
        if segment is None:
            return
        vaddr = self._page_of(segment, step) + BYTES_INTO_PAGE[step.b // 8 % len(BYTES_INTO_PAGE)] % self.unit
        size = min(SIZES[step.c % len(SIZES)], self._held_until(segment) - vaddr)
        self._add(kind, vaddr, size, RUNS[(step.c + step.b) % len(RUNS)] if kind == Kind.FETCH else 0)

    def _page(self, kind: Kind, step: Step) -> None:
        segment = self._target(step)
        if segment is None:
            return
        vaddr = self._page_of(segment, step)
        vaddr += (0, 0, self.unit - ALIGNMENT)[step.b // 8 % 3]
        size = min((ALIGNMENT, ALIGNMENT, 128, 2 * ALIGNMENT)[step.c % 4], segment.end - vaddr)
        self._add(kind, vaddr, size, RUNS[step.c // 4 % len(RUNS)] if kind == Kind.ZERO_PAGE else 0)

    def _share(self, step: Step) -> None:
        """Two CPUs use one page, line by line: one alone, both in turn, with stores among the loads or at the end.

        Every other time it is in the first segment of the kernel, which all processes reach.
        """
        segment = self._target(step if step.c % 2 else step._replace(a=0))
        if segment is None:
            return
        sharers = (step.vcpu % self.meta.cpus, (step.vcpu + 1 + step.b // 8) % self.meta.cpus)
        is_alone, stores = ((True, False), (False, False), (False, True), (True, True))[step.c // 16 % 4]
        number = 1 + step.c % 16
        for i in range(number):
            self._wake(sharers[1 if is_alone else i % 2], step.a)
            if segment.asid not in (0, self.asid):
                self._switch_to(segment.asid)
            is_store = stores and (i == number - 1 or (step.b + i) % 8 == 0)
            vaddr = self._page_of(segment, step) + i * 128 % ALIGNMENT
            self._add(Kind.STORE if is_store else Kind.LOAD, vaddr, 4, 0)

    def _enter(self, step: Step) -> None:
        service = SERVICES[step.a % len(SERVICES)]
        self.services[self.vcpu].append(service)
        self._add(Kind.ENTER, 0, 0, service)

    def _exit(self, step: Step) -> None:
        if self.services[self.vcpu]:
            self._add(Kind.EXIT, 0, 0, self.services[self.vcpu].pop())

    def _privileged(self, step: Step) -> None:
        what = (*Privileged, Privileged.WIRED, Privileged.WIRED)[step.c % (len(Privileged) + 2)]
        segment = self._target(step)
        has_page = what == Privileged.WIRED and segment is not None and step.b % 4 > 0
        self._add(
            Kind.PRIVILEGED, self._page_of(segment, step) if has_page and segment else 0, 1 + step.c // 8 % 3, what
        )

    def _lock(self, step: Step) -> None:
        """Takes a lock, or releases it if this CPU has it."""
        lock = LOCKS[step.a % len(LOCKS)]
        held = self.locks[self.vcpu]
        self._add(Kind.UNLOCK if lock in held else Kind.LOCK, KSEG0_START + 64 * lock, 0, lock)
        held ^= {lock}

    def _switch(self, step: Step) -> None:
        self._switch_to(self._choose_asid(step.a))

    def _barrier(self, step: Step) -> None:
        self._add(Kind.BARRIER, 0, self.meta.cpus, step.a % 2)

    def _idle(self, step: Step) -> None:
        self._add(Kind.IDLE, 0, 1 + step.c, 0)

    def _file_read(self, step: Step) -> None:
        self._file(Kind.FILE_READ, step)

    def _file_write(self, step: Step) -> None:
        self._file(Kind.FILE_WRITE, step)

    def _resident(self, step: Step) -> None:
        """A stretch of a file, or of what an address space holds."""
        if step.c % 2:
            self._file(Kind.RESIDENT, step._replace(c=step.c // 2))
            return
        segment = self._target(step)
        if segment is not None:
            vaddr = self._page_of(segment, step) + (0, 0, 100, self.unit - 1)[step.b // 8 % 4]
            size = (1, self.unit, 2 * self.unit, 3 * self.unit + 5)[step.c // 2 % 4]
            self._add(Kind.RESIDENT, vaddr, min(size, self._held_until(segment) - vaddr), 0)

    def _file(self, kind: Kind, step: Step) -> None:
        """A stretch of a file: pages and parts of them, up to five and a bit."""
        unit = self.unit
        offset = step.b % 7 * unit + (0, 0, 0, 100, unit // 2, unit - 1)[step.b // 8 % 6]
        size = (1, 100, unit // 2, unit, unit, 2 * unit, 3 * unit + 5, 5 * unit)[step.c % 8]
        self._add(kind, offset, size, self.meta.files[step.a % len(self.meta.files)].id)

    def _map(self, step: Step) -> None:
        """Maps a segment of the running process or of the kernel where nothing else holds."""
        held = [self.meta.segments[n] for n in self.holding]
        possible = [
            n
            for n in sorted(self.to_map)
            if self.meta.segments[n].asid in (0, self.asid) and not any(overlap(self.meta.segments[n], s) for s in held)
        ]
        if possible:
            number = possible[step.a % len(possible)]
            self.to_map.remove(number)
            self.holding.add(number)
            self._add(Kind.MAP, self.meta.segments[number].start, 0, number)

    def _unmap(self, step: Step) -> None:
        possible = [n for n in sorted(self.holding) if self.meta.segments[n].asid in (0, self.asid)]
        if possible and step.c % 2:
            number = possible[step.a % len(possible)]
            self.holding.remove(number)
            self._add(Kind.UNMAP, self.meta.segments[number].start, 0, number)

    def _process_exit(self, step: Step) -> None:
        if self.asid and step.c % 4 == 0:
            self._add(Kind.PROCESS_EXIT, 0, 0, 0)
            self.alive.remove(self.asid)
            self.holding = {n for n in self.holding if self.meta.segments[n].asid != self.asid}


def overlap(one: Segment, other: Segment) -> bool:
    """Whether two segments of one address space have an address in common."""
    return one.asid == other.asid and one.start < other.end and other.start < one.end
