"""Which rows of a trace a system executes, and where: sections 1, 13 and 14 of ``docs/model.md``."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from discotrace.tracegen.schema import Kind, Rows, TraceMeta
from tests.oracle.partition import Partition
from tests.oracle.services import Services


class Row(NamedTuple):
    """A row, the VM and CPU that it is executed by, and whether SPLASHOS leaves most of it out."""

    kind: Kind
    vaddr: int
    size: int
    arg: int
    vm: int
    cpu: int
    is_left_out: bool


def executed_rows(
    rows: Rows,
    tables: Mapping[str, Mapping[str, Any]],
    system: str,
    meta: TraceMeta | None,
    crash: tuple[int, int] | None,
) -> list[Row]:
    """All rows but those of a VM that is dead; without ``meta`` there must be no crash, and VM and CPU are 0."""
    assert meta is not None or crash is None
    vms = 1 if system == "native" else tables["vm"]["count"]
    partition = None if meta is None else Partition(meta, tables["cpu"]["count"], vms)
    services = Services(max([0, *rows.vcpu.tolist()]) + 1)
    executed = []
    for number, row in enumerate(zip(*(column.tolist() for column in rows), strict=True)):
        stream, asid, kind, vaddr, size, arg = row
        vm = 0 if partition is None else partition.vm_of_row(stream, asid)
        if crash is None or number < crash[1] or (system != "native" and vm != crash[0]):
            cpu = 0 if partition is None else partition.cpu(vm, stream)
            is_left_out = system == "splashos" and services.is_left_out(stream)
            executed.append(Row(Kind(kind), vaddr, size, arg, vm, cpu, is_left_out))
        services.follow(stream, kind, arg)
    return executed
