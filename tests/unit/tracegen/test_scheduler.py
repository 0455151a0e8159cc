"""The scheduler: who runs where when, on small sets of processes."""

from dataclasses import replace

import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.scheduler import Decision, Idle, Perform, Run, ScheduleParameters, Scheduler, Switch, Tick
from discotrace.tracegen.steps import Action, Exit, Fork, History, Other, PipeTransfer, Step, Wait

LONG = 10**9


def process(asid: int, parent: int, instructions: int, *steps: tuple[int, Action]) -> History:
    every = [Step(position, action) for position, action in steps] + [Step(instructions, Exit())]
    return History(asid, parent, f"p{asid}", [], every, instructions)


def parameters(cpus: int = 1, quantum: int = LONG, interleave: int = 100, tick: int = LONG) -> ScheduleParameters:
    return ScheduleParameters(cpus, quantum, interleave, tick)


def decide(histories: list[History], settings: ScheduleParameters) -> list[Decision]:
    return list(Scheduler(histories, settings))


def order(decisions: list[Decision]) -> list[tuple[int, int]]:
    """(cpu, process) in the order in which they run, stretches joined."""
    found: list[tuple[int, int]] = []
    for decision in decisions:
        if isinstance(decision, Run) and (not found or found[-1] != (decision.vcpu, decision.asid)):
            found.append((decision.vcpu, decision.asid))
    return found


def ends(decisions: list[Decision]) -> list[int]:
    return [d.asid for d in decisions if isinstance(d, Perform) and isinstance(d.action, Exit)]


def run_of(decisions: list[Decision], asid: int) -> list[tuple[int, int]]:
    return [(d.start, d.stop) for d in decisions if isinstance(d, Run) and d.asid == asid]


def test_one_process_runs_in_slices_to_its_end() -> None:
    decisions = decide([process(1, 0, 250)], parameters())
    assert decisions == [
        Switch(0, 0, 1),
        Run(0, 1, 0, 100),
        Run(0, 1, 100, 200),
        Run(0, 1, 200, 250),
        Perform(0, 1, Exit()),
    ]


def test_steps_stand_at_their_positions() -> None:
    decisions = decide([process(1, 0, 50, (0, Other()), (30, Other()), (30, Other()))], parameters())
    assert decisions[1:] == [
        Perform(0, 1, Other()),
        Run(0, 1, 0, 30),
        Perform(0, 1, Other()),
        Perform(0, 1, Other()),
        Run(0, 1, 30, 50),
        Perform(0, 1, Exit()),
    ]


def test_a_child_starts_after_its_fork_on_the_idle_cpu() -> None:
    decisions = decide([process(1, 0, 300, (150, Fork(2))), process(2, 1, 100)], parameters(cpus=2))
    forked = decisions.index(Perform(0, 1, Fork(2)))
    assert all(not (isinstance(d, Run) and d.asid == 2) for d in decisions[:forked])
    assert (1, 2) in order(decisions)
    assert Idle(1, 200) in decisions  # slices of 100: cpu 1 looks again at 200, when cpu 0 has passed 150


def test_cpus_take_turns() -> None:
    decisions = decide([process(1, 0, 500, (0, Fork(2))), process(2, 1, 500)], parameters(cpus=2))
    assert order(decisions)[:4] == [(0, 1), (1, 2), (0, 1), (1, 2)]


def test_a_process_keeps_its_cpu_until_its_quantum_is_over() -> None:
    decisions = decide([process(1, 0, 500, (0, Fork(2))), process(2, 1, 500)], parameters(quantum=200))
    assert order(decisions) == [(0, 1), (0, 2), (0, 1), (0, 2), (0, 1), (0, 2)]
    assert run_of(decisions, 1)[1] == (100, 200)


def test_nobody_is_switched_when_nobody_else_is_ready() -> None:
    decisions = decide([process(1, 0, 500)], parameters(quantum=100))
    assert [d for d in decisions if isinstance(d, Switch)] == [Switch(0, 0, 1)]


def test_wait_blocks_until_the_child_ends() -> None:
    parent = process(1, 0, 100, (0, Fork(2)), (10, Wait(2, True)))
    decisions = decide([parent, process(2, 1, 1000)], parameters(cpus=2))
    assert ends(decisions) == [2, 1]
    waited = [d for d in decisions if isinstance(d, Perform) and isinstance(d.action, Wait)]
    assert waited == [Perform(0, 1, Wait(2, True))]
    assert run_of(decisions, 1) == [(0, 10), (10, 100)]


def test_wait_for_any_child_takes_the_first_that_ended() -> None:
    parent = process(1, 0, 10, (0, Fork(2)), (0, Fork(3)), (5, Wait(0, True)), (6, Wait(0, True)))
    decisions = decide([parent, process(2, 1, 900), process(3, 1, 100)], parameters(cpus=3))
    assert ends(decisions) == [3, 2, 1]


def test_wait_for_a_child_that_has_ended_does_not_block() -> None:
    parent = process(1, 0, 5000, (0, Fork(2)), (4000, Wait(2, True)))
    decisions = decide([parent, process(2, 1, 10)], parameters(cpus=2))
    assert not any(isinstance(d, Switch) and d.vcpu == 0 and d.old == 1 for d in decisions)


@pytest.mark.parametrize("wait", [Wait(0, True), Wait(0, False), Wait(7, True)])
def test_wait_does_not_block_without_children(wait: Wait) -> None:
    scheduler = Scheduler([process(1, 0, 10, (5, wait))], parameters())
    assert ends(list(scheduler)) == [1]
    assert scheduler.released == 0


def test_a_reader_waits_for_the_bytes() -> None:
    reader = process(1, 0, 100, (0, Fork(2)), (10, PipeTransfer(1, False, 8, 0x1000)))
    writer = process(2, 1, 2000, (500, PipeTransfer(1, True, 5, 0x1000)), (1500, PipeTransfer(1, True, 3, 0x1000)))
    decisions = decide([reader, writer], parameters(cpus=2))
    last_write = decisions.index(Perform(1, 2, PipeTransfer(1, True, 3, 0x1000)))
    assert decisions.index(Perform(0, 1, PipeTransfer(1, False, 8, 0x1000))) > last_write


def test_a_reader_does_not_wait_for_bytes_that_nobody_is_seen_to_write() -> None:
    scheduler = Scheduler([process(1, 0, 100, (10, PipeTransfer(1, False, 8, 0x1000)))], parameters())
    assert ends(list(scheduler)) == [1]
    assert scheduler.released == 0


def test_a_deadlock_ends_by_releasing_who_has_waited_longest() -> None:
    step = PipeTransfer(1, False, 8, 0x1000), PipeTransfer(1, True, 8, 0x1000)
    scheduler = Scheduler([process(1, 0, 100, (10, step[0]), (20, step[1]))], parameters())
    decisions = list(scheduler)
    assert scheduler.released == 1
    assert Perform(0, 1, step[0]) in decisions
    assert ends(decisions) == [1]


def test_an_idle_cpu_is_switched_to_nobody_and_its_time_is_one_row() -> None:
    parent = process(1, 0, 1000, (0, Fork(2)), (990, Fork(3)))
    decisions = decide([parent, process(2, 1, 100), process(3, 1, 100)], parameters(cpus=2))
    mine = [d for d in decisions if d.vcpu == 1 and not isinstance(d, Run | Perform)]
    assert mine == [Switch(1, 0, 2), Switch(1, 2, 0), Idle(1, 1000)]


def test_charged_instructions_let_the_other_cpus_catch_up() -> None:
    scheduler = Scheduler([process(1, 0, 200, (0, Fork(2))), process(2, 1, 1000)], parameters(cpus=2))
    seen = []
    for decision in scheduler:
        seen.append(decision)
        if isinstance(decision, Perform) and isinstance(decision.action, Fork):
            scheduler.charge(0, 750)
    # Process 1 has used 750 instructions in fork: process 2 gets that far first.
    first = next(i for i, d in enumerate(seen) if isinstance(d, Run) and d.asid == 1)
    assert [d.stop for d in seen[:first] if isinstance(d, Run)][-1] >= 700


def test_the_clock_ticks_on_a_cpu_with_a_process() -> None:
    decisions = decide([process(1, 0, 950)], parameters(tick=300))
    assert [i for i, d in enumerate(decisions) if isinstance(d, Tick)] == [4, 8, 12]
    assert decisions[4] == Tick(0, 1)


def test_an_idle_cpu_does_not_tick() -> None:
    decisions = decide([process(1, 0, 950)], parameters(cpus=2, tick=300))
    assert all(d.vcpu == 0 for d in decisions if isinstance(d, Tick))


def test_every_instruction_of_every_process_runs_once_and_in_order() -> None:
    parent = process(1, 0, 1234, *((100 * i, Fork(i)) for i in range(2, 9)), (1200, Wait(0, True)))
    histories = [parent, *(process(i, 1, 321 * i) for i in range(2, 9))]
    decisions = decide(histories, parameters(cpus=3, quantum=450))
    for history in histories:
        stretches = run_of(decisions, history.asid)
        assert [start for start, _ in stretches] == [0, *(stop for _, stop in stretches[:-1])]
        assert stretches[-1][1] == history.instructions
    assert sorted(ends(decisions)) == [history.asid for history in histories]


def workload(instance: int, scale: int = 1) -> list[History]:
    """A process with two children, one of which sends it bytes; all instances are alike but for numbers."""
    first = 1 + 3 * instance
    sent = PipeTransfer(1 + instance, True, 8, 0x1000), PipeTransfer(1 + instance, False, 8, 0x1000)
    parent = process(
        first, 0, 900 * scale, (50, Fork(first + 1)), (90, Fork(first + 2)), (200, sent[1]), (300, Wait(0, True))
    )
    children = process(first + 1, first, 700 * scale), process(first + 2, first, 500 * scale, (400, sent[0]))
    return [replace(history, instance=instance) for history in (parent, *children)]


def as_of_instance(decision: Decision, instance: int, cpus: int) -> tuple[object, ...]:
    """A decision with the numbers that it would have in instance 0."""

    def own(asid: int) -> int:
        return asid - 3 * instance if asid else 0

    name, vcpu = type(decision).__name__, decision.vcpu - cpus * instance
    match decision:
        case Run(_, asid, start, stop):
            return name, vcpu, own(asid), start, stop
        case Perform(_, asid, action):
            return name, vcpu, own(asid), type(action).__name__
        case Switch(_, old, new):
            return name, vcpu, own(old), own(new)
        case Tick(_, asid):
            return name, vcpu, own(asid)
        case Idle(_, instructions):
            return name, vcpu, instructions


def until_the_last_end(decisions: list[Decision]) -> list[Decision]:
    """Without the idle time behind it: who ends first idles until all have ended."""
    last = max(i for i, d in enumerate(decisions) if isinstance(d, Perform) and isinstance(d.action, Exit))
    return decisions[: last + 1]


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_instances_with_cpus_of_their_own_run_as_if_each_were_alone(cpus: int) -> None:
    settings = parameters(cpus, quantum=150, tick=200)
    alone = [as_of_instance(d, 0, cpus) for d in until_the_last_end(decide(workload(0), settings))]
    together = decide([h for i in range(3) for h in workload(i)], replace(settings, cpus=3 * cpus))
    for instance in range(3):
        mine = until_the_last_end([d for d in together if d.vcpu // cpus == instance])
        assert [as_of_instance(d, instance, cpus) for d in mine] == alone


def test_an_instance_never_leaves_its_cpus() -> None:
    histories = [h for i in range(3) for h in workload(i, scale=1 + 2 * i)]
    ran = {(d.vcpu, (d.asid - 1) // 3) for d in decide(histories, parameters(7, quantum=100)) if isinstance(d, Run)}
    assert {cpu for cpu, _ in ran} <= set(range(7))
    assert {(cpu, instance) for cpu, instance in ran if cpu not in ((0, 1), (2, 3), (4, 5, 6))[instance]} == set()


def test_instances_take_turns_where_cpus_are_few() -> None:
    histories = [replace(process(i + 1, 0, 300), instance=i) for i in range(3)]
    decisions = decide(histories, parameters(2, quantum=100))
    assert {d.asid for d in decisions if isinstance(d, Run) and d.vcpu == 0} == {1, 2}
    assert {d.asid for d in decisions if isinstance(d, Run) and d.vcpu == 1} == {3}
    assert [asid for cpu, asid in order(decisions) if cpu == 0] == [1, 2, 1, 2, 1, 2]


def test_a_deadlock_of_one_instance_ends_while_the_others_run() -> None:
    step = PipeTransfer(1, False, 8, 0x1000), PipeTransfer(1, True, 8, 0x1000)
    stuck = process(1, 0, 100, (10, step[0]), (20, step[1]))
    scheduler = Scheduler([stuck, replace(process(2, 0, 5000), instance=1)], parameters(2))
    assert ends(list(scheduler)) == [1, 2]
    assert scheduler.released == 1


@pytest.mark.parametrize("name", ["cpus", "quantum", "interleave", "tick"])
def test_parameters_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ScheduleParameters(**{name: 0})
