"""Policy ``first-touch``: a page is local to the CPU that touches it first; pages never move."""

from discotrace.monitor.placement.base import Policy
from discotrace.replay.placement import first_touch


class FirstTouch(Policy):
    """Disco's initial placement alone (D 4.2.2)."""

    def place(self, allocated: int, cpu_node: int) -> int:
        """The CPU's node."""
        return first_touch(allocated, cpu_node, self.machine.nodes)
