"""Decides which captured process runs on which virtual CPU when. Equal processes give equal schedules.

Rules. A process becomes ready when its parent's fork is done; ready processes queue in order of arrival. A CPU keeps
its process until it ends, blocks, or has used its quantum while others are ready. It blocks in ``Wait`` until the
child, or any, has ended, and in a read from a pipe until the bytes were written, if a captured process is still to
write them. If everything blocks, because a capture does not show everything, the process that has waited longest
goes on.

Instances of a workload have CPUs of their own and never leave them; the rules hold among the processes that share
CPUs.

Each CPU has a clock in instructions, of users and kernel and idle alike. The CPU that is furthest behind acts next
(the lower number first) up to the next multiple of ``interleave``, so that clocks stay together; a step is never
interrupted.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.instances import cpus_of_instance
from discotrace.tracegen.steps import Action, Exit, Fork, History, PipeTransfer, Wait

NOBODY = 0


@dataclass(frozen=True)
class ScheduleParameters:
    """All in instructions. ``tick``: 10 ms, IRIX's clock, of a 200 MHz CPU at one instruction per two cycles."""

    cpus: int = 2
    quantum: int = 2_000_000
    interleave: int = 1_000
    tick: int = 1_000_000

    def __post_init__(self) -> None:
        """Raises ConfigError when a number is below 1."""
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")


@dataclass(frozen=True)
class Run:
    """A CPU executes instructions ``start`` to ``stop`` (exclusive) of a process."""

    vcpu: int
    asid: int
    start: int
    stop: int


@dataclass(frozen=True)
class Perform:
    """A CPU performs an action of a process."""

    vcpu: int
    asid: int
    action: Action


@dataclass(frozen=True)
class Switch:
    """A CPU changes from one process to another; 0 = none."""

    vcpu: int
    old: int
    new: int


@dataclass(frozen=True)
class Tick:
    """The clock interrupts a CPU. A CPU without a process takes no ticks."""

    vcpu: int
    asid: int


@dataclass(frozen=True)
class Idle:
    """A CPU had nothing to run; stands at the end of that time."""

    vcpu: int
    instructions: int


Decision = Run | Perform | Switch | Tick | Idle


@dataclass(eq=False)
class _Group:
    """CPUs and the processes that run on them and nowhere else.

    ``ready`` in the order of arrival, ``blocked`` in that in which they began to wait.
    """

    cpus: "list[_Cpu]" = field(default_factory=list)
    ready: "deque[_Task]" = field(default_factory=deque)
    blocked: "list[_Task]" = field(default_factory=list)


@dataclass(eq=False)
class _Task:
    """A process. ``step`` = the next of its steps, in which it has ``entered`` a wait, or was ``released`` from it."""

    history: History
    group: _Group
    position: int = 0
    step: int = 0
    entered: bool = False
    released: bool = False
    ended_children: list[int] = field(default_factory=list)
    children: set[int] = field(default_factory=set)

    @property
    def asid(self) -> int:
        return self.history.asid


@dataclass(eq=False)
class _Cpu:
    number: int
    group: _Group
    clock: int = 0
    task: _Task | None = None
    asid: int = NOBODY  # what the last Switch said
    quantum_end: int = 0
    next_tick: int = 0
    idle: int = 0


class Scheduler:
    """Iterate to get the decisions. ``charge`` tells what the kernel executed for the last one."""

    def __init__(self, histories: Sequence[History], parameters: ScheduleParameters) -> None:
        """``histories``: all processes, each asid once; their instances are numbered from 0 on without a gap."""
        self._parameters = parameters
        self._cpus: list[_Cpu] = []
        groups = self._make_groups(1 + max((history.instance for history in histories), default=0))
        self._tasks = {history.asid: _Task(history, groups[history.instance]) for history in histories}
        for task in self._tasks.values():
            if task.history.parent == NOBODY:
                task.group.ready.append(task)
        self._unwritten = _bytes_to_write(histories)
        self._in_pipe: dict[int, int] = {}
        self._alive = len(self._tasks)
        self.released = 0  # processes that went on although what they waited for had not happened

    def _make_groups(self, instances: int) -> list[_Group]:
        """The group of each instance, some of them perhaps the same; makes the CPUs too."""
        groups: list[_Group] = []
        for instance in range(instances):
            numbers = cpus_of_instance(instance, instances, self._parameters.cpus)
            if numbers.start < len(self._cpus):
                groups.append(self._cpus[numbers.start].group)
                continue
            group = _Group()
            group.cpus += [_Cpu(number, group, next_tick=self._parameters.tick) for number in numbers]
            self._cpus += group.cpus
            groups.append(group)
        return groups

    def charge(self, vcpu: int, instructions: int) -> None:
        """The kernel has executed so many instructions on a CPU, on top of what the decision says."""
        self._cpus[vcpu].clock += instructions

    def __iter__(self) -> Iterator[Decision]:
        """The decisions in global order, to the end of all processes."""
        while self._alive:
            cpu = min(self._cpus, key=lambda cpu: (cpu.clock, cpu.number))
            if cpu.task is None:
                yield from self._dispatch(cpu)
            else:
                yield from self._advance(cpu, cpu.task)
        for cpu in self._cpus:
            yield from self._end_idle(cpu)

    # ---- CPUs -------------------------------------------------------------------------------------------------

    def _dispatch(self, cpu: _Cpu) -> Iterator[Decision]:
        """Gives a CPU the first ready process, or lets it idle for a slice."""
        group = cpu.group
        if group.blocked and not group.ready and not any(other.task for other in group.cpus):
            self._release_oldest(group)
        if not group.ready:
            if cpu.asid != NOBODY:
                yield self._switch(cpu, NOBODY)
            rest = self._slice_end(cpu) - cpu.clock
            cpu.clock += rest
            cpu.idle += rest
            return
        yield from self._end_idle(cpu)
        cpu.task = group.ready.popleft()
        if cpu.asid != cpu.task.asid:
            yield self._switch(cpu, cpu.task.asid)
        cpu.quantum_end = cpu.clock + self._parameters.quantum

    def _release_oldest(self, group: _Group) -> None:
        task = group.blocked.pop(0)
        task.released = True
        group.ready.append(task)
        self.released += 1

    def _switch(self, cpu: _Cpu, asid: int) -> Switch:
        old, cpu.asid = cpu.asid, asid
        return Switch(cpu.number, old, asid)

    def _end_idle(self, cpu: _Cpu) -> Iterator[Decision]:
        if cpu.idle:
            yield Idle(cpu.number, cpu.idle)
            cpu.idle = 0
            # The clock does not interrupt an idle CPU; missed ticks are not made up for.
            cpu.next_tick = max(cpu.next_tick, cpu.clock)

    def _slice_end(self, cpu: _Cpu) -> int:
        return (cpu.clock // self._parameters.interleave + 1) * self._parameters.interleave

    def _advance(self, cpu: _Cpu, task: _Task) -> Iterator[Decision]:
        """Runs a process to the end of the slice or to its next step, which is then performed."""
        next_step = task.history.steps[task.step]
        count = min(next_step.position - task.position, self._slice_end(cpu) - cpu.clock)
        if count:
            start = task.position
            task.position += count
            cpu.clock += count
            yield Run(cpu.number, task.asid, start, task.position)
        else:
            yield from self._perform(cpu, task, next_step.action)
        yield from self._interrupt(cpu)

    def _interrupt(self, cpu: _Cpu) -> Iterator[Decision]:
        """The clock, and the end of the quantum."""
        if cpu.task and cpu.clock >= cpu.next_tick:
            cpu.next_tick = cpu.clock + self._parameters.tick - cpu.clock % self._parameters.tick
            yield Tick(cpu.number, cpu.task.asid)
        if cpu.task and cpu.clock >= cpu.quantum_end and cpu.group.ready:
            cpu.group.ready.append(cpu.task)
            cpu.task = None

    # ---- steps ------------------------------------------------------------------------------------------------

    def _perform(self, cpu: _Cpu, task: _Task, action: Action) -> Iterator[Decision]:
        waits_in_kernel = isinstance(action, Wait) and not task.entered
        if waits_in_kernel:
            # The call comes first, then the process sleeps in it; a reader copies after it has slept.
            yield Perform(cpu.number, task.asid, action)
        if self._must_block(task, action):
            task.entered = True
            task.group.blocked.append(task)
            cpu.task = None
            return
        task.entered = task.released = False
        task.step += 1
        if not isinstance(action, Wait):
            yield Perform(cpu.number, task.asid, action)
        self._take_effect(cpu, task, action)

    def _must_block(self, task: _Task, action: Action) -> bool:
        if task.released:
            return False
        if isinstance(action, Wait) and action.blocks:
            if action.child:
                return action.child in task.children and action.child not in task.ended_children
            return bool(task.children) and not task.ended_children
        if isinstance(action, PipeTransfer) and not action.writes:
            return self._in_pipe.get(action.pipe, 0) < action.size and self._unwritten.get(action.pipe, 0) > 0
        return False

    def _take_effect(self, cpu: _Cpu, task: _Task, action: Action) -> None:
        match action:
            case Fork(child):
                task.children.add(child)
                task.group.ready.append(self._tasks[child])
            case Wait(child):
                self._reap(task, child)
            case PipeTransfer(pipe, writes, size):
                self._move_bytes(task.group, pipe, writes, size)
            case Exit():
                self._end(cpu, task)

    def _reap(self, task: _Task, child: int) -> None:
        found = child or (task.ended_children[0] if task.ended_children else NOBODY)
        if found in task.ended_children:
            task.ended_children.remove(found)
            task.children.discard(found)

    def _move_bytes(self, group: _Group, pipe: int, writes: bool, size: int) -> None:
        held = self._in_pipe.get(pipe, 0)
        self._in_pipe[pipe] = held + size if writes else max(0, held - size)
        if writes:
            self._unwritten[pipe] -= size
            self._wake(group)

    def _end(self, cpu: _Cpu, task: _Task) -> None:
        cpu.task = None
        self._alive -= 1
        parent = self._tasks.get(task.history.parent)
        if parent is not None and task.asid in parent.children:
            parent.ended_children.append(task.asid)
        self._wake(task.group)

    def _wake(self, group: _Group) -> None:
        """Blocked processes whose reason is gone become ready, in the order in which they began to wait."""
        for task in list(group.blocked):
            if not self._must_block(task, task.history.steps[task.step].action):
                group.blocked.remove(task)
                group.ready.append(task)


def _bytes_to_write(histories: Sequence[History]) -> dict[int, int]:
    """Bytes that the processes will write to each pipe."""
    totals: dict[int, int] = {}
    for history in histories:
        for step in history.steps:
            if isinstance(step.action, PipeTransfer) and step.action.writes:
                totals[step.action.pipe] = totals.get(step.action.pipe, 0) + step.action.size
    return totals
