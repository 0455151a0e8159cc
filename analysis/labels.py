"""What reports call the parts of the time, the rates and the events."""

PART_LABELS = {
    "user": "user",
    "user_stall": "user stall",
    "kernel": "kernel",
    "kernel_stall": "kernel stall",
    "sync": "waiting for kernel locks",
    "monitor_tlb": "monitor: second-level TLB",
    "monitor_tlb_writes": "monitor: TLB writes emulated",
    "monitor_privileged": "monitor: privileged emulated",
    "monitor_calls": "monitor: calls, page clearing",
    "monitor_kernel_tlb": "monitor: kernel TLB misses",
    "monitor_vcpu_switches": "monitor: virtual CPU switches",
    "monitor_faults": "monitor: copy-on-write, page faults",
    "monitor_placement": "monitor: moving, copying hot pages",
    "monitor_io": "monitor: disks, network, remapping",
    "idle_loop": "idle loop of a shared CPU",
    "idle": "idle",
}
RATE_LABELS = {
    "tlb_misses_per_kilo_instruction": "TLB misses / 1000 instr.",
    "tlb_miss_percent": "TLB miss rate, %",
    "tlb_misses_to_guest_percent": "  to the guest's handler, %",
    "tlb_misses_to_software_tlb_percent": "  to the second-level TLB, %",
    "tlb_misses_to_monitor_percent": "  to the monitor's pmap, %",
    "l1i_miss_percent": "L1I miss rate, %",
    "l1d_miss_percent": "L1D miss rate, %",
    "l2_miss_percent": "L2 miss rate (of L1 misses), %",
    "l2_misses_per_kilo_instruction": "L2 misses / 1000 instr.",
}
ACTION_LABELS = {
    "hot_pages": "hot pages / s",
    "migrations": "  migrations / s",
    "replications": "  replications / s",
    "collapses": "  collapses / s",
    "cow_faults": "copy-on-write faults / s",
    "shootdowns": "TLB shootdowns / s",
}
LEFT_ALONE_LABELS = {
    "hot_left_written": "hot pages left: shared and written",
    "hot_left_capped": "  moved too often",
    "hot_left_full": "  no free frame there",
    "hot_left_pinned": "  mapped by a large page",
    "hot_left_other": "  other reasons",
}
IO_LABELS = {
    "disk_reads": "disk reads asked",
    "disk_read_pages": "  pages of them",
    "disk_pages_shared": "  pages from the global disk cache",
    "disk_pages_done": "  pages read from a disk",
    "disk_reads_done": "disk reads done",
    "disk_writes": "disk writes",
    "disk_pages_logged": "  pages into logs",
    "nfs_requests": "NFS requests",
    "pages_remapped": "pages remapped",
    "pages_copied": "pages copied",
    "cow_faults": "copy-on-write faults",
    "monitor_faults": "page faults that the monitor resolved",
}
