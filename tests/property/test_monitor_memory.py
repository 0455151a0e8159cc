"""The monitor's memory under any sequence of what guests, processors and policies may do to it.

Pages are referenced, cleared, wired, mapped and unmapped, files read and written, processes end, pages become hot and
are moved and copied, VMs die; each by a row through the compiled loop, so that every translation is a real one. After
each step all the monitor's tables are checked against each other, and what every guest can reach against the world as
it must see it (``monitor_world.py``).
"""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from discotrace.monitor.hot_pages import HotPages
from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Replicate
from discotrace.replay.engine import Replay
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Privileged, Segment, rows_from_records
from tests.property import monitor_invariants
from tests.property.monitor_setups import DATA, KERNEL, LIBRARY, PAGE, TEXT, Setup, setups
from tests.property.monitor_watch import Reference, WatchedSystem
from tests.property.monitor_world import PAGE_TABLES, SERVER, World, kernel_key

SEQUENCES, LONG_RUN = 1_000, 100_000
STEPS = 30
LATELY = 3  # so many pages are referred to as often as all others

NUMBER = st.integers(0, 255)
Part = tuple[int, int, int]  # of a file: file, first page, pages
PARTS = st.tuples(st.sampled_from((LIBRARY, LIBRARY, TEXT, TEXT, DATA, KERNEL)), st.integers(0, 2), st.integers(1, 3))
LINES = st.sampled_from((0, 256, 1024, 2048, PAGE - 256))  # where in its page a reference is


class Told(Policy):
    """Decides what it is told."""

    def __init__(self, setup: Setup, decision: Decision) -> None:
        super().__init__(setup.machine)
        self._decision = decision

    def place(self, allocated: int, cpu_node: int) -> int:
        raise NotImplementedError

    def decide(self, page: HotPage) -> Decision:
        return self._decision


class MonitorMemory(RuleBasedStateMachine):
    """One machine, of which everything else follows. Out of memory, it is switched off and on again."""

    @initialize(setup=setups())
    def switch_on(self, setup: Setup) -> None:
        self.setup = setup
        self.system = WatchedSystem(setup)
        self.replay = Replay(setup.meta, self.system, window=1 << 40)
        self.rows = 0
        self.vm_of_stream = list(self.system.parts.vm_at_first)
        self.lately: list[tuple[int, int]] = []  # asid of the segment and address of pages
        self.last_part: Part = (LIBRARY, 0, 1)
        self.most_cached = [0] * self.world.vms

    @property
    def world(self) -> World:
        return self.system.world

    # What guests do

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER, line=LINES)
    def load(self, stream: int, who: int, where: int, line: int) -> None:
        self._refer(Kind.LOAD, stream, who, where, line)

    @rule(who=NUMBER, where=NUMBER, line=LINES)
    def load_everywhere(self, who: int, where: int, line: int) -> None:
        """One page, on each virtual CPU in turn."""
        for stream in range(self.setup.meta.cpus):
            self._refer(Kind.LOAD, stream, who, where if stream == 0 else 1, line)

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER, line=LINES)
    def fetch(self, stream: int, who: int, where: int, line: int) -> None:
        self._refer(Kind.FETCH, stream, who, where, line)

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER, line=LINES)
    def store(self, stream: int, who: int, where: int, line: int) -> None:
        self._refer(Kind.STORE, stream, who, where, line)

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER)
    def clear(self, stream: int, who: int, where: int) -> None:
        self._refer(Kind.ZERO_PAGE, stream, who, where, 0)

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER)
    def wire(self, stream: int, who: int, where: int) -> None:
        asid, vaddr = self._target(stream, who, where)
        self._row(stream, asid, Kind.PRIVILEGED, vaddr, 1, Privileged.WIRED)

    @rule(stream=NUMBER, who=NUMBER, part=PARTS | st.none())
    def read_file(self, stream: int, who: int, part: Part | None) -> None:
        self._use_file(Kind.FILE_READ, stream, who, part, 0)

    @rule(stream=NUMBER, who=NUMBER, part=PARTS | st.none(), inside=st.booleans())
    def write_file(self, stream: int, who: int, part: Part | None, inside: bool) -> None:
        self._use_file(Kind.FILE_WRITE, stream, who, part, 512 * inside)

    @rule(stream=NUMBER, who=NUMBER, part=PARTS)
    def write_file_and_read_others(self, stream: int, who: int, part: Part) -> None:
        """So that a small buffer cache evicts what was written, and has it from the disk again."""
        self._use_file(Kind.FILE_WRITE, stream, who, part, 0)
        for file in {LIBRARY, TEXT, DATA} - {part[0]}:
            self._use_file(Kind.FILE_READ, stream, who, (file, 0, 3), 0)
        self._use_file(Kind.FILE_READ, stream, who, part, 0)

    @rule(stream=NUMBER, who=NUMBER, part=PARTS)
    def find_file_in_memory(self, stream: int, who: int, part: Part) -> None:
        self._use_file(Kind.RESIDENT, stream, who, part, 0)

    @rule(stream=NUMBER, who=NUMBER, where=NUMBER)
    def find_page_in_memory(self, stream: int, who: int, where: int) -> None:
        asid, vaddr = self._target(stream, who, where)
        if vaddr:
            self._row(stream, asid, Kind.RESIDENT, vaddr, PAGE, 0)

    @rule(stream=NUMBER, number=NUMBER)
    def map_segment(self, stream: int, number: int) -> None:
        possible = [n for n, segment in self._reachable(False) if segment.by_event]
        if possible:
            number = possible[number % len(possible)]
            if self._row(stream, self.setup.meta.segments[number].asid, Kind.MAP, 0, 0, number):
                self.world.holding[number] = True

    @rule(stream=NUMBER, number=NUMBER)
    def unmap_segment(self, stream: int, number: int) -> None:
        possible = [n for n, _ in self._reachable(True)]
        if not possible:
            return
        number = possible[number % len(possible)]
        segment = self.setup.meta.segments[number]
        if self._row(stream, segment.asid, Kind.UNMAP, 0, 0, number):
            self.world.holding[number] = False
            self.world.unmap_segment(segment)

    @rule(stream=NUMBER, who=NUMBER)
    def exit(self, stream: int, who: int) -> None:
        asid = self._asid(who)
        if asid and self._row(stream, asid, Kind.PROCESS_EXIT, 0, 0, 0):
            self.world.exit(asid)

    # What processors and policies do

    @rule(which=NUMBER, cpu=NUMBER, heat=st.lists(st.integers(0, 3), min_size=4, max_size=4), written=st.booleans())
    def heat(self, which: int, cpu: int, heat: list[int], written: bool) -> None:
        """A frame has become hot, and the machine's own policy decides."""
        slot = self._frame(which)
        cpus = self.setup.machine.cpu.count
        if slot is None:
            return
        self.system.hardware.heat(slot)[:] = heat[:cpus]
        self.system.hardware.writes(slot)[:] = written
        self._act(lambda: self.system.cool([(slot, cpu % cpus)]))

    @rule(which=NUMBER, node=NUMBER)
    def migrate(self, which: int, node: int) -> None:
        self._decide(which, Migrate(node % self.setup.machine.nodes))

    @rule(which=NUMBER, nodes=st.sets(st.integers(0, 3), min_size=1))
    def replicate(self, which: int, nodes: set[int]) -> None:
        self._decide(which, Replicate(tuple(node for node in nodes if node < self.setup.machine.nodes)))

    @rule()
    def replicate_all(self) -> None:
        """Until the memory is full."""
        everywhere = Replicate(range(self.setup.machine.nodes))
        for slot in self.system.frames.memmap.slots:
            self._act(partial(self._hot_pages(everywhere).cool, slot, 0))

    @rule()
    def cool_all(self) -> None:
        self._act(self.system.cool_all)

    @precondition(lambda self: not self.world.dead and self.world.vms > 1)
    @rule(vm=st.integers(0, 3))
    def crash(self, vm: int) -> None:
        vm %= self.world.vms
        if self.world.has_server and vm == SERVER:
            return
        frames = self.system.frames
        had = set(self.system.pmaps[vm].pages.values())
        had |= {slot for owner in frames.logs.owners() if owner[0] == vm for _, slot in frames.logs._maps[owner]}
        self.system.crash(vm)
        self.world.crash(vm)
        left, loss = had & set(frames.memmap.slots), self.system.loss
        assert loss is not None
        assert (loss.frames_reclaimed, loss.frames_surviving) == (len(had) - len(left), len(left))

    @invariant()
    def all_holds(self) -> None:
        monitor_invariants.check(self.system)

    # How

    def _asid(self, who: int) -> int:
        """A process that has not ended, or nobody."""
        return [0, *sorted(self.world.alive)][who % (len(self.world.alive) + 1)]

    def _vm(self, stream: int, asid: int) -> int:
        return self.world.vm_of(asid) if asid else self.vm_of_stream[stream % self.setup.meta.cpus]

    def _may_use(self, stream: int, asid: int, file: int) -> bool:
        return file == KERNEL or self.world.may_use(self._vm(stream, asid), file)

    def _reachable(self, holding: bool) -> list[tuple[int, Segment]]:
        """Segments that hold, or that do not, of address spaces that are left."""
        return [
            (number, segment)
            for number, segment in enumerate(self.setup.meta.segments)
            if self.world.holding[number] == holding and segment.asid in {0, *self.world.alive}
        ]

    def _target(self, stream: int, who: int, where: int) -> tuple[int, int]:
        """A process, or nobody, and the address of a page that it can reach, half of the time one of the latest.

        Address 0 if there is no such page.
        """
        segments = [segment for _, segment in self._reachable(True)]
        pages = [(segment.asid, vaddr) for segment in segments for vaddr in range(segment.start, segment.end, PAGE)]
        again = [page for page in self.lately if page in pages]
        if not pages:
            return 0, 0
        asid, vaddr = again[where // 2 % len(again)] if again and where % 2 else pages[where // 2 % len(pages)]
        self.lately = [(asid, vaddr), *again][:LATELY]
        asid = asid or self._asid(who)
        page = self.world.page_of(self._key(stream, asid, vaddr), vaddr // PAGE)
        is_possible = page.kind != "file" or self._may_use(stream, asid, page.name[0])
        return asid, vaddr if is_possible else 0

    def _key(self, stream: int, asid: int, vaddr: int) -> int:
        return asid if vaddr < KERNEL_BASE else kernel_key(self._vm(stream, asid))

    def _refer(self, kind: Kind, stream: int, who: int, where: int, line: int) -> None:
        asid, vaddr = self._target(stream, who, where)
        if not vaddr:
            return
        vm, key = self._vm(stream, asid), self._key(stream, asid, vaddr)
        size = PAGE if kind == Kind.ZERO_PAGE else 4
        if vm not in self.world.dead:
            cpu = monitor_invariants.cpu_of(self.system, vm, stream % self.setup.meta.cpus)
            access = Kind.STORE if kind == Kind.ZERO_PAGE else kind
            self.system.making = Reference(access, size == PAGE, cpu, key, vaddr + line + size - 1)
        self._row(stream, asid, kind, vaddr + line, size, 1 if kind in (Kind.FETCH, Kind.ZERO_PAGE) else 0)

    def _use_file(self, kind: Kind, stream: int, who: int, part: Part | None, inside: int) -> None:
        """Read or write a part of a file, from ``inside`` bytes on; without a part that of the last time."""
        file, first, count = self.last_part = part or self.last_part
        asid = self._asid(who)
        if self._may_use(stream, asid, file):
            self._row(stream, asid, kind, first * PAGE + inside, count * PAGE - inside, file)

    def _row(self, stream: int, asid: int, kind: Kind, vaddr: int, size: int, arg: int) -> bool:
        """Replay a row. Returns whether it was executed: its VM lives, and there was memory."""
        stream %= self.setup.meta.cpus
        vm = self.vm_of_stream[stream] = self._vm(stream, asid)
        self.rows += 1
        rows = rows_from_records([(stream, asid, kind, vaddr, size, arg)])
        if not self._act(lambda: self.replay.feed(rows)):
            return False
        self._check_growth()
        return vm not in self.world.dead

    def _check_growth(self) -> None:
        """A buffer cache grows beyond its limit only if none of its pages may go."""
        for vm, guest in enumerate(self.system.guests):
            cache = guest._cache
            size = len(cache._idle) + len(cache._in_use)
            if size > max(self.most_cached[vm], cache._capacity):
                assert all(page.used_in_row == self.rows - 1 for page in cache._idle.values())
            self.most_cached[vm] = max(size, self.most_cached[vm])

    def _frame(self, which: int) -> int | None:
        """A frame in use: any, or of a page that was referred to lately, or what a guest page shows of a log."""
        pages, memmap = monitor_invariants.page_map(self.system), self.system.frames.memmap
        lately = [pages[key, vpn] for key, vpn in pages if (key % PAGE_TABLES, vpn * PAGE) in self.lately]
        logged = [slot for slot in memmap.slots if memmap[slot].is_logged and memmap[slot].users]
        slots = (memmap.slots, lately, logged)[which % 3] or memmap.slots
        return slots[which // 3 % len(slots)] if slots else None

    def _decide(self, which: int, decision: Decision) -> None:
        slot = self._frame(which)
        if slot is not None:
            self._act(partial(self._hot_pages(decision).cool, slot, 0))

    def _hot_pages(self, decision: Decision) -> HotPages:
        return HotPages(self.system.frames, Told(self.setup, decision))

    def _act(self, action: Callable[[], None]) -> bool:
        """Returns whether there was memory enough."""
        try:
            action()
            self.system.settle()
        except ConfigError as error:
            self._check_out_of_memory(str(error))
            self.switch_on(self.setup)
            return False
        return True

    def _check_out_of_memory(self, message: str) -> None:
        """Nothing is left that could be given up."""
        system, machine = self.system, self.setup.machine
        assert message.startswith("out of memory: virtual machine "), message
        vm = int(message.split()[5])
        assert f"virtual machine {vm} " in message
        if "has only" in message:
            cache = system.guests[vm]._cache
            assert len(system.pmaps[vm].taken) == system.pmaps[vm].size
            assert all(page.used_in_row == system.now.row for page in cache._idle.values())
        else:
            memmap = system.frames.memmap
            assert system.memory.in_use == machine.nodes * machine.frames_per_node
            uses = [memmap[slot] for slot in memmap.slots]
            assert not any(use.replicas for use in uses)
            assert not any(use.is_cached and not use.users and not use.is_logged for use in uses)


def run(sequences: int) -> None:
    run_state_machine_as_test(
        MonitorMemory,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_memory_is_right_after_each_of_a_thousand_sequences() -> None:
    run(SEQUENCES)


@pytest.mark.slow
def test_memory_is_right_after_each_of_a_hundred_thousand_sequences() -> None:
    run(LONG_RUN)
