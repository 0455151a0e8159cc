"""Hot pages: when a page is hot, what the monitor then does with it, and what it costs whom.

A page of CPU 0 becomes hot at the third miss of another CPU; a CPU with two misses shares it.
"""

from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, Segment
from tests.unit.replay.driving import AT, LINE, PAGE, Driven, disco, fetch, lines, load, store, trace

TRIGGER, SHARING = 3, 2
ELSEWHERE = AT + 100 * PAGE
MORE = 0x2000_0000
LARGE = 256 * 1024


def driven(cpus: int = 2, **changes: Any) -> Driven[DiscoSystem]:
    """A page at ``AT`` that is on node 0, and with it one of page table."""
    thresholds = {"migration__trigger": TRIGGER, "migration__sharing": SHARING, "migration__reset_instructions": 100}
    run = disco(trace(cpus), **thresholds | changes)
    run.feed(load())
    return run


def replicated(**changes: Any) -> Driven[DiscoSystem]:
    """Nodes 1 and 2 have copies of the page."""
    run = driven(3, **changes)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2))
    return run


def replicas(run: Driven[DiscoSystem]) -> list[int]:
    """Nodes with a copy of the page."""
    return sorted(run.system.frames.memmap[run.slot()].replicas)


def test_trigger__one_miss_less_is_not_hot() -> None:
    run = driven()
    run.feed(*lines(TRIGGER - 1, vcpu=1))
    assert run.count(Event.HOT_PAGES) == 0
    run.feed(load(AT + LINE * TRIGGER, vcpu=1))
    assert run.count(Event.HOT_PAGES) == 1


def test_trigger__hits_do_not_heat() -> None:
    run = driven()
    run.feed(*lines(TRIGGER - 1, vcpu=1) * 5)
    assert run.count(Event.HOT_PAGES) == 0


def test_trigger__misses_of_several_cpus_do_not_add_up() -> None:
    run = driven(3)
    run.feed(*lines(TRIGGER - 1, vcpu=1), *lines(TRIGGER - 1, vcpu=2))
    assert run.count(Event.HOT_PAGES) == 0


def test_trigger__a_cpu_of_the_home_heats_nothing() -> None:
    run = driven(4, cpu__per_node=2)
    run.feed(*lines(30), *lines(30, vcpu=1))
    assert run.count(Event.HOT_PAGES) == 0
    run.feed(*lines(TRIGGER, vcpu=2))
    assert run.count(Event.HOT_PAGES) == 1


@pytest.mark.parametrize("changes", [{"migration__trigger": 0}, {"placement__policy": "first-touch"}])
def test_trigger__without_one_nothing_is_hot(changes: dict[str, Any]) -> None:
    run = driven(**changes)
    run.feed(*lines(30, vcpu=1))
    assert run.count(Event.HOT_PAGES) == 0


def test_trigger__at_most_32_pages_in_one_row() -> None:
    """With trigger 1: the page of page table, and as many others as are left of 32."""
    run = driven(migration__trigger=1, migration__sharing=99)
    run.feed(load(size=40 * PAGE))
    run.feed(load(vcpu=1, size=40 * PAGE))
    assert run.count(Event.HOT_PAGES) == 32
    run.feed(load(vcpu=1, size=40 * PAGE))
    assert run.count(Event.HOT_PAGES) == 32, "the others have had their chance until the reset"


def test_trigger__fewer_pages_are_all_hot() -> None:
    run = driven(migration__trigger=1, migration__sharing=99)
    run.feed(load(size=31 * PAGE))
    run.feed(load(vcpu=1, size=31 * PAGE))
    assert run.count(Event.HOT_PAGES) == 32


def test_migrate__what_one_cpu_uses_goes_to_its_node() -> None:
    run = driven()
    run.feed(*lines(TRIGGER, vcpu=1))
    assert run.count(Event.MIGRATIONS) == 1
    assert run.node() == 1


def test_migrate__the_old_frame_is_free_again() -> None:
    run = driven()
    used, old = run.frames_in_use, run.slot()
    run.feed(*lines(TRIGGER, vcpu=1))
    assert run.frames_in_use == used
    run.feed(load(ELSEWHERE))
    assert run.slot(ELSEWHERE) == old


def test_migrate__counts_no_allocation() -> None:
    run = driven()
    before = run.count(Event.FRAMES_ALLOCATED)
    run.feed(*lines(TRIGGER, vcpu=1))
    assert run.count(Event.FRAMES_ALLOCATED) == before


def test_migrate__its_lines_are_gone_from_all_caches() -> None:
    run = driven()
    run.feed(*lines(TRIGGER, vcpu=1))
    before = run.counts(Event.L2_LOAD_LOCAL, Event.L2_LOAD_REMOTE)
    run.feed(load(vcpu=1), load(AT + LINE))
    assert run.count(Event.L2_LOAD_LOCAL) == before[Event.L2_LOAD_LOCAL] + 1
    assert run.count(Event.L2_LOAD_REMOTE) == before[Event.L2_LOAD_REMOTE] + 1


def test_migrate__afterwards_the_new_frame_is_cold() -> None:
    run = driven()
    run.feed(*lines(TRIGGER, vcpu=1), *lines(TRIGGER - 1))
    assert run.count(Event.HOT_PAGES) == 1


def test_migrate__a_page_that_is_not_shared_may_be_written() -> None:
    run = driven()
    run.feed(store(), store(AT + LINE), *lines(TRIGGER, vcpu=1))
    assert run.count(Event.MIGRATIONS) == 0, "CPU 0 has missed twice and shares it"
    run = driven(migration__sharing=SHARING + 1)
    run.feed(store(), store(AT + LINE), *lines(TRIGGER, vcpu=1))
    assert run.count(Event.MIGRATIONS) == 1


def test_migrate__no_more_than_so_often_until_the_reset() -> None:
    run = driven(migration__moves=1)
    run.feed(*lines(TRIGGER, vcpu=1), *lines(TRIGGER))
    assert run.counts(Event.MIGRATIONS, Event.HOT_LEFT_CAPPED) == {Event.MIGRATIONS: 1, Event.HOT_LEFT_CAPPED: 1}
    run.feed(fetch(200, ELSEWHERE), *lines(TRIGGER, AT + 10 * LINE))
    assert run.counts(Event.MIGRATIONS, Event.HOT_LEFT_CAPPED) == {Event.MIGRATIONS: 2, Event.HOT_LEFT_CAPPED: 1}


def test_migrate__twice_where_twice_is_allowed() -> None:
    run = driven(migration__moves=2)
    run.feed(*lines(TRIGGER, vcpu=1), *lines(TRIGGER))
    assert run.count(Event.MIGRATIONS) == 2
    assert run.node() == 0


def filling(cpus: int, pages: int) -> Driven[DiscoSystem]:
    """A page of 256 KiB on node 0, and so many others on node 1, which has room for four."""
    more = Segment(1, MORE, MORE + 4 * LARGE, "anonymous")
    thresholds = {"migration__trigger": TRIGGER, "migration__sharing": SHARING}
    run = disco(trace(cpus, more=[more]), memory__page_kib=LARGE // 1024, **thresholds)
    run.feed(load(), *(load(MORE + page * LARGE, vcpu=1) for page in range(pages)))
    return run


@pytest.mark.parametrize(("pages", "happens"), [(3, Event.MIGRATIONS), (4, Event.HOT_LEFT_FULL)])
def test_full__a_page_moves_to_the_last_frame_of_a_node_but_not_beyond(pages: int, happens: Event) -> None:
    run = filling(2, pages)
    run.feed(*lines(TRIGGER, vcpu=1))
    assert run.count(Event.HOT_PAGES) == run.count(happens) == 1


def test_full__nodes_with_room_get_a_copy_all_the_same() -> None:
    run = filling(3, 4)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2))
    assert replicas(run) == [2]
    assert run.count(Event.HOT_LEFT_FULL) == 0


def test_full__no_room_for_any_copy() -> None:
    run = filling(2, 4)
    run.feed(*lines(SHARING), *lines(TRIGGER, vcpu=1))
    assert replicas(run) == []
    assert run.count(Event.HOT_LEFT_FULL) == 1


def test_reset__after_so_many_instructions_times_cpus_heat_is_forgotten() -> None:
    for instructions, hot in ((199, 1), (200, 0)):
        run = driven()
        run.feed(*lines(TRIGGER - 1, vcpu=1), fetch(instructions, ELSEWHERE), load(AT + 10 * LINE, vcpu=1))
        assert run.count(Event.HOT_PAGES) == hot


def test_reset__comes_again_and_again() -> None:
    run = driven()
    for first in (0, 10, 20):
        run.feed(*lines(TRIGGER - 1, AT + first * LINE, vcpu=1), fetch(200, ELSEWHERE))
    assert run.count(Event.HOT_PAGES) == 0


def test_reset__a_long_run_passes_several_at_once() -> None:
    run = driven()
    run.feed(*lines(TRIGGER - 1, vcpu=1), fetch(650, ELSEWHERE), fetch(149, ELSEWHERE))
    run.feed(*lines(TRIGGER - 1, AT + 10 * LINE, vcpu=1), load(ELSEWHERE), load(AT + 20 * LINE, vcpu=1))
    assert run.count(Event.HOT_PAGES) == 1, "650 + 149 = 799: the next reset is at 800"


def test_replicate__what_several_read_is_copied_to_the_nodes_that_read_much() -> None:
    run = replicated()
    assert run.counts(Event.REPLICATIONS, Event.MIGRATIONS) == {Event.REPLICATIONS: 2, Event.MIGRATIONS: 0}
    assert replicas(run) == [1, 2]
    assert run.node() == 0


def test_replicate__not_to_a_node_that_reads_one_line_less() -> None:
    run = driven(4)
    run.feed(*lines(SHARING - 1, vcpu=1), *lines(SHARING, vcpu=2), *lines(TRIGGER, vcpu=3))
    assert replicas(run) == [2, 3]


def test_replicate__alone_with_light_readers_it_is_a_migration() -> None:
    run = driven(3)
    run.feed(*lines(SHARING - 1, vcpu=1), *lines(TRIGGER, vcpu=2))
    assert run.counts(Event.REPLICATIONS, Event.MIGRATIONS) == {Event.REPLICATIONS: 0, Event.MIGRATIONS: 1}


def test_replicate__the_home_has_the_page_already() -> None:
    run = driven()
    run.feed(*lines(SHARING), *lines(TRIGGER, vcpu=1))
    assert replicas(run) == [1]


def test_replicate__each_cpu_reads_the_copy_of_its_node() -> None:
    run = replicated()
    before = run.counts(Event.L2_LOAD_LOCAL, Event.L2_LOAD_REMOTE)
    run.feed(*(load(AT + 20 * LINE, vcpu) for vcpu in range(3)))
    assert run.count(Event.L2_LOAD_LOCAL) == before[Event.L2_LOAD_LOCAL] + 3
    assert run.count(Event.L2_LOAD_REMOTE) == before[Event.L2_LOAD_REMOTE]


def test_replicate__the_home_keeps_its_lines_and_its_entry() -> None:
    run = replicated()
    before = run.count(Event.TLB_HITS, cpu=0)
    run.feed(load())
    assert run.count(Event.TLB_HITS, cpu=0) == before + 1
    assert run.count(Event.L1D_LOAD_HITS, cpu=0) == 1


def test_replicate__a_third_node_gets_its_copy_later() -> None:
    run = driven(4)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2))
    run.feed(*lines(TRIGGER, vcpu=3))
    assert replicas(run) == [1, 2, 3]
    assert run.count(Event.REPLICATIONS) == 3


def test_replicate__what_is_shared_and_written_stays() -> None:
    for writes, happens in ((1, Event.HOT_LEFT_WRITTEN), (2, Event.REPLICATIONS)):
        run = driven(migration__writes=writes)
        run.feed(store(AT + 10 * LINE), load(AT + 11 * LINE), *lines(TRIGGER, vcpu=1))
        assert run.count(Event.HOT_PAGES) == 1
        assert run.count(happens) == 1
        assert run.node() == 0


def test_replicate__an_upgrade_is_a_write() -> None:
    run = driven()
    run.feed(load(vcpu=1), store(vcpu=0), load(AT + LINE), *lines(TRIGGER, AT + 10 * LINE, vcpu=1))
    assert run.count(Event.UPGRADES_LOCAL) == 1
    assert run.count(Event.HOT_LEFT_WRITTEN) == 1


def test_replicate__a_copy_counts_no_allocation() -> None:
    run = driven(3)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER - 1, vcpu=2))
    allocated, used = run.count(Event.FRAMES_ALLOCATED), run.frames_in_use
    run.feed(load(AT + TRIGGER * LINE, vcpu=2))
    assert run.count(Event.FRAMES_ALLOCATED) == allocated
    assert run.frames_in_use == used + 2


def test_replicate__nodes_without_cpus_get_no_copy() -> None:
    run = driven(cpu__nodes=5)
    run.feed(*lines(SHARING), *lines(TRIGGER, vcpu=1))
    assert replicas(run) == [1]


def test_origin__moves_by_the_difference_to_the_home() -> None:
    for difference, moves in ((2, 1), (3, 0)):
        run = driven(placement__policy="origin", migration__origin_difference=difference)
        run.feed(*lines(TRIGGER, vcpu=1))
        assert run.counts(Event.MIGRATIONS, Event.HOT_LEFT_OTHER) == {
            Event.MIGRATIONS: moves,
            Event.HOT_LEFT_OTHER: 1 - moves,
        }


def test_origin__never_copies() -> None:
    run = driven(3, placement__policy="origin", migration__origin_difference=1)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2))
    assert run.counts(Event.REPLICATIONS, Event.MIGRATIONS) == {Event.REPLICATIONS: 0, Event.MIGRATIONS: 1}


@pytest.mark.parametrize(
    ("where", "kernel_page_kib", "happens"),
    [
        (KSEG0_START, 4, Event.MIGRATIONS),
        (KSEG0_START, 16, Event.HOT_LEFT_PINNED),
        (KSEG2_START, 16, Event.MIGRATIONS),
        (AT, 16, Event.MIGRATIONS),
    ],
)
def test_pinned__pages_of_large_kernel_pages_stay(where: int, kernel_page_kib: int, happens: Event) -> None:
    run = driven(monitor__kernel_page_kib=kernel_page_kib)
    run.feed(load(where), *lines(TRIGGER, where, vcpu=1))
    assert run.count(Event.HOT_PAGES) == run.count(happens) == 1


def test_all_hot_pages_are_accounted_for() -> None:
    run = driven(4)
    for vcpu in (1, 2, 3, 0, 2, 1):
        run.feed(*lines(8, vcpu=vcpu), store(AT + vcpu * LINE, vcpu=vcpu))
    left = [one for one in Event if one.name.startswith("HOT_LEFT")]
    replicating = run.count(Event.HOT_PAGES) - run.count(Event.MIGRATIONS) - sum(run.count(one) for one in left)
    assert 0 <= replicating <= run.count(Event.REPLICATIONS)
