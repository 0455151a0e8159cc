"""The IRIX-like guest kernel: turns what programs ask of an OS into kernel references, locks and privileged rows.

User references go in by ``user`` and come out with a fault service before each first touch of a page; system calls,
process and scheduling events go in as method calls. ``docs/guest-kernel.md`` says what is modelled.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from discotrace.tracegen.address_space import Mapping, pages_of
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.guest_memory import GuestMemory
from discotrace.tracegen.kernel_layout import Place
from discotrace.tracegen.kernel_parameters import Parameters
from discotrace.tracegen.pages import PAGE_BYTES, PAGE_SHIFT
from discotrace.tracegen.schema import KERNEL_ASID, Kind, Rows, TraceMeta, rows_from_records
from discotrace.tracegen.service_path import Mode, loop_instructions

ROOT_DISK = 0
LARGEST_IDLE = 2**32 - 1  # instructions of one IDLE row


@dataclass(frozen=True)
class _Area:
    """Where the kernel keeps bytes: a ring of ``ring_bytes`` from ``start`` on, seen from a position in it."""

    start: int
    ring_bytes: int
    position: int

    def address(self, offset: int) -> int:
        """Address of the byte so far behind the position."""
        return self.start + (self.position + offset) % self.ring_bytes


class GuestKernel(GuestMemory):
    """The kernel of one OS instance. Every method emits its rows at once, in order, through ``emit``.

    Addresses and sizes are in bytes; ``vcpu`` is the virtual CPU and ``asid`` the process running on it (0 = none).
    All methods raise TraceError when asid is no running process or file no file of ``add_file``.
    """

    def __init__(self, meta: TraceMeta, emit: Callable[[Rows], None], parameters: Parameters | None = None) -> None:
        """Append the kernel's segments (asid 0) and its own file to ``meta``. Default constants: guest_kernel.toml."""
        super().__init__(meta, emit, parameters)
        self._pipe_written = self._pipe_read = 0

    # ---- system calls -----------------------------------------------------------------------------------------

    def open(self, vcpu: int, asid: int, file: int) -> None:
        """Open a file; file 0 = a path that does not exist."""
        self._named_call("open", vcpu, asid, file)

    def stat(self, vcpu: int, asid: int, file: int) -> None:
        """Ask for the attributes of a file; file 0 = a path that does not exist."""
        self._named_call("stat", vcpu, asid, file)

    def close(self, vcpu: int, asid: int, file: int) -> None:
        """Close a file; file 0 = anything that is no file."""
        self._named_call("close", vcpu, asid, file)

    def _named_call(self, name: str, vcpu: int, asid: int, file: int) -> None:
        if file:
            self._files.require(file)
        self._whole(name, self._place(vcpu, asid, file))

    def mmap_call(self, vcpu: int, asid: int) -> None:
        """The work of mmap, munmap or mprotect, without its effect (``map``, ``unmap``)."""
        self._whole("mmap", self._place(vcpu, asid))

    def brk_call(self, vcpu: int, asid: int) -> None:
        """The work of brk, without its effect (``map``, ``unmap``)."""
        self._whole("brk", self._place(vcpu, asid))

    def wait(self, vcpu: int, asid: int) -> None:
        """Wait for a child."""
        self._whole("wait", self._place(vcpu, asid))

    def syscall(self, vcpu: int, asid: int) -> None:
        """Any other system call."""
        self._whole("syscall", self._place(vcpu, asid))

    def read(  # the system call's arguments
        self, vcpu: int, asid: int, file: int, offset: int, size: int, buffer: int
    ) -> None:
        """Copy ``size`` bytes of a file, from ``offset`` on, to the program's ``buffer``; a negative file is a pipe."""
        if file < 0:
            self.pipe_read(vcpu, asid, size, buffer)
            return
        self._files.cover(file, offset + size)
        place = self._place(vcpu, asid, file)
        with self._service("read", place):
            for page in pages_of(offset, offset + size):
                if not self._is_cached(vcpu, asid, file, page):
                    self._request_cluster(place, page)
            if size:
                self._row(place, Kind.FILE_READ, vaddr=offset, size=size, arg=file)
            self._copy(place, self._window(file, offset), size, buffer, Kind.STORE)

    def write(  # the system call's arguments
        self, vcpu: int, asid: int, file: int, offset: int, size: int, buffer: int
    ) -> None:
        """Copy ``size`` bytes of ``buffer`` into a file at ``offset``, which grows; a negative file is a pipe."""
        if file < 0:
            self.pipe_write(vcpu, asid, size, buffer)
            return
        size_before = self._files.size(file)
        self._files.grow(file, offset + size)
        place = self._place(vcpu, asid, file)
        with self._service("write", place):
            if size:  # before a new page of the file is touched: it was never on disk
                self._row(place, Kind.FILE_WRITE, vaddr=offset, size=size, arg=file)
            for page in pages_of(offset, offset + size):
                if not self._is_cached(vcpu, asid, file, page):
                    self._prepare_write(place, page, range(offset, offset + size), size_before)
            self._copy(place, self._window(file, offset), size, buffer, Kind.LOAD)

    def preload(self, file: int, running: Sequence[tuple[int, int]]) -> None:
        """A file is in the page cache from here on, without any work of the kernel.

        ``running``: the CPUs that may have brought it there, each with the process that runs there. Clusters of pages
        are dealt out to them in turn, so that no node has them all; an OS instance takes a cluster where the turn
        first comes to one of its CPUs.
        """
        size = self._files.size(file)
        for page in pages_of(0, size):
            self._page_cache.descriptor(file, page)
        step = self._parameters.memory.page_in_cluster_pages * PAGE_BYTES if len(running) > 1 else max(size, 1)
        turns = [(*running[i:], *running[:i]) for i in range(len(running))]
        rows = [
            (vcpu, asid, int(Kind.RESIDENT), start, min(step, size - start), file)
            for number, start in enumerate(range(0, size, step))
            for vcpu, asid in turns[number % len(turns)]
        ]
        self._emit(rows_from_records(rows))

    def is_on_root_disk(self, file: int) -> bool:
        """Whether all OS instances have the file: it is on disk 0."""
        return self._files.disk(file) == ROOT_DISK

    def _prepare_write(self, place: Place, page: int, written: range, size_before: int) -> None:
        """Get an uncached page ready: read it if part of its old contents stays, clear it if part of it stays empty."""
        start, end = page * PAGE_BYTES, (page + 1) * PAGE_BYTES
        is_whole = written.start <= start and end <= written.stop
        if start < size_before and not is_whole:
            self._request_cluster(place, page)
            return
        self._part("new_file_page", [replace(place, page=self._page_cache.descriptor(place.file, page))])
        if not is_whole:
            loops = self._parameters.loops
            arg = loop_instructions(PAGE_BYTES, loops, loops.zero_instructions_per_word)
            self._row(place, Kind.ZERO_PAGE, self._layout.file_window(place.file) + start, PAGE_BYTES, arg)

    def pipe_read(self, vcpu: int, asid: int, size: int, buffer: int) -> None:
        """Copy ``size`` bytes from the kernel's pipe buffer to the program's."""
        place = self._place(vcpu, asid)
        with self._service("read", place):
            self._part("pipe_turn", [place])
            self._copy(place, self._pipe(self._pipe_read), size, buffer, Kind.STORE)
        self._pipe_read += size

    def pipe_write(self, vcpu: int, asid: int, size: int, buffer: int) -> None:
        """Copy ``size`` bytes of the program's buffer to the kernel's pipe buffer."""
        place = self._place(vcpu, asid)
        with self._service("write", place):
            self._part("pipe_turn", [place])
            self._copy(place, self._pipe(self._pipe_written), size, buffer, Kind.LOAD)
        self._pipe_written += size

    def window_address(self, file: int, offset: int) -> int:
        """Where the kernel sees a byte of a file's cached pages."""
        return self._window(file, offset).address(0)

    @property
    def pipe_address(self) -> int:
        """Where the kernel's pipe buffer begins."""
        return self._layout.pipe

    def _window(self, file: int, offset: int) -> _Area:
        return _Area(self._layout.file_window(file), self._layout.window_stride, offset)

    def _pipe(self, position: int) -> _Area:
        return _Area(self._layout.pipe, self._parameters.memory.pipe_buffer_bytes, position)

    def _copy(self, place: Place, area: _Area, size: int, buffer: int, user_kind: Kind) -> None:
        """The copy between the kernel's area and the program's buffer, in chunks that cross no page of either.

        ``user_kind``: STORE copies to the program, LOAD from it. Untouched pages of the buffer fault inside.
        """
        process = self._process(place.asid)
        loops = self._parameters.loops
        text = self._layout.routines["copy_zero"]
        records: list[tuple[int, int, int, int, int, int]] = []
        done = 0
        while done < size:
            kernel, user = area.address(done), buffer + done
            length = min(size - done, PAGE_BYTES - kernel % PAGE_BYTES, PAGE_BYTES - user % PAGE_BYTES)
            if not process.space.has_touched(user >> PAGE_SHIFT):
                self._emit(rows_from_records(records))
                records = []
                self._fault(place.vcpu, process, user)
            source, target = (kernel, user) if user_kind is Kind.STORE else (user, kernel)
            instructions = loop_instructions(length, loops, loops.copy_instructions_per_word)
            records.append((place.vcpu, place.asid, Kind.FETCH, text, loops.copy_text_bytes, instructions))
            records.append((place.vcpu, place.asid, Kind.LOAD, source, length, 0))
            records.append((place.vcpu, place.asid, Kind.STORE, target, length, 0))
            done += length
        self._emit(rows_from_records(records))

    # ---- life of processes ------------------------------------------------------------------------------------

    def execve(self, vcpu: int, asid: int, file: int) -> None:
        """Start a program file: reads its header, gives back the old address space. New segments come by ``map``."""
        self._files.require(file)
        process = self._process(asid)
        place = self._place(vcpu, asid, file)
        with self._service("execve", place):
            if not self._is_cached(vcpu, asid, file, 0):
                self._read_cluster(place, 0)
            for mapping in process.space.mappings():
                self._free_pages(place, process.space, mapping)
                self._release(place, process.space, mapping)

    def fork(self, vcpu: int, asid: int, child: int) -> None:
        """Make a started process a copy of this one: same segments; private pages are copied on first touch.

        Raises TraceError when the child has segments already.
        """
        parent, copy = self._process(asid), self._process(child)
        if copy.space.mappings():
            raise TraceError(f"process {child} has segments before it is forked: map after fork")
        place = self._place(vcpu, asid)
        with self._service("fork", place):
            for mapping in parent.space.mappings():
                pages = parent.space.private_pages(mapping.segment)
                descriptors = parent.space.private
                self._part("fork_page", [self._at_page(place, p << PAGE_SHIFT, descriptors[p]) for p in pages])
        for mapping in parent.space.mappings():
            segment = replace(mapping.segment, asid=child, by_event=False)
            copy.space.insert(Mapping(len(self._meta.segments), segment))
            self._meta.segments.append(segment)
        copy.space.inherit(parent.space)

    def exit(self, vcpu: int, asid: int) -> None:
        """End of a process; its private pages are given back. The CPU must be switched next."""
        process = self._process(asid)
        place = self._place(vcpu, asid)
        with self._service("exit", place):
            for mapping in process.space.mappings():
                self._free_pages(place, process.space, mapping)
                self._descriptors.give_back(process.space.remove(mapping))
        self._row(place, Kind.PROCESS_EXIT)
        self._free_slots.append(process.slot)
        del self._processes[asid]

    def boot(self, vcpu: int) -> None:
        """What the OS instance on a CPU has had in memory since it booted: the kernel's text and its tables."""
        ranges = self._layout.boot_ranges(vcpu, self._meta.cpus)
        self._emit(rows_from_records([(vcpu, KERNEL_ASID, Kind.RESIDENT, start, size, 0) for start, size in ranges]))

    # ---- scheduling -------------------------------------------------------------------------------------------

    def switch(self, vcpu: int, old_asid: int, new_asid: int) -> None:
        """Let a CPU run another process; 0 = the idle loop. After an exit the SWITCH row comes first."""
        new = self._place(vcpu, new_asid)
        is_gone = old_asid not in self._processes and old_asid != KERNEL_ASID
        first, last = self._paths.take("switch", Mode.USER if new_asid else Mode.CALL)
        if is_gone:
            self._row(new, Kind.SWITCH, arg=old_asid)
            self._emit(first.rows(self._layout, [new]))
        else:
            self._emit(first.rows(self._layout, [self._place(vcpu, old_asid)]))
            self._row(new, Kind.SWITCH, arg=old_asid)
        self._emit(last.rows(self._layout, [new]))

    def tick(self, vcpu: int, asid: int) -> None:
        """A timer interrupt."""
        self._whole("tick", self._place(vcpu, asid))

    def idle(self, vcpu: int, instructions: int) -> None:
        """The CPU has nothing to run for as long as so many instructions take."""
        place = self._place(vcpu, KERNEL_ASID)
        while instructions > 0:
            self._row(place, Kind.IDLE, size=min(instructions, LARGEST_IDLE))
            instructions -= LARGEST_IDLE

    def finish(self) -> None:
        """Record in the provenance of the metadata which constants made the kernel's part."""
        constants = json.dumps(asdict(self._parameters), sort_keys=True)
        self._meta.provenance["guest_kernel_sha256"] = hashlib.sha256(constants.encode()).hexdigest()
