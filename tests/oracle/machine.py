"""The whole machine, row by row: sections 1, 3, 8, 13, 14 and 15 of ``docs/model.md``."""

from collections.abc import Iterator, Mapping
from typing import Any

from discotrace.tracegen.schema import KERNEL_BASE, Kind, Privileged, Rows, Service, TraceMeta
from tests.oracle.caches import Caches
from tests.oracle.counters import FrameCounters
from tests.oracle.files import Files
from tests.oracle.footprint import footprint
from tests.oracle.frames import Frames
from tests.oracle.guest import Guest
from tests.oracle.hot_pages import HotPages
from tests.oracle.locks import Locks, class_of
from tests.oracle.memory import AddressSpaces, Frame, Layout, Page, PageMap, is_unmapped_region
from tests.oracle.now import Key, Now
from tests.oracle.paging import Paging
from tests.oracle.partition import Partition
from tests.oracle.services import FAULTS, LEFT_OUT, Services, context_of
from tests.oracle.tlbs import Tlbs
from tests.oracle.translation import Translation


class Oracle:
    """Replays rows one by one and counts.

    ``counts`` has ``Key``: (window, cpu, vm, lock, context name, event name, at) -> number, only where not zero.
    ``page_misses`` has (node, index within the node) -> cpu -> L2 misses.
    """

    def __init__(
        self,
        meta: TraceMeta,
        tables: Mapping[str, Mapping[str, Any]],
        system: str,
        window: int,
        crash: tuple[int, int] | None = None,
    ):
        """``tables`` with ``cpu.count`` > 0; ``system`` native, disco or splashos; ``window`` instructions.

        ``crash`` = (VM, row): the VM is dead from this row on; natively the replay ends there.
        """
        self.system, self.crash = system, crash
        self.monitor = tables["monitor"]
        self.layout = Layout(tables, system)
        self.vms: int = 1 if system == "native" else tables["vm"]["count"]
        self.partition = Partition(meta, self.layout.cpus, self.vms)
        self.now = Now(window)
        self.counters = FrameCounters(tables, self.layout)
        self.caches = Caches(tables, self.now, self.layout, self.counters)
        self.tlbs = Tlbs(tables, self.now, self.layout, self.partition)
        self.page_map = PageMap()
        self.frames = Frames(tables, self.now, self.layout, self.caches, self.tlbs, self.page_map, self.counters)
        self.guests = [
            Guest(vm, self._guest_pages(vm, tables["vm"]["nfs"]), tables, self.now, self.frames, self.tlbs)
            for vm in range(self.vms)
        ]
        self.files = Files(meta, tables, self.now, self.frames, self.tlbs, self.guests)
        spaces = AddressSpaces(meta, self.layout.page_bytes)
        self.paging = Paging(spaces, self.now, self.page_map, self.frames, self.tlbs, self.guests, self.files)
        self.translation = Translation(tables, self.now, self.layout, self.caches, self.tlbs, self.paging)
        self.hot_pages = HotPages(
            tables, self.now, self.layout, self.frames, self.tlbs, self.counters, self.translation
        )
        self.reset_instructions: int = tables["migration"]["reset_instructions"] * self.layout.cpus
        self.vcpu_before: list[tuple[int, int] | None] = [None] * self.layout.cpus
        self.services = Services(meta.cpus)
        self.locks = Locks(meta.cpus)
        self.dead_vm: int | None = None
        self.has_ended = False

    def _guest_pages(self, vm: int, nfs: bool) -> int:
        """The G of section 2: the server of NFS has three times as many guest pages as its clients."""
        all_frames = self.layout.nodes * self.layout.frames_per_node
        share = all_frames // self.vms
        return min(3 * share, all_frames) if nfs and vm == 0 else share

    @property
    def counts(self) -> dict[Key, int]:
        """The number of each event by window, cpu, vm, lock, context, event, and node or disk."""
        return self.now.counts

    @property
    def page_misses(self) -> dict[tuple[int, int], dict[int, int]]:
        """L2 misses of each frame, (node, index within the node), by CPU."""
        return dict(self.counters.misses.items())

    @property
    def retired(self) -> list[int]:
        """Instructions retired by each CPU, those of the refills of the monitor too."""
        return self.translation.retired

    @property
    def mappings(self) -> dict[Page, Frame]:
        """The master frame of each virtual page, (key, vpn), that is mapped."""
        return {page: self.frames.pmap[guest_page] for page, guest_page in self.page_map.guest_pages.items()}

    @property
    def pmap(self) -> dict[tuple[int, int], Frame]:
        """The frame of each guest page, (vm, number), that has one."""
        return dict(self.frames.pmap.items())

    @property
    def replicas(self) -> dict[Frame, list[Frame]]:
        """The replicas of each master that has some."""
        return {master: sorted(copies.values()) for master, copies in self.frames.copies.items()}

    @property
    def read_only(self) -> set[Frame]:
        """All frames to which a store faults: sealed ones, masters and replicas."""
        replicated = {frame for master, copies in self.replicas.items() for frame in (master, *copies)}
        return self.frames.sealed | replicated

    @property
    def footprint(self) -> dict[str, dict[str, int]]:
        """Guest pages in use, ``virtual``, and frames in use, ``machine``, by what they are used for."""
        return footprint(self.guests, self.frames)

    def run(self, rows: Rows) -> None:
        """Replays the next rows of the trace.

        Raises ValueError when a page is needed where no segment holds or a disk is another VM's, MemoryError when
        a VM is out of memory; the messages begin with the number of the row, counted from 0 over all calls.
        """
        for row in zip(*(column.tolist() for column in rows), strict=True):
            try:
                self._act(*row)
            except (ValueError, MemoryError) as fault:
                raise type(fault)(f"row {self.now.row}: {fault}") from fault
            self.now.row += 1

    def _act(self, stream: int, asid: int, kind: int, vaddr: int, size: int, arg: int) -> None:
        self._crash_if_it_is_time()
        if self.has_ended:
            return
        vm = self.partition.vm_of_row(stream, asid)
        if vm == self.dead_vm:
            self._follow(stream, kind, arg)
            if kind in (Kind.MAP, Kind.UNMAP) and vaddr >= KERNEL_BASE:  # of segments that hold in every VM
                self._change_files_or_mappings(Kind(kind), asid, vaddr, size, arg)
            return
        self._locate(vm, stream)
        if kind == Kind.RESIDENT:  # of which the virtual CPU knows nothing
            self._make_resident(asid, vaddr, size, arg)
            return
        self._begin(vm, stream)
        if self.system == "splashos" and self.services.is_left_out(stream):
            self._act_left_out(Kind(kind), asid, vaddr, size, arg)
        elif kind in (Kind.FETCH, Kind.LOAD, Kind.STORE):
            self._reference(Kind(kind).name.lower(), asid, vaddr, size, arg)
        else:
            self._event(Kind(kind), asid, vaddr, size, arg)
        self._follow(stream, kind, arg)
        self._say_what_runs(stream)
        self.hot_pages.handle_all()
        if kind in (Kind.FETCH, Kind.ZERO_PAGE):
            self._advance(arg)

    def _crash_if_it_is_time(self) -> None:
        """Section 14, crash."""
        if self.crash is not None and self.crash[1] == self.now.row:
            if self.system == "native":
                self.has_ended = True
            else:
                self.dead_vm = self.crash[0]
                self.paging.crash(self.dead_vm)

    def _locate(self, vm: int, stream: int) -> None:
        """Whose the row is, and where."""
        self.now.vm, self.now.stream = vm, stream
        self.now.cpu = self.partition.cpu(vm, stream)
        self._say_what_runs(stream)

    def _follow(self, stream: int, kind: int, arg: int) -> None:
        """What a virtual CPU of the trace is doing, whatever becomes of its rows."""
        self.services.follow(stream, kind, arg)
        self.locks.follow(stream, kind, arg)

    def _say_what_runs(self, stream: int) -> None:
        self.now.context, self.now.lock = self.services.context(stream), self.locks.innermost(stream)

    def _begin(self, vm: int, stream: int) -> None:
        """Section 4, change of virtual CPU."""
        cpu = self.now.cpu
        if self.vcpu_before[cpu] not in (None, (vm, stream)):
            self.now.count("vcpu_switches")
            if self.system != "native":
                self.now.count("tlb_flushes")
                self.tlbs.hardware[cpu].flush()
        self.vcpu_before[cpu] = (vm, stream)

    def _advance(self, instructions: int) -> None:
        """The trace's instructions go on; at a multiple of the period the policy forgets (section 9)."""
        periods = self.now.instructions // self.reset_instructions
        self.now.instructions += instructions
        if self.now.instructions // self.reset_instructions > periods:
            self.counters.reset()

    # Section 3: life of a reference

    def _reference(self, kind: str, asid: int, vaddr: int, size: int, arg: int) -> None:
        self.now.count(f"{kind}_rows")
        for first, stop in self._by_page(vaddr, size):
            page = self.layout.page_at(first, asid, self.now.vm)
            frame = self._access_page(page, first)
            if kind == "store" and self.frames.is_read_only(frame):
                self.frames.resolve_write(self.page_map.guest_pages[page])
                frame = self._access_page(page, first)
            self._touch_lines(kind, first, stop, frame)
        if kind == "fetch":
            self.translation.execute(arg)

    def _access_page(self, page: Page, touched: int) -> Frame:
        if self.system == "native" and is_unmapped_region(touched):
            return self.paging.mapped(page, touched)
        return self.translation.translate(page, touched)

    def _by_page(self, vaddr: int, size: int) -> Iterator[tuple[int, int]]:
        """The bytes vaddr .. vaddr + size - 1 as (first, stop) within each page, ascending."""
        page_bytes = self.layout.page_bytes
        first = vaddr
        while first < vaddr + size:
            stop = min((first // page_bytes + 1) * page_bytes, vaddr + size)
            yield first, stop
            first = stop

    def _touch_lines(self, kind: str, first: int, stop: int, frame: Frame) -> None:
        cpu = self.now.cpu
        l1 = self.caches.l1i[cpu] if kind == "fetch" else self.caches.l1d[cpu]
        for line in range(first // l1.line_b, (stop - 1) // l1.line_b + 1):
            self.caches.access(cpu, kind, line * l1.line_b, frame)

    # Section 8: events

    def _event(self, kind: Kind, asid: int, vaddr: int, size: int, arg: int) -> None:
        match kind:
            case Kind.ENTER:
                self._enter(Service(arg))
            case Kind.EXIT:
                pass
            case Kind.LOCK | Kind.UNLOCK:
                with self.now.under_lock(class_of(arg)):
                    self.now.count(PLAIN_EVENTS[kind])
            case Kind.PRIVILEGED:
                self._privileged(Privileged(arg), asid, vaddr, size)
            case Kind.ZERO_PAGE:
                self._zero_page(asid, vaddr, size, arg)
            case Kind.IDLE:
                spins = self.system != "native" and not self.monitor["idle_hint"]
                with self.now.in_context("idle"):
                    self.now.count("idle_spins" if spins else "idle_instructions", size)
            case Kind.FREE_PAGE:
                self.now.count("free_pages")
                if self.system != "native" and self.monitor["free_page_hint"]:
                    self.now.count("free_page_calls")
            case Kind.FILE_READ | Kind.FILE_WRITE | Kind.MAP | Kind.UNMAP | Kind.PROCESS_EXIT:
                self._change_files_or_mappings(kind, asid, vaddr, size, arg)
            case _:
                self.now.count(PLAIN_EVENTS[kind])

    def _enter(self, service: Service) -> None:
        """SPLASHOS has no such services as the monitor stands in for: a fault of them is the monitor's (section 13)."""
        if self.system != "splashos" or service not in LEFT_OUT:
            with self.now.in_context(context_of(service)):
                self.now.count("service_entries")
        elif service in FAULTS:
            self.now.count("monitor_faults")

    def _act_left_out(self, kind: Kind, asid: int, vaddr: int, size: int, arg: int) -> None:
        """A row inside a service that SPLASHOS does not have (section 13)."""
        if kind == Kind.ZERO_PAGE:
            self._map_for_clearing(asid, vaddr, size)
            self._clear_by_call(asid, vaddr, size)
        elif kind in (Kind.FILE_READ, Kind.FILE_WRITE, Kind.MAP, Kind.UNMAP, Kind.PROCESS_EXIT):
            self._change_files_or_mappings(kind, asid, vaddr, size, arg)

    def _change_files_or_mappings(self, kind: Kind, asid: int, vaddr: int, size: int, arg: int) -> None:
        match kind:
            case Kind.FILE_READ:
                self.now.count("file_reads")
                self.now.count("file_read_bytes", size)
                self.files.read(arg, vaddr, size)
            case Kind.FILE_WRITE:
                self.now.count("file_writes")
                self.now.count("file_write_bytes", size)
                if vaddr == 0:
                    self.now.count_at(self.files.disk_of(arg), "files_created")
                self.files.write(arg, vaddr, size)
            case Kind.MAP:
                self.paging.spaces.holding.add(arg)
            case Kind.UNMAP:
                self.paging.unmap_segment(arg)
            case Kind.PROCESS_EXIT:
                self.now.count("process_exits")
                self.paging.exit_process(asid)

    def _make_resident(self, asid: int, vaddr: int, size: int, file: int) -> None:
        """RESIDENT: what is missing comes in as by FILE_READ, or is mapped; only how many pages is counted."""
        with self.now.without_counting():
            pages = self.files.make_resident(file, vaddr, size) if file else self._map_missing(asid, vaddr, size)
        self.now.count("resident_pages", pages)

    def _map_missing(self, asid: int, vaddr: int, size: int) -> int:
        pages = [(self.layout.page_at(first, asid, self.now.vm), first) for first, _ in self._by_page(vaddr, size)]
        missing = [(page, first) for page, first in pages if page not in self.page_map.guest_pages]
        for page, first in missing:
            self.paging.mapped(page, first)
        return len(missing)

    def _privileged(self, what: Privileged, asid: int, vaddr: int, size: int) -> None:
        if self.system == "splashos":
            return
        is_native = self.system == "native"
        if what == Privileged.WIRED:
            self.now.count("privileged" if is_native else "wired_writes_emulated", size)
            if vaddr == 0:
                self.translation.tlb.empty_wired()
            else:
                self.translation.write_wired(self.layout.page_at(vaddr, asid, self.now.vm), vaddr)
        elif is_native:
            self.now.count("privileged", size)
        elif what in (Privileged.REGISTER, Privileged.INTERRUPT):
            self.translation.count_patchable(size)
        else:
            self.now.count("privileged_emulated", size)

    def _zero_page(self, asid: int, vaddr: int, size: int, instructions: int) -> None:
        self._map_for_clearing(asid, vaddr, size)
        if self.system != "native" and self.monitor["zero_page_hint"]:
            self._clear_by_call(asid, vaddr, size)
            return
        self.translation.execute(instructions)
        self._clear(asid, vaddr, size, self.now.context)
        if self.system != "native":
            self._clear(asid, vaddr, size, self._monitor_context())

    def _clear_by_call(self, asid: int, vaddr: int, size: int) -> None:
        self.now.count("zero_page_calls")
        self._clear(asid, vaddr, size, self._monitor_context())

    def _monitor_context(self) -> str:
        return f"monitor:{self.now.context.removeprefix('kernel:')}"

    def _map_for_clearing(self, asid: int, vaddr: int, size: int) -> None:
        for first, _ in self._by_page(vaddr, size):
            self._writable(asid, first)

    def _writable(self, asid: int, address: int) -> Frame:
        """The frame of the page at this address, mapped and its write fault resolved if need be."""
        page = self.layout.page_at(address, asid, self.now.vm)
        if self.frames.is_read_only(self.paging.mapped(page, address)):
            self.frames.resolve_write(self.page_map.guest_pages[page])
        return self.paging.mapped(page, address)

    def _clear(self, asid: int, vaddr: int, size: int, context: str) -> None:
        """Stores to every line of the range, not translated; a page that is not mapped any more is mapped again."""
        for first, stop in self._by_page(vaddr, size):
            frame = self._writable(asid, first)
            with self.now.in_context(context):
                self._touch_lines("store", first, stop, frame)


PLAIN_EVENTS = {
    Kind.LOCK: "lock_acquires",
    Kind.UNLOCK: "lock_releases",
    Kind.BARRIER: "barriers",
    Kind.SWITCH: "switches",
}
