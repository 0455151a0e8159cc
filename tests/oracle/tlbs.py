"""All TLBs together, and the shootdown: sections 4, 8 and 9 of ``docs/model.md``."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.memory import Layout, Page
from tests.oracle.now import Now
from tests.oracle.partition import Partition
from tests.oracle.tlb import SoftwareTlb, Tlb


class Tlbs:
    """The TLB of each CPU and the software TLB of each virtual CPU (VM, virtual CPU of the trace)."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], now: Now, layout: Layout, partition: Partition):
        """All empty."""
        monitor, pages_per_entry = tables["monitor"], tables["tlb"]["pages_per_entry"]
        self.now = now
        self.partition = partition
        self.all_cpus = set(range(layout.cpus))
        self.hardware = [Tlb(**tables["tlb"]) for _ in range(layout.cpus)]
        self.software = {
            (vm, stream): SoftwareTlb(monitor["software_tlb_entries"], monitor["software_tlb_ways"], pages_per_entry)
            for vm in range(partition.vms)
            for stream in range(partition.streams)
        }

    def invalidate(self, pages: Iterable[Page], cpus: set[int]) -> None:
        """Makes pages invalid in the TLBs of these CPUs and in the software TLBs of what runs on them."""
        for page in pages:
            for cpu in cpus:
                self.hardware[cpu].invalidate(page)
            for vcpu, software_tlb in self.software.items():
                if self.partition.cpu(*vcpu) in cpus:
                    software_tlb.invalidate(page)

    def shoot_down(self, pages: list[Page], cpus: set[int], downgraded: Iterable[int] = ()) -> None:
        """Takes pages away from ``cpus``; ``downgraded`` CPUs are interrupted alike and keep them (section 9)."""
        interrupted = [
            cpu
            for cpu in cpus | set(downgraded)
            if cpu != self.now.cpu and any(self.hardware[cpu].frame_at(page) is not None for page in pages)
        ]
        if interrupted:
            self.now.count("shootdowns")
            self.now.count("tlbs_shot_down", len(interrupted))
        self.invalidate(pages, cpus)
