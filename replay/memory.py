"""Machine memory: the frames of every node. ``docs/model.md`` section 2."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.replay.machine import Machine


@dataclass(frozen=True, slots=True)
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

    def __init__(self, machine: Machine, layout: Callable[[Machine, int, int], int]) -> None:
        self.frames: list[Frame] = []  # by slot
        self._machine = machine
        self._layout = layout
        self._used = [0] * machine.nodes  # fresh indices handed out so far
        self._free: list[list[int]] = [[] for _ in range(machine.nodes)]  # slots, the last freed at the end
        self._reclaimed: list[list[int]] = [[] for _ in range(machine.nodes)]
        self._slots: dict[tuple[int, int], int] = {}  # of frames that were in use before the replay began
        self._kept: set[tuple[int, int]] = set()  # those of them that no page has got yet
        self._next: tuple[int, int] | None = None
        # Indices freed before the replay began, the last freed first. There may be very many; few are asked for.
        self._idle: list[Iterator[int]] = [iter(()) for _ in range(machine.nodes)]

    def begin_in_use(self, used: Sequence[int], freed: Sequence[npt.NDArray[np.int64]]) -> None:
        """Begin as if so many frames of each node had been handed out, and these indices freed, the last last."""
        self._used = list(used)
        self._idle = [map(int, reversed(indices)) for indices in freed]

    def keep(self, places: Iterable[tuple[int, int]]) -> None:
        """These frames, each a node and an index, were in use before the replay began, and have slots from now on."""
        new = [place for place in dict.fromkeys(places) if place not in self._slots]
        for node, index in new:
            self._slot_of(node, index)
        self._kept.update(new)

    def next_is(self, node: int, index: int) -> None:
        """The next page gets this frame, which was in use before the replay began, wherever it is wanted."""
        self._next = (node, index)

    def next_is_any(self) -> None:
        """The next page gets any frame."""
        self._next = None

    def given(self) -> int | None:
        """Slot of the frame that the next page gets by ``next_is``; None if there is none, or another page has it."""
        place, self._next = self._next, None
        if place in self._kept:
            self._kept.remove(place)
            return self._slots[place]
        return None if place is None or place in self._slots else self._slot_of(*place)

    def allocate(self, wanted: int) -> int | None:
        """Slot of a free frame on the wanted node, or on the nearest that has one; None if there is none at all."""
        slot = self.allocate_on(wanted)
        others = iter(sorted(range(self._machine.nodes), key=lambda node: (abs(node - wanted), node)))
        while slot is None and (node := next(others, None)) is not None:
            slot = self.allocate_on(node)
        return slot

    def allocate_on(self, node: int) -> int | None:
        """Slot of a free frame of a node, None if it has none."""
        if self._free[node]:
            return self._free[node].pop()
        for index in self._idle[node]:
            if (node, index) not in self._slots:
                return self._slot_of(node, index)
        if self._used[node] < self._machine.frames_per_node:
            self._used[node] += 1
            return self._new_slot(node, self._used[node] - 1)
        return self._reclaimed[node].pop() if self._reclaimed[node] else None

    def free(self, slot: int) -> None:
        """Give a frame back to its node."""
        self._free[self.frames[slot].node].append(slot)

    def reclaim(self, slot: int) -> None:
        """Take a frame from a VM that died. It is used last, so that the crash changes nothing for the others."""
        self._reclaimed[self.frames[slot].node].append(slot)

    def _slot_of(self, node: int, index: int) -> int:
        """The slot of a frame that was in use before the replay began."""
        slot = self._slots[node, index] = self._new_slot(node, index)
        return slot

    def _new_slot(self, node: int, index: int) -> int:
        self.frames.append(Frame(node, index, self._layout(self._machine, node, index)))
        return len(self.frames) - 1

    @property
    def in_use(self) -> int:
        """Frames that are allocated now."""
        return len(self.frames) - sum(len(slots) for slots in (*self._free, *self._reclaimed))
