"""Machine memory: the frames of every node, and the placement policies that choose a node for a new one.

``docs/model.md`` section 2.
"""

from collections.abc import Callable
from dataclasses import dataclass

from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError

PlacementPolicy = Callable[
    [int, int, int], int
]  # (how many frames were ever allocated, node of the CPU, nodes) -> node


def round_robin(allocated: int, cpu_node: int, nodes: int) -> int:
    """IRIX in the paper's experiments: pages are dealt out to the nodes in turn (D 5.1)."""
    return allocated % nodes


def first_touch(allocated: int, cpu_node: int, nodes: int) -> int:
    """Disco's initial placement: local to the CPU that touches the page first (D 4.2.2)."""
    return cpu_node


POLICIES: dict[str, PlacementPolicy] = {"round-robin": round_robin, "first-touch": first_touch}


@dataclass(frozen=True)
class Frame:
    """A machine frame. ``index`` counts within its node; ``mfn`` is its place in the machine's address space."""

    node: int
    index: int
    mfn: int


def interleaved(machine: Machine, node: int, index: int) -> int:
    """Machine frame numbers that go round the nodes: the layout that the paper's IRIX was given (D 5.1)."""
    return index * machine.nodes + node


def contiguous(machine: Machine, node: int, index: int) -> int:
    """Machine frame numbers that fill one node after the other: FLASH's true layout."""
    return node * machine.frames_per_node + index


class MachineMemory:
    """Allocates and frees frames. A frame's *slot* is a dense number, the same for the frame whenever it is in use."""

    def __init__(self, machine: Machine, policy: str, layout: Callable[[Machine, int, int], int]) -> None:
        self.frames: list[Frame] = []  # by slot
        self._machine = machine
        self._policy = POLICIES[policy]
        self._layout = layout
        self._allocated = 0
        self._used = [0] * machine.nodes  # fresh indices handed out so far
        self._free: list[list[int]] = [[] for _ in range(machine.nodes)]  # slots, the last freed at the end

    def allocate(self, cpu: int) -> int:
        """Slot of a frame for a page that ``cpu`` touches.

        Raises ConfigError when every node is full.
        """
        nodes = self._machine.nodes
        wanted = self._policy(self._allocated, cpu // self._machine.cpu.per_node, nodes)
        self._allocated += 1
        for step in range(nodes):
            node = (wanted + step) % nodes
            if self._free[node]:
                return self._free[node].pop()
            if self._used[node] < self._machine.frames_per_node:
                return self._fresh(node)
        raise ConfigError(
            f"out of memory: all {nodes} nodes of {self._machine.memory.mib_per_node} MiB are full; "
            "give more with --set memory.mib_per_node=..."
        )

    def free(self, slot: int) -> None:
        """Give a frame back to its node."""
        self._free[self.frames[slot].node].append(slot)

    @property
    def in_use(self) -> int:
        """Frames that are allocated now."""
        return len(self.frames) - sum(len(slots) for slots in self._free)

    def _fresh(self, node: int) -> int:
        index = self._used[node]
        self._used[node] += 1
        self.frames.append(Frame(node, index, self._layout(self._machine, node, index)))
        return len(self.frames) - 1
