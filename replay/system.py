"""A system under test: guest operating systems on a platform, which is the bare machine or a monitor.

The compiled half of the contract is ``kernels/system.py``. ``System`` has what all have in common: the address spaces
of the guests and what the events of a trace do to them.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from discotrace.replay.counts import DiskEvent, Event
from discotrace.replay.crash import Loss
from discotrace.replay.disk_counters import DiskCounters
from discotrace.replay.footprint import FootprintMeter
from discotrace.replay.guest import Guest, Platform
from discotrace.replay.hardware import Hardware
from discotrace.replay.journal import Journal
from discotrace.replay.kernels.state import I64, U64, State
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.mappings import PAGE_TABLE_KEY, Mapping, Mappings, is_user_key, kernel_key
from discotrace.replay.memory import MachineMemory
from discotrace.replay.now import Now
from discotrace.replay.partition import Partition
from discotrace.replay.segments import Segments, kernel_files
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import KERNEL_BASE, Rows, TraceMeta

ReplayKernel = Callable[[State, Rows, int, I64, U64], int]


class System(Platform):
    """A system under test, for one replay."""

    name: str
    replay_rows: ReplayKernel  # the compiled loop over rows

    def __init__(
        self,
        meta: TraceMeta,
        machine: Machine,
        parts: Partition,
        numbers: Any,
        hot_trigger: int,
        beside: Sequence[Hierarchy],
    ) -> None:
        """``numbers``: NamedTuple for ``State.system``; ``hot_trigger``: heat at which a page is hot, 0 = never.

        ``beside``: caches other than the machine's that see the same accesses, for counts of their own. What happens
        must not depend on caches then: no page can be hot.
        """
        assert not beside or hot_trigger == 0 or machine.nodes == 1, "caches decide which pages move"
        self.meter = FootprintMeter()
        self.parts = parts
        self.machine = machine
        self.hardware = Hardware(numbers, machine, parts, meta, hot_trigger, beside)
        self.disk_counters = DiskCounters(meta.files, len(parts.seats))
        self.now = Now(self.hardware.state.counts, self.disk_counters)
        self.mappings = Mappings()
        self.alive = {process.asid for process in meta.processes}
        self.loss: Loss | None = None
        self._segments = Segments(meta, machine.page_bytes)
        self._files = {file.id for file in meta.files}
        of_kernel = kernel_files(meta)
        self.guests = [
            Guest(
                vm, self, self.now, max(1, self.guest_pages(vm) * machine.guest.buffer_cache_percent // 100), of_kernel
            )
            for vm in range(parts.vms)
        ]

    @property
    @abstractmethod
    def memory(self) -> MachineMemory:
        """The machine's memory."""

    @abstractmethod
    def write_fault(self, key: int, vpn: int) -> None:
        """The guest stores to a page whose frame is read-only. Raises ConfigError when memory is full."""

    @abstractmethod
    def cool(self, hot: list[tuple[int, int]]) -> None:
        """Slots of frames that became hot in the row, with the CPUs that made them so."""

    @abstractmethod
    def cool_all(self) -> None:
        """A time is over after which nothing counts as hot any more."""

    @abstractmethod
    def crash(self, vm: int) -> None:
        """A VM dies. Raises ConfigError when it cannot without the others; sets ``loss``."""

    @abstractmethod
    def guest_pages(self, vm: int) -> int:
        """Pages of memory that a VM has."""

    @abstractmethod
    def slot(self, vm: int, gfn: int) -> int:
        """The frame of a guest page."""

    @property
    @abstractmethod
    def dealt(self) -> int:
        """How many frames have been dealt out, by which some placements go."""

    @abstractmethod
    def deal_from(self, number: int) -> None:
        """So many frames count as dealt out."""

    def keep_journal(self, journal: Journal) -> None:
        """Write down what memory holds as it comes and goes."""
        self.hardware.journal = journal
        for guest in self.guests:
            guest.keep_journal(journal)

    def hold_segments(self, numbers: Iterable[int]) -> None:
        """Begin in the middle of a trace: these segments hold."""
        self._segments.hold(numbers)

    def map_page(self, key: int, vpn: int, vaddr: int) -> None:
        """A virtual page of the current VM is needed for the first time.

        Raises TraceError when no segment holds there, ConfigError when memory is full.
        """
        vm = self.now.vm
        asid = key if is_user_key(key) else 0
        identity = None if key & PAGE_TABLE_KEY else self._segments.identity(asid, vpn, vaddr)
        gfn = self.guests[vm].page_of(key, identity)
        self.now.count(Event.PAGES_MAPPED)
        self.mappings.add(key, vpn, Mapping(vm, gfn, identity))
        self.hardware.map(key, vpn, self.slot(vm, gfn))

    def end_of_trace(self) -> None:
        """Nothing comes any more."""

    def begin_segment(self, number: int) -> None:
        """MAP. Raises TraceError."""
        self._segments.begin(number)

    def end_segment(self, number: int) -> None:
        """UNMAP: mappings of its pages go, in all TLBs too. Raises TraceError."""
        segment = self._segments.end(number)
        page_bytes = self.machine.page_bytes
        for key in [segment.asid] if segment.asid else [kernel_key(vm) for vm in range(self.parts.vms)]:
            inside = [vpn for vpn in self.mappings.of_key(key) if segment.start <= vpn * page_bytes < segment.end]
            self.hardware.shoot_down((key, vpn) for vpn in inside)
            self.unmap(key, inside)

    def end_process(self, asid: int) -> None:
        """PROCESS_EXIT: the process's mappings and page tables go. TLBs keep what will not be asked for again."""
        self._segments.end_all(asid)
        self.alive.discard(asid)
        for key in (asid, asid + PAGE_TABLE_KEY):
            self.unmap(key, self.mappings.of_key(key))

    def unmap(self, key: int, vpns: list[int]) -> None:
        """Remove mappings; their guests have the pages back."""
        for vpn in vpns:
            mapping = self.mappings.remove(key, vpn)
            self.hardware.unmap(key, vpn)
            self.guests[mapping.vm].unmapped(key, mapping.gfn, mapping.identity)

    def file_read(self, file: int, offset: int, size: int) -> None:
        """FILE_READ of the current VM. Raises TraceError for a file that is not declared."""
        self.guests[self.now.vm].file_read(file, self._pages_of_file(file, offset, size))

    def file_write(self, file: int, offset: int, size: int) -> None:
        """FILE_WRITE of the current VM. At the beginning of a file it is made anew. Raises TraceError likewise."""
        pages, inside = self._pages_of_file(file, offset, size), offset % self.machine.page_bytes > 0
        self.now.count_at_disk(DiskEvent.FILES_CREATED, file, offset == 0)
        self.guests[self.now.vm].file_write(file, pages, inside)

    def make_resident(self, asid: int, file: int, vaddr: int, size: int) -> None:
        """RESIDENT of the current VM: pages of a file, or without one virtual pages. Of the work nothing is counted."""
        with self.now.uncounted():
            if file:
                pages = self.guests[self.now.vm].make_resident(file, self._pages_of_file(file, vaddr, size))
            else:
                pages = self._map_missing(asid if vaddr < KERNEL_BASE else kernel_key(self.now.vm), vaddr, size)
        self.now.count(Event.RESIDENT_PAGES, pages)

    def forget_kernel_mappings(self, vm: int, gfn: int) -> None:
        """Kernel mappings of a page that is evicted go, in all TLBs too."""
        for key, vpn in self.mappings.pages_of(vm, gfn):
            self.hardware.shoot_down([(key, vpn)])
            self.mappings.remove(key, vpn)
            self.hardware.unmap(key, vpn)

    def _map_missing(self, key: int, vaddr: int, size: int) -> int:
        """Map those pages of a range that are not mapped. Returns how many."""
        missing = [vpn for vpn in self._pages(vaddr, size) if not self.mappings.has(key, vpn)]
        for vpn in missing:
            self.map_page(key, vpn, max(vaddr, vpn * self.machine.page_bytes))
        return len(missing)

    def _pages_of_file(self, file: int, offset: int, size: int) -> range:
        if file not in self._files:
            raise TraceError(f"file {file} is not declared in the metadata")
        return self._pages(offset, size)

    def _pages(self, offset: int, size: int) -> range:
        page_bytes = self.machine.page_bytes
        return range(offset // page_bytes, (offset + size - 1) // page_bytes + 1 if size else offset // page_bytes)
