"""What the monitor's own structures take of memory. They are reckoned from their sizes, not replayed.

The Disco paper prints the size of the code only. What is unverified is ours, derived from what the paper says that an
entry holds.
"""

from collections.abc import Mapping

from discotrace.replay.machine import Machine

CODE_B = 72 * 1024  # the code segment, which every node has (D 4.2)
SOFTWARE_TLB_ENTRY_B = 32  # derived: Cellular Disco's 32 KB per virtual CPU for 1024 entries (SOSP 1999, section 4.1)
PMAP_ENTRY_B = 16  # unverified: a ready-made TLB entry and the virtual address that uses it (D 4.2.1), 8 bytes each
MEMMAP_ENTRY_B = 32  # unverified: a user's VM and virtual address, the next user, the copies (D 4.2.3), 8 bytes each
SECTORS_ENTRY_B = 32  # unverified: sector range, machine address, neighbours in the tree (D 4.2.4), 8 bytes each

SOURCES = (
    f"monitor: {CODE_B // 1024} KiB of code per node (Disco paper), "
    f"{SOFTWARE_TLB_ENTRY_B} B per entry of a second-level TLB (derived from Cellular Disco); "
    f"unverified: {PMAP_ENTRY_B} B per pmap entry, {MEMMAP_ENTRY_B} B per memmap entry, "
    f"{SECTORS_ENTRY_B} B per page ever put into the global disk cache or a log (an upper bound)"
)


def monitor_structures(machine: Machine, streams: int, totals: Mapping[str, int]) -> dict[str, int]:
    """Bytes by structure, on a machine whose CPUs are resolved; every VM has ``streams`` virtual CPUs.

    ``totals`` of the whole replay by event. Pages that left the global disk cache or a log are not taken off, so
    these two are upper bounds.
    """
    return {
        "code": CODE_B * machine.nodes,
        "software_tlbs": SOFTWARE_TLB_ENTRY_B * machine.monitor.software_tlb_entries * machine.vm.count * streams,
        "pmaps": PMAP_ENTRY_B * guest_pages(machine),
        "memmap": MEMMAP_ENTRY_B * machine.nodes * machine.frames_per_node,
        "disk_cache_and_logs": SECTORS_ENTRY_B * (totals["disk_pages_done"] + totals["disk_pages_logged"]),
    }


def guest_pages(machine: Machine) -> int:
    """Guest pages of all virtual machines together (``docs/model.md`` section 2)."""
    frames = machine.nodes * machine.frames_per_node
    share = frames // machine.vm.count
    server = min(3 * share, frames) if machine.vm.nfs and machine.vm.count > 1 else share
    return server + (machine.vm.count - 1) * share
