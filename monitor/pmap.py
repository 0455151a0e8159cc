"""The pmap: guest-physical page to machine frame, one table per virtual machine (D 4.2.1).

Disco keeps here, for each guest-physical page, a ready-made TLB entry that it merges into every TLB write of the guest.
What the replay kernel needs of it is the frame; it copies that into the entries it writes.
"""


class Pmap:
    """Guest-physical memory of one virtual machine. The guest reuses first the page that it freed last."""

    def __init__(self, pages: int) -> None:
        """``pages``: how many the VM has."""
        self.size = pages
        self._slot_of: dict[int, int] = {}  # by gfn
        self._taken: dict[int, str] = {}  # gfn -> category
        self._free: list[int] = []
        self._fresh = 0

    def take(self, category: str) -> int | None:
        """A guest page; None if the VM has no more."""
        if self._free:
            gfn = self._free.pop()
        elif self._fresh < self.size:
            gfn = self._fresh
            self._fresh += 1
        else:
            return None
        self._taken[gfn] = category
        return gfn

    def free(self, gfn: int) -> None:
        """The guest frees a page. If it has a frame, it keeps it."""
        del self._taken[gfn]
        self._free.append(gfn)

    def category(self, gfn: int) -> str:
        """What the guest uses a taken page for."""
        return self._taken[gfn]

    def slot(self, gfn: int) -> int | None:
        """The frame of a guest page, if it has one."""
        return self._slot_of.get(gfn)

    def back(self, gfn: int, slot: int) -> None:
        """A guest page has this frame from now on."""
        self._slot_of[gfn] = slot

    def unback(self, gfn: int) -> int:
        """A guest page loses its frame, which is returned."""
        return self._slot_of.pop(gfn)

    @property
    def pages(self) -> dict[int, int]:
        """Guest pages that have a frame: gfn to slot."""
        return dict(sorted(self._slot_of.items()))

    @property
    def taken(self) -> list[int]:
        """Guest pages in use, ascending."""
        return sorted(self._taken)
