"""The memory of one guest OS: its guest pages and its buffer cache (sections 2 and 10 of ``docs/model.md``)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from tests.oracle.frames import Frames
from tests.oracle.memory import FilePage, GuestPage, Identity
from tests.oracle.now import Now
from tests.oracle.tlbs import Tlbs


class Disk(Protocol):
    """Where an evicted page is written to: the disks, or the NFS server."""

    def write(self, guest: "Guest", page: FilePage) -> None:
        """Takes the page, which is still in the buffer cache."""


class Guest:
    """What one virtual machine believes to be its memory."""

    def __init__(
        self,
        vm: int,
        guest_pages: int,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        frames: Frames,
        tlbs: Tlbs,
    ):
        """``guest_pages`` = the G of section 2."""
        self.vm = vm
        self.guest_pages = guest_pages
        self.capacity = max(1, guest_pages * tables["guest"]["buffer_cache_percent"] // 100)
        self.frees_frames = frames.layout.system == "native" or tables["monitor"]["free_page_hint"]
        self.now, self.frames, self.tlbs = now, frames, tlbs
        self.page_map = frames.page_map
        self.freed: list[int] = []
        self.fresh = 0
        self.in_use: set[GuestPage] = set()
        self.objects: dict[Identity, GuestPage] = {}  # pages of shared objects and of kernel files
        self.cache: OrderedDict[FilePage, GuestPage] = OrderedDict()  # the last is the most recent
        self.written: set[FilePage] = set()
        self.row_of_use: dict[FilePage, int] = {}
        self.disk: Disk

    # Guest pages

    def take(self, category: str) -> GuestPage:
        """A guest page with a frame: the one it still has, else a new one."""
        guest_page = self._take(category)
        if guest_page not in self.frames.pmap:
            self.frames.give(guest_page, self.frames.new(self.vm))
        return guest_page

    def take_bare(self, category: str) -> GuestPage:
        """A guest page for what is read from disk or network: it gives back the frame that it may still have."""
        guest_page = self._take(category)
        if guest_page in self.frames.pmap:
            self.frames.take_away(guest_page)
        return guest_page

    def _take(self, category: str) -> GuestPage:
        if not self.freed and self.fresh == self.guest_pages and not self._evict_one():
            raise MemoryError(f"VM {self.vm} is out of memory: its {self.guest_pages} pages are in use")
        if self.freed:
            number = self.freed.pop()
        else:
            number = self.fresh
            self.fresh += 1
        guest_page = GuestPage(self.vm, number)
        self.in_use.add(guest_page)
        self.frames.categories[guest_page] = category
        return guest_page

    def free(self, guest_page: GuestPage) -> None:
        """The guest page is free; its frame too if the monitor is told (D 4.3)."""
        self.in_use.remove(guest_page)
        self.freed.append(guest_page.number)
        if self.frees_frames:
            self.frames.take_away(guest_page)

    # Buffer cache

    def use(self, page: FilePage) -> None:
        """The page is the most recent, and may not be evicted in this row."""
        self.cache.move_to_end(page)
        self.row_of_use[page] = self.now.row

    def use_at_last_unmapping(self, guest_page: GuestPage) -> None:
        """The last user key that mapped this guest page does not any more: a use, if it is in the buffer cache."""
        for page in [page for page, cached in self.cache.items() if cached == guest_page]:
            self.use(page)

    def come_in_bare(self, page: FilePage) -> GuestPage:
        """A page that is read comes in, without a frame."""
        self._make_room()
        return self._enter(page, self.take_bare("buffer"))

    def come_in(self, page: FilePage) -> None:
        """A page that is written from its beginning comes in, in a frame of its own."""
        self._make_room()
        self._enter(page, self.take("buffer"))

    def _make_room(self) -> None:
        if len(self.cache) >= self.capacity:
            self._evict_one()

    def _enter(self, page: FilePage, guest_page: GuestPage) -> GuestPage:
        self.cache[page] = guest_page
        self.use(page)
        return guest_page

    def _evict_one(self) -> bool:
        """Evicts the least recently used page that may be; returns whether there is one."""
        for page, guest_page in self.cache.items():
            if self.row_of_use[page] != self.now.row and not self.page_map.has_user(guest_page):
                self._evict(page)
                return True
        return False

    def _evict(self, page: FilePage) -> None:
        self.now.count("buffer_evictions")
        guest_page = self.cache[page]
        for virtual_page in self.page_map.virtual_pages(guest_page):
            del self.page_map.guest_pages[virtual_page]
            self.tlbs.invalidate([virtual_page], self.tlbs.all_cpus)
        if page in self.written:
            self.disk.write(self, page)
            self.written.remove(page)
        del self.cache[page]
        self.free(guest_page)
