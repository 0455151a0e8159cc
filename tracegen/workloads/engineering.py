"""Engineering: simulations of a compiled gate-level netlist beside simulations of a memory system.

The paper's workload is six Verilog simulations (VCS) and six of a memory-system simulator (FlashLite). All have been
running for long when the trace begins, and run on when it ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads import engineering_gates as gates
from discotrace.tracegen.workloads import engineering_memory as memory
from discotrace.tracegen.workloads.engineering_netlist import make_netlist
from discotrace.tracegen.workloads.engineering_rows import room
from discotrace.tracegen.workloads.program import Leave, Map, Preload, Process, References, Resident, Step, Write
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload

PAGE = 4096
ROWS = 1 << 15  # of a chunk: a program notices the end of the trace after one
INSTRUCTIONS = 545_000_000  # at scale 1 on each CPU: 3.5 s at 400 MHz and 2.6 cycles per instruction, kernel included
WRITTEN_BEFORE = 1 << 20  # bytes of dump and log, begun long ago: whole pages, so that what follows needs none of them
WARM_UP = 1_500_000  # references of a simulated machine before the trace


class _Work:
    """Instructions that the processes of one instance have left to do, together."""

    def __init__(self, instructions: int) -> None:
        self.left = instructions

    def done(self, references: References) -> References:
        """Take these from what is left."""
        self.left -= int(references.arg.sum(dtype=np.int64))
        return references


@dataclass(frozen=True)
class Engineering(Workload):
    """Simulators of gates and of memory systems, long-running, with large data."""

    summary: ClassVar[str] = (
        "gate-level and memory-system simulations side by side; large text and data, many TLB misses"
    )

    # Within these ranges TLB misses stay at what figure 5 allows, and stalls on 8 CPUs near those of figure 8.
    runs_on: ClassVar[bool] = True
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "activity": (0.1, 0.11),
        "together": (5, 7),
    }

    pairs: int = 0
    """Simulators of each kind; 0 = three for four CPUs, at least one (the paper: 6 and 6 on 8 CPUs)."""
    modules: int = 160
    """Modules of the netlist."""
    module_gates: int = 150
    """Elements of a module: flip-flops, inputs, gates."""
    together: int = 6
    """Modules whose records lie together, sorted by level."""
    local: float = 0.95
    """Share of a gate's inputs that come from its own module."""
    activity: float = 0.105
    """Share of the modules whose clock is enabled."""
    dwell: float = 30.0
    """Clocks for which a module stays enabled, on average."""
    dump_stride: int = 2
    """One output in so many is written to the dump file when it changes."""
    memory_mib: int = 32
    """Memory of the simulated machine, MiB."""
    window: int = 4096
    """Lines (128 bytes) of its own memory among which a simulated processor works for a while."""
    shared: float = 0.1
    """Share of the sweeps that go to memory which the simulated processors share."""
    burst: int = 16
    """References of a simulated processor before the next one's turn."""

    log_stride: int = 4
    """One miss of the simulated caches in so many is written to the log file."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a knob out of range."""
        for name, low, high in (
            ("modules", 1, 2**20),
            ("module_gates", 40, 2**16),
            ("together", 1, 2**20),
            ("local", 0, 1),
            ("activity", 0.001, 0.999),
            ("dwell", 1, 10_000),
            ("dump_stride", 1, 2**30),
            ("memory_mib", 1, 1024),
            ("window", 1, self.memory_mib * 2**13 // (2 * memory.PROCESSORS) - 1),
            ("shared", 0, 1),
            ("burst", 1, 2**30),
            ("log_stride", 1, 2**30),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {low} to {high}")

    def start(self, stage: Stage) -> None:
        """Start each instance on CPUs of its own if there are enough."""
        cpus, instances = self.cpu_count, self.instance_count
        for instance in range(instances):
            first = instance * cpus // instances
            own = range(first, max(first + 1, (instance + 1) * cpus // instances))
            pairs = self.pairs or max(1, len(own) * 3 // 4)
            work = _Work(int(INSTRUCTIONS * self.scale * cpus / instances))
            for program, name in ((self._gates, "gates"), (self._memory, "memory")):
                for number in range(pairs):
                    stage.start(partial(program, work=work, number=number), name, instance, own)

    def _seed(self, process: Process, number: int) -> int:
        """Of a simulator; not 0."""
        return 1 + int(np.random.default_rng([self.seed, process.instance, number]).integers(2**31))

    def _gates(self, process: Process, work: _Work, number: int) -> Iterator[Step]:
        """A simulation of the netlist. All have the same, compiled once; their stimuli differ."""
        netlist = make_netlist(self.modules, self.module_gates, self.local, np.random.default_rng(self.seed))
        code, places = gates.lay_out_code(netlist), gates.lay_out_data(netlist, self.together)
        state = gates.start_gates(netlist, self.activity, self.dwell, self.dump_stride, self._seed(process, number))
        dump = process.file(f"/work{process.instance}/dump{process.asid}.vcd", WRITTEN_BEFORE, 1 + process.instance)
        out = room(ROWS)
        text = process.file("/usr/vcs/netlist", code.end - gates.TEXT, 0)
        yield from _address_space(text, gates.TEXT, code.end, places.end)
        while work.left > 0:
            yield work.done(gates.run_gates(netlist, code, places, state, out))
            size = int(state.now[gates.DUMP_AT])
            if size == gates.DUMP_BYTES:
                yield Write(dump, WRITTEN_BEFORE + int(state.now[gates.DUMPED]) - size, size, places.dump)
                state.now[gates.DUMP_AT] = 0
        yield Leave()

    def _memory(self, process: Process, work: _Work, number: int) -> Iterator[Step]:
        """A simulation of a memory system whose caches are warm."""
        lines = self.memory_mib * 2**13
        (code, text_end), places = memory.lay_out_code(), memory.lay_out_data(lines)
        seed = self._seed(process, number)
        machine = memory.start_machine(lines, self.window, self.burst, self.shared, self.log_stride, seed)
        out = room(ROWS)
        log = process.file(f"/work{process.instance}/misses{process.asid}.log", WRITTEN_BEFORE, 1 + process.instance)
        memory.warm_up(code, places, machine, out, WARM_UP)
        text = process.file("/usr/flashlite", text_end - memory.TEXT, 0)
        yield from _address_space(text, memory.TEXT, text_end, places.end)
        while work.left > 0:
            yield work.done(memory.run_machine(code, places, machine, out))
            size = int(machine.now[memory.LOG_AT])
            if size == memory.LOG_BYTES:
                yield Write(log, WRITTEN_BEFORE + int(machine.now[memory.LOGGED]) - size, size, places.log)
                machine.now[memory.LOG_AT] = 0
        yield Leave()


def _address_space(text: int, start: int, end: int, data_end: int) -> Iterator[Step]:
    """Text (a file), data and stack of a simulator, in memory since before the trace."""
    yield Preload(text)
    for segment in (
        Segment(0, start, -(-end // PAGE) * PAGE, "file", object=text, writable=False),
        Segment(0, gates.DATA, -(-data_end // PAGE) * PAGE, "anonymous"),
        Segment(0, gates.STACK, gates.STACK + PAGE, "anonymous"),
    ):
        yield Map(segment)
        yield Resident(segment.start, segment.end)
