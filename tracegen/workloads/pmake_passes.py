"""The programs that a compilation runs: preprocessor, compiler, assembler, and the loader at the end."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.workloads import pmake_optimizer as optimizer_passes
from discotrace.tracegen.workloads import pmake_preprocessor as cpp_state
from discotrace.tracegen.workloads.pmake_assembler import (
    CODE,
    Assembler,
    assemble,
    enter_mnemonics,
    fix,
    merge,
    mnemonics,
    new_assembler,
    object_of,
    words_of,
)
from discotrace.tracegen.workloads.pmake_names import found_or_entered
from discotrace.tracegen.workloads.pmake_optimizer import PRODUCED, WRITTEN, new_optimizer
from discotrace.tracegen.workloads.pmake_parser import FUNCTION, KEYWORDS, new_compiler, parse
from discotrace.tracegen.workloads.pmake_preprocessor import (
    END,
    FULL,
    INCLUDE,
    INCLUDED,
    POSITION,
    Preprocessor,
    new_preprocessor,
    preprocess,
)
from discotrace.tracegen.workloads.pmake_runtime import (
    BSS,
    FILES,
    FILES_BYTES,
    MAPPED_FILES,
    OBSTACK,
    OBSTACK_BYTES,
    RODATA,
    ROOT_DISK,
    Contents,
    Runtime,
)
from discotrace.tracegen.workloads.pmake_tape import routine
from discotrace.tracegen.workloads.program import Open, Step

OUTPUT_BUFFER = BSS + 0x1_0000  # of the output file, behind the table of names
HEADER_STEP = 0x10_0000  # between mapped headers
TABLES = BSS + 0x4_0000  # working memory of passes
SOURCE_WORDS, SOURCE_FIXUPS = 1 << 18, 1 << 15  # of one source, at most


@dataclass(frozen=True)
class Files:
    """How programs use files. ``read_bytes``, ``write_bytes``: a piece; ``search_directories``: tried for a header."""

    read_bytes: int
    write_bytes: int
    search_directories: int


@dataclass(frozen=True)
class Job:
    """One compilation: numbers of its files and their names."""

    source: npt.NDArray[np.uint8]
    headers: tuple[npt.NDArray[np.uint8], ...]
    source_file: int
    preprocessed: str
    assembly: str
    object: str
    disk: int


def header_path(number: int) -> str:
    """Where a header is."""
    return f"/usr/include/h_{number}.h"


class Passes:
    """The programs' bodies, each after ``Runtime.begin``."""

    def __init__(self, files: Files, contents: Contents) -> None:
        self._files = files
        self._contents = contents

    # ---- preprocessor -------------------------------------------------------------------------------------------

    def preprocess(self, run: Runtime, job: Job) -> Iterator[Step]:
        """The source with its headers becomes one text."""
        cpp = new_preprocessor(run.names, OUTPUT_BUFFER, self._files.write_bytes)
        output = run.proc.file(job.preprocessed, 0, job.disk)
        yield from run.read_file(job.source_file, len(job.source), 1 << 20, FILES)
        yield Open(output)
        seen: set[int] = set()
        stack = [(job.source, FILES, 0)]
        top = MAPPED_FILES
        while stack:
            text, base, cpp.state[POSITION] = stack[-1]
            reason = preprocess(run.tape, run.image, cpp, text, base)
            yield from run.flush()
            yield from self._write_text(run, cpp, output)
            if reason == END:
                stack.pop()
                continue
            stack[-1] = (text, base, int(cpp.state[POSITION]))
            header = int(cpp.state[INCLUDED])
            if reason == INCLUDE and header not in seen:
                seen.add(header)
                text = job.headers[header]
                yield from self._open_header(run, header, len(text), top)
                stack.append((text, top, 0))
                top += HEADER_STEP
        produced, written = int(cpp.state[cpp_state.PRODUCED]), int(cpp.state[cpp_state.WRITTEN])
        yield from run.end_file(output, written, produced, OUTPUT_BUFFER)
        self._contents.texts[job.preprocessed] = cpp.output[:produced].copy()

    def _write_text(self, run: Runtime, cpp: Preprocessor, output: int) -> Iterator[Step]:
        produced, written = int(cpp.state[cpp_state.PRODUCED]), int(cpp.state[cpp_state.WRITTEN])
        yield from run.write_on(output, written, produced, cpp.buffer_bytes, cpp.buffer)
        cpp.state[cpp_state.WRITTEN] = produced - produced % cpp.buffer_bytes

    def _open_header(self, run: Runtime, header: int, size: int, start: int) -> Iterator[Step]:
        """Tries the directories before the one that has it."""
        for _ in range(header % self._files.search_directories):
            yield Open(0)
        file = run.proc.file(header_path(header), size, ROOT_DISK)
        yield from run.map_file(file, size, start)

    # ---- compiler -----------------------------------------------------------------------------------------------

    def compile(self, run: Runtime, job: Job) -> Iterator[Step]:
        """The text becomes assembler text, function by function."""
        text = self._contents.texts[job.preprocessed]
        keywords, spans = words_of(" ".join(KEYWORDS))
        for kind, (start, stop) in enumerate(spans, 1):
            code = routine(run.image, 2, 1, 0)
            name = found_or_entered(run.tape, code, run.names, keywords, start, stop, RODATA)
            run.names.kind[name] = kind
        memory = {"insn_memory": OBSTACK, "tree_memory": OBSTACK + OBSTACK_BYTES // 2, "tables": RODATA}
        memory["insn_memory"] += 0x2000  # the function's declarations stand below
        compiler = new_compiler(run.names, memory | {"table_bytes": run.binary.constant_kib * 1024})
        optimizer = new_optimizer(TABLES, OUTPUT_BUFFER, self._files.write_bytes)
        yield from run.flush()
        file = run.proc.file(job.preprocessed, len(text), job.disk)
        yield from run.read_file(file, len(text), self._files.read_bytes, FILES)
        output = run.proc.file(job.assembly, 0, job.disk)
        yield Open(output)
        reason = FULL
        while reason != END:
            reason = parse(run.tape, run.image, compiler, text, FILES)
            yield from run.flush()
            if reason != FUNCTION:
                continue
            for name in ("fold", "share", "find_lives", "give_registers", "write_out"):
                getattr(optimizer_passes, name)(run.tape, run.image, compiler, optimizer)
                yield from run.flush()
            produced, written = (int(optimizer.state[i]) for i in (PRODUCED, WRITTEN))
            yield from run.write_on(output, written, produced, optimizer.buffer_bytes, optimizer.buffer)
            optimizer.state[WRITTEN] = produced - produced % optimizer.buffer_bytes
        produced, written = (int(optimizer.state[i]) for i in (PRODUCED, WRITTEN))
        yield from run.end_file(output, written, produced, OUTPUT_BUFFER)
        self._contents.texts[job.assembly] = optimizer.output[:produced].copy()

    # ---- assembler and loader -----------------------------------------------------------------------------------

    def _new_assembler(self, run: Runtime, words: int, fixups: int) -> Assembler:
        return new_assembler(run.names, words, fixups, OBSTACK, OBSTACK + OBSTACK_BYTES // 2)

    def assemble(self, run: Runtime, job: Job) -> Iterator[Step]:
        """Assembler text becomes an object file."""
        text = self._contents.texts[job.assembly]
        assembler = self._new_assembler(run, SOURCE_WORDS, SOURCE_FIXUPS)
        letters, spans = mnemonics()
        enter_mnemonics(run.tape, run.image, run.names, letters, np.array(spans, np.int64), RODATA)
        yield from run.flush()
        file = run.proc.file(job.assembly, len(text), job.disk)
        yield from run.read_file(file, len(text), self._files.read_bytes, FILES)
        while assemble(run.tape, run.image, assembler, text, FILES) != END:
            yield from run.flush()
        left = fix(run.tape, run.image, assembler, 0)
        yield from run.flush()
        made = object_of(assembler, left)
        self._contents.objects[job.object] = made
        yield from self._write_file(run, job.object, made.file_bytes, job.disk)

    def _write_file(self, run: Runtime, name: str, size: int, disk: int) -> Iterator[Step]:
        """The code from memory."""
        file, piece = run.proc.file(name, 0, disk), self._files.write_bytes
        yield Open(file)
        whole = size - size % piece
        yield from run.write_on(file, 0, size, piece, OBSTACK)
        yield from run.end_file(file, whole, size, OBSTACK)

    def link(self, run: Runtime, objects: list[str], program: str, disk: int) -> Iterator[Step]:
        """Objects become one program."""
        items = [self._contents.objects[name] for name in objects]
        words, fixups = sum(len(item.code) for item in items), sum(len(item.fixups) for item in items)
        loader = self._new_assembler(run, words, fixups)
        top = FILES
        for name, item in zip(objects, items, strict=True):
            file = run.proc.file(name, item.file_bytes, disk)
            yield from run.read_file(file, item.file_bytes, self._files.read_bytes, top)
            merge(run.tape, run.image, loader, item, top)
            yield from run.flush()
            top = min(-(-(top + item.file_bytes) // 16) * 16, FILES + FILES_BYTES // 2)
        fix(run.tape, run.image, loader, 0)
        yield from run.flush()
        self._contents.objects[program] = object_of(loader, int(loader.state[2]))
        yield from self._write_file(run, program, int(loader.state[CODE]) * 4, disk)
