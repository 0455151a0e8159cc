"""Small machines and one small trace's metadata, for the stateful test of the monitor's memory.

Every segment begins and ends with a page, so that what a page shows can be told without the code under test.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from hypothesis import strategies as st

from discotrace.replay.machine import Machine
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, XKPHYS_START, File, Process, Segment, TraceMeta
from tests.machines import machine

PAGE_KIB = 256  # so that a node has 4 frames for each MiB, and whatever has a page has a table of 256 KiB / 4 entries
PAGE = PAGE_KIB * 1024
GAP = 1 << 24  # between segments
INSTANCES = 4

LIBRARY, TEXT, DATA, KERNEL = 1, 2, 3, 4  # files


@dataclass(frozen=True)
class Setup:
    """One sequence's machine and trace. ``changes``: of the preset machine; ``streams``: virtual CPUs of the trace."""

    changes: dict[str, Any]
    streams: int
    history: bool

    @cached_property
    def machine(self) -> Machine:
        return machine(**_caches(), **self.changes)

    @property
    def meta(self) -> TraceMeta:
        return metadata(self.streams)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    """1 to 4 CPUs, nodes and VMs; memory from too little to plenty; every switch of the monitor and the guest."""
    cpus, per_node = draw(st.sampled_from((1, 2, 3, 4, 4))), draw(st.sampled_from((1, 1, 2)))
    vms = draw(st.sampled_from((1, 2, 2, 3, 4)))
    streams = draw(st.integers(1, 4))
    nodes = max(-(-cpus // per_node), draw(st.integers(1, 4)))
    pages_of_vm = draw(st.sampled_from((6, 8, 10, 14, 20, 60)))
    ways = draw(st.sampled_from((1, 2)))
    flag = st.booleans()
    changes = {
        "cpu__count": cpus,
        "cpu__per_node": per_node,
        "cpu__nodes": nodes,
        "memory__mib_per_node": max(1, vms * pages_of_vm * PAGE_KIB // 1024 // nodes),
        "tlb__entries": draw(st.sampled_from((2, 4, 8))),
        "tlb__pages_per_entry": draw(st.sampled_from((1, 2))),
        "tlb__wired": draw(st.sampled_from((0, 1))),
        "tlb__asid_bits": draw(st.sampled_from((1, 8))),
        "vm__count": vms,
        "vm__nfs": draw(flag),
        "placement__policy": draw(st.sampled_from(("disco", "disco", "origin", "random", "round-robin"))),
        "migration__trigger": draw(st.integers(1, 3)),
        "migration__sharing": draw(st.integers(1, 2)),
        "migration__writes": draw(st.integers(1, 9)),
        "migration__moves": draw(st.integers(1, 9)),
        "migration__reset_instructions": draw(st.sampled_from((4, 1 << 20))),
        "migration__origin_difference": 1,
        "migration__origin_bounces": draw(st.integers(1, 9)),
        "guest__buffer_cache_percent": draw(st.sampled_from((0, 0, 20, 40, 75))),
        "guest__bcopy_remaps": draw(flag),
        "guest__mbuf_links_apart": draw(flag),
        "disks__persistent": draw(st.sampled_from(([], [], [1], [1, 2]))),
        "monitor__software_tlb_entries": ways * draw(st.sampled_from((0, 4, 16))),
        "monitor__software_tlb_ways": ways,
        "monitor__kernel_page_kib": PAGE_KIB * draw(st.sampled_from((1, 1, 2))),
        "monitor__zero_page_hint": draw(flag),
        "monitor__free_page_hint": draw(flag),
    }
    return Setup(changes, streams, draw(flag))


@cache
def metadata(streams: int) -> TraceMeta:
    """Four instances of a workload, the first with two processes, over one kernel."""
    processes = [Process(asid, f"p{asid}", instance=(asid - 1) % INSTANCES) for asid in range(1, INSTANCES + 2)]
    return TraceMeta(
        cpus=streams,
        processes=processes,
        segments=_kernel_segments() + [segment for process in processes for segment in _segments(process.asid)],
        files=[
            File(LIBRARY, "/library", 3 * PAGE, disk=0),
            File(TEXT, "/text", 2 * PAGE + PAGE // 2, disk=1),
            File(DATA, "/data", PAGE + 1, disk=2),
            File(KERNEL, "/kernel", 2 * PAGE, disk=0),
        ],
    )


def _caches() -> dict[str, int | bool]:
    """Caches of few lines, so that references miss again and again."""
    firsts = {
        f"{cache}__{key}": number
        for cache in ("l1i", "l1d")
        for key, number in (("size_kib", 1), ("ways", 2), ("line_b", 256))
    }
    return firsts | {
        "memory__page_kib": PAGE_KIB,
        "l2__size_kib": 4,
        "l2__ways": 2,
        "l2__line_b": 1024,
        "l2__inclusive": True,
    }


def _segments(asid: int) -> list[Segment]:
    """Of a process."""
    return [
        _segment(asid, GAP, 2, "anonymous"),
        _segment(asid, 2 * GAP, 2, "shared", of=1),
        _segment(asid, 3 * GAP, 3, "file", of=LIBRARY, writable=False),
        _segment(asid, 4 * GAP, 1, "file", of=TEXT),
        _segment(asid, 5 * GAP, 3, "file", of=TEXT, writable=False, by_event=True),
        _segment(asid, 6 * GAP, 2, "anonymous", by_event=True),
    ]


def _kernel_segments() -> list[Segment]:
    """The kernel's text and data, its windows on files, and what it maps now and then."""
    return [
        _segment(0, KSEG0_START, 2, "file", of=KERNEL, writable=False),
        _segment(0, KSEG0_START + GAP, 2, "anonymous"),
        _segment(0, XKPHYS_START + GAP, 3, "file", of=LIBRARY, writable=False),
        _segment(0, XKPHYS_START + 2 * GAP, 3, "file", of=TEXT, writable=False),
        _segment(0, XKPHYS_START + 3 * GAP, 2, "file", of=DATA, writable=False),
        _segment(0, KSEG2_START, 1, "shared", of=7),
        _segment(0, KSEG2_START + GAP, 2, "anonymous", by_event=True),
        _segment(0, KSEG2_START + 2 * GAP, 3, "file", of=LIBRARY, writable=False, by_event=True),
    ]


def _segment(
    asid: int, start: int, pages: int, backing: str, of: int = 0, writable: bool = True, by_event: bool = False
) -> Segment:
    return Segment(asid, start, start + pages * PAGE, backing, of, 0, writable, by_event)
