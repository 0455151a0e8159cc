"""Drives one system with a handful of rows, and looks at its counts and its memory in between."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.splashos import SplashosSystem
from discotrace.replay.counts import N_CONTEXTS, N_LOCKS, Event
from discotrace.replay.crash import Crash
from discotrace.replay.engine import Replay
from discotrace.replay.mappings import kernel_key
from discotrace.replay.native import NativeSystem
from discotrace.replay.system import System
from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG0_START,
    KSEG2_START,
    XKPHYS_START,
    File,
    Kind,
    Process,
    Segment,
    TraceMeta,
    rows_from_records,
)
from tests.machines import machine

Record = tuple[int, int, int, int, int, int]
AnySystem = TypeVar("AnySystem", bound=System)

PAGE = 4096
LINE = 128  # bytes of a second-level line of the flash preset
AT = 0x40_0000  # private pages of each process
PRIVATE = 128  # how many
FILE_AT = 0x1000_0000  # where each process shows file 1, read-only
WINDOW_AT = XKPHYS_START  # where the kernel shows it
FILE_PAGES = 8
FOREVER = 1 << 60


def load(vaddr: int = AT, vcpu: int = 0, asid: int = 1, size: int = 4) -> Record:
    """A load, of four bytes unless said otherwise."""
    return (vcpu, asid, Kind.LOAD, vaddr, size, 0)


def store(vaddr: int = AT, vcpu: int = 0, asid: int = 1, size: int = 4) -> Record:
    """A store likewise."""
    return (vcpu, asid, Kind.STORE, vaddr, size, 0)


def fetch(instructions: int = 1, vaddr: int = AT, vcpu: int = 0, asid: int = 1) -> Record:
    """A run of instructions within one word, however many they are."""
    return (vcpu, asid, Kind.FETCH, vaddr, 4, instructions)


def event(kind: Kind, vaddr: int = 0, size: int = 0, arg: int = 0, vcpu: int = 0, asid: int = 1) -> Record:
    """Any other row."""
    return (vcpu, asid, kind, vaddr, size, arg)


def file_read(page: int, pages: int = 1, file: int = 1, vcpu: int = 0, asid: int = 1) -> Record:
    """The OS wants whole pages of a file."""
    return (vcpu, asid, Kind.FILE_READ, page * PAGE, pages * PAGE, file)


def resident(vaddr: int, pages: int = 1, file: int = 0, vcpu: int = 0, asid: int = 1) -> Record:
    """Whole pages, of a file or of virtual addresses, that have been in memory since before the trace began."""
    return (vcpu, asid, Kind.RESIDENT, vaddr, pages * PAGE, file)


def file_write(page: int, pages: int = 1, file: int = 1, vcpu: int = 0, asid: int = 1) -> Record:
    """The OS has new bytes for whole pages of a file."""
    return (vcpu, asid, Kind.FILE_WRITE, page * PAGE, pages * PAGE, file)


def lines(count: int, vaddr: int = AT, vcpu: int = 0, asid: int = 1) -> list[Record]:
    """Loads from so many second-level lines, from ``vaddr`` on: as many L2 misses of a CPU that has none of them."""
    return [load(vaddr + LINE * n, vcpu, asid) for n in range(count)]


def trace(cpus: int = 2, processes: int = 1, more: Sequence[Segment] = (), files: Sequence[File] = ()) -> TraceMeta:
    """A trace of processes 1, 2 ..., each an instance of its own, with private pages; and a kernel."""
    asids = range(1, processes + 1)
    segments = [Segment(asid, AT, AT + PRIVATE * PAGE, "anonymous") for asid in asids]
    segments += [Segment(0, start, start + PRIVATE * PAGE, "anonymous") for start in (KSEG0_START, KSEG2_START)]
    return TraceMeta(cpus, [Process(n, f"p{n}", instance=n) for n in asids], [*segments, *more], list(files))


def trace_with_file(cpus: int = 2, processes: int = 2, size: int = FILE_PAGES * PAGE) -> TraceMeta:
    """The same with file 1, which every process and every kernel shows, and file 2, which nobody does."""
    shown = [
        Segment(asid, FILE_AT, FILE_AT + FILE_PAGES * PAGE, "file", 1, 0, False) for asid in range(1, processes + 1)
    ]
    shown.append(Segment(0, WINDOW_AT, WINDOW_AT + FILE_PAGES * PAGE, "file", 1, 0, False))
    return trace(cpus, processes, shown, [File(1, "/f", size), File(2, "/g", FILE_PAGES * PAGE)])


class Driven(Generic[AnySystem]):
    """A replay that is still going on."""

    def __init__(self, system: AnySystem, meta: TraceMeta, crash: Crash | None = None) -> None:
        self.system = system
        self.replay = Replay(meta, system, FOREVER, crash)

    def feed(self, *records: Record) -> None:
        """Replay the next rows."""
        self.replay.feed(rows_from_records(list(records)))

    def count(
        self,
        event: Event,
        *,
        cpu: int | None = None,
        vm: int | None = None,
        lock: int | None = None,
        context: int | None = None,
    ) -> int:
        """How often something has happened so far: everywhere, or on one CPU, in one VM, under one lock, ..."""
        seats = self.system.parts.seats
        counts = self.system.hardware.state.counts.reshape(len(seats), N_LOCKS, N_CONTEXTS, len(Event))
        wanted = [n for n, (of_cpu, of_vm) in enumerate(seats) if cpu in (None, of_cpu) and vm in (None, of_vm)]
        locks = slice(None) if lock is None else lock
        contexts = slice(None) if context is None else context
        return int(counts[wanted][:, locks, contexts, event].sum())

    def counts(self, *events: Event) -> dict[Event, int]:
        """The same of several events, everywhere."""
        return {one: self.count(one) for one in events}

    def slot(self, vaddr: int = AT, asid: int = 1, vm: int = 0) -> int:
        """Slot of the frame of a mapped page; of a page of the kernel, that of VM ``vm``."""
        key = kernel_key(vm) if vaddr >= KERNEL_BASE else asid
        mapping = self.system.mappings.get(key, vaddr // self.system.machine.page_bytes)
        return self.system.slot(mapping.vm, mapping.gfn)

    def node(self, vaddr: int = AT, asid: int = 1, vm: int = 0) -> int:
        """Node of this frame."""
        return self.system.memory.frames[self.slot(vaddr, asid, vm)].node

    @property
    def frames_in_use(self) -> int:
        """How many frames are not free."""
        return self.system.memory.in_use


def native(meta: TraceMeta, crash: Crash | None = None, **changes: Any) -> Driven[NativeSystem]:
    """The native system on the flash machine with changes, 1 MiB to a node."""
    resolved = machine(**{"memory__mib_per_node": 1} | changes).for_trace(meta.cpus)
    return Driven(NativeSystem(meta, resolved), meta, crash)


def disco(meta: TraceMeta, crash: Crash | None = None, **changes: Any) -> Driven[DiscoSystem]:
    """The same under Disco."""
    resolved = machine(**{"memory__mib_per_node": 1} | changes).for_trace(meta.cpus)
    return Driven(DiscoSystem(meta, resolved), meta, crash)


def splashos(meta: TraceMeta, crash: Crash | None = None, **changes: Any) -> Driven[SplashosSystem]:
    """The same with SPLASHOS."""
    resolved = machine(**{"memory__mib_per_node": 1} | changes).for_trace(meta.cpus)
    return Driven(SplashosSystem(meta, resolved), meta, crash)
