"""The machine under replay as Python sees it: the kernels' state, and the operations on it that are not references."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import Counters, non_zero, with_cache_events_of
from discotrace.replay.initial import new_state, with_room_for_frames
from discotrace.replay.journal import Journal
from discotrace.replay.kernels.compile import bound
from discotrace.replay.kernels.counters import find_counted
from discotrace.replay.kernels.entries import (
    drop_lines,
    page_map_change,
    page_map_insert,
    page_map_insert_all,
    page_map_remove,
    shoot_down,
)
from discotrace.replay.kernels.state import (
    Frames,
    PageMap,
    State,
    new_frames,
    new_keys,
)
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.mappings import VirtualPage
from discotrace.replay.memory import Frame
from discotrace.replay.partition import Partition
from discotrace.tracegen.schema import TraceMeta

ALL_CPUS = (1 << 64) - 1


class Hardware:
    """State of one replay. CPUs in sets are bits: bit c for CPU c."""

    def __init__(
        self,
        system: Any,
        machine: Machine,
        parts: Partition,
        meta: TraceMeta,
        hot_trigger: int,
        beside: Sequence[Hierarchy],
    ) -> None:
        """``system``: the NamedTuple that chooses the compiled functions; ``beside``: see ``System``."""
        asids = [process.asid for process in meta.processes]
        self._hierarchies = [machine.caches, *beside]
        self.state: State = new_state(system, machine, parts, asids, hot_trigger, self._hierarchies)
        self.journal: Journal | None = None
        self._mapped = 0
        self._known_frames = 0
        self._cpus_per_node = machine.cpu.per_node
        pages = self.state.pages
        self._insert = bound(page_map_insert, pages, 0, 0, 0)
        self._remove = bound(page_map_remove, pages, 0, 0)
        self._change = bound(page_map_change, pages, 0, 0, 0)
        self._places = np.empty(len(self.state.counts) // len(self._hierarchies), np.int64)  # room for those of a lane

    @property
    def lanes(self) -> int:
        """Cache hierarchies side by side."""
        return len(self._hierarchies)

    # Pages

    def map(self, key: int, vpn: int, slot: int) -> None:
        """The page tables map a page from here on."""
        self._mapped += 1
        if 2 * self._mapped > len(self.state.pages.frame):
            places = 2 * len(self.state.pages.frame)
            larger = PageMap(new_keys(places), new_keys(places), new_frames(places))
            page_map_insert_all(self.state.pages, larger)
            self.state = self.state._replace(pages=larger)
        self._insert(self.state.pages, key, vpn, slot)
        if self.journal:
            self.journal.mapped(key, vpn, slot)

    def remap(self, page: VirtualPage, slot: int) -> None:
        """A mapped page has another frame."""
        self._change(self.state.pages, *page, slot)
        if self.journal:
            self.journal.mapped(*page, slot)

    def unmap(self, key: int, vpn: int) -> None:
        """The page tables do not map the page any more. What TLBs hold of it stays."""
        self._mapped -= 1
        self._remove(self.state.pages, key, vpn)
        if self.journal:
            self.journal.unmapped(key, vpn)

    def shoot_down(self, pages: Iterable[VirtualPage], cpus: int = ALL_CPUS) -> int:
        """Make pages invalid in the TLBs of some CPUs and in the software TLBs of the virtual CPUs that run there.

        Returns which of all CPUs had one of them in its TLB.
        """
        held = 0
        for key, vpn in pages:
            held |= int(self._shoot_down(self.state, key, vpn, np.uint64(cpus)))
        return held

    @cached_property
    def _shoot_down(self) -> Callable[[State, int, int, np.uint64], np.uint64]:
        return bound(shoot_down, self.state, 0, 0, np.uint64(0))  # compiled when it is first needed

    @cached_property
    def _drop_lines(self) -> Callable[[State, int], None]:
        return bound(drop_lines, self.state, 0)

    # Counters

    def take_counts(self) -> list[Counters]:
        """Each lane's counters of events that are not zero; they are afterwards. Looks only where there may be some."""
        state = self.state
        lanes = state.counts.reshape(state.params.lanes, -1)
        first, *others = [self._take(lane) for lane in lanes]
        state.planes_used.fill(0)
        state.planes_used[state.cpus.plane] = 1  # in which the CPUs go on
        return [first, *(with_cache_events_of(first, other) for other in others)]

    def take_node_counts(self) -> list[Counters]:
        """Each lane's counters of events at nodes that are not zero; they are afterwards."""
        lanes = self.state.caches.node_counts.reshape(self.state.params.lanes, -1)
        taken = [non_zero(counts) for counts in lanes]
        lanes.fill(0)
        return taken

    def _take(self, counts: npt.NDArray[np.int64]) -> Counters:
        """Take the counters of one lane."""
        found = find_counted(counts, self.state.planes_used, self._places)
        places = self._places[:found].copy()
        taken = Counters(places, counts[places])
        counts[places] = 0
        return taken

    # Frames

    @property
    def frames(self) -> Frames:
        """Per-frame arrays."""
        return self.state.caches.frames

    def know_frames(self, frames: list[Frame]) -> None:
        """Make the kernels know the machine's frames, by slot, as far as they are new."""
        first, count = self._known_frames, len(frames)
        if first == count:
            return
        self.state = with_room_for_frames(self.state, self._hierarchies, count)
        nodes, known = self.state.params.cpu_nodes, self.state.caches.frames
        for slot in range(first, count):
            known.mfn[slot] = frames[slot].mfn
            known.home[slot] = frames[slot].node
            known.near[slot * nodes : (slot + 1) * nodes] = slot
        self._known_frames = count

    def set_near(self, slot: int, node: int, copy: int) -> None:
        """CPUs of a node use ``copy`` for pages whose frame is ``slot``."""
        self.frames.near[slot * self.state.params.cpu_nodes + node] = copy

    def make_read_only(self, slot: int, pages: Iterable[VirtualPage]) -> None:
        """Stores to the frame trap, also through the translations that CPUs have of these pages."""
        self.frames.read_only[slot] = 1
        self.shoot_down(pages, cpus=0)  # which makes the kernels look at the frame again

    def drop_lines(self, slot: int) -> None:
        """All lines of a frame leave the caches."""
        self._drop_lines(self.state, slot)

    def heat(self, slot: int) -> npt.NDArray[np.uint32]:
        """L2 misses on a frame by CPU [C], since they were last cleared."""
        return self._by_cpu(self.frames.heat, slot)

    def writes(self, slot: int) -> npt.NDArray[np.uint32]:
        """Store misses and upgrades on a frame by CPU [C], likewise."""
        return self._by_cpu(self.frames.writes, slot)

    def misses(self, slot: int) -> npt.NDArray[np.uint32]:
        """L2 misses on a frame by CPU [C], ever."""
        return self._by_cpu(self.frames.misses, slot)

    def clear_heat(self, slot: int) -> None:
        """A frame is cold."""
        self.heat(slot).fill(0)
        self.writes(slot).fill(0)

    def clear_all_heat(self) -> None:
        """All frames are cold."""
        self.frames.heat.fill(0)
        self.frames.writes.fill(0)

    def take_hot(self) -> list[tuple[int, int]]:
        """Slots and CPUs of the pages that became hot, in order; the list is empty afterwards."""
        count = int(self.frames.hot[0])
        self.frames.hot[0] = 0
        noted = self.frames.hot[1 : 1 + 2 * count].tolist()
        return list(zip(noted[::2], noted[1::2], strict=True))

    def cpus_of_nodes(self, nodes: Iterable[int]) -> int:
        """The CPUs of some nodes."""
        of_node = (1 << self._cpus_per_node) - 1
        cpus = 0
        for node in nodes:
            cpus |= of_node << node * self._cpus_per_node
        return cpus & ((1 << self.state.params.cpus) - 1)

    def _by_cpu(self, counters: npt.NDArray[np.uint32], slot: int) -> npt.NDArray[np.uint32]:
        cpus = self.state.params.cpus
        return counters[slot * cpus : (slot + 1) * cpus]
