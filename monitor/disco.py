"""The Disco monitor as a system under test: guest operating systems in virtual machines."""

from collections.abc import Sequence
from typing import Any

from discotrace.monitor.disks import Disks
from discotrace.monitor.frames import MonitorFrames
from discotrace.monitor.history import History
from discotrace.monitor.hot_pages import HotPages
from discotrace.monitor.kernels.disco import replay_disco
from discotrace.monitor.kernels.software_tlb import Disco
from discotrace.monitor.placement.registry import find_policy
from discotrace.monitor.pmap import Pmap
from discotrace.monitor.subnet import SERVER, Nfs
from discotrace.monitor.write_faults import resolve_write_fault
from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.crash import Loss
from discotrace.replay.kernels.state import new_frames, new_keys
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.memory import MachineMemory, contiguous
from discotrace.replay.partition import partition
from discotrace.replay.system import System
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import TraceMeta


class DiscoSystem(System):
    """Guests under the monitor, which owns the machine's memory, disks and network."""

    name = "disco"
    replay_rows = staticmethod(replay_disco)
    numbers: type[Any] = Disco  # whose type chooses the compiled functions

    def __init__(
        self, meta: TraceMeta, machine: Machine, history: History | None = None, beside: Sequence[Hierarchy] = ()
    ) -> None:
        """``history``: what to write down of hot pages. Raises ConfigError for a policy that cannot be had."""
        parts = partition(meta, machine, machine.vm.count)
        policy = find_policy(machine.placement.policy)(machine)
        self._has_server = machine.vm.nfs and parts.vms > 1
        self._memory = MachineMemory(machine, contiguous)
        virtual_cpus = parts.vms * parts.streams
        super().__init__(meta, machine, parts, self._numbers(machine, virtual_cpus), policy.hot_trigger, beside)
        self.pmaps = [Pmap(self.guest_pages(vm)) for vm in range(parts.vms)]
        self.frames = MonitorFrames(self, policy, self.pmaps, history or History())
        self._hot_pages = HotPages(self.frames, policy)
        self._disks = Disks(meta, self.frames)
        self._nfs = Nfs(self.frames, self._disks, self.guests)
        self._processes = sorted(process.asid for process in meta.processes)

    @property
    def memory(self) -> MachineMemory:
        """The machine's memory, which the monitor owns."""
        return self._memory

    @property
    def dealt(self) -> int:
        """Frames that the policy has placed."""
        return self.frames.dealt

    def deal_from(self, number: int) -> None:
        """So many frames count as placed."""
        self.frames.dealt = number

    def guest_pages(self, vm: int) -> int:
        """Memory is divided evenly; an NFS server has three shares (D 5.3: 96 MB of 256 at 8 VMs)."""
        whole = self.machine.nodes * self.machine.frames_per_node
        shares = 3 if self._has_server and vm == SERVER else 1
        return min(whole, shares * (whole // self.parts.vms))

    def slot(self, vm: int, gfn: int) -> int:
        """What the pmap says."""
        return self.frames.slot((vm, gfn))

    # What guests ask for

    def take(self, vm: int, category: str) -> int:
        """The guest takes a page, which the monitor backs."""
        gfn = self._take(vm, category)
        kept = self.pmaps[vm].slot(gfn)
        self.frames.back((vm, gfn), self.frames.new() if kept is None else kept)
        return gfn

    def take_bare(self, vm: int, category: str) -> int:
        """The guest takes a page to read into; a frame that it still had goes back first."""
        gfn = self._take(vm, category)
        if self.pmaps[vm].slot(gfn) is not None:
            self.frames.unback((vm, gfn))
        return gfn

    def boot_page(self, vm: int, page: FilePage) -> int:
        """Kernels booted from one copy-on-write disk share their text."""
        gfn = self.take_bare(vm, "text")
        self.frames.back((vm, gfn), self._disks.boot(page))
        return gfn

    def free(self, vm: int, gfn: int) -> None:
        """The guest frees a page; told of it, the monitor takes the frame back at once (D 4.3)."""
        self.meter.guest_page(self.pmaps[vm].category(gfn), -1)
        self.pmaps[vm].free(gfn)
        if self.machine.monitor.free_page_hint:
            self.frames.unback((vm, gfn))

    def request(self, vm: int, file: int, first: int, count: int) -> None:
        """Pages of a file from disk, or over the virtual subnet from the server."""
        if self._has_server and vm != SERVER:
            self._nfs.read(vm, file, first, count)
        else:
            self._disks.read(vm, self.guests[vm], file, first, count)

    def write_out(self, vm: int, page: FilePage, gfn: int) -> None:
        """A written page of a file to disk, or to the server."""
        if self._has_server and vm != SERVER:
            self._nfs.write(vm, page, gfn)
        else:
            self._disks.write(vm, page, gfn)

    # What the hardware traps for

    def write_fault(self, key: int, vpn: int) -> None:
        """A store to a read-only frame."""
        mapping = self.mappings.get(key, vpn)
        resolve_write_fault(self.frames, (mapping.vm, mapping.gfn))

    def cool(self, hot: list[tuple[int, int]]) -> None:
        """Hot pages are decided on, one by one."""
        for slot, cpu in hot:
            self._hot_pages.cool(slot, cpu)

    def cool_all(self) -> None:
        """Counters of misses and of moves begin anew."""
        self._hot_pages.cool_all()

    def unmap(self, key: int, vpns: list[int]) -> None:
        """Remove mappings; what was missed on the pages is theirs."""
        for vpn in vpns:
            mapping = self.mappings.get(key, vpn)
            self.frames.account(self.slot(mapping.vm, mapping.gfn))
        super().unmap(key, vpns)

    def end_of_trace(self) -> None:
        """What was missed on pages that are still in use is theirs."""
        for slot in self.frames.memmap.slots:
            self.frames.account(slot)

    def crash(self, vm: int) -> None:
        """A VM dies; the others go on (fault containment, D 1). Its frames that nobody else needs are taken back."""
        if vm >= self.parts.vms:
            raise ConfigError(f"there is no virtual machine {vm} to crash: there are {self.parts.vms}, from 0 on")
        if self._has_server and vm == SERVER:
            raise ConfigError(
                f"virtual machine {vm} serves the files of all others: crash another, or do without --nfs"
            )
        self.hardware.state.vms.dead[vm] = 1
        dead = {
            asid for asid, of_vm in zip(self._processes, self.parts.vm_of_process, strict=True) if of_vm == vm
        } & self.alive
        reclaimed, surviving = self._take_everything(vm)
        self.loss = Loss(vm, 0, sorted(dead), reclaimed, surviving)

    def _take_everything(self, vm: int) -> tuple[int, int]:
        """Frames of a dead VM that were reclaimed, and that live on because others need them."""
        for gfn in self.pmaps[vm].taken:
            self.frames.account(self.slot(vm, gfn))
        for key in self.mappings.keys_of(vm):
            for vpn in self.mappings.of_key(key):
                self.mappings.remove(key, vpn)
                self.hardware.unmap(key, vpn)
        slots = [self.frames.lose_user((vm, gfn)) for gfn in self.pmaps[vm].pages]
        slots += self.frames.lose_logs(vm)
        for gfn in self.pmaps[vm].taken:
            self.meter.guest_page(self.pmaps[vm].category(gfn), -1)
        self._disks.unmount(vm)
        used = set(slots)
        return len(used - set(self.frames.memmap.slots)), len(used & set(self.frames.memmap.slots))

    def _take(self, vm: int, category: str) -> int:
        gfn = self.pmaps[vm].take(category)
        if gfn is None and self.guests[vm].evict():
            gfn = self.pmaps[vm].take(category)
        if gfn is None:
            raise ConfigError(
                f"out of memory: virtual machine {vm} has only {self.pmaps[vm].size} pages of "
                f"{self.machine.memory.page_kib} KiB; give more with --set memory.mib_per_node=..."
            )
        self.meter.guest_page(category, 1)
        return gfn

    def _numbers(self, machine: Machine, virtual_cpus: int) -> Any:
        monitor = machine.monitor
        entries = virtual_cpus * max(monitor.software_tlb_entries, 1)
        return self.numbers(
            sets=monitor.software_tlb_entries // monitor.software_tlb_ways,
            ways=monitor.software_tlb_ways,
            key=new_keys(entries),
            group=new_keys(entries),
            frame=new_frames(2 * entries),
            refill_instructions=monitor.refill_instructions,
            refill_registers=machine.guest.refill_registers,
            patch_registers=int(monitor.patch_registers),
            zero_page_hint=int(monitor.zero_page_hint),
            free_page_hint=int(monitor.free_page_hint),
            idle_hint=int(monitor.idle_hint),
        )
