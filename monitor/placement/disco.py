"""Policy ``disco``: hot pages of one node migrate, hot pages that are read are replicated (D 4.2.3).

After Verghese et al., "Operating system support for improving data locality on CC-NUMA compute servers" (ASPLOS
1996). ``docs/model.md`` section 9 has the rule, ``[migration]`` its thresholds.
"""

from collections.abc import Set

from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Reason, Replicate, Stay
from discotrace.replay.placement import first_touch


class Disco(Policy):
    """Migrates what one node uses, replicates what several read, leaves alone what several write."""

    @property
    def hot_trigger(self) -> int:
        """``migration.trigger``."""
        return self.machine.migration.trigger

    def place(self, allocated: int, cpu_node: int) -> int:
        """The CPU's node (D 4.2.2)."""
        return first_touch(allocated, cpu_node, self.machine.nodes)

    def decide(self, page: HotPage) -> Decision:
        """By whether a CPU of another node than the hot one's misses on the page too."""
        here = page.node(page.cpu)
        limit = self.machine.migration.sharing
        users = {page.node(cpu) for cpu, misses in enumerate(page.misses) if misses >= limit}
        if users - {here}:
            return self._shared(page, users | {here})
        return self._unshared(page, here)

    def _unshared(self, page: HotPage, here: int) -> Decision:
        if page.copies:
            return Replicate((here,), f"others have copies, node {here} misses on it now")
        limit = self.machine.migration.moves
        if page.moves >= limit:
            return Stay(Reason.CAPPED, f"moved {page.moves} times, limit {limit}")
        return Migrate(here, f"node {here} alone misses on it")

    def _shared(self, page: HotPage, users: Set[int]) -> Decision:
        limit = self.machine.migration.writes
        written = sum(page.writes)
        if written >= limit:
            return Stay(Reason.WRITTEN, f"shared, and written {written} times, limit {limit}")
        nodes = tuple(sorted(users))
        return Replicate(nodes, f"nodes {', '.join(map(str, nodes))} miss on it, written {written} times")
