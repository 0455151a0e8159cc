"""The history of hot pages that a replay keeps when it is asked to."""

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.history import KeptHistory
from discotrace.tracegen.schema import KSEG0_START
from tests.machines import machine
from tests.unit.replay.driving import AT, LINE, PAGE, Driven, fetch, lines, load, store, trace

TRIGGER, SHARING = 3, 2
VPN = AT // PAGE


@pytest.fixture
def history() -> KeptHistory:
    return KeptHistory()


def driven(history: KeptHistory, cpus: int = 3) -> Driven[DiscoSystem]:
    meta = trace(cpus)
    resolved = machine(migration__trigger=TRIGGER, migration__sharing=SHARING).for_trace(cpus)
    run = Driven(DiscoSystem(meta, resolved, history), meta)
    run.feed(fetch(70, AT + 50 * PAGE), load())
    return run


def test_actions__a_migration(history: KeptHistory) -> None:
    run = driven(history)
    run.feed(*lines(TRIGGER, vcpu=1))
    (action,) = history.actions
    assert (action.what, action.frm, action.to) == ("migrated", 0, (1,))
    assert (action.row, action.instructions, action.cpu, action.vm) == (4, 70, 1, 0)
    assert action.pages == ((1, VPN),)
    assert action.names == (f"process 1 {AT:#x}",)
    assert (action.misses, action.writes) == ((1, 3, 0), (0, 0, 0))
    assert action.reason == "node 1 alone misses on it"


def test_actions__copies_and_their_end(history: KeptHistory) -> None:
    run = driven(history)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2), store())
    assert [(action.what, action.to) for action in history.actions] == [("replicated", (1, 2)), ("collapsed", ())]


def test_actions__what_is_left_alone_and_why(history: KeptHistory) -> None:
    run = driven(history)
    run.feed(store(AT + LINE), load(AT + 2 * LINE), *lines(TRIGGER, vcpu=1))
    (action,) = history.actions
    assert (action.what, action.to, action.writes) == ("left alone", (), (1, 0, 0))
    assert action.reason == "shared, and written 1 times, limit 1"


def test_actions__a_kernel_page_has_its_vms_name(history: KeptHistory) -> None:
    run = driven(history)
    run.feed(load(KSEG0_START), *lines(TRIGGER, KSEG0_START, vcpu=1))
    assert history.actions[0].names == (f"kernel of VM 0 {KSEG0_START:#x}",)


def test_missed__goes_with_the_page_from_frame_to_frame(history: KeptHistory) -> None:
    """CPU 1 misses three times before the page moves; the misses after that are on another frame."""
    run = driven(history)
    run.feed(*lines(TRIGGER, vcpu=1))
    assert history.missed[1, VPN] == [1, 3, 0]
    run.feed(load(vcpu=1), load(AT + LINE), load(AT + 2 * LINE), load(AT + 3 * LINE, 2), load(AT + 4 * LINE))
    run.system.unmap(1, [VPN])
    assert history.missed[1, VPN] == [4, 4, 1]


def test_missed__misses_on_copies_are_the_pages(history: KeptHistory) -> None:
    run = driven(history)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2))
    run.feed(load(AT + 10 * LINE, 1), load(AT + 10 * LINE, 2), store(AT + 11 * LINE))
    run.system.unmap(1, [VPN])
    assert history.missed[1, VPN] == [2, 3, 4]


def test_nothing_is_kept_unless_asked() -> None:
    meta = trace(2)
    run = Driven(DiscoSystem(meta, machine(migration__trigger=1).for_trace(2)), meta)
    run.feed(load(), load(vcpu=1))
    assert not hasattr(run.system.frames.history, "actions")
