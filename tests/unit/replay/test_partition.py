"""The partition of a trace's processes and CPUs over virtual machines."""

import pytest

from discotrace.replay.partition import Partition, partition
from discotrace.tracegen.schema import Process, TraceMeta
from tests.machines import machine


def divided(vms: int, instances: list[int], streams: int = 8, cpus: int = 8) -> Partition:
    """Processes 1, 2 ... of these instances."""
    meta = TraceMeta(streams, [Process(n, f"p{n}", instance=i) for n, i in enumerate(instances, start=1)])
    return partition(meta, machine(cpu__count=cpus), vms)


@pytest.mark.parametrize(
    ("vms", "expected"),
    [
        (1, [0] * 8),
        (2, [0, 0, 0, 0, 1, 1, 1, 1]),
        (3, [0, 0, 0, 1, 1, 1, 2, 2]),
        (4, [0, 0, 1, 1, 2, 2, 3, 3]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_processes__instances_are_divided_evenly(vms: int, expected: list[int]) -> None:
    assert divided(vms, list(range(8))).vm_of_process == expected


def test_processes__of_one_instance_stay_together() -> None:
    assert divided(2, [0, 1, 0, 1]).vm_of_process == [0, 1, 0, 1]


def test_processes__instances_need_not_be_numbered_in_a_row() -> None:
    assert divided(2, [90, 7]).vm_of_process == [1, 0]


def test_processes__more_vms_than_instances_leave_some_empty() -> None:
    assert divided(4, [0, 1]).vm_of_process == [0, 2]


def test_processes__go_by_asid_in_whatever_order_the_metadata_has_them() -> None:
    meta = TraceMeta(1, [Process(9, "i", instance=1), Process(2, "b", instance=0)])
    assert partition(meta, machine(cpu__count=1), 2).vm_of_process == [0, 1]


@pytest.mark.parametrize("vms", range(1, 9))
def test_cpus__each_has_one_vm_and_each_vm_its_share(vms: int) -> None:
    parts = divided(vms, [0])
    cpus = [cpu for vm in range(vms) for cpu in range(parts.first_cpu(vm), parts.first_cpu(vm) + parts.width(vm))]
    assert cpus == list(range(8))
    assert {parts.width(vm) for vm in range(vms)} <= {8 // vms, -(-8 // vms)}


def test_cpus__more_vms_than_cpus_share_them() -> None:
    parts = divided(4, [0], cpus=2)
    assert [(parts.first_cpu(vm), parts.width(vm)) for vm in range(4)] == [(0, 1), (0, 1), (1, 1), (1, 1)]


def test_virtual_cpus__go_round_the_cpus_of_their_vm() -> None:
    parts = divided(2, [0], streams=5)
    assert [parts.cpu(0, stream) for stream in range(5)] == [0, 1, 2, 3, 0]
    assert [parts.cpu(1, stream) for stream in range(5)] == [4, 5, 6, 7, 4]


def test_seats__are_the_pairs_that_can_be() -> None:
    assert divided(2, [0], streams=1).seats == [(0, 0), (4, 1)]
    assert divided(2, [0], streams=8, cpus=1).seats == [(0, 0), (0, 1)]
    assert divided(1, [0]).seats == [(cpu, 0) for cpu in range(8)]


@pytest.mark.parametrize(
    ("vms", "streams", "expected"),
    [(1, 2, [0, 0]), (2, 2, [0, 1]), (2, 4, [0, 0, 1, 1]), (2, 1, [1]), (4, 2, [1, 3]), (2, 3, [0, 1, 1])],
)
def test_rows_of_no_process__at_first_belong_to_the_vm_of_the_cpu(vms: int, streams: int, expected: list[int]) -> None:
    assert divided(vms, [0], streams=streams).vm_at_first == expected
