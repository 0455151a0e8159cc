"""Machine frames in use: which copy of a page a CPU uses, and the counters of misses by which pages become hot.

``docs/model.md`` sections 5, 6 and 9.
"""

import numpy as np

from discotrace.replay.counts import SEAT_COUNTERS, NodeEvent
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.page_map import find_page
from discotrace.replay.kernels.state import HOT_ROOM, INVALID, Caches, State

_ONE = np.uint32(1)
_NODE_EVENTS = len(NodeEvent)


@kernel
def find_frame(s: State, cpu: int, key: np.uint64, vpn: np.uint64) -> int:
    """Slot of the frame that a CPU uses for page (key, vpn): the copy on its own node if there is one.

    INVALID if the page is not mapped.
    """
    master = find_page(s.pages, key, vpn)
    if master == INVALID:
        return INVALID
    return signed(s.caches.frames.near[master * s.params.cpu_nodes + cpu // s.params.per_node])


@inlined
def count_at_home(c: Caches, base: int, slot: int, event: int) -> None:
    """The home node of a frame is asked for a line, or gets one back.

    ``base``: any counters of who is the cause; seats are numbered through all lanes.
    """
    seat = signed(base) // SEAT_COUNTERS
    c.node_counts[(seat * c.params.nodes + signed(c.frames.home[slot])) * _NODE_EVENTS + event] += 1


@inlined
def note_write(c: Caches, cpu: int, slot: int) -> None:
    """A store miss or an upgrade by a CPU, in the first lane."""
    if c.lane.number > 0:
        return
    c.frames.writes[slot * c.params.cpus + cpu] += _ONE


@inlined
def note_miss(c: Caches, cpu: int, slot: int) -> None:
    """An L2 miss by a CPU, which may make the frame hot. Only the first lane's are noted."""
    if c.lane.number > 0:
        return
    at = slot * c.params.cpus + cpu
    c.frames.misses[at] += _ONE
    c.frames.heat[at] += _ONE
    trigger = c.params.hot_trigger
    if trigger > 0 and signed(c.frames.heat[at]) == trigger:
        note_hot(c, cpu, slot)


@kernel
def note_hot(c: Caches, cpu: int, slot: int) -> None:
    """Leave a page for the monitor to look at after the row, unless it is local or the row has made too many hot."""
    hot = c.frames.hot
    noted = hot[0]
    if c.frames.home[slot] != cpu // c.params.per_node and noted < HOT_ROOM:
        hot[2 * noted + 1] = slot
        hot[2 * noted + 2] = cpu
        hot[0] = noted + 1
