"""Copy-on-write disks (D 4.2.4): what is in memory of them, by ranges of sectors.

One map for each disk, shared by all virtual machines: the global disk cache. And one for each disk and virtual machine:
the log of the sectors that this machine has modified, which nobody else sees. The disk itself is never written.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, TypeVar

from sortedcontainers import SortedDict

Owner = TypeVar("Owner")

SECTOR_BYTES = 512
FILE_SECTORS = 1 << 31  # each file has so many sectors of its disk for itself: 1 TiB


class SectorMap:
    """Ranges of sectors, which do not overlap, and the machine frame that holds each."""

    def __init__(self) -> None:
        self._ranges: SortedDict[int, tuple[int, int]] = SortedDict()  # first sector -> (sector past the last, slot)

    def find(self, sectors: range) -> int | None:
        """The frame that holds all these sectors; None if no frame does."""
        if not self._ranges:  # as most logs of modified sectors
            return None
        place = self._ranges.bisect_right(sectors.start) - 1
        if place < 0:
            return None
        past, slot = self._ranges.peekitem(place)[1]
        return slot if sectors.stop <= past else None

    def insert(self, sectors: range, slot: int) -> int | None:
        """These sectors are in a frame. Returns the frame that held them before."""
        before = self._ranges.get(sectors.start)
        self._ranges[sectors.start] = (sectors.stop, slot)
        return None if before is None else before[1]

    def past(self, first: int) -> int:
        """The sector past the range that begins with a sector."""
        return self._ranges[first][0]

    def remove(self, first: int) -> None:
        """The range that begins with a sector is not in memory any more."""
        del self._ranges[first]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(first sector, slot) in ascending order."""
        return ((first, slot) for first, (_, slot) in self._ranges.items())


class DiskMemory(Generic[Owner]):
    """Sectors of several disks in memory: one ``SectorMap`` for each ``Owner`` (a disk; or a VM and a disk)."""

    def __init__(self) -> None:
        self._maps: dict[Owner, SectorMap] = defaultdict(SectorMap)
        self._places: dict[int, dict[tuple[Owner, int], None]] = defaultdict(dict)  # slot -> (owner, first sector)

    def find(self, owner: Owner, sectors: range) -> int | None:
        """The frame that holds these sectors, if one does."""
        return self._maps[owner].find(sectors)

    def insert(self, owner: Owner, sectors: range, slot: int) -> int | None:
        """These sectors are in a frame. Returns the frame that held them before, if it was another."""
        before = self._maps[owner].insert(sectors, slot)
        if before is not None:
            self._forget_place(before, (owner, sectors.start))
        self._places[slot][owner, sectors.start] = None
        return before if before != slot else None

    def forget(self, slot: int) -> None:
        """What a frame holds is not in memory any more."""
        for owner, first in self._places.pop(slot):
            self._maps[owner].remove(first)

    def move(self, old: int, new: int) -> None:
        """What a frame holds, another holds now."""
        for owner, first in self._places.pop(old, {}):
            sectors = range(first, self._maps[owner].past(first))
            self._maps[owner].insert(sectors, new)
            self._places[new][owner, first] = None

    def places(self, slot: int) -> int:
        """How many ranges of sectors a frame holds."""
        return len(self._places.get(slot, ()))

    def owners(self) -> list[Owner]:
        """Who has sectors in memory."""
        return list(self._maps)

    def take(self, owner: Owner) -> list[int]:
        """Forget all that an owner has in memory. Returns the frames, in ascending order of sector."""
        slots = [slot for _, slot in self._maps[owner]]
        for first, slot in self._maps.pop(owner):
            self._forget_place(slot, (owner, first))
        return slots

    def _forget_place(self, slot: int, place: tuple[Owner, int]) -> None:
        del self._places[slot][place]
        if not self._places[slot]:
            del self._places[slot]


def page_sectors(ordinal: int, page: int, page_bytes: int) -> range:
    """Sectors of a page of the file that is number ``ordinal`` on its disk."""
    first = ordinal * FILE_SECTORS + page * page_bytes // SECTOR_BYTES
    return range(first, first + page_bytes // SECTOR_BYTES)
