"""Runs programs on virtual CPUs: interleaves their references and passes what they ask for to the guest kernel.

Each CPU has a clock in instructions, of programs and kernel and idle alike. The CPU that is furthest behind acts next
(the lower number first) up to the next multiple of ``slice``. A CPU keeps its process until it ends, waits, or has
used its quantum while others are ready. The next is one that ran here last or nowhere yet, if there is one; every so
often it is the one that has waited longest. A process runs on the CPUs that it was given and on no others; its children
on the same. Equal programs give equal traces.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from discotrace.tracegen import schema
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.guest_kernel import GuestKernel
from discotrace.tracegen.kernel_parameters import Parameters
from discotrace.tracegen.schema import Kind, Rows, TraceMeta, rows_from_records
from discotrace.tracegen.workloads import program as p
from discotrace.tracegen.workloads.chunk import Chunk, Outlet, run_starts
from discotrace.tracegen.workloads.program import Process, Program, References, Step

NOBODY = 0


@dataclass(frozen=True)
class StageParameters:
    """In instructions, but for ``affinity``. ``tick``: 10 ms, IRIX's clock, of a 200 MHz CPU at an IPC of one half.

    Every ``affinity``-th process that a CPU takes is the one that has waited longest, wherever it ran before.
    """

    quantum: int = 2_000_000
    slice: int = 5_000
    tick: int = 1_000_000
    affinity: int = 64

    def __post_init__(self) -> None:
        """Raises ConfigError when a number is below 1."""
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")


@dataclass(eq=False)
class _Group:
    """CPUs, and the processes that run on them and nowhere else; ``ready`` in the order of arrival."""

    cpus: "list[_Cpu]"
    ready: "deque[_Task]" = field(default_factory=deque)

    def next_for(self, cpu: "_Cpu", affinity: int) -> "_Task":
        """Takes the process that a CPU is to run out of those that are ready, of which there are some."""
        cpu.turns += 1
        at_home = (task for task in self.ready if task.last_cpu in (None, cpu))
        chosen = next(at_home, self.ready[0]) if cpu.turns % affinity else self.ready[0]
        self.ready.remove(chosen)
        chosen.last_cpu = cpu
        return chosen


@dataclass(eq=False)
class _Task:
    asid: int
    parent: "_Task | None"
    instance: int
    group: _Group
    steps: Iterator[Step]
    chunk: Chunk | None = None  # references that have not all run
    children: int = 0  # that run
    ended: int = 0  # children that nobody has waited for
    waits: bool = False
    last_cpu: "_Cpu | None" = None


@dataclass(eq=False)
class _Cpu:
    number: int
    group: "_Group | None" = None
    clock: int = 0
    task: _Task | None = None
    asid: int = NOBODY  # what the last switch said
    quantum_end: int = 0
    next_tick: int = 0
    idle: int = 0
    turns: int = 0


class Stage:
    """One machine's worth of running programs. ``start`` the first ones, then ``run``."""

    def __init__(
        self,
        meta: TraceMeta,
        emit: Callable[[Rows], None],
        parameters: StageParameters | None = None,
        kernel: Parameters | None = None,
    ) -> None:
        """``meta`` says how many CPUs there are, and is filled in on the way."""
        self._outlet = Outlet(emit)
        self._parameters = parameters or StageParameters()
        self._cpus = [_Cpu(number, next_tick=self._parameters.tick) for number in range(meta.cpus)]
        self._groups: dict[tuple[int, ...], _Group] = {}
        self._kernel = GuestKernel(meta, self._outlet.pass_on, kernel)
        self._on_every_cpu: set[int] = set()  # files of the root disk that are preloaded
        self._alive = 0
        self._last_asid = 0
        self._at_barrier: dict[int, list[_Task]] = {}

    def start(self, program: Program, name: str, instance: int = 0, cpus: range | None = None) -> None:
        """Let a process run ``program`` on these CPUs, all by default. CPU sets must be equal or apart."""
        self._add(program, name, instance, self._group(tuple(cpus or range(len(self._cpus)))), None)

    def run(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Run all programs to their ends. ``progress`` is told how many instructions of programs have been added."""
        for cpu in self._cpus:
            self._kernel.boot(cpu.number)
        while self._alive:
            cpu = min((cpu for cpu in self._cpus if cpu.group), key=lambda cpu: (cpu.clock, cpu.number))
            before = self._outlet.instructions
            ran = self._advance(cpu, cpu.task) if cpu.task else self._dispatch(cpu)
            cpu.clock += self._outlet.instructions - before
            progress(ran)
            self._interrupt(cpu)
        for cpu in self._cpus:
            self._end_idle(cpu)
        self._kernel.finish()
        self._outlet.flush()

    @property
    def instructions(self) -> int:
        """Instructions added so far, of programs and kernel."""
        return self._outlet.instructions

    # ---- processes ----------------------------------------------------------------------------------------------

    def _group(self, numbers: tuple[int, ...]) -> _Group:
        if numbers not in self._groups:
            cpus = [self._cpus[number] for number in numbers]
            if any(cpu.group for cpu in cpus):
                raise ConfigError("processes share some of their CPUs, but not all")
            self._groups[numbers] = _Group(cpus)
            for cpu in cpus:
                cpu.group = self._groups[numbers]
        return self._groups[numbers]

    def _add(self, program: Program, name: str, instance: int, group: _Group, parent: _Task | None) -> _Task:
        self._last_asid += 1
        asid = self._last_asid
        self._kernel.start_process(schema.Process(asid, name, parent.asid if parent else NOBODY, instance))
        process = Process(asid, instance, self._kernel.add_file)
        task = _Task(asid, parent, instance, group, program(process))
        group.ready.append(task)
        self._alive += 1
        return task

    # ---- CPUs ---------------------------------------------------------------------------------------------------

    def _dispatch(self, cpu: _Cpu) -> int:
        """Give a CPU a ready process, or let it idle for a slice."""
        assert cpu.group is not None
        if not cpu.group.ready:
            if cpu.asid != NOBODY:
                self._switch(cpu, NOBODY)
            rest = self._slice_end(cpu) - cpu.clock
            cpu.clock += rest
            cpu.idle += rest
            if not any(other.task or (other.group and other.group.ready) for other in self._cpus):
                raise ConfigError("every program waits for another: a barrier has more participants than ever come")
            return 0
        self._end_idle(cpu)
        cpu.task = cpu.group.next_for(cpu, self._parameters.affinity)
        if cpu.asid != cpu.task.asid:
            self._switch(cpu, cpu.task.asid)
        cpu.quantum_end = cpu.clock + self._parameters.quantum
        return 0

    def _switch(self, cpu: _Cpu, asid: int) -> None:
        self._kernel.switch(cpu.number, cpu.asid, asid)
        cpu.asid = asid

    def _end_idle(self, cpu: _Cpu) -> None:
        if cpu.idle:
            self._kernel.idle(cpu.number, cpu.idle)
            cpu.idle = 0
            cpu.next_tick = max(cpu.next_tick, cpu.clock)  # the clock does not interrupt an idle CPU

    def _slice_end(self, cpu: _Cpu) -> int:
        return (cpu.clock // self._parameters.slice + 1) * self._parameters.slice

    def _interrupt(self, cpu: _Cpu) -> None:
        """The clock, and the end of the quantum."""
        if cpu.task and cpu.clock >= cpu.next_tick:
            cpu.next_tick = cpu.clock + self._parameters.tick - cpu.clock % self._parameters.tick
            before = self._outlet.instructions
            self._kernel.tick(cpu.number, cpu.task.asid)
            cpu.clock += self._outlet.instructions - before
        if cpu.task and cpu.clock >= cpu.quantum_end and cpu.task.group.ready:
            cpu.task.group.ready.append(cpu.task)
            cpu.task = None

    # ---- steps --------------------------------------------------------------------------------------------------

    def _advance(self, cpu: _Cpu, task: _Task) -> int:
        """Run a process to the end of the slice or through its next step. Returns its instructions."""
        if task.chunk is not None:
            return self._run_chunk(cpu, task, task.chunk)
        step = next(task.steps, None)
        if step is None:
            self._exit(cpu, task)
        elif isinstance(step, References):
            touches = deque(self._kernel.first_touches(task.asid, step.kind, step.vaddr, step.size))
            task.chunk = Chunk(task.asid, step, run_starts(step), touches)
        else:
            self._perform(cpu, task, step)
        return 0

    def _run_chunk(self, cpu: _Cpu, task: _Task, chunk: Chunk) -> int:
        begin, stop = chunk.done, chunk.stop(max(self._slice_end(cpu) - cpu.clock, 1))
        while chunk.touches and chunk.touches[0][0] < stop:
            row, page = chunk.touches.popleft()
            self._outlet.run(cpu.number, chunk, row)
            self._kernel.touch(cpu.number, task.asid, page)
        self._outlet.run(cpu.number, chunk, stop)
        if chunk.has_run:
            task.chunk = None
        return int(chunk.starts[stop] - chunk.starts[begin])

    def _exit(self, cpu: _Cpu, task: _Task) -> None:
        self._kernel.exit(cpu.number, task.asid)
        self._alive -= 1
        cpu.task = None
        if task.parent:
            task.parent.children -= 1
            task.parent.ended += 1
            if task.parent.waits:
                task.parent.waits = False
                task.parent.ended -= 1
                task.parent.group.ready.append(task.parent)

    def _perform(self, cpu: _Cpu, task: _Task, step: Step) -> None:
        """Steps that concern who runs; the others are calls of the OS alone."""
        match step:
            case p.Fork(program, name):
                child = self._add(program, name, task.instance, task.group, task)
                task.children += 1
                self._kernel.fork(cpu.number, task.asid, child.asid)
            case p.Wait():
                self._wait(cpu, task)
            case p.Barrier(number, participants):
                self._arrive(cpu, task, number, participants)
            case p.Leave():
                self._alive -= 1
                cpu.task = None
            case p.Open() | p.Stat() | p.Close() | p.Read() | p.Write() | p.Preload():
                self._use_file(cpu.number, task.asid, step)
            case _:
                self._call(cpu.number, task.asid, step)

    def _use_file(self, vcpu: int, asid: int, step: p.Open | p.Stat | p.Close | p.Read | p.Write | p.Preload) -> None:
        kernel = self._kernel
        match step:
            case p.Open(file):
                kernel.open(vcpu, asid, file)
            case p.Stat(file):
                kernel.stat(vcpu, asid, file)
            case p.Close(file):
                kernel.close(vcpu, asid, file)
            case p.Read(file, offset, size, buffer):
                kernel.read(vcpu, asid, file, offset, size, buffer)
            case p.Write(file, offset, size, buffer):
                kernel.write(vcpu, asid, file, offset, size, buffer)
            case p.Preload(file) if self._kernel.is_on_root_disk(file):
                if file not in self._on_every_cpu:
                    self._on_every_cpu.add(file)
                    kernel.preload(file, [(cpu.number, cpu.asid) for cpu in self._cpus])
            case p.Preload(file):
                kernel.preload(file, [(vcpu, asid)])

    def _call(self, vcpu: int, asid: int, step: Step) -> None:
        kernel = self._kernel
        match step:
            case p.Exec(file, segments):
                kernel.execve(vcpu, asid, file)
                for segment in segments:
                    kernel.map(vcpu, asid, replace(segment, asid=asid))
            case p.Map(segment, grows_heap):
                (kernel.brk_call if grows_heap else kernel.mmap_call)(vcpu, asid)
                kernel.map(vcpu, asid, replace(segment, asid=asid))
            case p.Unmap(start, end):
                kernel.mmap_call(vcpu, asid)
                kernel.unmap(vcpu, asid, start, end)
            case p.Resident(start, end):
                kernel.resident(vcpu, asid, start, end)
            case p.OtherCall():
                kernel.syscall(vcpu, asid)

    def _wait(self, cpu: _Cpu, task: _Task) -> None:
        """The call comes first, then the process sleeps in it."""
        self._kernel.wait(cpu.number, task.asid)
        if task.ended:
            task.ended -= 1
        elif task.children:
            task.waits = True
            cpu.task = None

    def _arrive(self, cpu: _Cpu, task: _Task, number: int, participants: int) -> None:
        arrival = (cpu.number, task.asid, Kind.BARRIER, 0, participants, number)
        self._outlet.pass_on(rows_from_records([arrival]))
        waiting = self._at_barrier.setdefault(number, [])
        waiting.append(task)
        if len(waiting) < participants:
            cpu.task = None
            return
        for other in waiting:
            if other is not task:
                other.group.ready.append(other)
        del self._at_barrier[number]
