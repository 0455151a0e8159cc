"""Where a system ran."""

import numpy as np
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.site import Site
from discotrace.replay.partition import Partition


def site(cpus: int, *changes: str, instances: int = 1, jobs: int | None = None) -> Site:
    return Site(load("flash", changes).machine.for_trace(cpus), instances, jobs)


@pytest.mark.parametrize(("cpus", "vms"), [(8, 1), (8, 8), (8, 3), (2, 5), (1, 1)])
def test_virtual_machines_have_the_cpus_that_replay_gives_them(cpus: int, vms: int) -> None:
    replayed = Partition(vms, cpus, cpus, [], [], [])
    expected = np.zeros((vms, cpus), bool)
    for vm in range(vms):
        for stream in range(cpus):
            expected[vm, replayed.cpu(vm, stream)] = True
    assert (site(cpus, f"vm.count={vms}").cpus_of_vms("disco") == expected).all()


def test_natively_the_os_has_all_cpus() -> None:
    assert site(4, "vm.count=2").cpus_of_vms("native").tolist() == [[True] * 4]
    assert not site(4, "vm.count=2", "vm.nfs=true").serves_files("native")
    assert site(4, "vm.count=2", "vm.nfs=true").serves_files("disco")
    assert not site(4, "vm.nfs=true").serves_files("disco")


def test_cpus_are_on_nodes_one_after_the_other() -> None:
    assert site(3, "cpu.per_node=2").is_own_node().tolist() == [[True, False], [True, False], [False, True]]


def test_jobs__those_of_its_instances_or_so_many_per_cpu() -> None:
    assert site(8, "vm.count=4", instances=8, jobs=2).jobs_of_vms("disco", 9.0) == [4, 4, 4, 4]
    assert site(8, "vm.count=4", instances=2, jobs=3).jobs_of_vms("disco", 9.0) == [3, 1, 3, 1]
    assert site(8, "vm.count=4").jobs_of_vms("disco", 1.5) == [3, 3, 3, 3]
    assert site(8, instances=8, jobs=2).jobs_of_vms("native", 1.0) == [16]
