"""Disks under the monitor: copy-on-write, shared, logged, or persistent (section 11 of ``docs/model.md``, D 4.2.4)."""

from collections.abc import Mapping
from typing import Any

from discotrace.tracegen.schema import TraceMeta
from tests.oracle.frames import Frames
from tests.oracle.guest import Guest
from tests.oracle.memory import FilePage, GuestPage, ends_inside
from tests.oracle.now import Now


class Disks:
    """All disks of the machine."""

    def __init__(self, meta: TraceMeta, tables: Mapping[str, Mapping[str, Any]], now: Now, frames: Frames):
        """Nobody owns a persistent disk yet."""
        self.files = {file.id: file for file in meta.files}
        self.persistent: list[int] = tables["disks"]["persistent"]
        self.is_native = frames.layout.system == "native"
        self.page_bytes = frames.layout.page_bytes
        self.owners: dict[int, int] = {}
        self.now = now
        self.frames = frames

    def request(self, guest: Guest, pages: list[FilePage]) -> None:
        """One request for consecutive pages; they come into the guest's buffer cache."""
        self.now.count("disk_reads")
        self.now.count("disk_read_pages", len(pages))
        self._use(guest, pages[0].disk)
        is_reading = False
        for page in pages:
            guest_page = guest.come_in_bare(page)
            is_done = self._find(page, guest_page)
            if is_done and not is_reading:
                self.now.count("disk_reads_done")
                self.now.count_at(page.disk, "disk_requests")
            if is_done:
                self.now.count_at(page.disk, "disk_pages")
            is_reading = is_done

    def _use(self, guest: Guest, disk: int) -> None:
        owner = self.owners.setdefault(disk, guest.vm) if disk in self.persistent else guest.vm
        if owner != guest.vm:
            raise ValueError(f"disk {disk} is persistent: VM {owner} owns it, VM {guest.vm} cannot use it")

    def disown(self, vm: int) -> None:
        """The persistent disks of a virtual machine that died are nobody's."""
        self.owners = {disk: owner for disk, owner in self.owners.items() if owner != vm}

    def _find(self, page: FilePage, guest_page: GuestPage) -> bool:
        """Gives the guest page a frame with the contents of the page; returns whether the disk was read."""
        vm = guest_page.vm
        if self.is_native or page.disk in self.persistent:
            self.now.count("disk_pages_done")
            self.frames.give(guest_page, self.frames.new(vm))
            return True
        is_whole = not ends_inside(self.files[page.file], page.page, self.page_bytes)
        if not is_whole:
            self.frames.give(guest_page, self.frames.new(vm))
        frame = self.frames.logs.get((vm, page), self.frames.disk_cache.get(page))
        is_done = frame is None
        self.now.count("disk_pages_done" if is_done else "disk_pages_shared")
        if frame is None:
            frame = self.frames.new(vm)
            self.frames.keep_in_disk_cache(page, frame)
        if is_whole:
            self.now.count("pages_remapped")
            self.frames.give(guest_page, frame)
        else:
            self.now.count("pages_copied")
        return is_done

    def load_kernel_page(self, page: FilePage, guest_page: GuestPage) -> None:
        """A page of a kernel file: shared by all VMs since the boot."""
        if self.is_native:
            self.frames.give(guest_page, self.frames.new(guest_page.vm))
            return
        if page not in self.frames.disk_cache:
            self.frames.keep_in_disk_cache(page, self.frames.new(guest_page.vm))
        self.frames.give(guest_page, self.frames.disk_cache[page])

    def write(self, guest: Guest, page: FilePage) -> None:
        """An evicted page: into the VM's log, or onto the disk."""
        self.now.count("disk_writes")
        self.now.count_at(page.disk, "disk_requests")
        self.now.count_at(page.disk, "disk_pages")
        self._use(guest, page.disk)
        if not self.is_native and page.disk not in self.persistent:
            self.now.count("disk_pages_logged")
            self.frames.keep_in_log(guest.vm, page, self.frames.pmap[guest.cache[page]])
