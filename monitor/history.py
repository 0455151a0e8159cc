"""What happened to hot pages, for people who tune a policy. A replay keeps it only when asked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from discotrace.monitor.placement.base import HotPage
from discotrace.replay.mappings import VirtualPage, owner_of

if TYPE_CHECKING:
    from discotrace.monitor.frames import MonitorFrames


@dataclass(frozen=True)
class Action:
    """One thing that was done to a page, or not done."""

    row: int
    instructions: int  # of the trace, before the row
    cpu: int
    vm: int
    what: str  # migrated, replicated, left alone, collapsed, copied on write
    pages: tuple[VirtualPage, ...]  # that show it: key, vpn
    names: tuple[str, ...]  # the same in words
    frm: int  # node of the page before
    to: tuple[int, ...]  # nodes that have it now, or a copy of it, and had not
    reason: str
    misses: tuple[int, ...]  # by CPU, since its counters were cleared
    writes: tuple[int, ...]  # store misses and upgrades likewise


class History:
    """Keeps nothing."""

    def account(self, frames: "MonitorFrames", slot: int) -> None:
        """The misses on a frame up to now were on the page that it holds, nobody's if it is not in use."""

    def note(
        self, frames: "MonitorFrames", slot: int, what: str, to: tuple[int, ...], reason: str, page: HotPage | None
    ) -> None:
        """Something is about to be done to the page in a frame. ``page`` as the policy saw it, if it did."""


class KeptHistory(History):
    """Keeps everything."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.missed: dict[VirtualPage, list[int]] = {}  # L2 misses by CPU on a page, named by its lowest virtual page
        self._accounted: dict[int, npt.NDArray[np.uint32]] = {}

    def account(self, frames: "MonitorFrames", slot: int) -> None:
        """Add the misses since the frame was last accounted for."""
        pages: list[VirtualPage] = []
        if slot in frames.memmap:
            master = frames.memmap[slot].master
            pages = frames.virtual_pages(slot if master is None else master)
        misses = frames.hardware.misses(slot).copy()
        new = misses - self._accounted.get(slot, np.uint32(0))
        self._accounted[slot] = misses
        if pages:
            before = self.missed.get(min(pages), [0] * len(new))
            self.missed[min(pages)] = [int(a + b) for a, b in zip(before, new, strict=True)]

    def note(
        self, frames: "MonitorFrames", slot: int, what: str, to: tuple[int, ...], reason: str, page: HotPage | None
    ) -> None:
        """Write it down."""
        now, page_bytes = frames.now, frames.machine.page_bytes
        pages = tuple(frames.virtual_pages(slot))
        self.actions.append(
            Action(
                row=now.row,
                instructions=now.instructions,
                cpu=page.cpu if page else now.cpu,
                vm=now.vm,
                what=what,
                pages=pages,
                names=tuple(f"{owner_of(key)} {vpn * page_bytes:#x}" for key, vpn in pages),
                frm=frames.node(slot),
                to=to,
                reason=reason,
                misses=tuple(page.misses) if page else tuple(frames.hardware.heat(slot).tolist()),
                writes=tuple(page.writes) if page else tuple(frames.hardware.writes(slot).tolist()),
            )
        )
