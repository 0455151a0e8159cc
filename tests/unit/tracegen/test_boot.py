"""What the guest kernel says was in memory before the trace began."""

from dataclasses import replace

import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.guest_kernel import GuestKernel
from discotrace.tracegen.kernel_layout import KernelLayout
from discotrace.tracegen.kernel_parameters import default_parameters
from discotrace.tracegen.rules import FormatChecker
from discotrace.tracegen.schema import (
    KERNEL_ASID,
    KSEG0_START,
    File,
    Kind,
    Process,
    Rows,
    TraceMeta,
    concat_rows,
)

CPUS = 4
PARAMETERS = default_parameters()
TABLES_ABOUT_MEMORY = ("pfdat", "page_hash")


def booted(cpus: int = CPUS) -> tuple[TraceMeta, Rows]:
    meta, parts = TraceMeta(cpus), list[Rows]()
    kernel = GuestKernel(meta, parts.append)
    for vcpu in range(cpus):
        kernel.boot(vcpu)
    return meta, concat_rows(parts)


def ranges(rows: Rows, vcpu: int) -> list[tuple[int, int]]:
    """(address, bytes) that a CPU's kernel has in memory."""
    mine = rows.vcpu == vcpu
    return list(zip(rows.vaddr[mine].tolist(), rows.size[mine].tolist(), strict=True))


def test_every_cpu_has_a_booted_kernel_and_nothing_else_happens() -> None:
    meta, rows = booted()
    assert set(rows.kind.tolist()) == {Kind.RESIDENT}
    assert set(rows.asid.tolist()) == {KERNEL_ASID}
    assert set(rows.arg.tolist()) == {0}
    assert set(rows.vcpu.tolist()) == set(range(CPUS))
    checker = FormatChecker(meta)
    assert checker.check(rows) + checker.finish() == []


def test_the_whole_image_is_in_memory() -> None:
    meta, rows = booted()
    image = PARAMETERS.memory.text_kib * 1024
    assert all(ranges(rows, vcpu)[0] == (KSEG0_START, image) for vcpu in range(CPUS))
    assert File(1, "/unix", image) in meta.files


def test_tables_about_memory_are_divided_among_cpus_without_a_gap() -> None:
    _, rows = booted()
    layout = KernelLayout(PARAMETERS)
    for name in TABLES_ABOUT_MEMORY:
        start, end = layout.address(name, 0), 0
        place = 1 + list(PARAMETERS.boot).index(name)
        for vcpu in range(CPUS):
            address, size = ranges(rows, vcpu)[place]
            assert address == (end or start)
            end = address + size
        assert end - start == PARAMETERS.boot[name] * PARAMETERS.data[name].stride


def test_all_other_tables_are_whole_on_every_cpu() -> None:
    _, rows = booted()
    shared_out = {1 + list(PARAMETERS.boot).index(name) for name in TABLES_ABOUT_MEMORY}
    of_all = [ranges(rows, vcpu) for vcpu in range(CPUS)]
    for place in range(len(of_all[0])):
        assert (len({of_one[place] for of_one in of_all}) == 1) == (place not in shared_out)


def test_a_cpu_without_a_share_has_no_empty_row() -> None:
    layout = KernelLayout(replace(PARAMETERS, boot={"buffer": 1}))
    assert [len(layout.boot_ranges(vcpu, 2)) for vcpu in range(2)] == [1, 2]


def test_preload_says_that_the_file_is_in_memory_and_spares_its_pages_the_disk() -> None:
    meta, parts = TraceMeta(1), list[Rows]()
    kernel = GuestKernel(meta, parts.append)
    kernel.start_process(Process(1, "cc"))
    kernel.switch(0, 0, 1)
    file, empty = kernel.add_file("/bin/cc", 10_000), kernel.add_file("/empty", 0)
    parts.clear()
    kernel.preload(file, [(0, 1)])
    kernel.preload(empty, [(0, 1)])
    rows = concat_rows(parts)
    assert [column.tolist() for column in rows] == [[0], [1], [Kind.RESIDENT], [0], [10_000], [file]]
    kernel.execve(0, 1, file)
    assert not (concat_rows(parts).kind == Kind.FILE_READ).any()


def test_an_image_smaller_than_its_routines_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"memory\.text_kib gives 8192"):
        KernelLayout(replace(PARAMETERS, memory=replace(PARAMETERS.memory, text_kib=8)))


@pytest.mark.parametrize("boot", [{"nonsense": 1}, {"pfdat": 0}, {"globals": 2}])
def test_a_table_that_is_not_there_cannot_be_booted(boot: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"boot\.{next(iter(boot))}"):
        replace(PARAMETERS, boot=boot)
