"""The virtual subnet and NFS over it (D 4.2.6, 4.3): pages that go from one VM to another without being copied."""

from discotrace.monitor.disks import Disks
from discotrace.monitor.frames import MonitorFrames
from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.counts import Event
from discotrace.replay.guest import Guest

SERVER = 0


class Nfs:
    """VM 0 serves all files to the others."""

    def __init__(self, frames: MonitorFrames, disks: Disks, guests: list[Guest]) -> None:
        self._frames = frames
        self._disks = disks
        self._guests = guests

    def read(self, client: int, file: int, first: int, count: int) -> None:
        """Pages of a file come into a client's buffer cache, one request each. Raises ConfigError."""
        for number in range(first, first + count):
            page = (file, number)
            self._frames.now.count(Event.NFS_REQUESTS)
            if not self._guests[SERVER].use(page):
                self._disks.read(SERVER, self._guests[SERVER], file, number, 1)
            gfn = self._guests[client].come_in(page)
            sent = self._frames.slot((SERVER, self._guests[SERVER].cached(page).gfn))
            self._frames.back((client, gfn), self._deliver(sent, page))

    def write(self, client: int, page: FilePage, gfn: int) -> None:
        """A client sends a page that it has written to the server's buffer cache. Raises ConfigError."""
        self._frames.now.count(Event.NFS_REQUESTS)
        server = self._guests[SERVER]
        has_frame = server.use(page)
        target = (SERVER, server.cached(page).gfn if has_frame else server.come_in(page))
        received = self._deliver(self._frames.slot((client, gfn)), page)
        if not has_frame:
            self._frames.back(target, received)
        elif received != self._frames.slot(target):
            self._frames.rebind(target, received)
        server.cached(page).written = True

    def _deliver(self, sent: int, page: FilePage) -> int:
        """The subnet hands a frame to a receiver, whose OS moves it into its file cache. Returns the frame there."""
        if not self._disks.is_whole(page):
            return self._copied(sent)
        mbuf = self._remapped(sent)
        if self._frames.machine.guest.bcopy_remaps:
            self._frames.now.count(Event.PAGES_REMAPPED)
            return mbuf
        kept = self._copied(mbuf)
        if mbuf != sent:
            self._frames.release(mbuf)
        return kept

    def _remapped(self, sent: int) -> int:
        """The sender's frame as the receiver's mbuf, read-only; a fault copies it if the OS keeps links in mbufs."""
        self._frames.now.count(Event.PAGES_REMAPPED)
        self._frames.seal(sent)
        if self._frames.machine.guest.mbuf_links_apart:
            return sent
        self._frames.now.count(Event.COW_FAULTS)
        return self._copied(sent)

    def _copied(self, source: int) -> int:
        private = self._frames.new()
        self._frames.copy(source, private, Event.PAGES_COPIED)
        return private
