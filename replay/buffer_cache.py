"""The guest's buffer cache: pages of files in the memory of one OS, least recently used first.

``docs/model.md`` section 10.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discotrace.replay.journal import Journal

FilePage = tuple[int, int]  # file, page of it


@dataclass(slots=True)
class CachedPage:
    """A page of a file in a guest page."""

    gfn: int
    used_in_row: int
    written: bool = False
    users: int = 0  # mappings by processes, which keep it from being evicted


class BufferCache:
    """Which pages of files an OS has, and in which order they may go."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._idle: OrderedDict[FilePage, CachedPage] = OrderedDict()  # that no process maps, least recently used first
        self._in_use: dict[FilePage, CachedPage] = {}
        self.journal: Journal | None = None

    def find(self, page: FilePage) -> CachedPage | None:
        """The page, if it is here."""
        return self._idle.get(page) or self._in_use.get(page)

    @property
    def is_full(self) -> bool:
        """Whether a page that comes in should first drive out another."""
        return len(self._idle) + len(self._in_use) >= self._capacity

    def add(self, page: FilePage, gfn: int, row: int) -> CachedPage:
        """A page comes in, as most recently used."""
        cached = self._idle[page] = CachedPage(gfn, row)
        if self.journal:
            self.journal.came_in(page, gfn)
        return cached

    def use(self, page: FilePage, row: int) -> None:
        """The page is used."""
        cached = self._in_use.get(page)
        if cached is None:
            self._idle.move_to_end(page)
            cached = self._idle[page]
        cached.used_in_row = row

    def write(self, page: FilePage) -> None:
        """The page has content that the disk has not."""
        cached = self.find(page)
        assert cached is not None
        if self.journal and not cached.written:
            self.journal.wrote(page)
        cached.written = True

    def hold(self, page: FilePage) -> None:
        """A process maps the page."""
        if page in self._idle:
            self._in_use[page] = self._idle.pop(page)
        self._in_use[page].users += 1

    def let_go(self, page: FilePage, row: int) -> None:
        """A process does not map the page any more. With the last one it becomes most recently used."""
        cached = self._in_use[page]
        cached.users -= 1
        if not cached.users:
            cached.used_in_row = row
            self._idle[page] = self._in_use.pop(page)

    def victim(self, row: int) -> FilePage | None:
        """The page to evict; None if all are mapped by processes or used in this row."""
        page = next(iter(self._idle), None)
        return None if page is None or self._idle[page].used_in_row == row else page

    def remove(self, page: FilePage) -> CachedPage:
        """The page leaves."""
        if self.journal:
            self.journal.left(page)
        return self._idle.pop(page)
