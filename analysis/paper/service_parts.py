"""Table 2's parts: what the time of a service under the monitor is made of."""

import numpy as np

from discotrace.analysis.accounts import flattened, total
from discotrace.analysis.ledger import ledger
from discotrace.analysis.paper.evaluation import Priced
from discotrace.analysis.pricing import CONTEXTS
from discotrace.analysis.pricing import PARTS as PARTS_OF_TIME
from discotrace.analysis.waiting import timing
from discotrace.replay.counts import MONITOR

# The paper's "TLB write" is the whole of a user's TLB miss that the second-level TLB or the guest answers.
# What is not here (changes of virtual CPU, disks) is in the slowdown alone.
PARTS = {
    "kernel": ("kernel", "kernel_stall"),
    "tlb_write": ("monitor_tlb", "monitor_tlb_writes"),
    "privileged": ("monitor_privileged",),
    "monitor_call": ("monitor_calls", "monitor_faults"),
    "kernel_tlb": ("monitor_kernel_tlb",),
}


def service_parts_us(bar: Priced) -> dict[str, dict[str, float]]:
    """Mean time per entry of each part, in us, by service."""
    arranged = ledger(bar.bar.system, bar.found.counts, bar.site)
    spent_ns = timing(arranged, bar.prices).counter_ns
    service = np.where(arranged.context < MONITOR, arranged.context, arranged.context - MONITOR)
    shape = (len(CONTEXTS), len(PARTS_OF_TIME))
    ns = total(flattened((service, shape[0]), (arranged.part, shape[1])), spent_ns, shape)
    return {
        one.service: {
            part: sum(float(ns[CONTEXTS.index(f"kernel:{one.service}"), PARTS_OF_TIME.index(name)]) for name in names)
            / one.entries
            / 1000
            for part, names in PARTS.items()
        }
        for one in bar.outcome.services
        if f"kernel:{one.service}" in CONTEXTS
    }
