"""What a system under test is to the engine: a name, compiled functions, and where its memory comes from.

The compiled half of the contract is ``kernels/system.py``. ``NativeSystem`` is the OS on the bare machine; the monitor
implements the same contract in ``discotrace.monitor``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from discotrace.replay.kernels.native import Native, replay_native
from discotrace.replay.kernels.state import I64, U64, State
from discotrace.replay.machine import Machine
from discotrace.replay.memory import MachineMemory, interleaved
from discotrace.tracegen.schema import Rows

ReplayKernel = Callable[[State, Rows, int, I64, U64], int]


class Translations(NamedTuple):
    """Tags and frames of a table of translations, hardware or software: [n], [n], [n, 2]."""

    key: U64
    group: U64
    frame: I64


class System(ABC):
    """A system under test, for one replay."""

    name: str
    replay_rows: ReplayKernel  # the compiled loop over rows
    numbers: Any  # NamedTuple for ``State.system``

    @abstractmethod
    def allocate(self, cpu: int) -> int:
        """Slot of a frame for a page that the guest allocates and ``cpu`` touches.

        Raises ConfigError when memory is full.
        """

    @abstractmethod
    def free(self, slot: int) -> None:
        """The guest has no use for the page any more."""

    @property
    @abstractmethod
    def memory(self) -> MachineMemory:
        """The machine's memory."""

    def translations(self) -> list[Translations]:
        """Tables of its own that hold translations, beside the hardware's TLBs."""
        return []


class NativeSystem(System):
    """The OS on the bare machine: its physical pages are the machine's frames."""

    name = "native"
    replay_rows = staticmethod(replay_native)

    def __init__(self, machine: Machine) -> None:
        self.numbers = Native()
        self._memory = MachineMemory(machine, machine.placement.native, interleaved)

    @property
    def memory(self) -> MachineMemory:
        """The machine's memory, which the OS sees as it is."""
        return self._memory

    def allocate(self, cpu: int) -> int:
        """A frame by the OS's own placement."""
        return self._memory.allocate(cpu)

    def free(self, slot: int) -> None:
        """Back to the free list of its node."""
        self._memory.free(slot)
