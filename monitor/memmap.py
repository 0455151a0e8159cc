"""The memmap: for each machine frame its users and its replicas (D 4.2.1), and what else keeps it.

A frame lives as long as a guest page uses it, the global disk cache holds it, or a log of modified sectors does. A
sealed frame is shared, or was, and is never written again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from discotrace.replay.footprint import DISK_CACHE, LOG, REPLICA, FootprintMeter

GuestPage = tuple[int, int]  # VM, guest page


@dataclass(slots=True)
class FrameUse:
    """Why a frame is in use."""

    users: dict[GuestPage, str] = field(default_factory=dict)  # and what their guests use them for, first user first
    is_sealed: bool = False
    is_cached: bool = False  # the global disk cache holds it
    is_logged: bool = False  # a log of modified sectors does
    replicas: dict[int, int] = field(default_factory=dict)  # node -> slot of the copy there
    master: int | None = None  # the frame that this one is a copy of
    moves: int = 0

    @property
    def is_needed(self) -> bool:
        """Whether anything keeps the frame."""
        return bool(self.users or self.is_cached or self.is_logged or self.master is not None)

    @property
    def holds(self) -> str:
        """Where the frame counts in the footprint."""
        if self.master is not None:
            return REPLICA
        if self.users:
            return next(iter(self.users.values()))
        return LOG if self.is_logged else DISK_CACHE


class Memmap:
    """Frames in use, by slot."""

    def __init__(self, meter: FootprintMeter) -> None:
        self._meter = meter
        self._frames: dict[int, FrameUse] = {}
        self._counted: dict[int, str] = {}  # where each frame counts in the footprint
        self._replicas: OrderedDict[int, int] = OrderedDict()  # copy -> master, oldest first
        self._unused: OrderedDict[int, None] = OrderedDict()  # that the disk cache alone keeps, for longest first

    def __contains__(self, slot: int) -> bool:
        return slot in self._frames

    def __getitem__(self, slot: int) -> FrameUse:
        return self._frames[slot]

    @property
    def slots(self) -> list[int]:
        """Frames in use."""
        return sorted(self._frames)

    def begin(self, slot: int) -> FrameUse:
        """A frame is in use from here on."""
        use = self._frames[slot] = FrameUse()
        return use

    def end(self, slot: int) -> None:
        """A frame is free."""
        del self._frames[slot]
        self._unused.pop(slot, None)
        self._replicas.pop(slot, None)
        before = self._counted.pop(slot, None)
        if before:
            self._meter.frame(before, None)

    def add_user(self, slot: int, page: GuestPage, category: str) -> None:
        """A guest page uses the frame."""
        self._frames[slot].users[page] = category
        self.changed(slot)

    def remove_user(self, slot: int, page: GuestPage) -> None:
        """A guest page does not use the frame any more."""
        del self._frames[slot].users[page]
        self.changed(slot)

    def add_replica(self, master: int, node: int, copy: int) -> None:
        """``copy`` is a frame with the contents of ``master`` for the CPUs of a node."""
        self._frames[master].replicas[node] = copy
        self.begin(copy).master = master
        self._replicas[copy] = master
        self.changed(copy)

    def move(self, old: int, new: int) -> None:
        """The users of a frame, and what else keeps it, have a new one that nobody uses yet; the old one is free."""
        use = self._frames[new] = self._frames.pop(old)
        self._counted[new] = self._counted.pop(old)
        use.moves += 1

    def changed(self, slot: int) -> None:
        """What keeps the frame has changed."""
        use = self._frames[slot]
        if not use.is_needed:
            return  # it is about to be freed
        holds = use.holds
        if holds == DISK_CACHE:
            self._unused.setdefault(slot)
        else:
            self._unused.pop(slot, None)
        before = self._counted.get(slot)
        if before != holds:
            self._counted[slot] = holds
            self._meter.frame(before, holds)

    @property
    def longest_unused(self) -> int | None:
        """The frame that the global disk cache alone has kept for longest."""
        return next(iter(self._unused), None)

    @property
    def oldest_replica(self) -> tuple[int, int] | None:
        """Slots of the oldest replica and of its master."""
        return next(iter(self._replicas.items()), None)

    def forget_moves(self) -> None:
        """No page has been moved."""
        for use in self._frames.values():
            use.moves = 0
