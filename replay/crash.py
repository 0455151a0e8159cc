"""A virtual machine, or natively the machine, that dies at a point of the trace (fault containment, D 1)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Crash:
    """From row ``row`` of the trace on VM ``vm`` is dead. Natively the whole machine is."""

    vm: int
    row: int


@dataclass(frozen=True)
class Loss:
    """What a crash cost. ``rows``: of the processes that died, not executed; frames are those that the VM used."""

    vm: int
    rows: int
    processes: list[int]
    frames_reclaimed: int
    frames_surviving: int
