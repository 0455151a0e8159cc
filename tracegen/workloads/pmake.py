"""pmake: a parallel make of a C program. Every compilation runs a driver, preprocessor, compiler and assembler."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.pmake_jobs import Build
from discotrace.tracegen.workloads.pmake_source import SourceShape, SourceTree, make_source_tree
from discotrace.tracegen.workloads.pmake_tape import Tape, new_tape
from discotrace.tracegen.workloads.program import Process, Step
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload

RANGES = {
    "compilations": (1, 10_000),
    "jobs": (1, 1000),
    "rules": (0, 100_000),
    "functions": (1, 1000),
    "statements": (1, 300),  # one function has at most MOST_INSNS instructions
    "headers": (1, 1000),
    "includes": (1, 1000),
    "header_lines": (1, 10_000),
    "search_directories": (1, 1000),
    "read_bytes": (1, 1 << 20),
    "write_bytes": (1, 1 << 16),
    "hash_buckets": (1, 1 << 16),
    "loop_turns": (1, 1000),
    "code_skew": (1, 1000),
    "constant_percent": (7, 100),  # 4 KiB at least of the smallest program
    **dict.fromkeys(("library_kib", "compiler_kib", "assembler_kib", "tool_kib"), (64, 1 << 16)),
    **dict.fromkeys(("data_kib", "tool_data_kib"), (4, 1 << 11)),
    "other_files_kib": (4, 1 << 22),
}
# What fits the memory of the passes with room to spare, for their kernels check no bounds: a source's text, code and
# names; the texts and names of its headers; the code of the linked program.
MOST_STATEMENTS, MOST_HEADER_LINES, MOST_LINKED = 3000, 16_000, 80_000


@dataclass(frozen=True)
class Pmake(Workload):
    """One instance builds one program with its files on disk 1 + instance; binaries and headers are on disk 0."""

    summary = "parallel make: many short processes, files, demand-zero faults"
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "functions": (4, 16),
        "hash_buckets": (120, 500),
        "write_bytes": (512, 1536),
        "read_bytes": (1024, 3072),
    }

    compilations: int = 24  # at scale 1, of one instance
    jobs: int = 2  # compilations at the same time (make -J)
    rules: int = 50  # files that make asks for before it knows how to make an object
    functions: int = 7  # of a source
    statements: int = 16  # of a function, on average
    headers: int = 80  # in /usr/include
    includes: int = 11  # headers that a source names; those include others
    header_lines: int = 110  # declarations of a header, on average
    search_directories: int = 2  # of the include path
    read_bytes: int = 1536  # a read of a file that is not read at once
    write_bytes: int = 800  # a write of an output file
    hash_buckets: int = 151  # of each program's table of names: fewer make longer chains
    loop_turns: int = 5  # rounds of a short loop at most
    code_skew: float = 9.0  # how much the calls favour some routines; 1: none
    library_kib: int = 1280  # text of the shared library
    compiler_kib: int = 1536  # text of the compiler
    assembler_kib: int = 640  # text of the assembler
    tool_kib: int = 320  # text of each other program: make, driver, preprocessor, loader
    constant_percent: int = 15  # read-only data of a program, in percent of its text
    data_kib: int = 52  # initialised data of the compiler, of the assembler, of the library
    tool_data_kib: int = 16  # initialised data of each other program
    other_files_kib: int = 6400  # what else the machine has read since its boot: other programs, their libraries
    warm: bool = True  # binaries, headers and those other files are in memory at the start

    def __post_init__(self) -> None:
        """Raises ConfigError for a knob out of range, and for a program that the passes have no room for."""
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {low} to {high}")
        for names, number, most in (
            ("functions x statements", self.functions * self.statements, MOST_STATEMENTS),
            ("headers x header_lines", self.headers * self.header_lines, MOST_HEADER_LINES),
            (
                "compilations x functions x statements at this scale",
                self.count * self.functions * self.statements,
                MOST_LINKED,
            ),
        ):
            if number > most:
                raise ConfigError(f"{names} is {number:,}, expected at most {most:,}: the programs have no more room")

    def start(self, stage: Stage) -> None:
        """One make per instance, on the instance's own CPUs."""
        instances, cpus = self.instance_count, self.cpu_count
        for instance in range(instances):
            first, stop = instance * cpus // instances, (instance + 1) * cpus // instances
            own = range(first, stop) if instances <= cpus else range(instance % cpus, instance % cpus + 1)
            stage.start(self._make, "make", instance, own)

    @property
    def count(self) -> int:
        """Compilations of one instance: at least one."""
        return max(1, round(self.compilations * self.scale))

    @cached_property
    def tree(self) -> SourceTree:
        """What is compiled, the same in each instance."""
        shape = SourceShape(self.count, self.functions, self.statements, self.headers, self.includes, self.header_lines)
        return make_source_tree(shape, self.seed)

    @cached_property
    def tape(self) -> Tape:
        """Where programs write their references before they hand them over."""
        return new_tape()

    def _make(self, proc: Process) -> Iterator[Step]:
        return Build(self, proc.instance).make(proc)
