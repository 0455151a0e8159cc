"""The scheduler: who runs where when, on small sets of processes."""

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


@pytest.mark.parametrize("name", ["cpus", "quantum", "interleave", "tick"])
def test_parameters_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ScheduleParameters(**{name: 0})
