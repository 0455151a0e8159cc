"""What runs what: make forks drivers, a driver forks preprocessor, compiler and assembler, at the end the loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from discotrace.tracegen.workloads.pmake_passes import Files, Job, Passes, header_path
from discotrace.tracegen.workloads.pmake_runtime import (
    BSS,
    FILES,
    RODATA,
    ROOT_DISK,
    Binary,
    Code,
    Contents,
    Runtime,
    go_through,
)
from discotrace.tracegen.workloads.program import Fork, Leave, OtherCall, Preload, Process, Program, Stat, Step, Wait

if TYPE_CHECKING:
    from discotrace.tracegen.workloads.pmake import Pmake

START_CALLS = {"make": 400, "cc": 300, "cpp": 200, "cc1": 3000, "as": 800, "ld": 400}
OTHER_CALLS = 6  # signals, umask, times and the like of a driver, for each program
SEARCHED = 4  # directories and suffixes that a driver tries before it finds a program or a start file


class Build:
    """One instance of make."""

    def __init__(self, knobs: Pmake, instance: int) -> None:
        self._knobs = knobs
        self._instance = instance
        self._disk = 1 + instance
        self.contents = Contents()
        self._passes = Passes(Files(knobs.read_bytes, knobs.write_bytes, knobs.search_directories), self.contents)
        self._library = Binary("/lib/libc.so", knobs.library_kib, 0, knobs.data_kib, 0)
        self._code = Code(knobs.loop_turns, knobs.code_skew, knobs.hash_buckets)
        sizes = {"cc1": knobs.compiler_kib, "as": knobs.assembler_kib}
        self._binaries = {
            name: self._binary(name, sizes.get(name, knobs.tool_kib), start_calls)
            for name, start_calls in START_CALLS.items()
        }

    def _binary(self, name: str, text_kib: int, start_calls: int) -> Binary:
        constant_kib = text_kib * self._knobs.constant_percent // 100 // 4 * 4
        data_kib = self._knobs.data_kib if name in ("cc1", "as") else self._knobs.tool_data_kib
        return Binary(f"/usr/bin/{name}", text_kib, constant_kib, data_kib, start_calls)

    def _run(self, proc: Process, name: str) -> Runtime:
        return Runtime(proc, self._knobs.tape, self._library, self._binaries[name], self._code)

    def _warm_up(self, proc: Process) -> Iterator[Step]:
        """What earlier runs have left in memory: binaries, headers, other files."""
        yield Preload(proc.file("/usr/lib/others", self._knobs.other_files_kib * 1024, ROOT_DISK))
        for binary in (self._library, *self._binaries.values()):
            yield Preload(proc.file(binary.path, binary.file_bytes, ROOT_DISK))
        for number, text in enumerate(self._knobs.tree.headers):
            yield Preload(proc.file(header_path(number), len(text), ROOT_DISK))

    def _path(self, name: str) -> str:
        return f"/work{self._instance}/{name}"

    def _job(self, proc: Process, number: int) -> Job:
        source = self._knobs.tree.sources[number]
        slot = number % self._knobs.jobs  # temporary files' names come again
        return Job(
            source,
            self._knobs.tree.headers,
            proc.file(self._path(f"{number}.c"), len(source), self._disk),
            self._path(f"tmp{slot}.i"),
            self._path(f"tmp{slot}.s"),
            self._path(f"{number}.o"),
            self._disk,
        )

    # ---- make ---------------------------------------------------------------------------------------------------

    def make(self, proc: Process) -> Iterator[Step]:
        """Reads the makefile, asks which objects are there, runs jobs, links. A part of it ends before the link."""
        knobs = self._knobs
        if knobs.warm:
            yield from self._warm_up(proc)
        run = self._run(proc, "make")
        yield from run.begin()
        makefile = proc.file(self._path("Makefile"), 120 * (knobs.count + 1), self._disk)
        yield from run.read_file(makefile, 120 * (knobs.count + 1), knobs.read_bytes, FILES)
        running = 0
        for number in range(knobs.count):
            job = self._job(proc, number)
            for _ in range(knobs.rules):
                yield Stat(0)  # the object is not there, nor what other rules would make it of
            yield Stat(job.source_file)
            go_through(run.tape, run.image, 300, 500, 150, BSS, 0x1_0000, number)
            yield from run.flush()
            if running == knobs.jobs:
                yield Wait()
                running -= 1
            yield Fork(self._driver(job), "cc")
            running += 1
        for _ in range(running):
            yield Wait()
        if knobs.count < knobs.compilations:
            yield Leave()
            return
        yield Fork(self._link_driver(), "cc")
        yield Wait()

    # ---- driver -------------------------------------------------------------------------------------------------

    def _driver(self, job: Job) -> Program:
        def drive(proc: Process) -> Iterator[Step]:
            yield from self._after_fork(proc)
            run = self._run(proc, "cc")
            yield from run.begin()
            for name, program in (("cpp", self._cpp), ("cc1", self._cc1), ("as", self._as)):
                yield from self._step(run, name, program(job))

        return drive

    def _link_driver(self) -> Program:
        def drive(proc: Process) -> Iterator[Step]:
            yield from self._after_fork(proc)
            run = self._run(proc, "cc")
            yield from run.begin()
            yield from self._step(run, "ld", self._ld)

        return drive

    def _step(self, run: Runtime, name: str, program: Program) -> Iterator[Step]:
        """Reads the specs for a program, looks for it along the path, runs it."""
        go_through(run.tape, run.image, 200, 600, 400, RODATA, run.binary.constant_kib * 1024, len(name))
        yield from run.flush()
        for _ in range(SEARCHED):
            yield Stat(0)
        yield Stat(run.proc.file(f"/usr/bin/{name}", 0, 0))
        for _ in range(OTHER_CALLS):
            yield OtherCall()
        yield Fork(program, name)
        yield Wait()

    def _after_fork(self, proc: Process) -> Iterator[Step]:
        """The child goes on in the parent's image, up to the exec."""
        run = self._run(proc, "cc")
        go_through(run.tape, run.image, 900, 20, 30, RODATA, 0x1000, 7)
        yield from run.flush()
        yield OtherCall()

    def _pass(self, name: str, body: Callable[[Runtime], Iterator[Step]]) -> Program:
        def run_pass(proc: Process) -> Iterator[Step]:
            yield from self._after_fork(proc)
            run = self._run(proc, name)
            yield from run.begin()
            yield from body(run)

        return run_pass

    def _cpp(self, job: Job) -> Program:
        return self._pass("cpp", lambda run: self._passes.preprocess(run, job))

    def _cc1(self, job: Job) -> Program:
        return self._pass("cc1", lambda run: self._passes.compile(run, job))

    def _as(self, job: Job) -> Program:
        return self._pass("as", lambda run: self._passes.assemble(run, job))

    def _ld(self, proc: Process) -> Iterator[Step]:
        objects = [self._path(f"{number}.o") for number in range(self._knobs.count)]
        name = self._path("program")
        body = self._pass("ld", lambda run: self._passes.link(run, objects, name, self._disk))
        return body(proc)
