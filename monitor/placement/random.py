"""Policy ``random``: a page is on any node; pages never move."""

from discotrace.monitor.placement.base import Policy
from discotrace.replay.placement import random


class Random(Policy):
    """The placement that knows nothing, to compare others with."""

    def place(self, allocated: int, cpu_node: int) -> int:
        """A node drawn by the number of the frame, the same in every replay."""
        return random(allocated, cpu_node, self.machine.nodes)
