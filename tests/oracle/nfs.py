"""Files of another VM over the virtual network: section 12 of ``docs/model.md`` (D 4.2.6)."""

from collections.abc import Mapping
from typing import Any

from tests.oracle.disks import Disks
from tests.oracle.frames import Frames
from tests.oracle.guest import Guest
from tests.oracle.memory import FilePage, Frame, ends_inside
from tests.oracle.now import Now
from tests.oracle.tlbs import Tlbs


class Nfs:
    """The server, VM 0, as its clients see it."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        frames: Frames,
        tlbs: Tlbs,
        disks: Disks,
        server: Guest,
    ):
        """``server`` owns all ``disks``."""
        self.bcopy_remaps: bool = tables["guest"]["bcopy_remaps"]
        self.mbuf_links_apart: bool = tables["guest"]["mbuf_links_apart"]
        self.now, self.frames, self.tlbs = now, frames, tlbs
        self.disks, self.server = disks, server

    def request(self, client: Guest, pages: list[FilePage]) -> None:
        """A client reads pages, one by one."""
        for page in pages:
            self.now.count("nfs_requests")
            if page in self.server.cache:
                self.server.use(page)
            else:
                self.disks.request(self.server, [page])
            guest_page = client.come_in_bare(page)
            sent = self.frames.pmap[self.server.cache[page]]
            self.frames.give(guest_page, self._transfer(page, sent, client.vm))

    def write(self, client: Guest, page: FilePage) -> None:
        """A client's evicted page goes to the server."""
        self.now.count("nfs_requests")
        if page in self.server.cache:
            self.server.use(page)
        else:
            self.server.come_in_bare(page)
        guest_page = self.server.cache[page]
        frame = self._transfer(page, self.frames.pmap[client.cache[page]], self.server.vm)
        if guest_page not in self.frames.pmap:
            self.frames.give(guest_page, frame)
        elif frame != self.frames.pmap[guest_page]:
            pages = self.frames.page_map.virtual_pages(guest_page)
            self.tlbs.shoot_down(pages, self.tlbs.all_cpus)
            self.frames.replace(guest_page, frame)
        self.server.written.add(page)

    def _transfer(self, page: FilePage, sent: Frame, receiver: int) -> Frame:
        """The frame in which the receiving VM gets the page that the sender has in ``sent``."""
        if ends_inside(self.disks.files[page.file], page.page, self.frames.layout.page_bytes):
            self.now.count("pages_copied")
            return self.frames.new(receiver)
        self.frames.sealed.add(sent)
        self.now.count("pages_remapped")
        mbuf = sent
        if not self.mbuf_links_apart:
            self.now.count("cow_faults")
            self.now.count("pages_copied")
            mbuf = self.frames.new(receiver)
        if self.bcopy_remaps:
            self.now.count("pages_remapped")
            return mbuf
        self.now.count("pages_copied")
        own = self.frames.new(receiver)
        self.frames.settle(mbuf)  # the mbuf is let go
        return own
