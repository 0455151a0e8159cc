"""Policy ``origin``: a page migrates to the node that misses on it more than its own does, as on SGI's Origin 2000.

The hardware compares a remote node's counter with the home's; the OS moves the page unless it bounces.
``docs/model.md`` section 9 has the rule, ``[migration]`` its thresholds.
"""

from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Reason, Stay
from discotrace.replay.placement import first_touch


class Origin(Policy):
    """Migrates by the difference of two nodes' misses; never replicates."""

    @property
    def hot_trigger(self) -> int:
        """``migration.trigger``."""
        return self.machine.migration.trigger

    def place(self, allocated: int, cpu_node: int) -> int:
        """The CPU's node."""
        return first_touch(allocated, cpu_node, self.machine.nodes)

    def decide(self, page: HotPage) -> Decision:
        """By how much the hot CPU's node misses more than the home."""
        limits = self.machine.migration
        here = page.node(page.cpu)
        more = page.misses_of_node(here) - page.misses_of_node(page.home)
        if more < limits.origin_difference:
            return Stay(Reason.OTHER, f"{more} misses more than the home, expected {limits.origin_difference}")
        if page.moves >= limits.origin_bounces:
            return Stay(Reason.CAPPED, f"moved {page.moves} times, limit {limits.origin_bounces}")
        return Migrate(here, f"node {here} has {more} misses more than the home")
