"""Random valid traces and random machines for property tests.

What is drawn is a list of small numbers; ``_Writer`` reads each group of them as something that the running system
could do next and writes the rows that the format demands for it, so every drawn list is a valid trace and shrinking
one gives a smaller valid trace. Footprints are a few pages, so that references meet again and conflict.
"""

from typing import Any, NamedTuple

from hypothesis import strategies as st

from discotrace.tracegen.schema import (
    KSEG0_START,
    KSEG2_START,
    XKPHYS_START,
    File,
    Kind,
    Privileged,
    Process,
    Rows,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
)

Tables = dict[str, dict[str, Any]]

ALIGNMENT = 4096  # of segments, whatever the page size of the machine

# The second user base and the second of KSEG2 stand before a boundary of the 4 MiB that one page of page table covers.
USER_BASES = (0x0040_0000, 0x007F_8000, 0x7FFF_F000_0000)
KERNEL_BASES = (KSEG0_START, KSEG0_START + 0x12_3000, XKPHYS_START + 0x1_0000, KSEG2_START, KSEG2_START + 0x3F_E000)
BYTES_INTO_PAGE = (0, 0, 0, 0, 0, 4, 60, 64, 64, 128, 1000, 2048, 4088, 4095)
SIZES = (*(1, 4, 4, 4, 8, 8, 16, 32, 32, 60, 64) * 3, 128, 129, 300, 300, 4096, 9000)
RUNS = (1, 1, 2, 4, 5, 16, 31, 100, 1000)
SERVICES = tuple(service for service in Service if service != Service.UTLB_MISS)

CPU_COUNTS = st.just(1) | st.integers(1, 8)

ACTIONS = (
    *("FETCH",) * 16,
    *("LOAD",) * 24,
    *("STORE",) * 16,
    *("ENTER", "EXIT", "PRIVILEGED", "LOCK", "SWITCH", "MAP") * 2,
    *("ZERO_PAGE", "BARRIER", "IDLE", "FREE_PAGE", "FILE_READ", "FILE_WRITE", "UNMAP", "PROCESS_EXIT"),
)


class Step(NamedTuple):
    """One drawn step: who does what, and three numbers that choose the details."""

    vcpu: int
    action: str
    a: int
    b: int
    c: int


class Case(NamedTuple):
    """Everything a replay needs: a trace, a machine with enough memory, the system and the window."""

    meta: TraceMeta
    rows: Rows
    tables: Tables
    system: str
    window: int


class _Writer:
    """The state that the format's rules speak of, and the rows so far."""

    def __init__(self, meta: TraceMeta):
        self.meta = meta
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
        return segment.start + step.b % ((segment.end - segment.start) // ALIGNMENT) * ALIGNMENT

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
        vaddr = self._page_of(segment, step) + BYTES_INTO_PAGE[step.b // 8 % len(BYTES_INTO_PAGE)]
        size = min(SIZES[step.c % len(SIZES)], self._held_until(segment) - vaddr)
        self._add(kind, vaddr, size, RUNS[(step.c + step.b) % len(RUNS)] if kind == Kind.FETCH else 0)

    def _page(self, kind: Kind, step: Step) -> None:
        segment = self._target(step)
        if segment is None:
            return
        vaddr = self._page_of(segment, step)
        size = min((ALIGNMENT, ALIGNMENT, 128, 2 * ALIGNMENT)[step.c % 4], segment.end - vaddr)
        self._add(kind, vaddr, size, RUNS[step.c // 4 % len(RUNS)] if kind == Kind.ZERO_PAGE else 0)

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
        lock = step.a % 3
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
        self._add(Kind.FILE_READ, step.b, 1 + step.c, self.meta.files[step.a % len(self.meta.files)].id)

    def _file_write(self, step: Step) -> None:
        self._add(Kind.FILE_WRITE, step.b, 1 + step.c, self.meta.files[step.a % len(self.meta.files)].id)

    def _map(self, step: Step) -> None:
        """Maps a segment of the running process or of the kernel where nothing else holds."""
        held = [self.meta.segments[n] for n in self.holding]
        possible = [
            n
            for n in sorted(self.to_map)
            if self.meta.segments[n].asid in (0, self.asid)
            and not any(_overlap(self.meta.segments[n], s) for s in held)
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


def _overlap(one: Segment, other: Segment) -> bool:
    return one.asid == other.asid and one.start < other.end and other.start < one.end


@st.composite
def _segments(draw: st.DrawFn, asid: int, files: int) -> list[Segment]:
    """Segments of one address space; those that hold from the beginning do not overlap."""
    bases = USER_BASES if asid else KERNEL_BASES
    segments: list[Segment] = []
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.sampled_from(bases)) + draw(st.integers(0, 9)) * ALIGNMENT
        backing = draw(st.sampled_from(("anonymous", "file", "file", "shared")))
        segment = Segment(
            asid=asid,
            start=start,
            end=start + draw(st.integers(1, 6)) * ALIGNMENT,
            backing=backing,
            object=0 if backing == "anonymous" else draw(st.integers(1, files)),
            offset=0 if backing == "anonymous" else draw(st.integers(0, 3)) * ALIGNMENT,
            writable=backing == "anonymous" or draw(st.booleans()),
            by_event=bool(segments) and draw(st.sampled_from((False, True, True))),
        )
        if segment.by_event or not any(_overlap(segment, other) for other in segments if not other.by_event):
            segments.append(segment)
    return segments


@st.composite
def metas(draw: st.DrawFn) -> TraceMeta:
    """Metadata: 1 to 8 CPUs, 1 to 4 processes, 1 to 2 files, segments of all backings in all regions."""
    cpus, processes, files = draw(st.integers(1, 8)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
    return TraceMeta(
        cpus=cpus,
        processes=[Process(asid, f"p{asid}") for asid in range(1, processes + 1)],
        segments=[segment for asid in range(processes + 1) for segment in draw(_segments(asid, files))],
        files=[File(number, f"/f{number}", 1 << 16) for number in range(1, files + 1)],
    )


@st.composite
def traces(draw: st.DrawFn, max_steps: int = 300) -> tuple[TraceMeta, Rows]:
    """A valid trace of up to ``max_steps`` rows, and the few more that close services and leave dead processes."""
    meta = draw(metas())
    number = st.integers(0, 255)
    vcpu = st.just(0) | st.integers(0, meta.cpus - 1)  # one CPU does half of the work, so that it meets its own lines
    steps = st.builds(Step, vcpu, st.sampled_from(ACTIONS), number, number, number)
    min_steps = draw(st.sampled_from((0, 10, 40, 120, 240)))  # hypothesis alone would draw half a dozen
    writer = _Writer(meta)
    for step in draw(st.lists(steps, min_size=min(min_steps, max_steps), max_size=max_steps)):
        writer.step(step)
    return meta, writer.finish()


def _geometries(sizes_kib: tuple[int, ...], max_line_b: int) -> list[dict[str, int]]:
    """Every cache of these sizes with a power of two of sets, from direct-mapped to fully associative."""
    return [
        {"size_kib": size_kib, "ways": size_kib * 1024 // line_b // (1 << log_sets), "line_b": line_b}
        for size_kib in sizes_kib
        for line_b in (16, 32, 64, 128, 256)
        if line_b <= max_line_b
        for log_sets in range(12)
        if size_kib * 1024 // line_b % (1 << log_sets) == 0
    ]


@st.composite
def machines(draw: st.DrawFn, cpu_counts: st.SearchStrategy[int] = CPU_COUNTS) -> Tables:
    """Tables that ``Machine.from_tables`` accepts, ``cpu.count`` resolved; the memory of a node is small.

    Half of the first-level caches have several colours of 4 KiB pages. Pages of 64 and 256 KiB make a node of so
    few frames that some fill.
    """
    cpus = draw(cpu_counts)
    l2 = draw(st.sampled_from(_geometries((1, 2, 3, 4, 8, 16), 256)))
    coloured = [g for g in _geometries((8, 16), l2["line_b"]) if g["size_kib"] * 1024 // g["ways"] > ALIGNMENT]
    firsts = st.sampled_from(_geometries((1, 1, 2, 3), l2["line_b"])) | st.sampled_from(coloured)
    ways = draw(st.integers(1, 4))
    entries = draw(st.sampled_from((2, 3, 4, 5, 8, 16)))
    placements = st.sampled_from(("round-robin", "first-touch"))
    return {
        "cpu": {"count": cpus, "per_node": draw(st.integers(1, 4)), "nodes": 0},
        "memory": {"mib_per_node": 1, "page_kib": draw(st.sampled_from((4, 4, 4, 4, 16, 16, 64, 256)))},
        "tlb": {
            "entries": entries,
            "pages_per_entry": draw(st.sampled_from((1, 2))),
            "wired": draw(st.integers(0, entries - 1)),
            "asid_bits": draw(st.sampled_from((1, 1, 2, 8))),
        },
        "l1i": draw(firsts),
        "l1d": draw(firsts),
        "l2": l2 | {"inclusive": cpus > 1 or draw(st.booleans())},
        "placement": {"native": draw(placements), "disco": draw(placements)},
        "guest": {"refill_instructions": draw(st.integers(0, 14)), "refill_registers": draw(st.integers(0, 4))},
        "monitor": {
            "software_tlb_entries": ways * draw(st.sampled_from([n for n in (0, 1, 2, 4, 8, 16) if n * ways <= 16])),
            "software_tlb_ways": ways,
            "refill_instructions": draw(st.integers(0, 20)),
            "patch_registers": draw(st.booleans()),
            "zero_page_hint": draw(st.booleans()),
        },
    }


def frames_enough(meta: TraceMeta, rows: Rows, page_bytes: int) -> int:
    """An upper bound of the frames that a trace can hold at once, in either system.

    At most one page of page table for each page, one private frame for a page that may be private, and one frame
    for each page of a file or shared object that a touched page may show.
    """
    pages = _pages_touched(rows, page_bytes)
    table_pages = {(key, vpn // (page_bytes // 4)) for key, vpn in pages}
    private: set[tuple[int, int]] = set()
    shared: set[tuple[str, int, int]] = set()
    for key, vpn in pages:
        start = vpn * page_bytes
        for segment in meta.segments:
            if segment.asid == key and segment.start < start + page_bytes and start < segment.end:
                into_object = segment.offset + start - segment.start
                is_copy = segment.backing == "file" and segment.writable
                if segment.backing == "anonymous" or is_copy or into_object < 0 or into_object % page_bytes:
                    private.add((key, vpn))
                else:
                    shared.add((segment.backing, segment.object, into_object // page_bytes))
    return len(table_pages) + len(private) + len(shared)


def _pages_touched(rows: Rows, page_bytes: int) -> set[tuple[int, int]]:
    pages: set[tuple[int, int]] = set()
    columns = (rows.asid.tolist(), rows.kind.tolist(), rows.vaddr.tolist(), rows.size.tolist(), rows.arg.tolist())
    for asid, kind, vaddr, size, arg in zip(*columns, strict=True):
        is_wired = kind == Kind.PRIVILEGED and arg == Privileged.WIRED and vaddr != 0
        if is_wired or kind in (Kind.FETCH, Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE):
            last = vaddr + (0 if is_wired else size - 1)
            key = 0 if vaddr >> 63 else asid
            pages |= {(key, vpn) for vpn in range(vaddr // page_bytes, last // page_bytes + 1)}
    return pages


def with_memory_for(meta: TraceMeta, rows: Rows, tables: Tables) -> Tables:
    """``tables`` with the least memory per node that certainly suffices for the trace."""
    cpu, page_kib = tables["cpu"], tables["memory"]["page_kib"]
    nodes = cpu["nodes"] or -(-cpu["count"] // cpu["per_node"])
    frames_per_node = -(-frames_enough(meta, rows, page_kib * 1024) // nodes)
    mib_per_node = max(1, -(-frames_per_node * page_kib // 1024))
    return tables | {"memory": {"mib_per_node": mib_per_node, "page_kib": page_kib}}


@st.composite
def cases(draw: st.DrawFn, max_steps: int = 300) -> Case:
    """A trace with a machine that can hold it, under either system; windows from a few to many instructions."""
    meta, rows = draw(traces(max_steps))
    tables = with_memory_for(meta, rows, draw(machines(CPU_COUNTS | st.just(meta.cpus))))
    window = draw(st.sampled_from((1, 50, 1000, 1_000_000)))
    return Case(meta, rows, tables, draw(st.sampled_from(("native", "disco"))), window)
