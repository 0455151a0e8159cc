"""Pages, identities, frames, placement (section 2 of ``docs/model.md``), and what UNMAP and PROCESS_EXIT take back."""

from collections.abc import Iterable
from typing import NamedTuple

from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG0_END,
    KSEG0_START,
    XKPHYS_END,
    XKPHYS_START,
    Segment,
    TraceMeta,
)

PAGE_TABLE_KEYS = 1 << 32  # the page table pages of key k have key k + 2^32


class Page(NamedTuple):
    """A virtual page: the key (0 kernel, else asid, or either + 2^32) and the number of the page."""

    key: int
    vpn: int


class Frame(NamedTuple):
    """A machine frame: its node and its index within the node."""

    node: int
    i: int


def is_unmapped_region(address: int) -> bool:
    """Whether the address lies in KSEG0 or XKPHYS, which are not translated natively (section 3)."""
    return KSEG0_START <= address < KSEG0_END or XKPHYS_START <= address < XKPHYS_END


def key_of(address: int, asid: int) -> int:
    """The key of a page: 0 for kernel addresses, else the row's asid (section 2)."""
    return 0 if address >= KERNEL_BASE else asid


class Memory:
    """Which segments hold, which pages are mapped to which frames, and which frames are free."""

    def __init__(self, meta: TraceMeta, page_bytes: int, nodes: int, frames_per_node: int, system: str, policy: str):
        """``system`` is native or disco, ``policy`` round-robin or first-touch."""
        self.page_bytes = page_bytes
        self.nodes = nodes
        self.frames_per_node = frames_per_node
        self.system = system
        self.policy = policy
        self.segments = meta.segments
        self.holding = {number for number, segment in enumerate(meta.segments) if not segment.by_event}
        self.pages: dict[Page, Frame] = {}
        self.private: set[Page] = set()
        self.identities: dict[tuple[str, int, int], Frame] = {}
        self.freed: list[list[int]] = [[] for _ in range(nodes)]
        self.fresh = [0] * nodes
        self.frames_ever = 0

    def page_at(self, address: int, asid: int) -> Page:
        """The page of an address (section 2)."""
        return Page(key_of(address, asid), address // self.page_bytes)

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

    def map_page(self, page: Page, touched: int, toucher_node: int) -> bool:
        """Maps a page at the address touched; returns whether it took a new frame (section 2).

        Raises ValueError when no segment holds there, MemoryError when every node is full.
        """
        if page.key >= PAGE_TABLE_KEYS:
            return self._map_private(page, toucher_node)
        identity = self._identity(page, self._segment_at(page.key, touched))
        if identity is None:
            return self._map_private(page, toucher_node)
        is_new = identity not in self.identities
        if is_new:
            self.identities[identity] = self._new_frame(toucher_node)
        self.pages[page] = self.identities[identity]
        return is_new

    def _map_private(self, page: Page, toucher_node: int) -> bool:
        self.pages[page] = self._new_frame(toucher_node)
        self.private.add(page)
        return True

    def _segment_at(self, key: int, address: int) -> Segment:
        for number in self.holding:
            segment = self.segments[number]
            if segment.asid == key and segment.start <= address < segment.end:
                return segment
        raise ValueError(f"no segment of asid {key} holds at {address:#x}")

    def _identity(self, page: Page, segment: Segment) -> tuple[str, int, int] | None:
        """(kind, object, page of the object), or None for a private page."""
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            return None
        distance = segment.offset + page.vpn * self.page_bytes - segment.start
        if distance < 0 or distance % self.page_bytes != 0:
            return None
        return segment.backing, segment.object, distance // self.page_bytes

    def _new_frame(self, toucher_node: int) -> Frame:
        wanted = self.frames_ever % self.nodes if self.policy == "round-robin" else toucher_node
        self.frames_ever += 1
        for step in range(self.nodes):
            node = (wanted + step) % self.nodes
            if self.freed[node]:
                return Frame(node, self.freed[node].pop())
            if self.fresh[node] < self.frames_per_node:
                self.fresh[node] += 1
                return Frame(node, self.fresh[node] - 1)
        raise MemoryError("every node is full")

    def map_event(self, number: int) -> None:
        """MAP: the segment holds from here (section 8)."""
        self.holding.add(number)

    def unmap_event(self, number: int) -> list[Page]:
        """UNMAP: the segment ends; returns the pages that lost their mapping (section 8)."""
        self.holding.discard(number)
        segment = self.segments[number]
        gone = [
            page
            for page in self.pages
            if page.key == segment.asid and segment.start <= page.vpn * self.page_bytes < segment.end
        ]
        self._unmap(gone)
        return gone

    def exit_event(self, asid: int) -> None:
        """PROCESS_EXIT: the process's pages go, then its page table pages (section 8)."""
        self.holding = {number for number in self.holding if self.segments[number].asid != asid}
        self._unmap([page for page in self.pages if page.key == asid])
        self._unmap([page for page in self.pages if page.key == asid + PAGE_TABLE_KEYS])

    def _unmap(self, pages: Iterable[Page]) -> None:
        """Removes mappings and frees the private frames, in ascending order of vpn (section 8)."""
        for page in sorted(pages, key=lambda page: page.vpn):
            frame = self.pages.pop(page)
            if page in self.private:
                self.private.remove(page)
                self.freed[frame.node].append(frame.i)
