"""What a placement policy is (D 4.2.3). ``docs/policies.md`` shows how to write one.

A policy is asked when the monitor needs a frame for a guest page (``place``) and when a page is hot (``decide``): when
a CPU of another node than the page's has missed on it ``hot_trigger`` times since its counters were last set to zero.
It must depend on nothing but its machine, its arguments and what it was asked before, so that a replay can be repeated:
on no clock, no random numbers but its own, no file, and nothing that two policies share.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from discotrace.replay.machine import Machine


class Reason(Enum):
    """Why a hot page is left alone, as far as counters distinguish it."""

    WRITTEN = "written"
    CAPPED = "capped"
    OTHER = "other"


@dataclass(frozen=True)
class Stay:
    """Leave the page alone. ``why`` is for ``discotrace explain``."""

    reason: Reason
    why: str = ""


@dataclass(frozen=True)
class Migrate:
    """Move the page to another node."""

    node: int
    why: str = ""


@dataclass(frozen=True)
class Replicate:
    """Give these nodes read-only copies of the page; those that have one already keep it."""

    nodes: Sequence[int]
    why: str = ""


Decision = Stay | Migrate | Replicate


@dataclass(frozen=True)
class HotPage:
    """A hot page as FLASH's counters and the memmap show it. Counters are since the last reset or decision."""

    cpu: int  # that made it hot
    home: int  # node of the page
    copies: Sequence[int]  # nodes with a replica, ascending
    misses: Sequence[int]  # by CPU, on the page and its replicas
    writes: Sequence[int]  # by CPU: store misses and upgrades
    moves: int  # migrations since the last reset
    per_node: int  # CPUs of a node

    def node(self, cpu: int) -> int:
        """The node of a CPU."""
        return cpu // self.per_node

    def misses_of_node(self, node: int) -> int:
        """Misses of all CPUs of a node."""
        return sum(self.misses[node * self.per_node : (node + 1) * self.per_node])


class Policy(ABC):
    """A placement policy, made once for each replay."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def hot_trigger(self) -> int:
        """Misses of a remote CPU at which a page is hot; 0 = never. Asked once; who defines ``decide`` defines it."""
        return 0

    @abstractmethod
    def place(self, allocated: int, cpu_node: int) -> int:
        """Node for a new frame: the ``allocated``-th (from 0) that is placed, for a CPU of ``cpu_node``."""

    def decide(self, page: HotPage) -> Decision:
        """What to do with a hot page."""
        return Stay(Reason.OTHER, "the policy does not move pages")
