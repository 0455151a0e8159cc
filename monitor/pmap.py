"""The pmap: guest-physical page to machine frame, one table per virtual machine (D 4.2.1).

Disco keeps here, for each guest-physical page, a ready-made TLB entry that it merges into every TLB write of the guest.
What the replay kernel needs of it is the frame; it copies that into the entries it writes.
"""

from discotrace.replay.memory import MachineMemory


class Pmap:
    """Guest-physical memory of one virtual machine. The guest reuses first the page that it freed last."""

    def __init__(self, memory: MachineMemory) -> None:
        self._memory = memory
        self._slot_of: list[int | None] = []  # by gfn
        self._gfn_of: dict[int, int] = {}  # by slot: the backmap
        self._free: list[int] = []

    def allocate(self, cpu: int) -> int:
        """The guest takes a page, which ``cpu`` touches: the monitor backs it with a machine frame. Returns its slot.

        Raises ConfigError when the machine's memory is full.
        """
        slot = self._memory.allocate(cpu)
        if self._free:
            gfn = self._free.pop()
            self._slot_of[gfn] = slot
        else:
            gfn = len(self._slot_of)
            self._slot_of.append(slot)
        self._gfn_of[slot] = gfn
        return slot

    def free(self, slot: int) -> None:
        """The guest frees the page that a frame backs; the monitor takes the frame back."""
        gfn = self._gfn_of.pop(slot)
        self._slot_of[gfn] = None
        self._free.append(gfn)
        self._memory.free(slot)

    @property
    def pages(self) -> dict[int, int]:
        """Backed guest-physical pages: gfn to slot."""
        return {gfn: slot for gfn, slot in enumerate(self._slot_of) if slot is not None}
