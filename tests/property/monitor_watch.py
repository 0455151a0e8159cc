"""The monitor under the stateful test, with a content tag on each machine frame.

The tags go where the monitor copies, reads and frees, and where the hardware stores: which frame a reference reached
is read from the first-level cache, where its line stands first in its set. Nothing that the monitor believes is used.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.history import History, KeptHistory
from discotrace.replay.counts import Event
from discotrace.replay.kernels.state import FIRST, MASK, SHAPE, SHIFT, WAYS
from discotrace.tracegen.schema import Kind
from tests.property.monitor_setups import KERNEL, PAGE, Setup
from tests.property.monitor_world import CLEARED, FilePage, Page, World, image

GONE = "the content of a frame that is free"


class Reference(NamedTuple):
    """A reference that is being made. ``vaddr``: of its last byte."""

    access: Kind
    is_whole: bool
    cpu: int
    key: int
    vaddr: int

    def over(self, content: str, stored: str) -> str:
        """What is in a page after a store: all of it new, or a few bytes over what was there."""
        return stored if self.is_whole else f"{stored} over {content}"


class Contents:
    """What each machine frame, and each sector of the persistent disks, contains."""

    def __init__(self, system: DiscoSystem, world: World) -> None:
        self.of: dict[int, str] = {}
        self.platters: dict[FilePage, str] = {}
        self._system = system
        self._world = world
        frames, disks, memory = system.frames, system._disks, system.memory
        _after(frames, "new", lambda slot: self.of.update({slot: CLEARED}))
        _after(frames, "new_on", lambda slot, node: self.of.update({slot: CLEARED} if slot is not None else {}))
        _after(frames, "copy", self._copied)
        _after(disks, "_read_sectors", lambda slot, page: self.of.update({slot: self._on_disk(page)}))
        _after(disks, "boot", self._booted)
        _after(disks, "write", self._written)
        _after(memory, "free", lambda _, slot: self.of.update({slot: GONE}))
        _after(memory, "reclaim", lambda _, slot: self.of.update({slot: GONE}))

    def _copied(self, _: None, source: int, target: int, event: Event) -> None:
        assert self.of[source] != GONE, f"frame {source} is copied ({event.name}), and free"
        assert source != target, f"frame {source} is copied ({event.name}) onto itself"
        self.of[target] = self.of[source]

    def _on_disk(self, page: FilePage) -> str:
        return self.platters.get(page, image(page))

    def _booted(self, slot: int, page: FilePage) -> None:
        if self.of[slot] == CLEARED:  # a frame in the global disk cache never is, but for the boot
            self.of[slot] = image(page)

    def _written(self, _: None, vm: int, page: FilePage, gfn: int) -> None:
        if self._world.is_persistent(page[0]):
            self.platters[page] = self.of[self._system.slot(vm, gfn)]


class WatchedSystem(DiscoSystem):
    """The monitor, and beside it the world as its guests must see it."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.meta, setup.machine, KeptHistory() if setup.history else History())
        self.world = World(setup.machine, setup.meta)
        self.contents = Contents(self, self.world)
        self.making: Reference | None = None
        self._stores = 0
        self._last_fault = (-1, 0, 0)  # row, key, vpn
        for vm, guest in enumerate(self.guests):
            _after(guest._cache, "remove", lambda _, page, vm=vm: self.world.evict(vm, page))

    def map_page(self, key: int, vpn: int, vaddr: int) -> None:
        super().map_page(key, vpn, vaddr)
        mapping = self.mappings.get(key, vpn)
        self.world.map(key, vpn, self.contents.of[self.slot(mapping.vm, mapping.gfn)])

    def write_fault(self, key: int, vpn: int) -> None:
        fault = (self.now.row, key, vpn)
        assert fault != self._last_fault, f"the store to page {vpn:#x} of key {key} is a fault again, for ever"
        self._last_fault = fault
        super().write_fault(key, vpn)

    def request(self, vm: int, file: int, first: int, count: int) -> None:
        super().request(vm, file, first, count)
        for page in range(first, first + count):
            self.world.read(vm, (file, page))

    def file_write(self, file: int, offset: int, size: int) -> None:
        super().file_write(file, offset, size)
        for number in range(offset // PAGE, (offset + size - 1) // PAGE + 1):
            page = Page(self.now.vm, "file", (file, number))
            if file == KERNEL:
                continue
            if page not in self.world.content:
                gfn = self.guests[page.vm].cached(page.name).gfn
                self.world.begin(page, self.contents.of[self.slot(page.vm, gfn)])
            self.world.written.add(page)

    def cool(self, hot: list[tuple[int, int]]) -> None:
        self.settle()
        super().cool(hot)

    def settle(self) -> None:
        """The row's reference is made: a load has seen what its guest must see, a store is in the frame it reached."""
        made, self.making = self.making, None
        if made is None:
            return
        slot = self._frame_reached(made)
        page = self.world.mapped[made.key, made.vaddr // PAGE]
        if made.access == Kind.STORE:
            self._stores += 1
            stored = f"store {self._stores} of VM {page.vm}"
            self.contents.of[slot] = made.over(self.contents.of[slot], stored)
            self.world.put(page, made.over(self.world.content[page], stored))
        seen, expected = self.contents.of[slot], self.world.content[page]
        assert seen == expected, f"{made} sees {seen!r} in frame {slot}, expected {expected!r}"

    def _frame_reached(self, made: Reference) -> int:
        caches = self.hardware.state.caches
        shape: list[int] = caches.shapes[int(made.access) * SHAPE :].tolist()
        index = (made.vaddr >> shape[SHIFT]) & shape[MASK]
        line = int(caches.l1[made.cpu * caches.lane.l1_lines + shape[FIRST] + index * shape[WAYS]]) >> 1
        return line // (PAGE >> shape[SHIFT])


def _after(owner: Any, name: str, note: Callable[..., Any]) -> None:
    """``note`` is called after each call of a method of one object, with its result and its arguments."""
    method = getattr(owner, name)

    def watched(*arguments: Any) -> Any:
        result = method(*arguments)
        note(result, *arguments)
        return result

    setattr(owner, name, watched)
