"""The whole machine, row by row: sections 1, 3, 5, 8 and 9 of ``docs/model.md``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from discotrace.tracegen.schema import Kind, Privileged, Rows, Service, TraceMeta
from tests.oracle.caches import Caches
from tests.oracle.memory import PAGE_TABLE_KEYS, Frame, Memory, Page, is_unmapped_region
from tests.oracle.tlb import Frames, SoftwareTlb, Tag, Tlb

UTLB_MISS = "kernel:utlb_miss"


class Oracle:
    """Replays rows one by one and counts.

    ``counts`` has (window, cpu, vm, context name, event name) -> number, only where not zero; vm is always 0.
    ``page_misses`` has (node, index within the node) -> cpu -> L2 misses.
    """

    def __init__(self, meta: TraceMeta, tables: dict[str, dict[str, Any]], system: str, window: int):
        """``tables`` with ``cpu.count`` > 0; ``system`` native or disco; ``window`` instructions."""
        cpu, tlb, memory = tables["cpu"], tables["tlb"], tables["memory"]
        self.is_disco = system == "disco"
        self.guest = tables["guest"]
        self.monitor = tables["monitor"]
        self.cpus: int = cpu["count"]
        self.per_node: int = cpu["per_node"]
        self.window_size = window
        nodes = cpu["nodes"] or -(-self.cpus // self.per_node)
        frames_per_node = memory["mib_per_node"] * 1024 // memory["page_kib"]
        policy = tables["placement"][system]
        self.memory = Memory(meta, memory["page_kib"] * 1024, nodes, frames_per_node, system, policy)
        self.caches = Caches(tables, self.memory, self._node_of, self._count)
        self.tlbs = [Tlb(**tlb) for _ in range(self.cpus)]
        self.software_tlbs = [
            SoftwareTlb(self.monitor["software_tlb_entries"], self.monitor["software_tlb_ways"], tlb["pages_per_entry"])
            for _ in range(meta.cpus)
        ]
        self.retired = [0] * self.cpus
        self.vcpu_before: list[int | None] = [None] * self.cpus
        self.services: list[list[str]] = [[] for _ in range(meta.cpus)]
        self.instructions = 0  # the T of section 9
        self.row = 0
        self.cpu = 0
        self.vcpu = 0
        self.context = "user"
        self.counts: dict[tuple[int, int, int, str, str], int] = {}

    @property
    def page_misses(self) -> dict[tuple[int, int], dict[int, int]]:
        """L2 misses of each frame, (node, index within the node), by CPU."""
        return self.caches.page_misses

    def _node_of(self, cpu: int) -> int:
        return cpu // self.per_node

    def _count(self, event: str, number: int = 1) -> None:
        if number:
            key = (self.instructions // self.window_size, self.cpu, 0, self.context, event)
            self.counts[key] = self.counts.get(key, 0) + number

    @contextmanager
    def _in_context(self, context: str) -> Iterator[None]:
        before, self.context = self.context, context
        yield
        self.context = before

    def run(self, rows: Rows) -> None:
        """Replays the next rows of the trace.

        Raises ValueError when a page is needed where no segment holds, MemoryError when every node is full; both
        messages begin with the number of the row, counted from 0 over all calls.
        """
        for row in zip(*(column.tolist() for column in rows), strict=True):
            try:
                self._act(*row)
            except (ValueError, MemoryError) as fault:
                raise type(fault)(f"row {self.row}: {fault}") from fault
            self.row += 1

    def _act(self, vcpu: int, asid: int, kind: int, vaddr: int, size: int, arg: int) -> None:
        self._begin(vcpu)
        if kind in (Kind.FETCH, Kind.LOAD, Kind.STORE):
            self._reference(Kind(kind).name.lower(), asid, vaddr, size, arg)
        else:
            self._event(Kind(kind), asid, vaddr, size, arg)
        if kind in (Kind.FETCH, Kind.ZERO_PAGE):  # section 9
            self.instructions += arg

    def _begin(self, vcpu: int) -> None:
        """Section 4, change of virtual CPU."""
        self.vcpu, self.cpu = vcpu, vcpu % self.cpus
        self.context = self.services[vcpu][-1] if self.services[vcpu] else "user"
        if self.vcpu_before[self.cpu] not in (None, vcpu):
            self._count("vcpu_switches")
            if self.is_disco:
                self._count("tlb_flushes")
                self.tlbs[self.cpu].flush()
        self.vcpu_before[self.cpu] = vcpu

    # Section 3: life of a reference

    def _reference(self, kind: str, asid: int, vaddr: int, size: int, arg: int) -> None:
        self._count(f"{kind}_rows")
        for first, stop in self._by_page(vaddr, size):
            page = self.memory.page_at(first, asid)
            if self.is_disco or not is_unmapped_region(first):
                frame = self._translate(page, first)
            else:
                frame = self._frame_of(page, first)
            self._touch_lines(kind, first, stop, frame)
        if kind == "fetch":
            self._execute(arg)

    def _by_page(self, vaddr: int, size: int) -> Iterator[tuple[int, int]]:
        """The bytes vaddr .. vaddr + size - 1 as (first, stop) within each page, ascending."""
        page_bytes = self.memory.page_bytes
        first = vaddr
        while first < vaddr + size:
            stop = min((first // page_bytes + 1) * page_bytes, vaddr + size)
            yield first, stop
            first = stop

    def _touch_lines(self, kind: str, first: int, stop: int, frame: Frame) -> None:
        l1 = self.caches.l1i[self.cpu] if kind == "fetch" else self.caches.l1d[self.cpu]
        for line in range(first // l1.line_b, (stop - 1) // l1.line_b + 1):
            self.caches.access(self.cpu, kind, line * l1.line_b, frame)

    def _execute(self, instructions: int) -> None:
        self._count("instructions", instructions)
        self.retired[self.cpu] += instructions

    def _frame_of(self, page: Page, touched: int) -> Frame:
        """The frame of a page, mapped if need be in the current context (section 2)."""
        if page not in self.memory.pages:
            is_new = self.memory.map_page(page, touched, self._node_of(self.cpu))
            self._count("pages_mapped")
            self._count("frames_allocated", int(is_new))
        return self.memory.pages[page]

    # Sections 4 and 5: translation and refill

    def _translate(self, page: Page, touched: int) -> Frame:
        """One TLB access, and the refill if it needs one."""
        tlb = self.tlbs[self.cpu]
        if 0 < page.key < PAGE_TABLE_KEYS and tlb.take_asid(page.key):
            self._count("tlb_flushes")
        frame = tlb.frame_at(page)
        if frame is not None:
            self._count("tlb_hits")
            return frame
        self._count("tlb_misses" if tlb.find(tlb.tag_of(page)) is None else "tlb_invalid")
        with self._in_context(UTLB_MISS if self._is_guests(page) else self.context):
            return self._refill(page, touched)

    def _is_guests(self, page: Page) -> bool:
        """Whether the guest's handler refills this page; the others are the monitor's (section 5)."""
        return page.key < PAGE_TABLE_KEYS and not is_unmapped_region(page.vpn * self.memory.page_bytes)

    def _refill(self, page: Page, touched: int) -> Frame:
        frame = self._frame_of(page, touched)
        tag = self.tlbs[self.cpu].tag_of(page)
        if self.is_disco:
            self._refill_disco(page, tag)
        else:
            self._run_handler(page, tag)
            self._write_tlb(tag, self._group(tag))
        return frame

    def _refill_disco(self, page: Page, tag: Tag) -> None:
        software_tlb = self.software_tlbs[self.vcpu]
        held = software_tlb.look_up(page)
        if held is not None:
            self._count("software_tlb_hits")
            self.retired[self.cpu] += self.monitor["refill_instructions"]
            self._write_tlb(tag, held)
            return
        if self._is_guests(page):
            self._run_handler(page, tag)
            self._count_patchable(self.guest["refill_registers"])
            self._count("tlb_writes_emulated")
        else:
            self._count("kernel_tlb_refills")
        self.retired[self.cpu] += self.monitor["refill_instructions"]
        software_tlb.write(tag, self._group(tag))
        self._write_tlb(tag, self._group(tag))

    def _run_handler(self, page: Page, tag: Tag) -> None:
        """The guest's handler: its instructions and the load of the group's page table entries (native 1 and 2)."""
        self._count("guest_refills")
        self._execute(self.guest["refill_instructions"])
        table_page = self.memory.table_page_of(page)
        entry_address = tag.group * self.tlbs[self.cpu].pages_per_entry * 4
        frame = self._translate(table_page, 0) if self.is_disco else self._frame_of(table_page, 0)
        self._count("page_table_loads")
        self.caches.access(self.cpu, "load", entry_address, frame)

    def _group(self, tag: Tag) -> Frames:
        """Every page of the group that is mapped now, others invalid (section 4)."""
        pages = self.tlbs[self.cpu].pages_per_entry
        return tuple(self.memory.pages.get(Page(tag.key, tag.group * pages + place)) for place in range(pages))

    def _write_tlb(self, tag: Tag, frames: Frames) -> None:
        self.tlbs[self.cpu].write(tag, frames, self.retired[self.cpu])

    # Section 8: events

    def _event(self, kind: Kind, asid: int, vaddr: int, size: int, arg: int) -> None:
        match kind:
            case Kind.ENTER:
                self.context = f"kernel:{Service(arg).name.lower()}"
                self.services[self.vcpu].append(self.context)
                self._count("service_entries")
            case Kind.EXIT:
                self.services[self.vcpu].pop()
            case Kind.PRIVILEGED:
                self._privileged(Privileged(arg), asid, vaddr, size)
            case Kind.ZERO_PAGE:
                self._zero_page(asid, vaddr, size, arg)
            case Kind.IDLE:
                with self._in_context("idle"):
                    self._count("idle_instructions", size)
            case Kind.FILE_READ | Kind.FILE_WRITE:
                name = kind.name.lower()
                self._count(f"{name}s")
                self._count(f"{name}_bytes", size)
            case Kind.MAP:
                self.memory.map_event(arg)
            case Kind.UNMAP:
                self._unmap(arg)
            case Kind.PROCESS_EXIT:
                self._count("process_exits")
                self.memory.exit_event(asid)
            case _:
                self._count(PLAIN_EVENTS[kind])

    def _privileged(self, what: Privileged, asid: int, vaddr: int, size: int) -> None:
        if what == Privileged.WIRED:
            self._count("wired_writes_emulated" if self.is_disco else "privileged", size)
            self._write_wired(asid, vaddr)
        elif not self.is_disco:
            self._count("privileged", size)
        elif what in (Privileged.REGISTER, Privileged.INTERRUPT):
            self._count_patchable(size)
        else:
            self._count("privileged_emulated", size)

    def _count_patchable(self, number: int) -> None:
        self._count("privileged_patched" if self.monitor["patch_registers"] else "privileged_emulated", number)

    def _write_wired(self, asid: int, vaddr: int) -> None:
        tlb = self.tlbs[self.cpu]
        if vaddr == 0:
            tlb.empty_wired()
            return
        page = self.memory.page_at(vaddr, asid)
        self._frame_of(page, vaddr)
        tag = tlb.tag_of(page)
        if self.is_disco:
            self.software_tlbs[self.vcpu].write(tag, self._group(tag))
        tlb.write_wired(tag, self._group(tag))

    def _zero_page(self, asid: int, vaddr: int, size: int, instructions: int) -> None:
        for first, _ in self._by_page(vaddr, size):
            self._frame_of(self.memory.page_at(first, asid), first)
        by_monitor = self.is_disco and self.monitor["zero_page_hint"]
        if by_monitor:
            self._count("zero_page_calls")
        else:
            self._execute(instructions)
            self._clear(asid, vaddr, size)
        if self.is_disco:
            with self._in_context(f"monitor:{self.context.removeprefix('kernel:')}"):
                self._clear(asid, vaddr, size)

    def _clear(self, asid: int, vaddr: int, size: int) -> None:
        """Stores to every line of the range, not translated."""
        for first, stop in self._by_page(vaddr, size):
            self._touch_lines("store", first, stop, self._frame_of(self.memory.page_at(first, asid), first))

    def _unmap(self, number: int) -> None:
        for page in self.memory.unmap_event(number):
            for tlb in self.tlbs:
                tlb.invalidate(page)
            for software_tlb in self.software_tlbs:
                software_tlb.invalidate(page)


PLAIN_EVENTS = {
    Kind.FREE_PAGE: "free_pages",
    Kind.LOCK: "lock_acquires",
    Kind.UNLOCK: "lock_releases",
    Kind.BARRIER: "barriers",
    Kind.SWITCH: "switches",
}
