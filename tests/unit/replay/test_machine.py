"""Machines from tables: what is accepted, what is derived, what is refused with which key in the message."""

import pytest

from discotrace.replay.machine import Machine, is_power_of_two
from discotrace.tracegen.errors import ConfigError
from tests.machines import machine, tables


def test_tables_come_back_as_they_went_in() -> None:
    assert Machine.from_tables(tables()).to_tables() == tables()


def test_power_of_two__exactly_the_powers() -> None:
    assert [n for n in range(-8, 70) if is_power_of_two(n)] == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(("count", "per_node", "nodes"), [(1, 1, 1), (8, 1, 8), (8, 4, 2), (9, 4, 3), (2, 64, 1)])
def test_nodes__as_many_as_the_cpus_need(count: int, per_node: int, nodes: int) -> None:
    assert machine(cpu__count=count, cpu__per_node=per_node).nodes == nodes


def test_nodes__may_be_more_than_the_cpus_need() -> None:
    assert machine(cpu__count=2, cpu__nodes=8).nodes == 8


def test_nodes__as_many_cpus_as_fit_but_not_one_more() -> None:
    assert machine(cpu__count=8, cpu__per_node=4, cpu__nodes=2).nodes == 2
    with pytest.raises(ConfigError, match="9 CPUs do not fit"):
        machine(cpu__count=9, cpu__per_node=4, cpu__nodes=2)


def test_for_trace__zero_cpus_become_those_of_the_trace() -> None:
    assert machine().for_trace(6).cpu.count == 6


def test_for_trace__a_number_of_cpus_stays() -> None:
    assert machine(cpu__count=3).for_trace(6).cpu.count == 3


def test_for_trace__checks_again() -> None:
    with pytest.raises(ConfigError, match="65, at most 64"):
        machine().for_trace(65)
    assert machine().for_trace(64).cpu.count == 64
    with pytest.raises(ConfigError, match=r"l2.inclusive = false needs cpu.count = 1"):
        machine(l2__inclusive=False).for_trace(2)


def test_frames__follow_from_memory_and_page_size() -> None:
    assert machine(memory__mib_per_node=32, memory__page_kib=4).frames_per_node == 8192
    assert machine(memory__mib_per_node=1, memory__page_kib=1024).frames_per_node == 1
    with pytest.raises(ConfigError, match="less than one page"):
        machine(memory__mib_per_node=1, memory__page_kib=2048)


def test_sets__follow_from_size_ways_and_line() -> None:
    assert machine(l1d__size_kib=48, l1d__ways=12, l1d__line_b=64).l1d.sets == 64


@pytest.mark.parametrize("ways", [1, 3, 5, 7])
def test_sets__ways_need_be_no_power_of_two(ways: int) -> None:
    assert machine(l2__size_kib=64 * ways, l2__ways=ways).l2.sets == 512


@pytest.mark.parametrize(("size_kib", "ways"), [(33, 2), (32, 3), (96, 2), (1, 64)])
def test_sets__their_number_must_be_a_power_of_two(size_kib: int, ways: int) -> None:
    with pytest.raises(ConfigError, match=r"l1d: .* expected a power of two"):
        machine(l1d__size_kib=size_kib, l1d__ways=ways)


def test_lines__a_first_level_line_is_at_most_one_of_the_second() -> None:
    assert machine(l1i__line_b=128).l1i.line_b == machine().l2.line_b
    with pytest.raises(ConfigError, match=r"l1i.line_b is larger than l2.line_b"):
        machine(l1i__line_b=256)


def test_lines__a_line_is_at_most_a_page() -> None:
    machine(l2__line_b=4096)
    with pytest.raises(ConfigError, match=r"l2.line_b is larger than a page"):
        machine(l2__line_b=8192)


def test_tlb__one_entry_must_be_left_to_random() -> None:
    assert machine(tlb__entries=8, tlb__wired=7).tlb.wired == 7
    with pytest.raises(ConfigError, match=r"tlb.wired is 8"):
        machine(tlb__entries=8, tlb__wired=8)


@pytest.mark.parametrize("entries", [3, 48, 100])
def test_tlb__entries_need_be_no_power_of_two(entries: int) -> None:
    assert machine(tlb__entries=entries, tlb__wired=0).tlb.entries == entries


def test_software_tlb__may_be_absent() -> None:
    assert machine(monitor__software_tlb_entries=0, monitor__software_tlb_ways=4).monitor.software_tlb_entries == 0


@pytest.mark.parametrize(("entries", "ways"), [(1000, 1), (12, 4), (2, 4)])
def test_software_tlb__sets_must_be_a_power_of_two(entries: int, ways: int) -> None:
    with pytest.raises(ConfigError, match=r"software TLB entries .* expected a power of two"):
        machine(monitor__software_tlb_entries=entries, monitor__software_tlb_ways=ways)


@pytest.mark.parametrize("value", ["64", 64.0, True, None])
def test_types__a_number_is_exactly_that(value: object) -> None:
    with pytest.raises(ConfigError, match=r"tlb.entries is .*, expected int"):
        machine(tlb__entries=value)


def test_keys__none_may_be_missing() -> None:
    incomplete = tables()
    del incomplete["tlb"]["wired"]
    with pytest.raises(ConfigError, match=r"tlb.wired is missing"):
        Machine.from_tables(incomplete)


def test_keys__none_may_be_unknown() -> None:
    with pytest.raises(ConfigError, match=r"unknown key tlb.colour"):
        machine(tlb__colour=3)


def test_tables__none_may_be_missing_or_unknown() -> None:
    incomplete = tables()
    del incomplete["guest"]
    with pytest.raises(ConfigError, match=r"table \[guest\] is missing"):
        Machine.from_tables(incomplete)
    with pytest.raises(ConfigError, match=r"unknown table \[host\]"):
        Machine.from_tables(tables() | {"host": {}})


def test_nodes__those_without_cpus_are_told_apart() -> None:
    more = machine(cpu__count=5, cpu__per_node=2, cpu__nodes=8)
    assert (more.nodes, more.cpu_nodes) == (8, 3)


def test_vms__at_most_64_and_at_least_one() -> None:
    assert machine(vm__count=64).vm.count == 64
    with pytest.raises(ConfigError, match=r"vm.count is 65, at most 64"):
        machine(vm__count=65)
    with pytest.raises(ConfigError, match=r"vm.count is 0, expected a positive number"):
        machine(vm__count=0)


def test_vms__each_needs_a_page_of_memory() -> None:
    one_node = {"cpu__count": 1, "memory__mib_per_node": 1, "memory__page_kib": 256}
    assert machine(vm__count=4, **one_node).vm.count == 4
    with pytest.raises(ConfigError, match="fewer pages of memory than virtual machines"):
        machine(vm__count=5, **one_node)


def test_placement__native_is_one_of_three() -> None:
    assert machine(placement__native="random").placement.native == "random"
    with pytest.raises(ConfigError, match=r"placement.native is 'disco', expected one of round-robin, first-touch"):
        machine(placement__native="disco")


def test_buffer_cache__at_most_all_of_memory() -> None:
    assert machine(guest__buffer_cache_percent=100).guest.buffer_cache_percent == 100
    with pytest.raises(ConfigError, match=r"guest.buffer_cache_percent is 101, expected at most 100"):
        machine(guest__buffer_cache_percent=101)


@pytest.mark.parametrize("kib", [1, 4, 16, 1 << 20])
def test_kernel_pages__a_power_of_two(kib: int) -> None:
    assert machine(monitor__kernel_page_kib=kib).monitor.kernel_page_kib == kib
    with pytest.raises(ConfigError, match=r"monitor.kernel_page_kib is .*, expected a power of two"):
        machine(monitor__kernel_page_kib=3 * kib)


@pytest.mark.parametrize("disks", [["0"], [-1], [True], [1.0]])
def test_disks__are_numbers(disks: list[object]) -> None:
    with pytest.raises(ConfigError, match=r"disks.persistent has .*, expected numbers of disks"):
        machine(disks__persistent=disks)


@pytest.mark.parametrize("disks", [[], [0], [7, 3]])
def test_disks__any_number_of_them(disks: list[int]) -> None:
    assert machine(disks__persistent=disks).disks.persistent == disks


@pytest.mark.parametrize("key", ["trigger", "sharing", "writes", "moves", "origin_difference", "origin_bounces"])
def test_migration__thresholds_may_be_zero_but_not_less(key: str) -> None:
    assert getattr(machine(**{f"migration__{key}": 0}).migration, key) == 0
    with pytest.raises(ConfigError, match=rf"migration.{key} is -1, expected zero or more"):
        machine(**{f"migration__{key}": -1})


def test_migration__counters_are_reset_after_some_instructions() -> None:
    with pytest.raises(ConfigError, match=r"migration.reset_instructions is 0, expected a positive number"):
        machine(migration__reset_instructions=0)
