"""What every program of pmake does: its image, the start by the dynamic linker, its heap, its files."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads.pmake_assembler import Object
from discotrace.tracegen.workloads.pmake_names import TOP, Names, new_names
from discotrace.tracegen.workloads.pmake_tape import (
    ROUTINE_BYTES,
    Image,
    Tape,
    library,
    load,
    mixed,
    routine,
    store,
    taken,
    work,
)
from discotrace.tracegen.workloads.program import Close, Exec, Map, Open, Process, Read, Stat, Step, Write

TEXT, LIBRARY, LIBRARY_DATA = 0x0040_0000, 0x0F00_0000, 0x0F80_0000
RODATA = 0x0C00_0000
DATA, BSS, HEAP, OBSTACK = 0x1000_0000, 0x1080_0000, 0x1100_0000, 0x2000_0000
FILES, MAPPED_FILES = 0x3000_0000, 0x5000_0000  # what programs have read, and what they map
STACK_TOP = 0x7FFF_8000
BSS_BYTES, OBSTACK_BYTES, FILES_BYTES, STACK_BYTES = 0x40_0000, 0x100_0000, 0x1000_0000, 0x1_0000
HEAP_STEP = 0x1_0000  # bytes by which the heap grows
HEADER_BYTES = 512  # of a binary that the dynamic linker reads
ROOT_DISK = 0


@dataclass(frozen=True)
class Binary:
    """A program file: text, constants, initialised data. ``start_calls``: routines that its start goes through."""

    path: str
    text_kib: int
    constant_kib: int
    data_kib: int
    start_calls: int

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return (self.text_kib + self.constant_kib + self.data_kib) * 1024


@dataclass(frozen=True)
class Code:
    """How programs run: ``turns`` and ``skew`` as in ``Image``; ``buckets`` of their tables of names."""

    turns: int
    skew: float
    buckets: int


@dataclass
class Contents:
    """What the files hold that programs have written, by name."""

    texts: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    objects: dict[str, Object] = field(default_factory=dict)


@compiled
def go_through(tape, image, first, span, calls, table, table_bytes, seed):  # type: ignore[no-untyped-def]
    """Initialisation and the like: ``calls`` entries of a table, each handled by the routine that it stands for."""
    for i in range(calls):
        key = mixed(i, seed)
        load(tape, table + key % (table_bytes // 16) * 16, 16)
        work(tape, routine(image, first, span, key), 6 + key % 8, key >> 3, image)
        if key % 4 == 0:
            work(tape, library(image, key >> 5), 5, key >> 7, image)


@compiled
def relocate(tape, image, start, size, step):  # type: ignore[no-untyped-def]
    """The dynamic linker adds the base to the pointers of a data segment: a word every ``step`` bytes."""
    for at in range(0, size, step):
        work(tape, library(image, mixed(at // step % 64, 11)), 6, mixed(at, 3), image)
        load(tape, start + at, 4)
        store(tape, start + at, 4)


class Runtime:
    """A running program: makes its steps. The tape is empty between two of them, so that all programs share one."""

    def __init__(self, proc: Process, tape: Tape, shared: Binary, binary: Binary, code: Code) -> None:
        """``shared``: the library of all programs."""
        self.proc, self.tape, self.binary, self._shared = proc, tape, binary, shared
        self.names: Names = new_names(BSS, HEAP, code.buckets)
        self._heap_end = HEAP
        routines, library_routines = (b.text_kib * 1024 // ROUTINE_BYTES for b in (binary, shared))
        self.image = Image(TEXT, routines, LIBRARY, library_routines, STACK_TOP - 0x400, code.turns, code.skew)

    def begin(self) -> Iterator[Step]:
        """From exec to main."""
        proc, binary, shared = self.proc, self.binary, self._shared
        file, text_bytes = proc.file(binary.path, binary.file_bytes, ROOT_DISK), binary.text_kib * 1024
        constants, data = binary.constant_kib * 1024, binary.data_kib * 1024
        yield Exec(
            file,
            (
                Segment(0, TEXT, TEXT + text_bytes, "file", object=file, writable=False),
                Segment(0, RODATA, RODATA + constants, "file", object=file, offset=text_bytes, writable=False),
                Segment(0, DATA, DATA + data, "file", object=file, offset=text_bytes + constants),
                Segment(0, BSS, BSS + BSS_BYTES, "anonymous"),
                Segment(0, OBSTACK, OBSTACK + OBSTACK_BYTES, "anonymous"),
                Segment(0, FILES, FILES + FILES_BYTES, "anonymous"),
                Segment(0, STACK_TOP - STACK_BYTES, STACK_TOP, "anonymous"),
            ),
        )
        file, text_end = proc.file(shared.path, shared.file_bytes, ROOT_DISK), shared.text_kib * 1024
        yield Open(file)
        yield Read(file, 0, HEADER_BYTES, STACK_TOP - 0x2000)
        yield Map(Segment(0, LIBRARY, LIBRARY + text_end, "file", object=file, writable=False))
        yield Map(Segment(0, LIBRARY_DATA, LIBRARY_DATA + shared.data_kib * 1024, "file", object=file, offset=text_end))
        yield Close(file)
        relocate(self.tape, self.image, LIBRARY_DATA, shared.data_kib * 1024, 512)
        relocate(self.tape, self.image, DATA, data, 512)
        yield from self.flush()
        go_through(self.tape, self.image, 0, 1000, binary.start_calls, RODATA, constants, 1)
        yield from self.flush()

    def flush(self) -> Iterator[Step]:
        """Hands over what is on the tape, once the heap is as large as that needs."""
        if not self.tape.used[0]:
            return
        rows = taken(self.tape)  # before the first step: others use the tape meanwhile
        top = int(self.names.counts[TOP])
        if top > self._heap_end:
            end = -(-top // HEAP_STEP) * HEAP_STEP
            yield Map(Segment(0, self._heap_end, end, "anonymous"), grows_heap=True)
            self._heap_end = end
        yield rows

    def read_file(self, file: int, size: int, piece: int, buffer: int) -> Iterator[Step]:
        """Reads a whole file in pieces to ``buffer``."""
        yield Open(file)
        yield Stat(file)
        for at in range(0, size, piece):
            yield Read(file, at, min(piece, size - at), buffer + at)
        yield Close(file)

    def map_file(self, file: int, size: int, start: int) -> Iterator[Step]:
        """Maps a whole file at ``start``."""
        yield Open(file)
        yield Stat(file)
        end = start + -(-size // PAGE_BYTES) * PAGE_BYTES
        yield Map(Segment(0, start, end, "file", object=file, writable=False))
        yield Close(file)

    def write_on(self, file: int, written: int, produced: int, piece: int, buffer: int) -> Iterator[Step]:
        """Writes full buffers of an output file."""
        for at in range(written, produced - produced % piece, piece):
            yield Write(file, at, piece, buffer)

    def end_file(self, file: int, written: int, size: int, buffer: int) -> Iterator[Step]:
        """Writes what is left in the buffer, and closes."""
        if size > written:
            yield Write(file, written, size - written, buffer)
        yield Close(file)
