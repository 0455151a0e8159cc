"""What must hold of the monitor's tables after each step, and what must be in the frames that they lead to."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from discotrace.monitor.cow_disk import FILE_SECTORS, SECTOR_BYTES
from discotrace.monitor.memmap import FrameUse
from discotrace.replay.buffer_cache import CachedPage
from discotrace.replay.footprint import CATEGORIES, MACHINE_CATEGORIES
from discotrace.replay.kernels.state import EMPTY, INVALID, LARGE, RECENT
from discotrace.replay.kernels.tlb import FRAME_MASK, KEY_SHIFT, READ_ONLY_SHIFT
from tests.property.monitor_setups import PAGE
from tests.property.monitor_watch import WatchedSystem
from tests.property.monitor_world import CLEARED, PAGE_TABLES, FilePage, Page, VirtualPage, image

PageMap = dict[VirtualPage, int]  # to slots


class Translation(NamedTuple):
    """A translation that some TLB holds valid."""

    where: str
    cpu: int
    vm: int  # whose virtual CPU may use it
    key: int
    vpn: int
    slot: int


def check(system: WatchedSystem) -> None:
    """Raises AssertionError."""
    check_frames(system)
    check_pmaps(system)
    check_keepers(system)
    check_sharing(system)
    check_replicas(system)
    pages = page_map(system)
    check_mappings(system, pages)
    check_guest_pages(system)
    check_translations(system, pages)
    check_footprint(system)
    check_buffer_caches(system)
    check_disks(system)
    check_contents(system)


def check_frames(system: WatchedSystem) -> None:
    """Each frame that ever was in use is in use, free or reclaimed, and nothing else."""
    memory, machine = system.memory, system.machine
    used = system.frames.memmap.slots
    free = [slot for slots in chain(memory._free, memory._reclaimed) for slot in slots]
    assert sorted(used + free) == list(range(len(memory.frames)))
    assert memory.in_use == len(used)
    for lists in (memory._free, memory._reclaimed):
        assert all(memory.frames[slot].node == node for node, slots in enumerate(lists) for slot in slots)
    by_node = Counter(frame.node for frame in memory.frames)
    assert all(by_node[node] <= machine.frames_per_node for node in by_node)
    read_only = np.flatnonzero(system.hardware.frames.read_only).tolist()
    assert not set(read_only) - set(used), "a free frame is read-only"


def check_pmaps(system: WatchedSystem) -> None:
    """Pmaps and memmap say the same; nobody has a frame with what he has never seen."""
    memmap, world, contents = system.frames.memmap, system.world, system.contents
    of_pmaps = {(vm, gfn): slot for vm, pmap in enumerate(system.pmaps) for gfn, slot in pmap.pages.items()}
    of_memmap = [(user, slot) for slot in memmap.slots for user in memmap[slot].users]
    assert len(of_memmap) == len(dict(of_memmap)), "a guest page has two frames"
    assert of_pmaps == dict(of_memmap)
    for (vm, gfn), slot in of_pmaps.items():
        assert vm not in world.dead
        seen = contents.of[slot]
        assert seen == CLEARED or seen in world.known[vm], f"guest page {gfn} of VM {vm} has another's {seen!r}"


def check_keepers(system: WatchedSystem) -> None:
    """A frame is in use because something says so: guest pages, the disk cache, logs, or a master."""
    frames = system.frames
    cached = {slot for disk in frames.cache.owners() for _, slot in frames.cache._maps[disk]}
    logged = {slot for owner in frames.logs.owners() for _, slot in frames.logs._maps[owner]}
    unused = []
    for slot in frames.memmap.slots:
        use = frames.memmap[slot]
        assert use.is_needed, f"frame {slot} is in use for nothing"
        assert use.is_cached == (slot in cached)
        assert use.is_logged == (slot in logged)
        assert frames.cache.places(slot) == int(use.is_cached), "two places of the image in one frame"
        assert bool(frames.logs.places(slot)) == use.is_logged
        assert not (use.master is not None and (use.users or use.is_cached or use.is_logged))
        if use.is_cached and not use.users and not use.is_logged:
            unused.append(slot)
    assert cached | logged <= set(frames.memmap.slots), "what is on disk is in a frame that is free"
    assert sorted(frames.memmap._unused) == unused


def check_sharing(system: WatchedSystem) -> None:
    """A frame has one owner, or it is sealed; whatever is sealed or a copy or has copies is read-only, nothing else."""
    memmap = system.frames.memmap
    read_only = system.hardware.frames.read_only
    for slot in memmap.slots:
        use = memmap[slot]
        if len(use.users) + use.is_cached + use.is_logged > 1 or use.is_cached or use.is_logged:
            assert use.is_sealed, f"frame {slot} is shared and may be written: {use}"
        assert bool(read_only[slot]) == bool(use.is_sealed or use.replicas or use.master is not None), f"{slot}: {use}"


def check_replicas(system: WatchedSystem) -> None:
    """Each CPU uses the copy on its own node if there is one, else the master."""
    memmap, memory, nodes = system.frames.memmap, system.memory, system.machine.cpu_nodes
    near = system.hardware.frames.near[: len(memory.frames) * nodes].reshape(-1, nodes).tolist()
    expected = [[slot] * nodes for slot in range(len(memory.frames))]
    masters = {}
    for slot in memmap.slots:
        for node, copy in memmap[slot].replicas.items():
            expected[slot][node] = copy
            masters[copy] = slot
            assert memory.frames[copy].node == node != memory.frames[slot].node
            assert memmap[copy].master == slot
            assert system.contents.of[copy] == system.contents.of[slot], f"copy {copy} of frame {slot} differs"
    assert near == expected
    assert masters == dict(memmap._replicas)
    assert masters == {slot: memmap[slot].master for slot in memmap.slots if memmap[slot].master is not None}


def check_mappings(system: WatchedSystem, pages: PageMap) -> None:
    """What the world maps is mapped, with exact backmaps, and the kernels' page map says the same."""
    mappings = system.mappings.all()
    assert set(mappings) == set(system.world.mapped)
    back = defaultdict(list)
    for virtual, mapping in sorted(mappings.items()):
        assert mapping.vm == system.world.mapped[virtual].vm
        back[mapping.vm, mapping.gfn].append(virtual)
    assert {page: list(virtual) for page, virtual in system.mappings._pages_of.items() if virtual}.keys() == back.keys()
    assert all(system.mappings.pages_of(*page) == virtual for page, virtual in back.items())
    assert pages == {page: system.slot(mapping.vm, mapping.gfn) for page, mapping in mappings.items()}
    assert system.hardware._mapped == len(mappings)


def check_guest_pages(system: WatchedSystem) -> None:
    """Each guest page in use stands for one thing: a private page, a page of an object, or one of a file."""
    for vm, pmap in enumerate(system.pmaps):
        if vm in system.world.dead:
            continue
        owners: dict[int, set[Page]] = defaultdict(set)
        for virtual, mapping in system.mappings.all().items():
            if mapping.vm == vm:
                owners[mapping.gfn].add(system.world.mapped[virtual])
        for identity, gfn in system.guests[vm]._objects.items():
            kind = "text" if identity.backing == "file" else "object"
            owners[gfn].add(Page(vm, kind, (identity.object, identity.page)))
        for name, cached in cached_pages(system, vm).items():
            owners[cached.gfn].add(Page(vm, "file", name))
        assert all(len(pages) == 1 for pages in owners.values()), f"a guest page stands for two things: {owners}"
        assert sorted(owners) == pmap.taken
        assert sorted(chain(pmap.taken, pmap._free)) == list(range(pmap._fresh))
        assert pmap._fresh <= pmap.size


def check_translations(system: WatchedSystem, pages: PageMap) -> None:
    """A TLB leads to the frame that its CPU must use, or to nothing; another VM's pages are not in it."""
    world = system.world
    nodes, per_node = system.machine.cpu_nodes, system.machine.cpu.per_node
    near, read_only = system.hardware.frames.near, system.hardware.frames.read_only
    for held in chain(in_tlbs(system), in_software_tlbs(system), in_recent(system)):
        assert world.vm_of_key(held.key) == held.vm, f"another VM's: {held}"
        if is_of_the_dead(system, held):
            continue
        master = pages.get((held.key, held.vpn))
        assert master is not None, f"not mapped any more: {held}"
        wanted = near[master * nodes + held.cpu // per_node]
        assert held.slot == wanted, f"{held} leads to frame {held.slot}, expected {wanted}"
    for held in in_recent(system, writable_only=True):
        assert not read_only[held.slot] or is_of_the_dead(system, held), f"a store would not be noticed: {held}"


def check_footprint(system: WatchedSystem) -> None:
    """As counted anew."""
    memmap = system.frames.memmap
    machine = Counter(kept_as(memmap[slot]) for slot in memmap.slots)
    virtual = Counter(
        pmap.category(gfn) for vm, pmap in enumerate(system.pmaps) for gfn in pmap.taken if vm not in system.world.dead
    )
    end = system.meter.footprints.end
    assert end.machine == {name: machine[name] for name in MACHINE_CATEGORIES}
    assert end.virtual == {name: virtual[name] for name in CATEGORIES}


def kept_as(use: FrameUse) -> str:
    """Where a frame counts: as its first user does, else as what else keeps it."""
    if use.master is not None:
        return "replica"
    if use.users:
        return next(iter(use.users.values()))
    return "log" if use.is_logged else "disk_cache"


def check_buffer_caches(system: WatchedSystem) -> None:
    """The pages of files that are in memory, by which processes they are held, and which are written."""
    world = system.world
    for vm, guest in enumerate(system.guests):
        if vm in world.dead:
            continue
        cache = guest._cache
        found = cached_pages(system, vm)
        assert {name: system.contents.of[system.slot(vm, page.gfn)] for name, page in found.items()} == world.cached(vm)
        assert {name for name, page in found.items() if page.written} == {
            page.name for page in world.written if page.vm == vm
        }
        for name, page in found.items():
            held = [key for key, _ in system.mappings.pages_of(vm, page.gfn) if 0 < key < PAGE_TABLES]
            assert page.users == len(held)
            assert (name in cache._in_use) == bool(held)


def check_disks(system: WatchedSystem) -> None:
    """The image is the image for all; a log is its writer's alone, and has all that he wrote."""
    frames, world, contents = system.frames, system.world, system.contents
    for disk in frames.cache.owners():
        for first, slot in frames.cache._maps[disk]:
            name = file_page(system, disk, first)
            assert contents.of[slot] == image(name), f"{name} on the shared disk: {contents.of[slot]!r}"
    logs = {
        (vm, file_page(system, disk, first)): contents.of[slot]
        for vm, disk in frames.logs.owners()
        for first, slot in frames.logs._maps[vm, disk]
    }
    assert logs == world.logs
    assert contents.platters == world.platters


def check_contents(system: WatchedSystem) -> None:
    """Whatever a guest can reach contains what it must see, on every node."""
    world, contents = system.world, system.contents
    nodes = system.machine.cpu_nodes
    near = system.hardware.frames.near
    for virtual, mapping in system.mappings.all().items():
        expected = world.content[world.mapped[virtual]]
        master = system.slot(mapping.vm, mapping.gfn)
        for slot in near[master * nodes : (master + 1) * nodes].tolist():
            seen = contents.of[slot]
            assert seen == expected, f"{world.mapped[virtual]} shows {seen!r} in frame {slot}, expected {expected!r}"


def file_page(system: WatchedSystem, disk: int, first_sector: int) -> FilePage:
    """The page of a file that begins at a sector of its disk."""
    ordinal, sector = divmod(first_sector, FILE_SECTORS)
    file = system.world.meta.files[ordinal]
    assert file.disk == disk
    return file.id, sector * SECTOR_BYTES // PAGE


def page_map(system: WatchedSystem) -> PageMap:
    """The kernels' page map."""
    pages = system.hardware.state.pages
    places = np.flatnonzero(pages.frame != INVALID)
    keys, vpns, slots = (column[places].tolist() for column in pages)
    return dict(zip(zip(keys, vpns, strict=True), slots, strict=True))


def is_of_the_dead(system: WatchedSystem, held: Translation) -> bool:
    """Whether nobody will ask for it: its VM has crashed, or its process has ended."""
    asid = held.key % PAGE_TABLES
    return held.vm in system.world.dead or bool(asid and asid not in system.world.alive)


def in_tlbs(system: WatchedSystem) -> Iterator[Translation]:
    """Valid pages of the hardware TLBs, but for large pages of the kernel, which lead to the page map."""
    state = system.hardware.state
    for cpu, key, vpn, slot in _in_entries(state.tlb, state.params.tlb_entries, state.params.group_shift):
        yield Translation("TLB", cpu, int(state.cpus.vcpu[cpu]) // state.params.streams, key, vpn, slot)


def in_software_tlbs(system: WatchedSystem) -> Iterator[Translation]:
    """Likewise of the software TLBs."""
    state, machine = system.hardware.state, system.machine
    for vcpu, key, vpn, slot in _in_entries(
        state.system, machine.monitor.software_tlb_entries, state.params.group_shift
    ):
        vm, stream = divmod(vcpu, state.params.streams)
        yield Translation("software TLB", cpu_of(system, vm, stream), vm, key, vpn, slot)


def in_recent(system: WatchedSystem, writable_only: bool = False) -> Iterator[Translation]:
    """Likewise of the tables of recent translations, whose keys do not say which kernel's."""
    state = system.hardware.state
    notes = state.recent.reshape(-1, 2)
    for place in np.flatnonzero(notes[:, 0] != EMPTY):
        vpn, note = notes[place]
        if writable_only and note >> READ_ONLY_SHIFT & np.uint64(1):
            continue
        cpu = int(place) // RECENT
        vm = int(state.cpus.vcpu[cpu]) // state.params.streams
        asid = int(note >> KEY_SHIFT)
        yield Translation("recent", cpu, vm, asid or vm * 2 * PAGE_TABLES, int(vpn), int(note & FRAME_MASK))


def cpu_of(system: WatchedSystem, vm: int, stream: int) -> int:
    """The CPU of a virtual CPU."""
    cpus, vms = system.machine.cpu.count, system.world.vms
    first = vm * cpus // vms
    return first + stream % max(1, (vm + 1) * cpus // vms - first)


def cached_pages(system: WatchedSystem, vm: int) -> dict[FilePage, CachedPage]:
    """A VM's buffer cache."""
    cache = system.guests[vm]._cache
    return {**cache._idle, **cache._in_use}


def _in_entries(tlbs: Any, entries: int, group_shift: int) -> Iterator[tuple[int, int, int, int]]:
    """(number of the TLB, key, vpn, slot) of each valid page."""
    for at in np.flatnonzero(tlbs.frame != INVALID).tolist():
        key = int(tlbs.key[at // 2])
        if key < LARGE:
            yield at // 2 // entries, key, (int(tlbs.group[at // 2]) << group_shift) + at % 2, int(tlbs.frame[at])
