"""Radix: the parallel radix sort of SPLASH-2 on threads that share the keys, each bound to its CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.emit import references, run, store
from discotrace.tracegen.workloads.program import Exec, Map, Process, Program, Step, Unmap
from discotrace.tracegen.workloads.radix_memory import IMAGE_BYTES, STACK_END, WORD, RadixMemory
from discotrace.tracegen.workloads.radix_sort import NUMBER_BITS, RadixSort, RadixThread, barrier_count
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload

LARGEST_KEY_BITS = 32
START_UP_STORES = 64


@dataclass(frozen=True)
class Radix(Workload):
    """Every sort fills a shared region of its own, which each thread maps and whose pages each thread faults in.

    A scale at which less than one sort is left takes that share of the keys: its rates differ, because it touches fewer
    pages.
    """

    summary: ClassVar[str] = "SPLASH-2 radix sort: one thread per CPU, shared keys, page tables built by faults"
    default_cpus: ClassVar[int] = 8
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {"keys": (1 << 17, 1 << 19), "key_bits": (16, 32)}

    keys: int = 1 << 18  # keys of one sort, 4 bytes each
    radix: int = 256  # buckets of a pass, a power of two
    key_bits: int = 24  # bits of a key; a sort makes a pass for each log2(radix) of them
    sorts: int = 100  # sorts one after another at scale 1

    def __post_init__(self) -> None:
        """Raises ConfigError when the knobs do not fit together."""
        for name in ("radix", "cpu_count"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ConfigError(f"radix: {name} is {value}, expected a power of two")
        if self.radix < 2:
            raise ConfigError(f"radix: radix is {self.radix}, expected at least 2")
        if not 1 <= self.key_bits <= min(LARGEST_KEY_BITS, NUMBER_BITS):
            raise ConfigError(f"radix: key_bits is {self.key_bits}, expected 1 to {LARGEST_KEY_BITS}")
        for name in ("keys", "sorts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"radix: {name} is {getattr(self, name)}, expected at least 1")
        if self.scale <= 0:
            raise ConfigError(f"radix: scale is {self.scale}, expected more than 0")

    @property
    def rounds(self) -> int:
        """Sorts at this scale."""
        return max(1, round(self.sorts * self.scale))

    @property
    def keys_per_sort(self) -> int:
        """Keys of one sort at this scale."""
        share = min(1.0, self.sorts * self.scale)
        return max(self.cpu_count, round(self.keys * share))

    def start(self, stage: Stage) -> None:
        """One process per CPU and instance."""
        for instance in range(self.instance_count):
            sort = self.sort(instance)
            for thread in range(self.cpu_count):
                stage.start(self.thread(sort, thread), "radix", instance, range(thread, thread + 1))

    def sort(self, instance: int) -> RadixSort:
        """The data that the threads of an instance share."""
        memory = RadixMemory(self.cpu_count, self.keys_per_sort, self.radix)
        return RadixSort(memory, self.key_bits, self.seed + instance, instance * barrier_count(self.cpu_count))

    def thread(self, sort: RadixSort, number: int) -> Program:
        """The program of one thread."""
        return partial(self._run, sort, number)

    def _run(self, sort: RadixSort, number: int, process: Process) -> Iterator[Step]:
        file = process.file("/usr/splash2/radix", IMAGE_BYTES, 0)
        yield Exec(file, sort.memory.image(file))
        frame = STACK_END - START_UP_STORES * WORD
        yield references(1, run(sort.text.start_up), store(frame, START_UP_STORES * WORD))
        for sort_number in range(self.rounds):
            shared = sort.memory.shared(1 + process.instance * self.rounds + sort_number)
            yield Map(shared)
            yield from RadixThread(sort, number).steps(sort_number)
            yield Unmap(shared.start, shared.end)
