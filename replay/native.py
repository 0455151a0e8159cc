"""The native system: one OS on the bare machine, whose physical pages are the machine's frames."""

from collections.abc import Sequence

from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.counts import DiskEvent, Event
from discotrace.replay.crash import Loss
from discotrace.replay.kernels.native import Native, replay_native
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.memory import MachineMemory, interleaved
from discotrace.replay.partition import partition
from discotrace.replay.placement import PLACEMENTS
from discotrace.replay.system import System
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import TraceMeta


class NativeSystem(System):
    """The OS on the bare machine. The number of a guest page is the slot of its frame."""

    name = "native"
    replay_rows = staticmethod(replay_native)

    def __init__(self, meta: TraceMeta, machine: Machine, beside: Sequence[Hierarchy] = ()) -> None:
        self._memory = MachineMemory(machine, interleaved)
        self._place = PLACEMENTS[machine.placement.native]
        self._dealt = 0
        self._category: dict[int, str] = {}  # by slot
        super().__init__(meta, machine, partition(meta, machine, vms=1), Native(), 0, beside)

    @property
    def memory(self) -> MachineMemory:
        """The machine's memory, which the OS sees as it is."""
        return self._memory

    @property
    def dealt(self) -> int:
        """Frames that were placed."""
        return self._dealt

    def deal_from(self, number: int) -> None:
        """So many frames count as placed."""
        self._dealt = number

    def guest_pages(self, vm: int) -> int:
        """The whole machine."""
        return self.machine.nodes * self.machine.frames_per_node

    def slot(self, vm: int, gfn: int) -> int:
        """The page is its frame."""
        return gfn

    def take(self, vm: int, category: str) -> int:
        """A frame by the OS's own placement."""
        slot = self._memory.given()
        if slot is None:
            slot = self._deal(vm)
        self.hardware.know_frames(self._memory.frames)
        self.now.count(Event.FRAMES_ALLOCATED)
        self._category[slot] = category
        self.meter.guest_page(category, 1)
        self.meter.frame(None, category)
        return slot

    def _deal(self, vm: int) -> int:
        """A frame for the row's CPU, where the placement wants it."""
        node = self._place(self._dealt, self.now.cpu // self.machine.cpu.per_node, self.machine.nodes)
        self._dealt += 1
        slot = self._memory.allocate(node)
        if slot is None and self.guests[vm].evict():
            slot = self._memory.allocate(node)
        if slot is None:
            raise ConfigError(
                f"out of memory: all {self.machine.nodes} nodes of {self.machine.memory.mib_per_node} MiB are full; "
                "give more with --set memory.mib_per_node=..."
            )
        return slot

    def take_bare(self, vm: int, category: str) -> int:
        """A page of the bare machine always has its frame."""
        return self.take(vm, category)

    def boot_page(self, vm: int, page: FilePage) -> int:
        """A page of the kernel's text."""
        return self.take(vm, "text")

    def free(self, vm: int, gfn: int) -> None:
        """Back to the free list of its node."""
        category = self._category.pop(gfn)
        self.meter.guest_page(category, -1)
        self.meter.frame(category, None)
        self._memory.free(gfn)

    def write_fault(self, key: int, vpn: int) -> None:
        """No frame is read-only natively."""
        raise AssertionError(f"page {vpn:#x} of {key:#x} cannot be read-only")

    def cool(self, hot: list[tuple[int, int]]) -> None:
        """The OS knows nothing of NUMA."""

    def cool_all(self) -> None:
        """Nothing is ever hot."""

    def crash(self, vm: int) -> None:
        """The machine stops."""
        self.hardware.state.vms.dead[0] = 1
        self.loss = Loss(0, 0, sorted(self.alive), self._memory.in_use, 0)

    def request(self, vm: int, file: int, first: int, count: int) -> None:
        """The disk reads into the pages."""
        self.now.count(Event.DISK_READS)
        self.now.count(Event.DISK_READ_PAGES, count)
        for page in range(first, first + count):
            self.guests[vm].come_in((file, page))
        self.now.count(Event.DISK_PAGES_DONE, count)
        self.now.count(Event.DISK_READS_DONE)
        self.now.count_at_disk(DiskEvent.DISK_REQUESTS, file)
        self.now.count_at_disk(DiskEvent.DISK_PAGES, file, count)

    def write_out(self, vm: int, page: FilePage, gfn: int) -> None:
        """The disk writes the page."""
        self.now.count(Event.DISK_WRITES)
        self.now.count_at_disk(DiskEvent.DISK_REQUESTS, page[0])
        self.now.count_at_disk(DiskEvent.DISK_PAGES, page[0])
