"""The state at the beginning of a replay, and with room for more frames.

Letters in shapes as in ``state``.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import N_LOCKS, SEAT_COUNTERS, NodeEvent
from discotrace.replay.kernels.state import (
    HOT_ROOM,
    LOCKS_HELD,
    RECENT,
    STACK,
    Caches,
    Cpus,
    Directory,
    Frames,
    Lane,
    PageMap,
    Params,
    State,
    Streams,
    Tlb,
    Vms,
    new_frames,
    new_keys,
)
from discotrace.replay.lane_layout import front_lines, front_shapes, lane_shapes, lane_table, lines_of, log2
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.partition import Partition

T = TypeVar("T", bound=np.generic)


def new_state(
    system: Any,
    machine: Machine,
    parts: Partition,
    asids: list[int],
    hot_trigger: int,
    hierarchies: Sequence[Hierarchy],
) -> State:
    """The state at the beginning of a replay: everything empty, no frame and room for a few pages.

    ``hierarchies``: those of the lanes, the machine's own first.
    """
    m, c = machine, machine.cpu.count
    params = _params(machine, parts.streams, hot_trigger, hierarchies)
    caches = _empty_caches(params, hierarchies, len(parts.seats))
    return State(
        system=system,
        params=params,
        counts=caches.counts,
        planes_used=np.zeros(len(parts.seats) * N_LOCKS, np.uint8),
        tlb=Tlb(new_keys(c * m.tlb.entries), new_keys(c * m.tlb.entries), new_frames(c * m.tlb.entries * 2)),
        recent=new_keys(c * RECENT * 2),
        caches=caches,
        pages=PageMap(new_keys(1024), new_keys(1024), new_frames(1024)),
        cpus=Cpus(
            retired=np.zeros(c, np.int64),
            vcpu=np.full(c, -1, np.int64),
            plane=np.zeros(c, np.int64),
            user_key=new_keys(c),
            generation=np.ones(c, np.int64),
            asids_used=np.zeros(c, np.int64),
            asid_generation=np.zeros(c * len(asids), np.int64),
        ),
        streams=_streams(parts),
        vms=_vms(parts),
        asids=np.array(sorted(asids), np.uint64),
    )


def with_room_for_frames(state: State, hierarchies: Sequence[Hierarchy], slots: int) -> State:
    """The same state, its per-frame arrays at least ``slots`` long (doubling)."""
    caches = state.caches
    room = len(caches.frames.mfn)
    if slots <= room:
        return state
    longer = max(slots, 2 * room, 256)
    seats = len(state.planes_used) // N_LOCKS
    lanes = lane_table(hierarchies, state.params.cpus, seats, state.params.page_shift, longer)
    old, parts = caches.frames, _frames_of_lanes(state, room)
    directory = Directory(
        np.concatenate([_longer(holders, count * longer) for holders, _, count in parts]),
        np.concatenate([_longer(owned, count * longer) for _, owned, count in parts]),
    )
    by_cpu = longer * state.params.cpus
    frames = Frames(
        _longer(old.mfn, longer),
        _longer(old.home, longer),
        _longer(old.near, longer * state.params.cpu_nodes),
        _longer(old.read_only, longer),
        _longer(old.misses, by_cpu),
        _longer(old.heat, by_cpu),
        _longer(old.writes, by_cpu),
        old.hot,
    )
    grown = caches._replace(lane=lanes[0], lanes=np.array(lanes).ravel(), directory=directory, frames=frames)
    return state._replace(caches=grown)


def _frames_of_lanes(state: State, room: int) -> list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], int]]:
    """Holders, owned, and lines of a frame, of each lane, with room for so many frames."""
    directory, parts = state.caches.directory, []
    for row in state.caches.lanes.reshape(-1, len(Lane._fields)):
        lane = Lane(*row.tolist())
        count = 1 << (state.params.page_shift - lane.l2_shift)
        part = slice(lane.line, lane.line + room * count)
        parts.append((directory.holders[part], directory.owned[part], count))
    return parts


def _empty_caches(params: Params, hierarchies: Sequence[Hierarchy], seats: int) -> Caches:
    lanes = lane_table(hierarchies, params.cpus, seats, params.page_shift, 0)
    count = len(lanes)
    return Caches(
        params=params,
        lane=lanes[0],
        lanes=np.array(lanes).ravel(),
        counts=np.zeros(count * seats * SEAT_COUNTERS, np.int64),
        node_counts=np.zeros(count * seats * params.nodes * len(NodeEvent), np.int64),
        front=_no_lines(params.cpus * params.front_lines),
        front_shapes=front_shapes(hierarchies),
        l1=_no_lines(params.cpus * sum(lane.l1_lines for lane in lanes)),
        shapes=lane_shapes(hierarchies, params.cpus),
        l2=_no_lines(params.cpus * sum(lines_of(one.l2) for one in hierarchies)),
        directory=Directory(np.zeros(0, np.uint64), np.zeros(0, np.uint8)),
        frames=_no_frames(),
    )


def _no_lines(n: int) -> npt.NDArray[np.int64]:
    return np.full(n, -1, np.int64)


def _streams(parts: Partition) -> Streams:
    v = parts.streams
    vm = np.array(parts.vm_at_first, np.int64)
    return Streams(
        depth=np.zeros(v, np.int64),
        context=np.zeros(v * STACK, np.int64),
        left_out=np.zeros(v, np.int64),
        vm=vm,
        locks_held=np.zeros(v, np.int64),
        locks=np.zeros(v * LOCKS_HELD, np.int64),
    )


def _vms(parts: Partition) -> Vms:
    seat = np.zeros(parts.vms * parts.cpus, np.int64)
    for number, (cpu, vm) in enumerate(parts.seats):
        seat[vm * parts.cpus + cpu] = number
    return Vms(
        first_cpu=np.array([parts.first_cpu(vm) for vm in range(parts.vms)], np.int64),
        width=np.array([parts.width(vm) for vm in range(parts.vms)], np.int64),
        dead=np.zeros(parts.vms, np.uint8),
        seat=seat,
        of_process=np.array(parts.vm_of_process, np.int64),
    )


def _no_frames() -> Frames:
    i64, u32 = np.zeros(0, np.int64), np.zeros(0, np.uint32)
    hot = np.zeros(1 + 2 * HOT_ROOM, np.int64)
    return Frames(i64, i64, i64, np.zeros(0, np.uint8), u32, u32, u32, hot)


def _params(m: Machine, streams: int, hot_trigger: int, hierarchies: Sequence[Hierarchy]) -> Params:
    return Params(
        streams=streams,
        cpus=m.cpu.count,
        per_node=m.cpu.per_node,
        cpu_nodes=m.cpu_nodes,
        nodes=m.nodes,
        page_shift=log2(m.page_bytes),
        kernel_page_shift=log2(max(m.page_bytes, m.monitor.kernel_page_kib * 1024)),
        hot_trigger=hot_trigger,
        tlb_entries=m.tlb.entries,
        tlb_wired=m.tlb.wired,
        group_shift=log2(m.tlb.pages_per_entry),
        asids=1 << m.tlb.asid_bits,
        refill_instructions=m.guest.refill_instructions,
        lanes=len(hierarchies),
        front_lines=front_lines(hierarchies),
    )


def _longer(array: npt.NDArray[T], length: int) -> npt.NDArray[T]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
