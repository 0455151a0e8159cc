"""Disk requests of guests (D 4.2.4, 4.2.5): copy-on-write disks over the global disk cache, persistent disks."""

from discotrace.monitor.cow_disk import page_sectors
from discotrace.monitor.frames import MonitorFrames
from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.counts import DiskEvent, Event
from discotrace.replay.guest import Guest
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import TraceMeta


class Disks:
    """The machine's disks as virtual machines see them."""

    def __init__(self, meta: TraceMeta, frames: MonitorFrames) -> None:
        self._frames = frames
        self._files = {file.id: file for file in meta.files}
        self._ordinal = {file.id: number for number, file in enumerate(meta.files)}
        self._owner: dict[int, int] = {}  # of a persistent disk: the VM that has mounted it
        self._persistent = set(frames.machine.disks.persistent)

    def read(self, vm: int, guest: Guest, file: int, first: int, count: int) -> None:
        """A request of a VM for pages of a file. Raises ConfigError."""
        now = self._frames.now
        now.count(Event.DISK_READS)
        now.count(Event.DISK_READ_PAGES, count)
        goes_on = False  # the disk is reading just before this page
        for page in range(first, first + count):
            is_read = self._read_page(vm, (file, page), guest.come_in((file, page)))
            now.count(Event.DISK_READS_DONE, is_read and not goes_on)
            now.count_at_disk(DiskEvent.DISK_REQUESTS, file, is_read and not goes_on)
            now.count_at_disk(DiskEvent.DISK_PAGES, file, is_read)
            goes_on = is_read

    def boot(self, page: FilePage) -> int:
        """The frame with a page of a kernel file, which the boot has read."""
        disk, sectors = self._place(page)
        slot = self._frames.cache.find(disk, sectors)
        if slot is None:
            slot = self._frames.new()
            self._frames.keep_in_cache(disk, sectors, slot)
        return slot

    def write(self, vm: int, page: FilePage, gfn: int) -> None:
        """A VM writes a page of a file to disk. Raises ConfigError."""
        now = self._frames.now
        now.count(Event.DISK_WRITES)
        now.count_at_disk(DiskEvent.DISK_REQUESTS, page[0])
        now.count_at_disk(DiskEvent.DISK_PAGES, page[0])
        disk, sectors = self._place(page)
        if disk in self._persistent:
            self._mount(vm, disk)
        else:
            now.count(Event.DISK_PAGES_LOGGED)
            self._frames.keep_in_log(vm, disk, sectors, self._frames.slot((vm, gfn)))

    def unmount(self, vm: int) -> None:
        """The persistent disks of a VM that died are nobody's."""
        self._owner = {disk: owner for disk, owner in self._owner.items() if owner != vm}

    def is_whole(self, page: FilePage) -> bool:
        """Whether the file does not end inside the page."""
        page_bytes = self._frames.machine.page_bytes
        return not page[1] * page_bytes < self._files[page[0]].size < (page[1] + 1) * page_bytes

    def _read_page(self, vm: int, page: FilePage, gfn: int) -> bool:
        """A page comes into a guest page: shown to it, or, where it is no whole page, copied.

        Returns whether the disk had to be read.
        """
        disk, sectors = self._place(page)
        if disk in self._persistent:
            self._mount(vm, disk)
            self._frames.back((vm, gfn), self._read_sectors(page))
            return True
        is_whole = self.is_whole(page)
        if not is_whole:  # before the page is in memory, so that it is not given up again for want of a frame
            self._frames.back((vm, gfn), self._frames.new())
        slot = self._frames.logs.find((vm, disk), sectors)
        if slot is None:
            slot = self._frames.cache.find(disk, sectors)
        is_shared = slot is not None
        if slot is None:
            slot = self._read_sectors(page)
            self._frames.keep_in_cache(disk, sectors, slot)
        else:
            self._frames.now.count(Event.DISK_PAGES_SHARED)
        if is_whole:
            self._frames.now.count(Event.PAGES_REMAPPED)
            self._frames.back((vm, gfn), slot)
        else:
            self._frames.copy(slot, self._frames.slot((vm, gfn)), Event.PAGES_COPIED)
        return not is_shared

    def _read_sectors(self, page: FilePage) -> int:
        """The disk reads a page into a new frame."""
        self._frames.now.count(Event.DISK_PAGES_DONE)
        return self._frames.new()

    def _place(self, page: FilePage) -> tuple[int, range]:
        """Disk and sectors of a page."""
        file, number = page
        return self._files[file].disk, page_sectors(self._ordinal[file], number, self._frames.machine.page_bytes)

    def _mount(self, vm: int, disk: int) -> None:
        owner = self._owner.setdefault(disk, vm)
        if owner != vm:
            raise ConfigError(
                f"disk {disk} is persistent and mounted by virtual machine {owner}, so virtual machine {vm} cannot use "
                "it: share it with --nfs, or make it copy-on-write (disks.persistent)"
            )
