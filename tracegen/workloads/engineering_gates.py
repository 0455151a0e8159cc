"""An event-driven simulation of a netlist that was compiled to straight-line code, as Verilog compilers make it.

Simulated time advances in steps on an event wheel. A slot of the wheel lists the modules with pending gates, a module
record heads the list of its pending gates for each slot, linked through the gates' records. Evaluating a gate runs
its own code; if its output changes, the code goes on to its fan-out, gate by gate, with a call to the scheduler.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.emit import INSTRUCTION_BYTES, Text
from discotrace.tracegen.workloads.engineering_netlist import (
    AND,
    MUX,
    NAND,
    NOR,
    OR,
    PRIMARY_INPUTS,
    XOR,
    Netlist,
    settle,
)
from discotrace.tracegen.workloads.engineering_rows import (
    Out,
    Routine,
    execute,
    fetch,
    load,
    random_below,
    routines,
    store,
    taken,
)
from discotrace.tracegen.workloads.program import References

TEXT, DATA, STACK = 0x0040_0000, 0x1000_0000, 0x7FFF_0000
PAGE = 4096
WHEEL_SLOTS = 8  # more than the longest delay
# Of a gate's record: value 0, next pending 4, changes 8, sampled 12, time of the last change 16; the rest (name, place
# in the hierarchy, lists of inputs and of fan-out) only a debugger reads.
GATE_BYTES = 96
MODULE_BYTES = 64  # record: heads of pending lists 0-31, clock enable 32
DUMP_BYTES = 8192
EVALUATE, CHANGE, CALL, SAMPLE, UPDATE = 16, 10, 4, 6, 8  # instructions of an element's code
IDLE, EMPTY = -2, -1  # a gate that is not pending; the end of a list
PHASE, PLACE, CLOCK, TIME, DUMPED, DUMP_AT = range(6)  # of ``Gates.now``
ENABLE_PHASE, SAMPLE_PHASE, UPDATE_PHASE, SETTLE_PHASE = range(4)


class Runtime(NamedTuple):
    """Routines of the run-time system."""

    step: Routine
    module: Routine
    pop: Routine
    schedule: Routine
    link: Routine
    activate: Routine
    dump: Routine
    clock: Routine
    random: Routine
    resolve: Routine
    record: Routine


class Code(NamedTuple):
    """Where the code is. ``element``: first byte of each element's own."""

    runtime: Runtime
    element: npt.NDArray[np.int64]
    end: int


class Places(NamedTuple):
    """First bytes of the data: tables of four-valued logic, wheel, modules, elements, dump buffer; and the end."""

    tables: int
    wheel: int
    modules: int
    record: npt.NDArray[np.int64]  # of each element
    dump: int
    end: int


class Gates(NamedTuple):
    """State of a simulation. ``now``: PHASE, PLACE and so on; ``knobs``: enable chance x 2^20 on, off; dump stride."""

    now: npt.NDArray[np.int64]
    seed: npt.NDArray[np.uint64]
    value: npt.NDArray[np.uint8]
    sampled: npt.NDArray[np.uint8]
    pending: npt.NDArray[np.int32]  # next in its list, EMPTY, or IDLE
    head: npt.NDArray[np.int32]  # (slot, module)
    wheel: npt.NDArray[np.int32]  # (slot, position): modules
    active: npt.NDArray[np.int32]  # modules in each slot
    enabled: npt.NDArray[np.bool_]  # modules
    knobs: npt.NDArray[np.int64]


def lay_out_code(netlist: Netlist) -> Code:
    """The text of the compiled netlist: run-time system, then each module from a cache line on."""
    text = Text(TEXT)
    runtime = Runtime(*routines(text, 24, 20, 14, 18, 20, 18, 26, 12, 18, 46, 34))
    text.align(PAGE)
    size, count = netlist.module_size, netlist.modules * netlist.module_size
    fanout = np.diff(netlist.first).astype(np.int64)
    is_flip_flop = np.arange(count) % size < netlist.flip_flops
    own = np.where(is_flip_flop, SAMPLE + UPDATE, EVALUATE) + CHANGE + CALL * fanout
    lengths = (own * INSTRUCTION_BYTES).reshape(netlist.modules, size)
    module_bytes = -(-lengths.sum(axis=1) // 128) * 128
    starts = text.end + np.cumsum(module_bytes) - module_bytes
    element = (starts[:, None] + np.cumsum(lengths, axis=1) - lengths).ravel()
    return Code(runtime, element, -(-int(starts[-1] + module_bytes[-1]) // PAGE) * PAGE)


def lay_out_data(netlist: Netlist, together: int) -> Places:
    """The data of a simulation. Records of ``together`` neighbouring modules are sorted by level, as evaluation is."""
    wheel = DATA + PAGE
    modules = wheel + -(-WHEEL_SLOTS * (netlist.modules + 1) * 4 // PAGE) * PAGE
    gates = modules + -(-netlist.modules * MODULE_BYTES // PAGE) * PAGE
    element = np.arange(netlist.modules * netlist.module_size)
    module, place = element // netlist.module_size, element % netlist.module_size
    order = np.lexsort((place, module, netlist.level[place], module // together))
    record = np.empty(len(element), np.int64)
    record[order] = gates + element * GATE_BYTES
    dump = gates + -(-len(element) * GATE_BYTES // PAGE) * PAGE
    return Places(DATA, wheel, modules, record, dump, dump + DUMP_BYTES)


def start_gates(netlist: Netlist, activity: float, dwell: float, dump_stride: int, seed: int) -> Gates:
    """A settled circuit with random flip-flops.

    ``activity``: share of the modules whose clock is enabled, each for ``dwell`` clocks on average. One output in
    ``dump_stride`` is dumped when it changes. ``seed`` is not 0.
    """
    rng = np.random.default_rng(seed)
    modules, count = netlist.modules, netlist.modules * netlist.module_size
    value = settle(netlist, rng.integers(0, 2, count, np.uint8))
    off = 1 / dwell
    on = off * activity / (1 - activity)
    knobs = np.array([on * 2**20, off * 2**20, dump_stride], np.int64)
    return Gates(
        np.zeros(6, np.int64),
        np.array([seed], np.uint64),
        value,
        np.zeros(count, np.uint8),
        np.full(count, IDLE, np.int32),
        np.full((WHEEL_SLOTS, modules), EMPTY, np.int32),
        np.zeros((WHEEL_SLOTS, modules), np.int32),
        np.zeros(WHEEL_SLOTS, np.int32),
        rng.random(modules) < activity,
        knobs,
    )


def margin(netlist: Netlist) -> int:
    """Rows that one call of the loop below adds at most behind its limit."""
    return 24 + 8 * int(np.diff(netlist.first).max())


@compiled
def simulate(net: Netlist, code: Code, at: Places, gates: Gates, out: Out, limit: int, clocks: int) -> int:
    """Go on until ``limit`` rows, a full dump buffer or the beginning of clock ``clocks``. Returns the rows.

    ``out`` has room for ``limit`` + ``margin`` rows; ``gates`` is updated.
    """
    n = 0
    now = gates.now
    while n < limit and now[CLOCK] < clocks and now[DUMP_AT] < DUMP_BYTES:
        phase = now[PHASE]
        if phase == SETTLE_PHASE:
            n = _settle(net, code, at, gates, out, n)
            continue
        if now[PLACE] == net.modules * (1 if phase == ENABLE_PHASE else net.module_size):
            now[PHASE], now[PLACE] = phase + 1, 0
        elif phase == ENABLE_PHASE:
            n = _enable(code, at, gates, out, n)
        elif not gates.enabled[now[PLACE] // net.module_size]:
            now[PLACE] += net.module_size
        else:
            n = _clock_element(net, code, at, gates, out, n, now[PLACE], phase)
    return n


@part
def _enable(code: Code, at: Places, gates: Gates, out: Out, n: int) -> int:
    """The clock tree: a module's enable, which the stimulus changes now and then."""
    module = gates.now[PLACE]
    gates.now[PLACE] += 1
    n = execute(out, n, code.runtime.clock)
    n = load(out, n, at.modules + module * MODULE_BYTES + 32, 4)
    chance = gates.knobs[1] if gates.enabled[module] else gates.knobs[0]
    if random_below(gates.seed, 2**20) < chance:
        gates.enabled[module] = not gates.enabled[module]
        n = store(out, n, at.modules + module * MODULE_BYTES + 32, 4)
    return n


@part
def _clock_element(
    net: Netlist, code: Code, at: Places, gates: Gates, out: Out, n: int, element: int, phase: int
) -> int:
    """One element of an enabled module at the clock's edge: all flip-flops sample first, then all take their value."""
    place = element % net.module_size
    record = at.record[element]
    is_flip_flop = place < net.flip_flops
    gates.now[PLACE] += 1
    if place >= net.flip_flops + PRIMARY_INPUTS or (phase == SAMPLE_PHASE and not is_flip_flop):
        gates.now[PLACE] += net.module_size - place - 1
        return n
    if phase == SAMPLE_PHASE:
        source = net.inputs[element, 0]
        gates.sampled[element] = gates.value[source]
        n = fetch(out, n, code.element[element], SAMPLE)
        n = load(out, n, at.record[source], 4)
        return store(out, n, record + 12, 4)
    if is_flip_flop:
        new = gates.sampled[element]
        n = fetch(out, n, code.element[element] + SAMPLE * INSTRUCTION_BYTES, UPDATE)
        n = load(out, n, record, 16)
        own = SAMPLE + UPDATE
    else:
        new = random_below(gates.seed, 2)
        n = execute(out, n, code.runtime.random)
        n = fetch(out, n, code.element[element], EVALUATE)
        n = load(out, n, record, 4)
        own = EVALUATE
    if new != gates.value[element]:
        n = _change(net, code, at, gates, out, n, element, new, own)
    return n


@part
def _settle(net: Netlist, code: Code, at: Places, gates: Gates, out: Out, n: int) -> int:
    """The next pending gate, or the next module or slot of the wheel; at the end of all events the next clock."""
    now = gates.now
    slot = now[TIME] % WHEEL_SLOTS
    if now[PLACE] == gates.active[slot]:
        n = execute(out, n, code.runtime.step)
        n = load(out, n, at.wheel + slot * 4, 4)
        gates.active[slot], now[PLACE] = 0, 0
        now[TIME] += 1
        if gates.active.sum() == 0:
            now[PHASE] = ENABLE_PHASE
            now[CLOCK] += 1
        return n
    module = gates.wheel[slot, now[PLACE]]
    gate = gates.head[slot, module]
    heads = at.modules + module * MODULE_BYTES + slot * 4
    if gate == EMPTY:
        now[PLACE] += 1
        n = execute(out, n, code.runtime.module)
        n = load(out, n, at.wheel + (WHEEL_SLOTS + slot * net.modules + now[PLACE]) * 4, 4)
        return store(out, n, STACK + PAGE - 64, 8)
    gates.head[slot, module] = gates.pending[gate]
    gates.pending[gate] = IDLE
    n = execute(out, n, code.runtime.pop)
    n = load(out, n, heads, 4)
    n = load(out, n, at.record[gate], 8)
    n = store(out, n, heads, 4)
    return _evaluate(net, code, at, gates, out, n, gate)


@part
def _evaluate(net: Netlist, code: Code, at: Places, gates: Gates, out: Out, n: int, gate: int) -> int:
    """Run the code of a gate, up to the comparison of its old and new output and beyond if they differ."""
    a, b, c = net.inputs[gate, 0], net.inputs[gate, 1], net.inputs[gate, 2]
    kind = net.kind[gate]
    n = fetch(out, n, code.element[gate], EVALUATE)
    n = load(out, n, at.record[a], 4)
    n = load(out, n, at.record[b], 4)
    if kind == MUX:
        n = load(out, n, at.record[c], 4)
    va, vb = gates.value[a], gates.value[b]
    n = execute(out, n, code.runtime.resolve)
    n = load(out, n, at.tables + kind * 64 + va * 16 + vb * 4, 4)
    n = store(out, n, at.record[gate] + 4, 4)
    if kind in (AND, NAND):
        new = va & vb
    elif kind in (OR, NOR):
        new = va | vb
    elif kind == XOR:
        new = va ^ vb
    else:
        new = vb if va else gates.value[c]
    if kind in (NAND, NOR):
        new = 1 - new
    if new != gates.value[gate]:
        n = _change(net, code, at, gates, out, n, gate, new, EVALUATE)
    return n


@part
def _change(
    net: Netlist, code: Code, at: Places, gates: Gates, out: Out, n: int, element: int, new: int, own: int
) -> int:
    """An output changes: store it, count, tell the fan-out. ``own``: instructions of the element's code before."""
    gates.value[element] = new
    record = at.record[element]
    start = code.element[element] + own * INSTRUCTION_BYTES
    n = fetch(out, n, start, CHANGE)
    n = execute(out, n, code.runtime.record)
    n = load(out, n, record + 8, 4)
    n = store(out, n, record, 4)
    n = store(out, n, record + 8, 16)
    for i in range(net.first[element], net.first[element + 1]):
        call = start + (CHANGE + (i - net.first[element]) * CALL) * INSTRUCTION_BYTES
        n = fetch(out, n, call, CALL)
        n = _schedule(net, code, at, gates, out, n, net.fanout[i])
    if element % gates.knobs[2] == 0:
        n = execute(out, n, code.runtime.dump)
        n = store(out, n, at.dump + gates.now[DUMP_AT], 8)
        gates.now[DUMP_AT] += 8
        gates.now[DUMPED] += 8
    return n


@part
def _schedule(net: Netlist, code: Code, at: Places, gates: Gates, out: Out, n: int, gate: int) -> int:
    """Put a gate on the list of its module for the slot of its delay, unless it is pending already."""
    record = at.record[gate]
    n = execute(out, n, code.runtime.schedule)
    n = load(out, n, record + 4, 4)
    if gates.pending[gate] != IDLE:
        return n
    slot = (gates.now[TIME] + net.delay[gate]) % WHEEL_SLOTS
    module = gate // net.module_size
    heads = at.modules + module * MODULE_BYTES + slot * 4
    was = gates.head[slot, module]
    gates.pending[gate], gates.head[slot, module] = was, gate
    n = execute(out, n, code.runtime.link)
    n = load(out, n, heads, 4)
    n = store(out, n, record + 4, 4)
    n = store(out, n, heads, 4)
    if was == EMPTY:
        position = gates.active[slot]
        gates.wheel[slot, position] = module
        gates.active[slot] += 1
        n = execute(out, n, code.runtime.activate)
        n = load(out, n, at.wheel + slot * 4, 4)
        n = store(out, n, at.wheel + (WHEEL_SLOTS + slot * net.modules + position) * 4, 4)
        n = store(out, n, at.wheel + slot * 4, 4)
    return n


def run_gates(net: Netlist, code: Code, at: Places, gates: Gates, out: Out, clocks: int = 2**62) -> References:
    """The next references of a simulation, as many as ``out`` has room for or until the dump buffer is full."""
    n = simulate(net, code, at, gates, out, len(out.kind) - margin(net), clocks)
    return taken(out, n)
