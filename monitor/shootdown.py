"""TLB shootdown (D 4.2.1): taking translations from the CPUs that hold them, and interrupting no others."""

from collections.abc import Iterable

from discotrace.replay.counts import Event
from discotrace.replay.hardware import ALL_CPUS, Hardware
from discotrace.replay.mappings import VirtualPage
from discotrace.replay.now import Now


class Shootdown:
    """Shootdowns of one replay. Sets of CPUs are bits."""

    def __init__(self, hardware: Hardware, now: Now) -> None:
        self._hardware = hardware
        self._now = now

    def take(self, pages: Iterable[VirtualPage], cpus: int = ALL_CPUS) -> None:
        """The pages become invalid on these CPUs, of which those that have one of them in the TLB are interrupted."""
        self._interrupt(self._hardware.shoot_down(pages, cpus) & cpus)

    def downgrade(self, pages: Iterable[VirtualPage], losing: int) -> None:
        """The pages become read-only wherever they are, and invalid on the CPUs ``losing``."""
        self._interrupt(self._hardware.shoot_down(pages, losing))

    def _interrupt(self, cpus: int) -> None:
        others = (cpus & ~(1 << self._now.cpu)).bit_count()
        self._now.count(Event.TLBS_SHOT_DOWN, others)
        self._now.count(Event.SHOOTDOWNS, others > 0)
