"""Hot pages: what the policy decides about a page that remote CPUs miss on, and how it is carried out.

D 4.2.2, 4.2.3; ``docs/model.md`` section 9.
"""

import numpy as np

from discotrace.monitor.frames import MonitorFrames
from discotrace.monitor.placement.base import HotPage, Migrate, Policy, Reason, Replicate
from discotrace.monitor.write_faults import collapse
from discotrace.replay.counts import Event
from discotrace.replay.mappings import PAGE_TABLE_KEY, is_user_key
from discotrace.tracegen.schema import KSEG0_END, KSEG0_START

LEFT = {
    Reason.WRITTEN: Event.HOT_LEFT_WRITTEN,
    Reason.CAPPED: Event.HOT_LEFT_CAPPED,
    Reason.OTHER: Event.HOT_LEFT_OTHER,
}


class HotPages:
    """Migration and replication under one policy."""

    def __init__(self, frames: MonitorFrames, policy: Policy) -> None:
        self._frames = frames
        self._policy = policy
        self._history = frames.history
        machine = frames.machine
        self._kernel_is_large = machine.monitor.kernel_page_kib * 1024 > machine.page_bytes

    def cool(self, slot: int, cpu: int) -> None:
        """A CPU has made a frame hot: decide, act, and set its counters to zero."""
        frames = self._frames
        if slot not in frames.memmap:
            return
        master = frames.memmap[slot].master
        master = slot if master is None else master
        if not frames.memmap[master].users:
            return
        frames.now.count(Event.HOT_PAGES)
        page = self._seen(master, cpu)
        if self._is_pinned(master):
            self._leave(master, page, Event.HOT_LEFT_PINNED, "it is part of a large kernel page")
        else:
            master = self._carry_out(master, page)
        self._clear(master)

    def cool_all(self) -> None:
        """Nothing counts as hot or moved any more."""
        self._frames.hardware.clear_all_heat()
        self._frames.memmap.forget_moves()

    def _seen(self, master: int, cpu: int) -> HotPage:
        """The page as the policy sees it."""
        frames, use = self._frames, self._frames.memmap[master]
        slots = [master, *use.replicas.values()]
        return HotPage(
            cpu=cpu,
            home=frames.node(master),
            copies=tuple(sorted(use.replicas)),
            misses=tuple(np.sum([frames.hardware.heat(slot) for slot in slots], axis=0, dtype=int).tolist()),
            writes=tuple(np.sum([frames.hardware.writes(slot) for slot in slots], axis=0, dtype=int).tolist()),
            moves=use.moves,
            per_node=frames.machine.cpu.per_node,
        )

    def _is_pinned(self, master: int) -> bool:
        """Whether the page is part of a large one, which moves as a whole or not at all."""
        page_bytes = self._frames.machine.page_bytes
        return self._kernel_is_large and any(
            not is_user_key(key) and not key & PAGE_TABLE_KEY and KSEG0_START <= vpn * page_bytes < KSEG0_END
            for key, vpn in self._frames.virtual_pages(master)
        )

    def _carry_out(self, master: int, page: HotPage) -> int:
        """Do what the policy wants; returns the frame of the page afterwards."""
        decision = self._policy.decide(page)
        if isinstance(decision, Migrate):
            return self._migrate(master, page, decision)
        if isinstance(decision, Replicate):
            self._replicate(master, page, decision)
        else:
            self._leave(master, page, LEFT[decision.reason], decision.why)
        return master

    def _migrate(self, old: int, page: HotPage, decision: Migrate) -> int:
        frames = self._frames
        if decision.node == page.home:
            self._leave(old, page, Event.HOT_LEFT_OTHER, "it is on the wanted node already")
            return old
        if page.copies:
            collapse(frames, old)
        new = frames.new_on(decision.node)
        if new is None:
            self._leave(old, page, Event.HOT_LEFT_FULL, f"node {decision.node} is full")
            return old
        self._history.note(frames, old, "migrated", (decision.node,), decision.why, page)
        frames.copy(old, new, Event.MIGRATIONS)
        self._move(old, new)
        return new

    def _move(self, old: int, new: int) -> None:
        """All that is said of one frame is said of another from here on."""
        frames = self._frames
        virtual = frames.virtual_pages(old)
        frames.account(old)
        frames.shootdown.take(virtual)
        frames.memmap.move(old, new)
        for vm, gfn in frames.memmap[new].users:
            frames.pmaps[vm].back(gfn, new)
        frames.cache.move(old, new)
        frames.logs.move(old, new)
        frames.point(virtual, new)
        frames.hardware.frames.read_only[new] = frames.memmap[new].is_sealed
        frames.hardware.drop_lines(old)
        frames.hardware.frames.read_only[old] = 0
        frames.hardware.clear_heat(old)
        frames.memory.free(old)

    def _replicate(self, master: int, page: HotPage, decision: Replicate) -> None:
        frames = self._frames
        wanted = [node for node in decision.nodes if node != page.home and node not in page.copies]
        wanted = [node for node in wanted if node < frames.machine.cpu_nodes]  # a node without CPUs needs no copy
        copies = {node: frames.new_on(node) for node in sorted(wanted)}
        made = {node: copy for node, copy in copies.items() if copy is not None}
        if not made:
            event = Event.HOT_LEFT_FULL if wanted else Event.HOT_LEFT_OTHER
            why = "the wanted nodes are full" if wanted else "the wanted nodes have copies already"
            self._leave(master, page, event, why)
            return
        self._history.note(frames, master, "replicated", tuple(made), decision.why, page)
        frames.shootdown.downgrade(frames.virtual_pages(master), frames.hardware.cpus_of_nodes(made))
        for node, copy in made.items():
            frames.copy(master, copy, Event.REPLICATIONS)
            frames.memmap.add_replica(master, node, copy)
            frames.hardware.set_near(master, node, copy)
            frames.hardware.make_read_only(copy, [])
        frames.hardware.make_read_only(master, frames.virtual_pages(master))

    def _leave(self, master: int, page: HotPage, event: Event, why: str) -> None:
        self._frames.now.count(event)
        self._history.note(self._frames, master, "left alone", (), why, page)

    def _clear(self, master: int) -> None:
        for slot in [master, *self._frames.memmap[master].replicas.values()]:
            self._frames.hardware.clear_heat(slot)
