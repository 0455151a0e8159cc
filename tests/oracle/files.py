"""What the guests do with files: section 10 of ``docs/model.md``."""

from collections.abc import Mapping
from typing import Any

from discotrace.tracegen.schema import TraceMeta
from tests.oracle.disks import Disks
from tests.oracle.frames import Frames
from tests.oracle.guest import Guest
from tests.oracle.memory import FilePage, GuestPage, Identity, kernel_files
from tests.oracle.nfs import Nfs
from tests.oracle.now import Now
from tests.oracle.tlbs import Tlbs


class Files:
    """FILE_READ, FILE_WRITE and the mapping of pages of files, for all guests."""

    def __init__(
        self,
        meta: TraceMeta,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        frames: Frames,
        tlbs: Tlbs,
        guests: list[Guest],
    ):
        """With NFS every guest but the first writes what it evicts to the first."""
        self.now = now
        self.guests = guests
        self.page_bytes = frames.layout.page_bytes
        self.of_kernel = kernel_files(meta)
        self.disks = Disks(meta, tables, now, frames)
        self.nfs = Nfs(tables, now, frames, tlbs, self.disks, guests[0])
        for guest in guests:
            guest.disk = self.nfs if tables["vm"]["nfs"] and guest.vm > 0 else self.disks

    def page(self, file: int, number: int) -> FilePage:
        """This page of this file."""
        return FilePage(self.disks.files[file].disk, file, number)

    def disk_of(self, file: int) -> int:
        """The number of the disk that has the file."""
        return self.disks.files[file].disk

    def read(self, file: int, offset: int, size: int) -> None:
        """FILE_READ by the present VM: hits first, then each run of missing pages is a request."""
        guest = self.guests[self.now.vm]
        pages = [] if file in self.of_kernel else self._pages(file, offset, size)
        missing: list[list[FilePage]] = [[]]
        for page in pages:
            if page in guest.cache:
                self.now.count("buffer_hits")
                guest.use(page)
                missing.append([])
            else:
                missing[-1].append(page)
        for run in missing:
            if run:
                self._request(guest, run)

    def make_resident(self, file: int, offset: int, size: int) -> int:
        """RESIDENT by the present VM: pages that are missing come in, run by run. Returns how many."""
        guest = self.guests[self.now.vm]
        runs: list[list[FilePage]] = []
        for page in [] if file in self.of_kernel else self._pages(file, offset, size):
            if page in guest.cache:
                continue
            if runs and runs[-1][-1].page + 1 == page.page:
                runs[-1].append(page)
            else:
                runs.append([page])
        for run in runs:
            self._request(guest, run)
        return sum(len(run) for run in runs)

    def write(self, file: int, offset: int, size: int) -> None:
        """FILE_WRITE by the present VM: a first page that is not written from its beginning is read before."""
        guest = self.guests[self.now.vm]
        for page in [] if file in self.of_kernel else self._pages(file, offset, size):
            if page in guest.cache:
                self.now.count("buffer_hits")
                guest.use(page)
            elif offset > page.page * self.page_bytes:
                self._request(guest, [page])
            else:
                guest.come_in(page)
            guest.written.add(page)

    def guest_page(self, vm: int, identity: Identity) -> GuestPage:
        """The guest page of a page of a file that is being mapped; it is read if it is not there."""
        guest = self.guests[vm]
        page = self.page(identity.object, identity.page)
        if page.file in self.of_kernel:
            if identity not in guest.objects:
                guest_page = guest.take_bare("text")
                self.disks.load_kernel_page(page, guest_page)
                guest.objects[identity] = guest_page
            return guest.objects[identity]
        if page in guest.cache:
            guest.use(page)
        else:
            self._request(guest, [page])
        return guest.cache[page]

    def _request(self, guest: Guest, pages: list[FilePage]) -> None:
        if guest.disk is self.nfs:
            self.nfs.request(guest, pages)
        else:
            self.disks.request(guest, pages)

    def _pages(self, file: int, offset: int, size: int) -> list[FilePage]:
        numbers = range(offset // self.page_bytes, (offset + size - 1) // self.page_bytes + 1)
        return [self.page(file, number) for number in numbers]
