"""Removing one page's translation from the TLBs of many CPUs. ``docs/model.md`` section 9."""

import numpy as np

from discotrace.replay.kernels.compile import kernel
from discotrace.replay.kernels.directory import bit
from discotrace.replay.kernels.state import INVALID, State
from discotrace.replay.kernels.tlb import find_entry, forget, place_of_page

_NONE = np.uint64(0)


@kernel
def forget_translations(s: State, key: np.uint64, vpn: np.uint64, cpus: np.uint64) -> np.uint64:
    """Make a page invalid in the TLBs of ``cpus``. Returns which of all CPUs had it valid, bit c = CPU c.

    The others look it up again all the same: its frame may have become read-only.
    """
    held = _NONE
    for cpu in range(s.params.cpus):
        forget(s, cpu, key, vpn)
        entry = find_entry(s, cpu, key, vpn >> np.uint64(s.params.group_shift))
        if entry < 0:
            continue
        place = place_of_page(s, cpu, entry, vpn)
        if s.tlb.frame[place] != INVALID:
            held |= bit(cpu)
            if cpus & bit(cpu):
                s.tlb.frame[place] = INVALID
    return held
