"""Policy ``round-robin``: pages are dealt out to the nodes in turn; pages never move."""

from discotrace.monitor.placement.base import Policy
from discotrace.replay.placement import round_robin


class RoundRobin(Policy):
    """The placement of IRIX in the paper's experiments (D 5.1)."""

    def place(self, allocated: int, cpu_node: int) -> int:
        """Node 0, 1, 2 ... and 0 again."""
        return round_robin(allocated, cpu_node, self.machine.nodes)
