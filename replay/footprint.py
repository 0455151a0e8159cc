"""How much memory is in use, by what it holds: guest pages (virtual) and machine frames (each once).

Figure 6 of the Disco paper (D 5.3) tells the two apart: without sharing, and as it is.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

CATEGORIES = ("text", "data", "buffer", "user")
REPLICA, LOG, DISK_CACHE = "replica", "log", "disk_cache"
MACHINE_CATEGORIES = (*CATEGORIES, REPLICA, LOG, DISK_CACHE)


@dataclass(frozen=True)
class Footprint:
    """Pages in use. ``virtual`` by ``CATEGORIES``, over all VMs; ``machine`` by ``MACHINE_CATEGORIES``.

    A frame counts where its first user does, a guest page; if none uses it, as what else keeps it.
    """

    virtual: dict[str, int]
    machine: dict[str, int]


@dataclass(frozen=True)
class Footprints:
    """At the end of a replay, and when most frames were in use."""

    end: Footprint
    peak: Footprint


class FootprintMeter:
    """Keeps count while pages come and go."""

    def __init__(self) -> None:
        self._virtual: Counter[str] = Counter()
        self._machine: Counter[str] = Counter()
        self._frames = 0
        self._most_frames = 0
        self._virtual_at_peak: dict[str, int] = {}
        self._machine_at_peak: dict[str, int] = {}

    def guest_page(self, category: str, change: int) -> None:
        """A guest page is taken (+1) or freed (-1)."""
        self._virtual[category] += change

    def frame(self, before: str | None, after: str | None) -> None:
        """A frame holds something else now; None = it is free."""
        if before:
            self._machine[before] -= 1
            self._frames -= 1
        if after:
            self._machine[after] += 1
            self._frames += 1

    def settle(self) -> None:
        """An operation is over: what is in use now may be the most so far."""
        if self._frames > self._most_frames:
            self._most_frames = self._frames
            self._virtual_at_peak = dict(self._virtual)
            self._machine_at_peak = dict(self._machine)

    @property
    def footprints(self) -> Footprints:
        """What was measured."""
        return Footprints(
            _footprint(self._virtual, self._machine), _footprint(self._virtual_at_peak, self._machine_at_peak)
        )


def _footprint(virtual: Mapping[str, int], machine: Mapping[str, int]) -> Footprint:
    return Footprint(
        {name: virtual.get(name, 0) for name in CATEGORIES},
        {name: machine.get(name, 0) for name in MACHINE_CATEGORIES},
    )
