"""The names of things in memory, and where they lie: sections 1 and 2 of ``docs/model.md``."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG0_END,
    KSEG0_START,
    XKPHYS_END,
    XKPHYS_START,
    File,
    Segment,
    TraceMeta,
)

PAGE_TABLE_KEYS = 1 << 32  # the page table pages of key k have key k + 2^32
KERNEL_KEYS = 1 << 33  # the kernel of VM m has key m * 2^33


class Page(NamedTuple):
    """A virtual page: the key (of a kernel, or the asid, or either + 2^32) and the number of the page."""

    key: int
    vpn: int


class Frame(NamedTuple):
    """A machine frame: its node and its index within the node."""

    node: int
    i: int


class GuestPage(NamedTuple):
    """A page of what a virtual machine takes for its memory."""

    vm: int
    number: int


class FilePage(NamedTuple):
    """A page of a file, which is also its place on the disk."""

    disk: int
    file: int
    page: int


class Identity(NamedTuple):
    """What a shared virtual page shows: a page of a ``file`` or of a ``shared`` object."""

    backing: str
    object: int
    page: int


def is_kseg0(address: int) -> bool:
    """Whether the address lies in KSEG0."""
    return KSEG0_START <= address < KSEG0_END


def is_unmapped_region(address: int) -> bool:
    """Whether the address lies in KSEG0 or XKPHYS, which are not translated natively (section 3)."""
    return is_kseg0(address) or XKPHYS_START <= address < XKPHYS_END


def is_page_table(key: int) -> bool:
    """Whether this is the key of page table pages."""
    return key % KERNEL_KEYS >= PAGE_TABLE_KEYS


def is_user(key: int) -> bool:
    """Whether this is the key of a process."""
    return 0 < key < PAGE_TABLE_KEYS


def key_of(address: int, asid: int, vm: int) -> int:
    """The key of a page: that of the VM's kernel for kernel addresses, else the row's asid (section 2)."""
    return vm * KERNEL_KEYS if address >= KERNEL_BASE else asid


class Layout:
    """Nodes, frames and machine addresses (sections 1 and 2)."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], system: str):
        """``tables`` with ``cpu.count`` > 0."""
        self.cpus: int = tables["cpu"]["count"]
        self.per_node: int = tables["cpu"]["per_node"]
        self.nodes: int = tables["cpu"]["nodes"] or -(-self.cpus // self.per_node)
        self.page_bytes: int = tables["memory"]["page_kib"] * 1024
        self.frames_per_node: int = tables["memory"]["mib_per_node"] * 1024 // tables["memory"]["page_kib"]
        self.system = system

    def node_of(self, cpu: int) -> int:
        """The node of a CPU."""
        return cpu // self.per_node

    def cpus_of(self, nodes: set[int]) -> set[int]:
        """The CPUs of these nodes."""
        return {cpu for cpu in range(self.cpus) if self.node_of(cpu) in nodes}

    def page_at(self, address: int, asid: int, vm: int) -> Page:
        """The page of an address (section 2)."""
        return Page(key_of(address, asid, vm), address // self.page_bytes)

    def table_page_of(self, page: Page) -> Page:
        """The page table page with the entry of ``page``: an entry has 4 bytes (section 2)."""
        return Page(page.key + PAGE_TABLE_KEYS, page.vpn // (self.page_bytes // 4))

    def machine_address(self, frame: Frame, offset: int) -> int:
        """Machine address of a byte: frames interleaved natively, node after node under the monitor (section 2)."""
        if self.system == "native":
            number = frame.i * self.nodes + frame.node
        else:
            number = frame.node * self.frames_per_node + frame.i
        return number * self.page_bytes + offset


class AddressSpaces:
    """Which segments hold, and what the pages in them show."""

    def __init__(self, meta: TraceMeta, page_bytes: int):
        """The segments that are not mapped by an event hold."""
        self.page_bytes = page_bytes
        self.segments = meta.segments
        self.holding = {number for number, segment in enumerate(meta.segments) if not segment.by_event}

    def exit(self, asid: int) -> None:
        """The segments of a process end with it."""
        self.holding = {number for number in self.holding if self.segments[number].asid != asid}

    def identity(self, page: Page, touched: int) -> Identity | None:
        """What the page shows, by the segment at the address touched; None = it is private (section 2).

        Raises ValueError when no segment holds there.
        """
        if is_page_table(page.key):
            return None
        segment = self._segment_at(page.key if is_user(page.key) else 0, touched)
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            return None
        distance = segment.offset + page.vpn * self.page_bytes - segment.start
        if distance < 0 or distance % self.page_bytes != 0:
            return None
        return Identity(segment.backing, segment.object, distance // self.page_bytes)

    def _segment_at(self, asid: int, address: int) -> Segment:
        for number in sorted(self.holding):
            segment = self.segments[number]
            if segment.asid == asid and segment.start <= address < segment.end:
                return segment
        raise ValueError(f"no segment of asid {asid} holds at {address:#x}")


def kernel_files(meta: TraceMeta) -> set[int]:
    """The files that a segment of asid 0 in KSEG0 shows; a writable one shows a copy, not the file (section 2)."""
    return {
        segment.object
        for segment in meta.segments
        if segment.asid == 0 and is_kseg0(segment.start) and segment.backing == "file" and not segment.writable
    }


def ends_inside(file: File, page: int, page_bytes: int) -> bool:
    """Whether the file ends inside this page of it, which is then no whole page."""
    return page * page_bytes < file.size < (page + 1) * page_bytes


class PageMap:
    """The page tables of all guests, and the way back: the virtual pages of each guest page (backmaps, D 4.2.1)."""

    def __init__(self) -> None:
        """Nothing is mapped."""
        self.guest_pages: dict[Page, GuestPage] = {}

    def virtual_pages(self, *guest_pages: GuestPage) -> list[Page]:
        """The virtual pages of these guest pages, in ascending order of vpn."""
        pages = [page for page, guest_page in self.guest_pages.items() if guest_page in guest_pages]
        return sorted(pages, key=lambda page: (page.vpn, page.key))

    def has_user(self, guest_page: GuestPage) -> bool:
        """Whether a user key maps this guest page."""
        return any(is_user(page.key) for page in self.virtual_pages(guest_page))
