"""A guest OS as far as replay must know it: which guest page each virtual page stands for, and its files in memory.

The same natively and in a virtual machine; what lies below, machine or monitor, is its ``Platform``.
``docs/model.md`` sections 2 and 10.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum

from discotrace.replay.buffer_cache import BufferCache, CachedPage, FilePage
from discotrace.replay.counts import Event
from discotrace.replay.journal import Journal
from discotrace.replay.mappings import is_user_key
from discotrace.replay.now import Now
from discotrace.replay.segments import Identity


class Recalled(Enum):
    """Whether a page of a file was in memory when the replay began, and how it had come there."""

    NO = 0
    AS_READ = 1
    AS_WRITTEN = 2


class Platform(ABC):
    """What a guest OS runs on. Guest pages of VM ``vm`` are numbered ``gfn``; errors are ConfigErrors."""

    @abstractmethod
    def take(self, vm: int, category: str) -> int:
        """A guest page with a frame. Raises ConfigError when VM or machine is out of memory."""

    @abstractmethod
    def take_bare(self, vm: int, category: str) -> int:
        """A guest page that is about to get the frame of its content. Raises ConfigError likewise."""

    @abstractmethod
    def boot_page(self, vm: int, page: FilePage) -> int:
        """A guest page with a page of a kernel file, as the boot left it."""

    @abstractmethod
    def free(self, vm: int, gfn: int) -> None:
        """The guest has no use for the page."""

    @abstractmethod
    def request(self, vm: int, file: int, first: int, count: int) -> None:
        """Pages of a file come into the guest's buffer cache from disk or network."""

    @abstractmethod
    def write_out(self, vm: int, page: FilePage, gfn: int) -> None:
        """A written page of a file leaves the guest's memory."""

    @abstractmethod
    def forget_kernel_mappings(self, vm: int, gfn: int) -> None:
        """The guest's kernel unmaps a page that it evicts."""


class Guest:
    """One guest OS."""

    def __init__(self, vm: int, platform: Platform, now: Now, cache_pages: int, kernel_files: set[int]) -> None:
        self._vm = vm
        self._platform = platform
        self._now = now
        self._kernel_files = kernel_files
        self._cache = BufferCache(cache_pages)
        self._objects: dict[Identity, int] = {}  # shared objects and kernel files -> gfn
        self._recall: Callable[[FilePage], Recalled] = lambda page: Recalled.NO

    def keep_journal(self, journal: Journal) -> None:
        """Write down which pages of files come and go."""
        self._cache.journal = journal

    def begin_with(self, recall: Callable[[FilePage], Recalled]) -> None:
        """The replay begins in the middle of a trace: ``recall`` knows which pages of files are in memory, and sees to
        it that one that is gets its frame next."""
        self._recall = recall

    def page_of(self, key: int, identity: Identity | None) -> int:
        """Guest page of a virtual page that is mapped for the first time; a private one without an identity."""
        if identity is None:
            return self._platform.take(self._vm, "user" if is_user_key(key) else "data")
        if identity.backing == "file" and identity.object not in self._kernel_files:
            return self._mapped_file_page(key, (identity.object, identity.page))
        if identity not in self._objects:
            self._objects[identity] = self._new_object_page(key, identity)
        return self._objects[identity]

    def unmapped(self, key: int, gfn: int, identity: Identity | None) -> None:
        """A virtual page does not stand for the guest page any more."""
        if identity is None:
            self._platform.free(self._vm, gfn)
        elif is_user_key(key) and identity.backing == "file" and identity.object not in self._kernel_files:
            self._cache.let_go((identity.object, identity.page), self._now.row)

    def file_read(self, file: int, pages: range) -> None:
        """The OS wants these pages of a file in memory."""
        if file in self._kernel_files:
            return
        missing = [page for page in pages if not self._hit((file, page))]
        for first, count in runs(missing):
            self._platform.request(self._vm, file, first, count)

    def make_resident(self, file: int, pages: range) -> int:
        """These pages of a file have long been in memory; those that are not come in. Returns how many."""
        if file in self._kernel_files:
            return 0
        missing = [page for page in pages if self._cache.find((file, page)) is None]
        for first, count in runs(missing):
            self._platform.request(self._vm, file, first, count)
        return len(missing)

    def file_write(self, file: int, pages: range, begins_inside: bool) -> None:
        """The OS has new bytes for these pages. ``begins_inside``: not at the beginning of the first page."""
        if file in self._kernel_files:
            return
        for page in pages:
            if not self._hit((file, page)):
                if begins_inside and page == pages.start:
                    self._platform.request(self._vm, file, page, 1)
                else:
                    self._make_room()
                    self._cache.add((file, page), self._platform.take(self._vm, "buffer"), self._now.row)
            self._cache.write((file, page))

    def use(self, page: FilePage) -> bool:
        """Use a page of a file; whether the buffer cache has it."""
        if self._cache.find(page) is None:
            recalled = self._recall(page)
            if recalled == Recalled.NO:
                return False
            with self._now.uncounted():
                self._bring_back(page, recalled)
        self._cache.use(page, self._now.row)
        return True

    def _bring_back(self, page: FilePage, recalled: Recalled) -> None:
        """A page of a file that was in memory when the replay began."""
        if recalled == Recalled.AS_READ:
            self._platform.request(self._vm, *page, 1)
        else:
            self._cache.add(page, self._platform.take(self._vm, "buffer"), self._now.row)
            self._cache.write(page)

    def come_in(self, page: FilePage) -> int:
        """A page of a file comes into the buffer cache. Returns its guest page, which has no frame yet."""
        self._make_room()
        gfn = self._platform.take_bare(self._vm, "buffer")
        self._cache.add(page, gfn, self._now.row)
        return gfn

    def cached(self, page: FilePage) -> CachedPage:
        """A page that is in the buffer cache."""
        found = self._cache.find(page)
        assert found is not None
        return found

    def evict(self) -> bool:
        """Drop the least recently used page of the buffer cache; False if none may go."""
        page = self._cache.victim(self._now.row)
        if page is None:
            return False
        self._now.count(Event.BUFFER_EVICTIONS)
        leaving = self._cache.remove(page)
        self._platform.forget_kernel_mappings(self._vm, leaving.gfn)
        if leaving.written:
            self._platform.write_out(self._vm, page, leaving.gfn)
        self._platform.free(self._vm, leaving.gfn)
        return True

    def _make_room(self) -> None:
        if self._cache.is_full:
            self.evict()

    def _hit(self, page: FilePage) -> bool:
        is_here = self.use(page)
        self._now.count(Event.BUFFER_HITS, is_here)
        return is_here

    def _mapped_file_page(self, key: int, page: FilePage) -> int:
        if not self.use(page):
            self._platform.request(self._vm, *page, 1)
        if is_user_key(key):
            self._cache.hold(page)
        return self.cached(page).gfn

    def _new_object_page(self, key: int, identity: Identity) -> int:
        if identity.backing == "file":
            return self._platform.boot_page(self._vm, (identity.object, identity.page))
        return self._platform.take(self._vm, "user" if is_user_key(key) else "data")


def runs(pages: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as longest runs of consecutive ones: (first, how many)."""
    found: list[tuple[int, int]] = []
    for page in pages:
        if found and sum(found[-1]) == page:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((page, 1))
    return found
