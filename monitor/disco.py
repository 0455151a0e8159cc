"""The Disco monitor as a system under test: one virtual machine over the whole machine."""

from discotrace.monitor.kernels.disco import replay_disco
from discotrace.monitor.kernels.software_tlb import Disco
from discotrace.monitor.pmap import Pmap
from discotrace.replay.kernels.state import new_frames, new_keys
from discotrace.replay.machine import Machine
from discotrace.replay.memory import MachineMemory, contiguous
from discotrace.replay.system import System, Translations


class DiscoSystem(System):
    """A guest OS under the monitor, which places pages and keeps a second-level TLB per virtual CPU."""

    name = "disco"
    replay_rows = staticmethod(replay_disco)

    def __init__(self, machine: Machine, vcpus: int) -> None:
        monitor = machine.monitor
        entries = vcpus * max(monitor.software_tlb_entries, 1)
        self._memory = MachineMemory(machine, machine.placement.disco, contiguous)
        self._pmap = Pmap(self._memory)
        self.numbers = Disco(
            sets=monitor.software_tlb_entries // monitor.software_tlb_ways,
            ways=monitor.software_tlb_ways,
            key=new_keys(entries),
            group=new_keys(entries),
            frame=new_frames(2 * entries),
            refill_instructions=monitor.refill_instructions,
            refill_registers=machine.guest.refill_registers,
            patch_registers=int(monitor.patch_registers),
            zero_page_hint=int(monitor.zero_page_hint),
        )

    @property
    def memory(self) -> MachineMemory:
        """The machine's memory, which the monitor owns."""
        return self._memory

    def allocate(self, cpu: int) -> int:
        """The guest takes a page; the pmap backs it."""
        return self._pmap.allocate(cpu)

    def free(self, slot: int) -> None:
        """The guest frees a page; the monitor takes the frame back."""
        self._pmap.free(slot)

    def translations(self) -> list[Translations]:
        """The second-level TLBs of all virtual CPUs."""
        return [Translations(self.numbers.key, self.numbers.group, self.numbers.frame)]
