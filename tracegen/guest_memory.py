"""Processes, address spaces and page faults of the guest kernel.

User references go in by ``user`` and come out with a fault service before each first touch of a page.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.address_space import (
    AddressSpace,
    Mapping,
    PageCache,
    PageDescriptors,
    cut_segment,
    is_private,
    pages_of,
)
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.kernel_files import FileTable
from discotrace.tracegen.kernel_layout import KernelLayout, Place, round_up
from discotrace.tracegen.kernel_parameters import Parameters, default_parameters
from discotrace.tracegen.pages import PAGE_BYTES, PAGE_SHIFT
from discotrace.tracegen.schema import (
    KERNEL_ASID,
    KERNEL_BASE,
    Kind,
    Process,
    Rows,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
    slice_rows,
)
from discotrace.tracegen.service_path import Mode, PathLibrary

KERNEL_FILE = "/unix"  # the kernel's text is a file, as other programs' is: monitors can share it
IDLE_SLOT = 0  # proc structure of the idle loop
PAGES_PER_BATCH = 1024  # pages freed or copied at a fork in one stretch of rows: bounds memory


@dataclass
class _Running:
    """A process that has not exited."""

    asid: int
    slot: int
    instance: int
    space: AddressSpace = field(default_factory=AddressSpace)


class GuestMemory:
    """The half of the guest kernel that is about memory. Every method emits its rows at once, in order, by ``emit``.

    Addresses and sizes are in bytes; ``vcpu`` is the virtual CPU and ``asid`` the process running on it (0 = none).
    All methods raise TraceError when asid is no running process or file no file of ``add_file``.
    """

    def __init__(self, meta: TraceMeta, emit: Callable[[Rows], None], parameters: Parameters | None = None) -> None:
        """Append the kernel's segments (asid 0) and its own file to ``meta``. Default constants: guest_kernel.toml."""
        self._meta = meta
        self._emit = emit
        self._parameters = parameters or default_parameters()
        memory = self._parameters.memory
        self._layout = KernelLayout(self._parameters)
        self._paths = PathLibrary(self._layout)
        self._descriptors = PageDescriptors(memory.page_descriptors)
        self._page_cache = PageCache(self._descriptors, self._parameters.warm_page_cache)
        self._shared = PageCache(self._descriptors, warm=False)
        self._processes: dict[int, _Running] = {}
        self._started: set[int] = set()
        self._free_slots = list(range(memory.process_slots - 1, IDLE_SLOT, -1))
        self._depth = [0] * meta.cpus
        self._files = FileTable(meta, self._layout)
        self._warm_files: set[int] = set()
        self._told: set[tuple[int, int, int]] = set()  # warm clusters, by instance, file and first page
        kernel_file = self.add_file(KERNEL_FILE, self._layout.text_bytes)
        meta.segments += self._layout.segments(kernel_file)

    # ---- files and processes ----------------------------------------------------------------------------------

    def add_file(self, name: str, size: int, disk: int = 0) -> int:
        """Id (from 1) of a file, which gets its kernel window. The same name gives the same id; files only grow.

        Raises TraceError when the file is larger than a window may be.
        """
        return self._files.add(name, size, disk)

    def warm_file(self, file: int) -> None:
        """A file has been in memory since before the trace. RESIDENT rows say so, cluster by cluster, each before an
        instance first uses it: so a virtual machine has in memory what it uses, where it uses it."""
        self._warm_files.add(file)

    def start_process(self, process: Process) -> None:
        """Register a process: it gets a proc structure and a kernel stack. Raises TraceError if the asid is not new."""
        if process.asid in self._started or process.asid == KERNEL_ASID:
            raise TraceError(
                f"process {process.asid} ({process.name}) cannot start: every process needs a new asid >= 1"
            )
        if not self._free_slots:
            raise TraceError("too many processes alive at once for memory.process_slots of the guest kernel: raise it")
        if process not in self._meta.processes:
            self._meta.processes.append(process)
        self._started.add(process.asid)
        self._processes[process.asid] = _Running(process.asid, self._free_slots.pop(), process.instance)

    def _process(self, asid: int) -> _Running:
        found = self._processes.get(asid)
        if found is None:
            raise TraceError(f"asid {asid} is not a running process: call start_process first")
        return found

    # ---- rows -------------------------------------------------------------------------------------------------

    def _row(self, place: Place, kind: Kind, vaddr: int = 0, size: int = 0, arg: int = 0) -> None:
        self._emit(rows_from_records([(place.vcpu, place.asid, kind, vaddr, size, arg)]))

    def _place(self, vcpu: int, asid: int, file: int = 0) -> Place:
        """A place at the CPU's present trap level, about a process and a file."""
        top = PAGE_BYTES - (self._depth[vcpu] + 1) * self._parameters.entry.stack_frame_bytes
        if asid == KERNEL_ASID:
            return Place(vcpu, asid, IDLE_SLOT, self._layout.address("idle_stack", vcpu) + top, 0, file)
        slot = self._process(asid).slot
        stack_page = self._layout.stack_page(slot)
        return Place(vcpu, asid, slot, stack_page + top, stack_page, file)

    def _at_page(self, place: Place, vaddr: int, descriptor: int) -> Place:
        """The same place, about the page at a user address."""
        page = vaddr >> PAGE_SHIFT
        entry = place.slot * self._layout.entries_per_process + page % self._layout.entries_per_process
        return replace(place, page=descriptor, entry=entry, user_page=page * PAGE_BYTES)

    def _mode(self, place: Place) -> Mode:
        is_nested = self._depth[place.vcpu] > 0 or place.asid == KERNEL_ASID
        return Mode.KERNEL if is_nested else Mode.USER

    def _whole(self, name: str, place: Place) -> None:
        """A service without parts of variable length."""
        (path,) = self._paths.take(name, self._mode(place))
        self._emit(path.rows(self._layout, [place]))

    def _part(self, name: str, places: list[Place]) -> None:
        """A part of a service, once per place."""
        (path,) = self._paths.take(name, Mode.CALL)
        for start in range(0, len(places), PAGES_PER_BATCH):
            self._emit(path.rows(self._layout, places[start : start + PAGES_PER_BATCH]))

    @contextmanager
    def _service(self, name: str, place: Place) -> Iterator[None]:
        """A service with parts inside: what is emitted in the ``with`` block stands at its "split" step."""
        first, last = self._paths.take(name, self._mode(place))
        self._emit(first.rows(self._layout, [place]))
        self._depth[place.vcpu] += 1
        yield
        self._depth[place.vcpu] -= 1
        self._emit(last.rows(self._layout, [place]))

    # ---- address spaces ---------------------------------------------------------------------------------------

    def map(self, vcpu: int, asid: int, segment: Segment) -> None:
        """Map a segment; what it overlaps is unmapped first, as by MAP_FIXED.

        Raises TraceError when the segment is of another process, not aligned, not in user space, or of no known file.
        """
        process = self._process(asid)
        if segment.asid != asid or not 0 <= segment.start < segment.end <= KERNEL_BASE:
            raise TraceError(
                f"process {asid} cannot map {segment}: expected its own asid and 0 <= start < end in user space"
            )
        if (segment.start | segment.end | segment.offset) % PAGE_BYTES:
            raise TraceError(
                f"process {asid} cannot map {segment}: start, end and offset must be multiples of {PAGE_BYTES}"
            )
        if segment.backing == "file":
            self._files.require(segment.object)
        self.unmap(vcpu, asid, segment.start, segment.end)
        self._hold(self._place(vcpu, asid), process, segment)

    def _hold(self, place: Place, process: _Running, segment: Segment) -> None:
        number = len(self._meta.segments)
        segment = replace(segment, by_event=True)
        self._meta.segments.append(segment)
        process.space.insert(Mapping(number, segment))
        self._row(place, Kind.MAP, vaddr=segment.start, arg=number)

    def unmap(self, vcpu: int, asid: int, start: int, end: int) -> None:
        """Unmap [start, end), rounded to whole pages. Private pages of all mappings that it cuts are given back,
        under service MMAP; what remains of such a mapping is mapped anew and faults again."""
        process = self._process(asid)
        place = self._place(vcpu, asid)
        start, end = start // PAGE_BYTES * PAGE_BYTES, round_up(end)
        cut = process.space.overlapping(start, end)
        if any(process.space.private_pages(mapping.segment) for mapping in cut):
            self._row(place, Kind.ENTER, arg=Service.MMAP)
            for mapping in cut:
                self._free_pages(place, process.space, mapping)
            self._row(place, Kind.EXIT, arg=Service.MMAP)
        for mapping in cut:
            self._release(place, process.space, mapping)
        for mapping in cut:
            for piece in cut_segment(mapping.segment, start, end):
                self._hold(place, process, piece)

    def _free_pages(self, place: Place, space: AddressSpace, mapping: Mapping) -> None:
        pages = space.private_pages(mapping.segment)
        places = [self._at_page(place, page << PAGE_SHIFT, space.private[page]) for page in pages]
        self._part("free_page", places)

    def _release(self, place: Place, space: AddressSpace, mapping: Mapping) -> None:
        self._descriptors.give_back(space.remove(mapping))
        self._row(place, Kind.UNMAP, vaddr=mapping.segment.start, arg=mapping.number)

    def _segment_at(self, vcpu: int, process: _Running, vaddr: int) -> Segment:
        """The segment at a user address; a stack grows down to it. Raises TraceError when there is none."""
        found = process.space.find(vaddr)
        if found is not None:
            return found.segment
        memory = self._parameters.memory
        above = process.space.next_above(vaddr)
        if above is not None:
            stack = above.segment
            reach = stack.start - vaddr <= memory.stack_reach_kib * 1024
            if reach and stack.backing == "anonymous" and stack.writable:
                piece = memory.stack_piece_kib * 1024
                start = max(vaddr // piece * piece, process.space.end_below(vaddr))
                grown = replace(stack, start=start, end=stack.start)
                self._hold(self._place(vcpu, process.asid), process, grown)
                return grown
        raise TraceError(f"process {process.asid} touches {vaddr:#x}, which no segment holds: map it first")

    # ---- user references and faults ---------------------------------------------------------------------------

    def user(self, vcpu: int, asid: int, rows: Rows) -> None:
        """References of a program, emitted with a fault service before each row that first touches a page.

        The columns vcpu and asid are set here. Raises TraceError when an address lies in no segment.
        """
        count = len(rows.kind)
        mine = rows._replace(vcpu=np.full(count, vcpu, np.uint16), asid=np.full(count, asid, np.uint32))
        self._references(vcpu, self._process(asid), mine)

    def _references(self, vcpu: int, process: _Running, rows: Rows) -> None:
        done = 0
        for index, page in process.space.first_touches(rows.kind, rows.vaddr, rows.size):
            if process.space.has_touched(page):
                continue  # a fault on a neighbour has mapped it
            if index > done:
                self._emit(slice_rows(rows, done, index))
                done = index
            self._fault(vcpu, process, page << PAGE_SHIFT)
        if len(rows.kind) > done:
            self._emit(slice_rows(rows, done, len(rows.kind)))

    def first_touches(
        self, asid: int, kind: npt.NDArray[np.uint8], vaddr: npt.NDArray[np.uint64], size: npt.NDArray[np.uint32]
    ) -> Iterator[tuple[int, int]]:
        """(row, page number) of each user page that these references of a program may touch first, in order.

        For who emits the references elsewhere: ``touch`` each of the pages before its row, and make no other call for
        the process before the last row.
        """
        return self._process(asid).space.first_touches(kind, vaddr, size)

    def touch(self, vcpu: int, asid: int, page: int) -> None:
        """A reference of a program to a page: the fault service, if it is the first. Raises TraceError as ``user``."""
        process = self._process(asid)
        if not process.space.has_touched(page):
            self._fault(vcpu, process, page << PAGE_SHIFT)

    def _fault(self, vcpu: int, process: _Running, vaddr: int) -> None:
        """The service that the first touch of a page causes."""
        segment = self._segment_at(vcpu, process, vaddr)
        page = self._object_page(segment, vaddr)
        if vaddr >> PAGE_SHIFT in process.space.inherited or (segment.backing == "file" and segment.writable):
            self.copy_on_write(vcpu, process.asid, vaddr)
        elif segment.backing == "file" and not self._is_cached(vcpu, process.asid, segment.object, page):
            self.page_in(vcpu, process.asid, vaddr)
        elif segment.backing == "file" or (segment.backing == "shared" and self._shared.has(segment.object, page)):
            self.quick_fault(vcpu, process.asid, vaddr)
        else:
            self.demand_zero(vcpu, process.asid, vaddr)

    @staticmethod
    def _object_page(segment: Segment, vaddr: int) -> int:
        return (segment.offset + vaddr - segment.start) >> PAGE_SHIFT

    def _descriptor(self, process: _Running, segment: Segment, vaddr: int) -> int:
        """The descriptor of the page at a user address, a new one for a private page."""
        page = vaddr >> PAGE_SHIFT
        if is_private(segment):
            if page not in process.space.private:
                process.space.private[page] = self._descriptors.take()
            return process.space.private[page]
        cache = self._page_cache if segment.backing == "file" else self._shared
        return cache.descriptor(segment.object, self._object_page(segment, vaddr))

    def _fault_place(self, vcpu: int, process: _Running, vaddr: int) -> Place:
        """Where a fault takes place; the page counts as touched from here on."""
        segment = self._segment_at(vcpu, process, vaddr)
        file = segment.object if segment.backing == "file" else 0
        place = self._at_page(self._place(vcpu, process.asid, file), vaddr, self._descriptor(process, segment, vaddr))
        process.space.touch(vaddr >> PAGE_SHIFT)
        return place

    def resident(self, vcpu: int, asid: int, start: int, end: int) -> None:
        """Pages of [start, end) were touched before the trace begins: they do not fault, and no row tells of them."""
        for page in pages_of(start, end):
            self._fault_place(vcpu, self._process(asid), page << PAGE_SHIFT)

    def demand_zero(self, vcpu: int, asid: int, vaddr: int) -> None:
        """First touch of an anonymous page: the kernel clears it."""
        self._whole("demand_zero", self._fault_place(vcpu, self._process(asid), vaddr))

    def quick_fault(self, vcpu: int, asid: int, vaddr: int) -> None:
        """First touch of a page that is in memory already: only the mapping is missing."""
        process = self._process(asid)
        self._whole("quick_fault", self._fault_place(vcpu, process, vaddr))
        self._map_around(vcpu, process, vaddr)

    def page_in(self, vcpu: int, asid: int, vaddr: int) -> None:
        """First touch of a file page that has to be read from disk."""
        process = self._process(asid)
        page = self._object_page(self._segment_at(vcpu, process, vaddr), vaddr)
        place = self._fault_place(vcpu, process, vaddr)
        with self._service("page_in", place):
            self._read_cluster(place, page)
        self._map_around(vcpu, process, vaddr)

    def _map_around(self, vcpu: int, process: _Running, vaddr: int) -> None:
        """A fault on a file's page maps the cached pages around it too."""
        segment = self._segment_at(vcpu, process, vaddr)
        if segment.backing != "file" or is_private(segment):
            return
        around = self._parameters.memory.fault_around_pages
        first = (vaddr >> PAGE_SHIFT) // around * around
        for page in range(max(first, segment.start >> PAGE_SHIFT), min(first + around, segment.end >> PAGE_SHIFT)):
            if self._is_cached(vcpu, process.asid, segment.object, self._object_page(segment, page << PAGE_SHIFT)):
                process.space.touch(page)

    def copy_on_write(self, vcpu: int, asid: int, vaddr: int) -> None:
        """First touch of a private page with contents: a copy of a file's page or, after a fork, of the parent's."""
        process = self._process(asid)
        page = self._object_page(self._segment_at(vcpu, process, vaddr), vaddr)
        source = process.space.inherited.get(vaddr >> PAGE_SHIFT)
        place = self._fault_place(vcpu, process, vaddr)
        if source is not None:
            place.source_page = self._layout.anonymous_window + source * PAGE_BYTES
        else:
            place.source_page = self._layout.file_window(place.file) + page * PAGE_BYTES
            self._files.cover(place.file, (page + 1) * PAGE_BYTES)
        with self._service("copy_on_write", place):
            if source is None and not self._is_cached(vcpu, asid, place.file, page):
                inner = replace(self._place(vcpu, asid, place.file), page=place.page, entry=place.entry)
                with self._service("page_in", inner):
                    self._read_cluster(inner, page)

    def _is_cached(self, vcpu: int, asid: int, file: int, page: int) -> bool:
        """Whether a page of a file is in memory. The process's instance is told of a warm file's cluster once."""
        if file in self._warm_files:
            start, end = self._cluster(file, page)
            told = (self._process(asid).instance, file, start)
            if told not in self._told:
                self._told.add(told)
                for number in pages_of(start, end):
                    self._page_cache.descriptor(file, number)
                self._row(self._place(vcpu, asid, file), Kind.RESIDENT, vaddr=start, size=end - start, arg=file)
        return self._page_cache.has(file, page)

    def _read_cluster(self, place: Place, page: int) -> None:
        """Disk request and FILE_READ for the cluster of a file's page; its pages are cached from here on."""
        start, end = self._request_cluster(place, page)
        self._row(place, Kind.FILE_READ, vaddr=start, size=end - start, arg=place.file)

    def _request_cluster(self, place: Place, page: int) -> tuple[int, int]:
        """Walk the driver for the cluster around a page of the place's file; first byte and end of the cluster."""
        start, end = self._cluster(place.file, page)
        pages = [self._page_cache.descriptor(place.file, number) for number in pages_of(start, end)]
        self._part("disk_request", [replace(place, page=pages[0])])
        return start, end

    def _cluster(self, file: int, page: int) -> tuple[int, int]:
        """First byte and end of the cluster that a page of a file is in; the file's window reaches to the end."""
        cluster = self._parameters.memory.page_in_cluster_pages
        first = page // cluster * cluster
        size = self._files.size(file)
        is_inside = page * PAGE_BYTES < size  # a mapping may reach beyond the end of its file
        end = min((first + cluster) * PAGE_BYTES, size) if is_inside else (page + 1) * PAGE_BYTES
        self._files.cover(file, end)
        return first * PAGE_BYTES, end
