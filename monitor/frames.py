"""Machine frames under the monitor: where they come from, how long they live, what is taken back when memory is full.

Ties the machine's memory, memmap, pmaps and disk memory together (D 4.2.1, 4.2.2; ``docs/model.md`` section 2).
"""

from discotrace.monitor.cow_disk import DiskMemory
from discotrace.monitor.history import History
from discotrace.monitor.memmap import GuestPage, Memmap
from discotrace.monitor.placement.base import Policy
from discotrace.monitor.pmap import Pmap
from discotrace.monitor.shootdown import Shootdown
from discotrace.replay.counts import Event
from discotrace.replay.mappings import VirtualPage
from discotrace.replay.system import System
from discotrace.tracegen.errors import ConfigError


class MonitorFrames:
    """The machine's frames as the monitor deals them out, by slot."""

    def __init__(self, system: System, policy: Policy, pmaps: list[Pmap], history: History) -> None:
        self.memory = system.memory
        self.hardware = system.hardware
        self.now = system.now
        self.mappings = system.mappings
        self.machine = system.machine
        self.shootdown = Shootdown(system.hardware, system.now)
        self.pmaps = pmaps
        self.memmap = Memmap(system.meter)
        self.cache: DiskMemory[int] = DiskMemory()  # the global disk cache, by disk
        self.logs: DiskMemory[tuple[int, int]] = DiskMemory()  # modified sectors, by VM and disk
        self.history = history
        self._policy = policy
        self.dealt = 0

    # Frames

    def new(self) -> int:
        """A frame for the row's CPU, where the policy wants it. Raises ConfigError when the machine is full."""
        slot = self.memory.given()
        if slot is None:
            slot = self._deal()
        self.now.count(Event.FRAMES_ALLOCATED)
        return self._begin(slot)

    def _deal(self) -> int:
        wanted = self._policy.place(self.dealt, self.now.cpu // self.machine.cpu.per_node)
        self.dealt += 1
        slot = self.memory.allocate(wanted)
        while slot is None:
            self._take_one_back()
            slot = self.memory.allocate(wanted)
        return slot

    def new_on(self, node: int) -> int | None:
        """A frame of this node; None if it has none free."""
        slot = self.memory.allocate_on(node)
        return None if slot is None else self._begin(slot)

    def copy(self, source: int, target: int, event: Event) -> None:
        """Copy a page. Whatever the monitor copies goes through here."""
        self.now.count(event)

    def account(self, slot: int) -> None:
        """Misses on the frame up to now were on the page that it holds, or is a copy of."""
        self.history.account(self, slot)

    def node(self, slot: int) -> int:
        """The home node of a frame."""
        return self.memory.frames[slot].node

    def seal(self, slot: int) -> None:
        """The frame is shared from here on, and never written again."""
        self.memmap[slot].is_sealed = True
        self.hardware.make_read_only(slot, self.virtual_pages(slot))

    def release(self, slot: int) -> None:
        """Free the frame if nothing keeps it any more."""
        self.memmap.changed(slot)
        if not self.memmap[slot].is_needed:
            self.end(slot)
            self.memory.free(slot)

    def end(self, slot: int) -> None:
        """The frame is not in use any more, nor are its replicas; the caller says whose it is now."""
        for node in sorted(self.memmap[slot].replicas):
            self.drop_replica(slot, node)
        self.memmap.end(slot)
        self.hardware.frames.read_only[slot] = 0
        self.hardware.clear_heat(slot)

    def drop_replica(self, master: int, node: int) -> None:
        """The copy on a node goes, with its lines. Its CPUs have lost their translations already."""
        use = self.memmap[master]
        copy = use.replicas[node]
        self.account(copy)
        del use.replicas[node]
        self.hardware.set_near(master, node, master)
        self.hardware.drop_lines(copy)
        self.end(copy)
        self.memory.free(copy)
        self.hardware.frames.read_only[master] = use.is_sealed or bool(use.replicas)

    # Guest pages

    def back(self, page: GuestPage, slot: int) -> None:
        """A guest page without a frame gets this one."""
        vm, gfn = page
        self.pmaps[vm].back(gfn, slot)
        self.memmap.add_user(slot, page, self.pmaps[vm].category(gfn))

    def unback(self, page: GuestPage) -> None:
        """A guest page loses its frame, which is freed if nothing else keeps it."""
        vm, gfn = page
        slot = self.pmaps[vm].unback(gfn)
        self.memmap.remove_user(slot, page)
        self.release(slot)

    def rebind(self, page: GuestPage, slot: int) -> None:
        """A guest page changes its frame: shot down, mapped anew, the old frame let go."""
        vm, gfn = page
        virtual = self.mappings.pages_of(vm, gfn)
        self.account(self.slot(page))
        self.shootdown.take(virtual)
        self.unback(page)
        self.back(page, slot)
        self.point(virtual, slot)

    def lose_user(self, page: GuestPage) -> int:
        """A guest page of a VM that died loses its frame, which is reclaimed if nothing else keeps it. Returns it."""
        slot = self.pmaps[page[0]].unback(page[1])
        self.memmap.remove_user(slot, page)
        self._reclaim(slot)
        return slot

    def lose_logs(self, vm: int) -> list[int]:
        """What a VM that died has modified on disks is forgotten. Returns the frames that held it."""
        lost = []
        for owner in sorted(owner for owner in self.logs.owners() if owner[0] == vm):
            taken = self.logs.take(owner)
            for slot in reversed(dict.fromkeys(reversed(taken))):  # of several places of a frame the last counts
                self.memmap[slot].is_logged = self.logs.places(slot) > 0
                self._reclaim(slot)
                lost.append(slot)
        return lost

    def slot(self, page: GuestPage) -> int:
        """The frame of a guest page that has one."""
        slot = self.pmaps[page[0]].slot(page[1])
        assert slot is not None
        return slot

    def virtual_pages(self, slot: int) -> list[VirtualPage]:
        """Every virtual page whose frame this is, through the backmaps."""
        return [virtual for page in self.memmap[slot].users for virtual in self.mappings.pages_of(*page)]

    def point(self, virtual: list[VirtualPage], slot: int) -> None:
        """The page tables map these pages to a frame."""
        for page in virtual:
            self.hardware.remap(page, slot)

    # Disk pages

    def keep_in_cache(self, disk: int, sectors: range, slot: int) -> None:
        """The global disk cache holds sectors in a frame."""
        self.cache.insert(disk, sectors, slot)
        self.memmap[slot].is_cached = True
        self.seal(slot)
        self.memmap.changed(slot)

    def keep_in_log(self, vm: int, disk: int, sectors: range, slot: int) -> None:
        """A VM's log of modified sectors holds sectors in a frame, instead of where it had them."""
        before = self.logs.insert((vm, disk), sectors, slot)
        self.memmap[slot].is_logged = True
        self.seal(slot)
        self.memmap.changed(slot)
        if before is not None:
            self.memmap[before].is_logged = self.logs.places(before) > 0
            self.release(before)

    def _reclaim(self, slot: int) -> None:
        """As ``release``, but the frame is used again only when no other is left."""
        self.memmap.changed(slot)
        if not self.memmap[slot].is_needed:
            self.end(slot)
            self.memory.reclaim(slot)

    def _begin(self, slot: int) -> int:
        self.hardware.know_frames(self.memory.frames)
        self.account(slot)
        self.memmap.begin(slot)
        return slot

    def _take_one_back(self) -> None:
        """The machine is full: give up what can be made again."""
        unused, replica = self.memmap.longest_unused, self.memmap.oldest_replica
        if unused is not None:
            self.cache.forget(unused)
            self.memmap[unused].is_cached = False
            self.release(unused)
        elif replica is not None:
            copy, master = replica
            node = self.node(copy)
            self.shootdown.take(self.virtual_pages(master), self.hardware.cpus_of_nodes([node]))
            self.drop_replica(master, node)
        else:
            raise ConfigError(
                f"out of memory: virtual machine {self.now.vm} needs a page and all {self.machine.nodes} nodes of "
                f"{self.machine.memory.mib_per_node} MiB are full; give more with --set memory.mib_per_node=..."
            )
