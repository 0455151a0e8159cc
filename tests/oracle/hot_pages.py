"""Migration and replication of hot pages: section 9 of ``docs/model.md`` (D 4.2.2)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.oracle.counters import FrameCounters
from tests.oracle.frames import Frames
from tests.oracle.memory import Frame, Layout, is_kseg0
from tests.oracle.now import Now
from tests.oracle.tlbs import Tlbs
from tests.oracle.translation import Translation


class Stay(NamedTuple):
    """The page stays where it is, for this reason: written, capped or other."""

    reason: str


class Migrate(NamedTuple):
    """The page shall move to this node."""

    node: int


class Replicate(NamedTuple):
    """The page shall have copies on these nodes."""

    nodes: set[int]


class Seen(NamedTuple):
    """What a policy sees of a hot page; heat is by CPU, writes is the sum."""

    heat: Counter[int]
    writes: int
    home: int
    has_replicas: bool
    moves: int
    cpu: int


class HotPages:
    """What the monitor does with the pages that the last row made hot."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        layout: Layout,
        frames: Frames,
        tlbs: Tlbs,
        counters: FrameCounters,
        translation: Translation,
    ):
        """``placement.policy`` decides."""
        self.limits = tables["migration"]
        self.decide = {"disco": self.disco, "origin": self.origin}.get(tables["placement"]["policy"], self.origin)
        self.now, self.layout, self.frames, self.tlbs = now, layout, frames, tlbs
        self.counters, self.translation = counters, translation

    def handle_all(self) -> None:
        """Handles the hot pages of the row one by one, in order."""
        hot, self.counters.hot = self.counters.hot, []
        for frame, cpu in hot:
            master = self.frames.master_of(frame)
            if master in self.frames.memmap:
                self._handle(master, cpu)

    def _handle(self, master: Frame, cpu: int) -> None:
        self.now.count("hot_pages")
        page = [master, *self.frames.copies.get(master, {}).values()]
        if self._is_pinned(master):
            self.now.count("hot_left_pinned")
        else:
            decision = self.decide(self._see(master, cpu))
            if isinstance(decision, Stay):
                self.now.count(f"hot_left_{decision.reason}")
            elif isinstance(decision, Migrate):
                self._migrate(master, decision.node)
            else:
                self._replicate(master, decision.nodes)
        for frame in page:
            self.counters.cool(frame)

    def _is_pinned(self, master: Frame) -> bool:
        addresses = (page.vpn * self.layout.page_bytes for page in self.frames.virtual_pages(master))
        return self.translation.has_large_pages and any(is_kseg0(address) for address in addresses)

    def _see(self, master: Frame, cpu: int) -> Seen:
        copies = self.frames.copies.get(master, {})
        heat: Counter[int] = Counter()
        writes = 0
        for frame in (master, *copies.values()):
            heat += self.counters.heat.get(frame, Counter())
            writes += self.counters.writes.get(frame, Counter()).total()
        return Seen(heat, writes, master.node, bool(copies), self.counters.moves[master], cpu)

    def disco(self, seen: Seen) -> Stay | Migrate | Replicate:
        """After Verghese et al., ASPLOS 1996."""
        own = self.layout.node_of(seen.cpu)
        busy = {self.layout.node_of(cpu) for cpu in range(self.layout.cpus) if seen.heat[cpu] >= self.limits["sharing"]}
        is_shared = bool(busy - {own})
        if not is_shared:
            if seen.has_replicas:
                return Replicate({own})
            return Stay("capped") if seen.moves >= self.limits["moves"] else Migrate(own)
        return Stay("written") if seen.writes >= self.limits["writes"] else Replicate({own} | busy)

    def origin(self, seen: Seen) -> Stay | Migrate | Replicate:
        """After the SGI Origin 2000; it never replicates."""
        own = self.layout.node_of(seen.cpu)
        by_node: Counter[int] = Counter()
        for cpu, heat in seen.heat.items():
            by_node[self.layout.node_of(cpu)] += heat
        if by_node[own] - by_node[seen.home] < self.limits["origin_difference"]:
            return Stay("other")
        return Stay("capped") if seen.moves >= self.limits["origin_bounces"] else Migrate(own)

    def _migrate(self, master: Frame, node: int) -> None:
        if master.node == node:
            self.now.count("hot_left_other")
            return
        if master in self.frames.copies:
            self.frames.collapse(master)
        target = self.frames.new_on(node)
        if target is None:
            self.now.count("hot_left_full")
            return
        self.now.count("migrations")
        self.frames.move(master, target)

    def _replicate(self, master: Frame, nodes: set[int]) -> None:
        have = {master.node, *self.frames.copies.get(master, {})}
        found_full = False
        made: set[int] = set()
        for node in sorted(nodes - have):
            copy = self.frames.new_on(node)
            if copy is None:
                found_full = True
            else:
                self.now.count("replications")
                self.frames.add_copy(master, copy)
                made.add(node)
        if made:
            pages = self.frames.virtual_pages(master)
            self.tlbs.shoot_down(pages, self.layout.cpus_of(made), downgraded=self.tlbs.all_cpus)
        else:
            self.now.count("hot_left_full" if found_full else "hot_left_other")
