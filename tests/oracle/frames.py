"""Machine frames and who uses them: sections 2 and 9 of ``docs/model.md`` (D 4.2.1 to 4.2.3).

A frame is used by guest pages (``pmap`` and the other way ``memmap``), by the global disk cache and by logs of
modified sectors. When the last use ends it is free.
"""

from collections.abc import Mapping
from typing import Any

from tests.oracle.caches import Caches
from tests.oracle.counters import FrameCounters
from tests.oracle.memory import FilePage, Frame, GuestPage, Layout, Page, PageMap
from tests.oracle.now import Now
from tests.oracle.placement import Pools, nearest_first, wanted_node
from tests.oracle.tlbs import Tlbs


class Frames:
    """All frames of the machine."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        layout: Layout,
        caches: Caches,
        tlbs: Tlbs,
        page_map: PageMap,
        counters: FrameCounters,
    ):
        """None is in use."""
        self.now, self.layout, self.caches, self.tlbs = now, layout, caches, tlbs
        self.page_map, self.counters = page_map, counters
        self.policy: str = tables["placement"]["native" if layout.system == "native" else "policy"]
        self.pools = Pools(layout.nodes, layout.frames_per_node)
        self.placed = 0
        self.pmap: dict[GuestPage, Frame] = {}
        self.memmap: dict[Frame, list[GuestPage]] = {}
        self.categories: dict[GuestPage, str] = {}  # of the freed ones too: what they were last
        self.disk_cache: dict[FilePage, Frame] = {}
        self.logs: dict[tuple[int, FilePage], Frame] = {}
        self.without_user: list[Frame] = []  # those in the disk cache alone, since longest first
        self.sealed: set[Frame] = set()
        self.copies: dict[Frame, dict[int, Frame]] = {}  # of each replicated master, by node
        self.copies_by_age: list[tuple[Frame, int]] = []  # (master, node), oldest first

    # Placement

    def new(self, vm: int) -> Frame:
        """A frame where the policy wants it, or as near as there is one.

        Raises MemoryError, naming the VM, when none is free and nothing can be given up.
        """
        own_node = self.layout.node_of(self.now.cpu)
        wanted = wanted_node(self.policy, self.layout.nodes, self.placed, own_node)
        self.placed += 1
        while True:
            for node in nearest_first(self.layout.nodes, wanted):
                frame = self.new_on(node)
                if frame is not None:
                    self.now.count("frames_allocated")
                    return frame
            self._give_something_up(vm)

    def new_on(self, node: int) -> Frame | None:
        """A frame on this node or none: for replicas and pages that migrate."""
        i = self.pools.take(node)
        return None if i is None else Frame(node, i)

    def _give_something_up(self, vm: int) -> None:
        if self.without_user:
            frame = self.without_user.pop(0)
            self.disk_cache = {page: cached for page, cached in self.disk_cache.items() if cached != frame}
            self._free(frame, self.pools.freed)
        elif self.copies_by_age:
            master, node = self.copies_by_age[0]
            self.tlbs.shoot_down(self.virtual_pages(master), self.layout.cpus_of({node}))
            self._drop_copy(master, node)
        else:
            raise MemoryError(f"VM {vm} is out of memory: every node is full")

    # Uses

    def give(self, guest_page: GuestPage, frame: Frame) -> None:
        """From here on the guest page is in this frame; it has none before."""
        assert guest_page not in self.pmap
        self.pmap[guest_page] = frame
        self.memmap.setdefault(frame, []).append(guest_page)
        if frame in self.without_user:
            self.without_user.remove(frame)

    def take_away(self, guest_page: GuestPage) -> None:
        """The guest page loses its frame."""
        self.settle(self._disconnect(guest_page))

    def take_away_dead(self, guest_page: GuestPage) -> None:
        """The same for a virtual machine that died: the frame is reclaimed."""
        self.settle(self._disconnect(guest_page), self.pools.reclaimed)

    def replace(self, guest_page: GuestPage, frame: Frame) -> None:
        """The guest page moves to another frame; the old frame loses this user last."""
        old = self.pmap[guest_page]
        if old != frame:
            self._disconnect(guest_page)
            self.give(guest_page, frame)
            self.settle(old)

    def _disconnect(self, guest_page: GuestPage) -> Frame:
        frame = self.pmap.pop(guest_page)
        self.memmap[frame].remove(guest_page)
        if not self.memmap[frame]:
            del self.memmap[frame]
        return frame

    def keep_in_disk_cache(self, page: FilePage, frame: Frame) -> None:
        """A page read from disk goes into the global disk cache (D 4.2.4)."""
        self.disk_cache[page] = frame
        self.sealed.add(frame)
        self.without_user.append(frame)

    def keep_in_log(self, vm: int, page: FilePage, frame: Frame) -> None:
        """A modified sector goes into the VM's log, in place of an older one."""
        older = self.logs.get((vm, page))
        self.logs[vm, page] = frame
        self.sealed.add(frame)
        if older is not None:
            self.settle(older)

    def drop_logs_of_dead(self, vm: int) -> None:
        """The logs of a virtual machine that died are reclaimed, by disk and sector."""
        for key in sorted(key for key in self.logs if key[0] == vm):
            self.settle(self.logs.pop(key), self.pools.reclaimed)

    def settle(self, frame: Frame, pool: list[list[int]] | None = None) -> None:
        """After a use of the frame has ended: it is freed if that was the last, into the pool given."""
        if frame in self.memmap or frame in self.logs.values():
            return
        if frame not in self.disk_cache.values():
            self._free(frame, self.pools.freed if pool is None else pool)
        elif frame not in self.without_user:
            self.without_user.append(frame)

    def _free(self, frame: Frame, pool: list[list[int]]) -> None:
        self.drop_copies(frame)
        self.sealed.discard(frame)
        self.counters.forget(frame)
        pool[frame.node].append(frame.i)

    # Replicas

    def master_of(self, frame: Frame) -> Frame:
        """The master of a replica; any other frame is its own."""
        for master, copies in self.copies.items():
            if frame in copies.values():
                return master
        return frame

    def nearest_copy(self, frame: Frame, cpu: int) -> Frame:
        """What a CPU gets in its TLB for a page in this master frame (section 5)."""
        return self.copies.get(frame, {}).get(self.layout.node_of(cpu), frame)

    def is_read_only(self, frame: Frame) -> bool:
        """Whether a store to the frame faults (section 9)."""
        master = self.master_of(frame)
        return master in self.sealed or master in self.copies

    def add_copy(self, master: Frame, copy: Frame) -> None:
        """The copy is the replica of the master on its node."""
        self.copies.setdefault(master, {})[copy.node] = copy
        self.copies_by_age.append((master, copy.node))

    def drop_copies(self, master: Frame) -> None:
        """All replicas go, and their lines, in ascending order of node."""
        for node in sorted(self.copies.get(master, {})):
            self._drop_copy(master, node)

    def _drop_copy(self, master: Frame, node: int) -> None:
        copy = self.copies[master].pop(node)
        if not self.copies[master]:
            del self.copies[master]
        self.copies_by_age.remove((master, node))
        self.caches.lines_go(copy)
        self._free(copy, self.pools.freed)

    def collapse(self, master: Frame) -> None:
        """A replicated page is written to: only the master stays (section 9)."""
        self.now.count("collapses")
        self.tlbs.shoot_down(self.virtual_pages(master), self.layout.cpus_of(set(self.copies[master])))
        self.drop_copies(master)

    def virtual_pages(self, frame: Frame) -> list[Page]:
        """The virtual pages of all guest pages of a frame."""
        return self.page_map.virtual_pages(*self.memmap.get(frame, []))

    # Moving and breaking

    def move(self, old: Frame, target: Frame) -> None:
        """A page migrates with its users, its place in disk cache or log, and its moves (section 9)."""
        for guest_page in list(self.memmap[old]):
            self._disconnect(guest_page)
            self.give(guest_page, target)
        self.disk_cache = {page: target if frame == old else frame for page, frame in self.disk_cache.items()}
        self.logs = {key: target if frame == old else frame for key, frame in self.logs.items()}
        if old in self.sealed:
            self.sealed.add(target)
        self.counters.moves[target] = self.counters.moves[old] + 1
        self.tlbs.shoot_down(self.virtual_pages(target), self.tlbs.all_cpus)
        self.caches.lines_go(old)
        self._free(old, self.pools.freed)

    def resolve_write(self, guest_page: GuestPage) -> None:
        """A store to a page in a read-only frame: copy-on-write if it is sealed, else a collapse (section 9)."""
        frame = self.pmap[guest_page]
        if frame not in self.sealed:
            self.collapse(frame)
            return
        self.now.count("cow_faults")
        self.now.count("pages_copied")
        copy = self.new(guest_page.vm)
        self.tlbs.shoot_down(self.page_map.virtual_pages(guest_page), self.tlbs.all_cpus)
        self.replace(guest_page, copy)
