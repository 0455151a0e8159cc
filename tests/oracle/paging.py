"""How virtual pages get their guest pages and lose them: sections 2 and 8 of ``docs/model.md``."""

from collections.abc import Iterable

from tests.oracle.files import Files
from tests.oracle.frames import Frames
from tests.oracle.guest import Guest
from tests.oracle.memory import PAGE_TABLE_KEYS, AddressSpaces, Frame, GuestPage, Page, PageMap, is_page_table, is_user
from tests.oracle.now import Now
from tests.oracle.tlbs import Tlbs


class Paging:
    """The virtual memory of all guests."""

    def __init__(
        self,
        spaces: AddressSpaces,
        now: Now,
        page_map: PageMap,
        frames: Frames,
        tlbs: Tlbs,
        guests: list[Guest],
        files: Files,
    ):
        """Nothing is mapped."""
        self.spaces, self.now, self.page_map = spaces, now, page_map
        self.frames, self.tlbs, self.guests, self.files = frames, tlbs, guests, files
        self.private: set[Page] = set()

    def frame_of(self, page: Page) -> Frame | None:
        """The master frame of a page, None if it is not mapped."""
        guest_page = self.page_map.guest_pages.get(page)
        return None if guest_page is None else self.frames.pmap[guest_page]

    def mapped(self, page: Page, touched: int) -> Frame:
        """The frame of a page of the present VM, which is mapped first if need be, in the current context.

        Raises ValueError when no segment holds at the address touched, MemoryError when there is no memory for it.
        """
        if page not in self.page_map.guest_pages:
            self.page_map.guest_pages[page] = self._guest_page_for(page, touched)
            self.now.count("pages_mapped")
        return self.frames.pmap[self.page_map.guest_pages[page]]

    def _guest_page_for(self, page: Page, touched: int) -> GuestPage:
        guest = self.guests[self.now.vm]
        identity = self.spaces.identity(page, touched)
        category = "user" if is_user(page.key) else "data"
        if identity is None:
            self.private.add(page)
            return guest.take(category)
        if identity.backing == "file":
            return self.files.guest_page(guest.vm, identity)
        if identity not in guest.objects:
            guest.objects[identity] = guest.take(category)
        return guest.objects[identity]

    def unmap_segment(self, number: int) -> None:
        """UNMAP: the segment ends and its pages become invalid in all TLBs (section 8)."""
        segment = self.spaces.segments[number]
        self.spaces.holding.discard(number)
        gone = [
            page
            for page in self.page_map.guest_pages
            if not is_page_table(page.key)
            and (page.key if is_user(page.key) else 0) == segment.asid
            and segment.start <= page.vpn * self.frames.layout.page_bytes < segment.end
        ]
        self.tlbs.invalidate(gone, self.tlbs.all_cpus)
        self._remove(gone)

    def exit_process(self, asid: int) -> None:
        """PROCESS_EXIT: the process's pages go, then its page table pages (section 8)."""
        self.spaces.exit(asid)
        pages = list(self.page_map.guest_pages)
        self._remove(page for page in pages if page.key == asid)
        self._remove(page for page in pages if page.key == asid + PAGE_TABLE_KEYS)

    def _remove(self, pages: Iterable[Page]) -> None:
        """Removes mappings and frees the private guest pages, VM by VM, in ascending order of vpn."""
        for page in sorted(pages, key=lambda page: (self.page_map.guest_pages[page].vm, page.vpn)):
            guest_page = self.page_map.guest_pages.pop(page)
            guest = self.guests[guest_page.vm]
            if page in self.private:
                self.private.remove(page)
                guest.free(guest_page)
            elif is_user(page.key) and not self.page_map.has_user(guest_page):
                guest.use_at_last_unmapping(guest_page)

    def crash(self, vm: int) -> None:
        """A virtual machine dies: its mappings, guest pages and logs go (section 14)."""
        mine = self.page_map.guest_pages.items()
        gone = {page for page, guest_page in mine if guest_page.vm == vm}
        for page in gone:
            del self.page_map.guest_pages[page]
        self.private -= gone
        self.guests[vm].in_use.clear()
        for guest_page in sorted(guest_page for guest_page in self.frames.pmap if guest_page.vm == vm):
            self.frames.take_away_dead(guest_page)
        self.frames.drop_logs_of_dead(vm)
        self.files.disks.disown(vm)
