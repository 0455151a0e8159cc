"""Random valid traces and random machines for property tests.

What is drawn is a list of small numbers; ``Writer`` reads each group of them as something that the running system
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
    TraceMeta,
)
from tests.property.writer import ACTIONS, ALIGNMENT, Step, Writer, overlap

Tables = dict[str, dict[str, Any]]

# The second user base and the second of KSEG2 stand before a boundary of the 4 MiB that one page of page table covers.
USER_BASES = (0x0040_0000, 0x007F_8000, 0x7FFF_F000_0000)
KERNEL_BASES = (
    KSEG0_START,
    KSEG0_START,
    KSEG0_START + 0x12_3000,
    XKPHYS_START,
    XKPHYS_START + 0x10_0000,
    KSEG2_START,
    KSEG2_START + 0x3F_E000,
)

CPU_COUNTS = st.just(1) | st.integers(1, 8)
PAGES_KIB = st.sampled_from((4, 4, 4, 4, 16, 16, 64, 256))

PLACEMENTS = ("round-robin", "first-touch", "random")
MIGRATIONS = st.fixed_dictionaries(
    {
        "trigger": st.sampled_from((1, 1, 1, 2, 2, 3, 4, 0)),
        "sharing": st.sampled_from((2, 1, 1, 3, 0)),
        "writes": st.sampled_from((3, 2, 1, 3, 0)),
        "moves": st.sampled_from((2, 2, 1, 0)),
        "reset_instructions": st.sampled_from((1 << 30, 1 << 30, 300, 20, 1)),
        "origin_difference": st.integers(0, 3),
        "origin_bounces": st.integers(0, 3),
    }
)


class Case(NamedTuple):
    """Everything a replay needs: a trace, a machine, the system, the window, and (VM, row) of a crash."""

    meta: TraceMeta
    rows: Rows
    tables: Tables
    system: str
    window: int
    crash: tuple[int, int] | None = None


@st.composite
def _segments(draw: st.DrawFn, asid: int, files: int, unit: int) -> list[Segment]:
    """Segments of one address space; those that hold from the beginning do not overlap.

    What KSEG0 shows is most often the last file, so that there are files that are not the kernel's.
    """
    bases = USER_BASES if asid else KERNEL_BASES
    segments: list[Segment] = []
    for _ in range(draw(st.integers(1, 5))):
        base = draw(st.sampled_from(bases))
        start = base + draw(st.sampled_from((0, 0, *range(10)))) * unit
        backing = draw(st.sampled_from(("anonymous", "file", "file", "file", "shared")))
        of_kernel = KSEG0_START <= base < KSEG2_START
        shown = st.sampled_from((*range(1, files + 1), *(files,) * 9)) if of_kernel else st.integers(1, files)
        segment = Segment(
            asid=asid,
            start=start,
            end=start + draw(st.integers(1, 6)) * unit,
            backing=backing,
            object=0 if backing == "anonymous" else draw(shown),
            offset=0 if backing == "anonymous" else draw(st.integers(0, 3)) * unit,
            writable=backing == "anonymous" or draw(st.sampled_from((False, False, True))),
            by_event=bool(segments) and draw(st.sampled_from((False, False, True))),
        )
        if segment.by_event or not any(overlap(segment, other) for other in segments if not other.by_event):
            segments.append(segment)
    return segments


@st.composite
def metas(draw: st.DrawFn, unit: int = ALIGNMENT) -> TraceMeta:
    """Metadata: 1 to 8 CPUs, 1 to 6 processes of up to 4 instances, 1 to 4 files, segments of all backings.

    Lengths and offsets are in ``unit`` bytes; some files end inside a page, some before their segments do.
    """
    cpus = draw(st.sampled_from((1, 2, 3, 4, 4, 5, 6, 7, 8, 8)))
    processes, files = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    sizes = st.sampled_from((1000, unit, unit + 900, 3 * unit, 5 * unit, 5 * unit + 1, 16 * unit, 16 * unit))
    return TraceMeta(
        cpus=cpus,
        processes=[Process(asid, f"p{asid}", 0, draw(st.integers(0, 3))) for asid in range(1, processes + 1)],
        segments=[segment for asid in range(processes + 1) for segment in draw(_segments(asid, files, unit))],
        files=[File(n, f"/f{n}", draw(sizes), draw(st.sampled_from((0, 0, 1, 2)))) for n in range(1, files + 1)],
    )


@st.composite
def traces(draw: st.DrawFn, max_steps: int = 300, unit: int = ALIGNMENT) -> tuple[TraceMeta, Rows]:
    """A valid trace of up to ``max_steps`` steps, and the few rows more that close services and leave dead processes.

    Pages, segments and files are multiples of ``unit`` bytes. One CPU does half of the work, so that it meets its
    own lines.
    """
    meta = draw(metas(unit))
    number = st.integers(0, 255)
    vcpu = st.just(0) | st.integers(0, meta.cpus - 1)
    steps = st.builds(Step, vcpu, st.sampled_from(ACTIONS), number, number, number)
    min_steps = draw(st.sampled_from((0, 20, 60, 120, 240)))  # hypothesis alone would draw half a dozen
    writer = Writer(meta, unit)
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
def hierarchies(draw: st.DrawFn, cpus: int) -> Tables:
    """Tables of the caches: l1i, l1d, l2. Half of the first-level caches have several colours of 4 KiB pages."""
    l2 = draw(st.sampled_from(_geometries((1, 2, 3, 4, 8, 16), 256)))
    coloured = [g for g in _geometries((8, 16), l2["line_b"]) if g["size_kib"] * 1024 // g["ways"] > ALIGNMENT]
    firsts = st.sampled_from(_geometries((1, 1, 2, 3), l2["line_b"])) | st.sampled_from(coloured)
    return {
        "l1i": draw(firsts),
        "l1d": draw(firsts),
        "l2": l2 | {"inclusive": cpus > 1 or draw(st.booleans())},
    }


@st.composite
def machines(
    draw: st.DrawFn, cpu_counts: st.SearchStrategy[int] = CPU_COUNTS, page_kib: st.SearchStrategy[int] = PAGES_KIB
) -> Tables:
    """Tables that ``Machine.from_tables`` accepts, ``cpu.count`` resolved; the memory of a node is small.

    Pages of 64 and 256 KiB make a node of so few frames that some fill.
    """
    cpus = draw(cpu_counts)
    caches = draw(hierarchies(cpus))
    ways = draw(st.integers(1, 4))
    vms = draw(st.sampled_from((1, 1, 1, 2, 2, 2, 3, 4, 8)))
    entries = draw(st.sampled_from((2, 3, 4, 5, 8, 16)))
    return {
        "cpu": {"count": cpus, "per_node": draw(st.sampled_from((1, 1, 1, 1, 2, 2, 3, 4))), "nodes": 0},
        "memory": {"mib_per_node": 1, "page_kib": draw(page_kib)},
        "tlb": {
            "entries": entries,
            "pages_per_entry": draw(st.sampled_from((1, 2))),
            "wired": draw(st.integers(0, entries - 1)),
            "asid_bits": draw(st.sampled_from((1, 1, 2, 8))),
        },
        **caches,
        "vm": {"count": vms, "nfs": draw(st.booleans())},
        "placement": {
            "native": draw(st.sampled_from(PLACEMENTS)),
            "policy": draw(st.sampled_from((*PLACEMENTS, *("disco", "disco", "disco", "origin", "origin") * 2))),
        },
        "migration": draw(MIGRATIONS),
        "guest": {
            "refill_instructions": draw(st.integers(0, 14)),
            "refill_registers": draw(st.integers(0, 4)),
            "buffer_cache_percent": draw(st.sampled_from((1, 1, 1, 1, 2, 5, 20, 100))),
            "bcopy_remaps": draw(st.booleans()),
            "mbuf_links_apart": draw(st.booleans()),
        },
        "disks": {"persistent": []},
        "monitor": {
            "software_tlb_entries": ways * draw(st.sampled_from([n for n in (0, 1, 2, 4, 8, 16) if n * ways <= 16])),
            "software_tlb_ways": ways,
            "refill_instructions": draw(st.integers(0, 20)),
            "kernel_page_kib": draw(st.sampled_from((64, 64, 16, 4, 4))),
            "patch_registers": draw(st.booleans()),
            "zero_page_hint": draw(st.booleans()),
            "free_page_hint": draw(st.booleans()),
            "idle_hint": draw(st.booleans()),
        },
    }


def memory_bounds(meta: TraceMeta, rows: Rows, page_bytes: int) -> tuple[int, int]:
    """Upper bounds of what one OS can need at once: guest pages, and how many of them are pages of files.

    At most one page of page table for each page, one private page for a page that may be private, and one for each
    page of a file or shared object that is read or written, or that a touched page may show.
    """
    pages = _pages_touched(rows, page_bytes)
    table_pages = {(key, vpn // (page_bytes // 4)) for key, vpn in pages}
    private: set[tuple[int, int]] = set()
    shared: set[tuple[str, int, int]] = _file_pages(rows, page_bytes)
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
    return len(table_pages) + len(private) + len(shared), len(shared)


def _file_pages(rows: Rows, page_bytes: int) -> set[tuple[str, int, int]]:
    columns = (rows.kind.tolist(), rows.vaddr.tolist(), rows.size.tolist(), rows.arg.tolist())
    return {
        ("file", file, page)
        for kind, offset, size, file in zip(*columns, strict=True)
        if kind in (Kind.FILE_READ, Kind.FILE_WRITE) or (kind == Kind.RESIDENT and file)
        for page in range(offset // page_bytes, (offset + size - 1) // page_bytes + 1)
    }


def _pages_touched(rows: Rows, page_bytes: int) -> set[tuple[int, int]]:
    pages: set[tuple[int, int]] = set()
    columns = (rows.asid.tolist(), rows.kind.tolist(), rows.vaddr.tolist(), rows.size.tolist(), rows.arg.tolist())
    for asid, kind, vaddr, size, arg in zip(*columns, strict=True):
        is_wired = kind == Kind.PRIVILEGED and arg == Privileged.WIRED and vaddr != 0
        is_resident = kind == Kind.RESIDENT and not arg
        if is_wired or is_resident or kind in (Kind.FETCH, Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE):
            last = vaddr + (0 if is_wired else size - 1)
            key = 0 if vaddr >> 63 else asid
            pages |= {(key, vpn) for vpn in range(vaddr // page_bytes, last // page_bytes + 1)}
    return pages


def with_memory_for(meta: TraceMeta, rows: Rows, tables: Tables) -> Tables:
    """``tables`` with the least memory per node that certainly suffices for the trace, in every system.

    Each VM may need every guest page and a log of every page of a file; the disk cache holds every such page once.
    """
    cpu, page_kib, vms = tables["cpu"], tables["memory"]["page_kib"], tables["vm"]["count"]
    nodes = cpu["nodes"] or -(-cpu["count"] // cpu["per_node"])
    guest_pages, file_pages = memory_bounds(meta, rows, page_kib * 1024)
    frames = vms * (guest_pages + file_pages + 1) + file_pages + 2
    mib_per_node = max(1, -(-frames * page_kib // (1024 * nodes)))
    return tables | {"memory": {"mib_per_node": mib_per_node, "page_kib": page_kib}}


@st.composite
def _crashes(draw: st.DrawFn, rows: Rows, vms: int, nfs: bool) -> tuple[int, int] | None:
    """Now and then a VM and the row from which it is dead; the server of NFS lives."""
    mortal = range(1 if nfs and vms > 1 else 0, vms)
    if not len(rows.kind) or draw(st.integers(0, 5)) > 0:
        return None
    return draw(st.sampled_from(mortal)), draw(st.integers(0, len(rows.kind) - 1))


@st.composite
def _case_on(draw: st.DrawFn, meta: TraceMeta, rows: Rows, tables: Tables) -> Case:
    """A case on this machine: persistent disks only where one VM alone uses disks."""
    system = draw(st.sampled_from(("disco", "disco", "native", "splashos", "disco")))
    vms = 1 if system == "native" else tables["vm"]["count"]
    nfs = tables["vm"]["nfs"]
    if (tables["vm"]["count"] == 1 or nfs) and draw(st.integers(0, 3)) == 0:
        tables = tables | {"disks": {"persistent": draw(st.sampled_from(([0], [1, 2], [0, 1, 2])))}}
    window = draw(st.sampled_from((1, 50, 1000, 1_000_000)))
    return Case(meta, rows, tables, system, window, draw(_crashes(rows, vms, nfs)))


@st.composite
def cases(draw: st.DrawFn, max_steps: int = 300) -> Case:
    """A trace with a machine that can hold it, under any system; windows from a few to many instructions."""
    page_kib = draw(PAGES_KIB)
    meta, rows = draw(traces(max_steps, draw(st.sampled_from((ALIGNMENT, page_kib * 1024)))))
    tables = draw(machines(_cpu_counts(meta), st.just(page_kib)))
    return draw(_case_on(meta, rows, with_memory_for(meta, rows, tables)))


@st.composite
def small_memory_cases(draw: st.DrawFn, max_steps: int = 300) -> Case:
    """A trace on nodes of 1 to 16 frames: pages are evicted, given up and spilt to other nodes.

    There is about enough for what is private, and for some of the pages of files. That a virtual machine is out of
    memory is a legal end.
    """
    page_kib = draw(st.sampled_from((64, 64, 128, 256, 512, 1024)))
    meta, rows = draw(traces(max_steps, page_kib * 1024))
    tables = draw(machines(_cpu_counts(meta), st.just(page_kib)))
    cpu, vms = tables["cpu"], tables["vm"]["count"]
    guest_pages, file_pages = memory_bounds(meta, rows, page_kib * 1024)
    frames = (guest_pages - file_pages) * draw(st.sampled_from((1, vms))) + vms * draw(st.integers(1, file_pages + 2))
    nodes = max(-(-cpu["count"] // cpu["per_node"]), -(-frames * page_kib // 1024))
    changed = {
        "cpu": cpu | {"nodes": nodes},
        "guest": tables["guest"] | {"buffer_cache_percent": draw(st.sampled_from((5, 20, 50)))},
    }
    return draw(_case_on(meta, rows, tables | changed))


def _cpu_counts(meta: TraceMeta) -> st.SearchStrategy[int]:
    """Most often one CPU for each virtual CPU, so that nodes share."""
    return st.sampled_from((meta.cpus, meta.cpus, meta.cpus, *range(1, 9)))
