"""What guests must see in their memory, whatever the monitor does below: the model of the stateful test.

It knows no frame. A *page* is what a guest OS takes for one page: a private page of a process or kernel, a page of a
shared object, of the kernel's text, of a file in the buffer cache. Its content is a word: what was stored last, or
the page of the disk's image, or that it was cleared. Of the code under test it asks two things only: which pages of
files were evicted, since who leaves is the guest's business; and what a page that is fresh contains, which must be
nothing that the VM has not seen before.

Files. On a copy-on-write disk a VM sees what it last wrote to disk itself, else the image, never another VM's writes.
On a persistent disk it sees what was written last. Written to disk is what is evicted after a FILE_WRITE; stores
through a mapping alone do not make a page written and are lost when it is evicted.

NFS as modelled is not coherent. A client's page in memory is a copy of the server's as it was when the client asked;
from then on neither sees the other's stores. When a client's written page is evicted, the server's page is that, in
full, whoever else wrote to it before: the last one wins. What the server evicts goes to its disks as any VM's.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from discotrace.replay.machine import Machine
from discotrace.tracegen.schema import KSEG0_END, KSEG0_START, Segment, TraceMeta
from tests.property.monitor_setups import INSTANCES, PAGE

PAGE_TABLES = 1 << 32
KERNEL_KEYS = 1 << 33
CLEARED = "cleared"
SERVER = 0

FilePage = tuple[int, int]
VirtualPage = tuple[int, int]


class Page(NamedTuple):
    """A page as a guest OS has it. ``name``: key and vpn if it is private, else object or file, and page of it."""

    vm: int
    kind: str  # private, object, text, file
    name: tuple[int, int]


def image(page: FilePage) -> str:
    """What the disk's image holds at a page of a file."""
    return f"image of page {page[1]} of file {page[0]}"


def kernel_key(vm: int) -> int:
    return vm * KERNEL_KEYS


class World:
    """All guests' memory, and the disks as each guest sees them."""

    def __init__(self, machine: Machine, meta: TraceMeta) -> None:
        self.meta = meta
        self.vms = machine.vm.count
        self.has_server = machine.vm.nfs and self.vms > 1
        self.alive = {process.asid for process in meta.processes}
        self.dead: set[int] = set()  # VMs
        self.holding = [not segment.by_event for segment in meta.segments]
        self.mapped: dict[VirtualPage, Page] = {}
        self.content: dict[Page, str] = {}
        self.written: set[Page] = set()
        self.logs: dict[tuple[int, FilePage], str] = {}
        self.platters: dict[FilePage, str] = {}  # of persistent disks, where they differ from the image
        self.known: dict[int, set[str]] = defaultdict(set)  # what each VM has seen
        self._instance = {process.asid: process.instance for process in meta.processes}
        self._disk = {file.id: file.disk for file in meta.files}
        self._persistent = set(machine.disks.persistent)
        self._owner: dict[int, int] = {}

    # Who and where

    def vm_of(self, asid: int) -> int:
        return self._instance[asid] * self.vms // INSTANCES

    def vm_of_key(self, key: int) -> int:
        asid = key % PAGE_TABLES
        return self.vm_of(asid) if asid else key // KERNEL_KEYS

    def page_of(self, key: int, vpn: int) -> Page:
        """What a virtual page shows."""
        vm = self.vm_of_key(key)
        asid = key % KERNEL_KEYS
        if asid >= PAGE_TABLES:
            return Page(vm, "private", (key, vpn))
        here = [s for s in self.meta.segments if s.asid == asid and s.start <= vpn * PAGE < s.end]
        name = (here[0].object, vpn - here[0].start // PAGE)
        if here[0].backing == "shared":
            return Page(vm, "object", name)
        if here[0].backing == "file" and not here[0].writable:
            return Page(vm, "text" if KSEG0_START <= here[0].start < KSEG0_END else "file", name)
        return Page(vm, "private", (key, vpn))

    def may_use(self, vm: int, file: int) -> bool:
        """Whether a VM may use a file: a persistent disk is the VM's that uses it first. It does from here on."""
        disk = self._disk[file]
        if disk not in self._persistent or self.has_server:
            return True
        owner = self._owner.get(disk, vm)
        if owner in self.dead:
            owner = vm
        self._owner[disk] = owner
        return owner == vm

    def is_persistent(self, file: int) -> bool:
        return self._disk[file] in self._persistent

    def cached(self, vm: int) -> dict[FilePage, str]:
        """A VM's pages of files in memory, and their contents."""
        return {page.name: content for page, content in self.content.items() if page.vm == vm and page.kind == "file"}

    # What guests do

    def put(self, page: Page, content: str) -> None:
        """A page has a content that its VM may see."""
        self.content[page] = content
        self.known[page.vm].add(content)

    def begin(self, page: Page, content: str) -> None:
        """A page is taken afresh: it may contain anything that its VM has seen, and keeps it until stored to."""
        assert content == CLEARED or content in self.known[page.vm], f"{page} begins with another VM's {content!r}"
        self.put(page, content)

    def map(self, key: int, vpn: int, content: str) -> None:
        """A virtual page is mapped, to a frame with this content."""
        assert (key, vpn) not in self.mapped
        page = self.mapped[key, vpn] = self.page_of(key, vpn)
        if page in self.content:
            return
        assert page.kind != "file", f"{page} is mapped, and not in the buffer cache"
        if page.kind == "text":
            self.put(page, image(page.name))
        else:
            self.begin(page, content)

    def unmap(self, pages: Iterable[VirtualPage]) -> None:
        for virtual in list(pages):
            page = self.mapped.pop(virtual)
            if page.kind == "private":
                del self.content[page]

    def unmap_segment(self, segment: Segment) -> None:
        keys = [segment.asid] if segment.asid else [kernel_key(vm) for vm in range(self.vms)]
        self.unmap(
            [(key, vpn) for key, vpn in self.mapped if key in keys and segment.start <= vpn * PAGE < segment.end]
        )

    def exit(self, asid: int) -> None:
        self.alive.remove(asid)
        self.unmap([(key, vpn) for key, vpn in self.mapped if key in (asid, asid + PAGE_TABLES)])

    def read(self, vm: int, name: FilePage) -> None:
        """A page of a file comes into a VM's memory from its disk, or from the server."""
        page = Page(vm, "file", name)
        if self.has_server and vm != SERVER:
            served = Page(SERVER, "file", name)
            if served not in self.content:
                self.read(SERVER, name)
            self.put(page, self.content[served])
        else:
            self.put(page, self.logs.get((vm, name)) or self.platters.get(name) or image(name))

    def evict(self, vm: int, name: FilePage) -> None:
        """A page of a file leaves a VM's memory; kernel mappings of it go, no process may have one."""
        page = Page(vm, "file", name)
        virtual = [where for where, shown in self.mapped.items() if shown == page]
        assert all(key == kernel_key(vm) for key, _ in virtual), f"{page} is evicted and mapped by a process"
        self.unmap(virtual)
        content = self.content.pop(page)
        if page in self.written:
            self.written.remove(page)
            self._write(vm, name, content)

    def crash(self, vm: int) -> None:
        """All of a VM is gone, but for what it wrote to persistent disks or to the server."""
        self.dead.add(vm)
        self.unmap([virtual for virtual, page in self.mapped.items() if page.vm == vm])
        self.content = {page: content for page, content in self.content.items() if page.vm != vm}
        self.written = {page for page in self.written if page.vm != vm}
        self.logs = {(owner, name): content for (owner, name), content in self.logs.items() if owner != vm}

    def _write(self, vm: int, name: FilePage, content: str) -> None:
        if self.has_server and vm != SERVER:
            served = Page(SERVER, "file", name)
            self.put(served, content)
            self.written.add(served)
        elif self.is_persistent(name[0]):
            self.platters[name] = content
        else:
            self.logs[vm, name] = content
