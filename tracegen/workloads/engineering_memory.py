"""A simulator of a multiprocessor's memory system: caches and a directory as tables, probed by reference streams.

Each simulated processor has a direct-mapped first-level cache and a two-way second-level cache that includes it, with
an array of tags per way and one of the ways used last; a directory keeps them coherent (Modified, Shared, Invalid). The
processors take turns, ``burst`` references each. They sweep stretches of their own part of memory, or of what all
share, and write in some of the sweeps.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.emit import Text
from discotrace.tracegen.workloads.engineering_rows import (
    Out,
    Routine,
    execute,
    load,
    random_below,
    routines,
    store,
    taken,
)
from discotrace.tracegen.workloads.program import References

TEXT, DATA, STACK = 0x0040_0000, 0x1000_0000, 0x7FFF_0000
PAGE = 4096
PROCESSORS = 16  # simulated
FIRST_SETS, SECOND_SETS, WAYS = 512, 4096, 2  # 64 KiB and 1 MiB in lines of 128 bytes
REFERENCES_PER_LINE = 2  # a sweep makes so many references to each line
LONGEST_SWEEP = 16  # lines
LINES_PER_PAGE = 32
INVALID, SHARED, MODIFIED = range(3)
NOBODY = -1
PROCESSOR_BYTES, ENTRY_BYTES, HEAT_BYTES = 256, 32, 32
FIRST_BYTES = 8  # of a line in a first-level cache: tag, state
SECOND_BYTES = 32  # of a line in a second-level cache: tag, state, miss in flight, when and why it came
WAY_BYTES = SECOND_SETS * SECOND_BYTES  # one way of one second-level cache
LOG_BYTES, RECORD_BYTES = 8192, 16
PROCESSOR, TURN, REQUESTS, LOG_AT, LOGGED = range(5)  # of ``Machine.now``
LINE, LEFT, WRITES, HOME = range(4)  # columns of ``Machine.sweep``: next line, references left, kind, window's line
MOST_ROWS = 32 + 8 * PROCESSORS  # of one simulated reference


class Code(NamedTuple):
    """The simulator's routines."""

    turn: Routine
    generate: Routine
    sweep: Routine
    first: Routine
    second: Routine
    second_hit: Routine
    read_miss: Routine
    write_miss: Routine
    intervene: Routine
    invalidate: Routine
    victim: Routine
    fill: Routine
    log: Routine


class Places(NamedTuple):
    """First bytes of the tables, and the end of all."""

    processors: int
    first: int
    second: int
    recent: int
    directory: int
    heat: int
    log: int
    end: int


class Machine(NamedTuple):
    """The simulated machine. ``now``: PROCESSOR, references left in its TURN ... Lines are numbers from 0; -1 = none.

    ``knobs``: burst, lines of the memory, lines of a processor's window, chances x 2^20 that a sweep is of shared
    memory, that it writes, that the window moves; one request to the directory in so many is logged.
    """

    now: npt.NDArray[np.int64]
    seed: npt.NDArray[np.uint64]
    sweep: npt.NDArray[np.int64]  # (processor, LINE ...)
    first_line: npt.NDArray[np.int32]  # (processor, set)
    first_state: npt.NDArray[np.uint8]
    line: npt.NDArray[np.int32]  # second level: (processor, set, way)
    state: npt.NDArray[np.uint8]
    recent: npt.NDArray[np.uint8]  # (processor, set): the way used last
    sharers: npt.NDArray[np.int64]  # by line: a bit per processor
    owner: npt.NDArray[np.int8]  # by line: who has it Modified
    misses: npt.NDArray[np.int64]  # by simulated page
    knobs: npt.NDArray[np.int64]


def lay_out_code() -> tuple[Code, int]:
    """The text and its end, protocol handlers a page or more apart from the common path, as different modules are."""
    text = Text(TEXT)
    common = routines(text, 22, 14, 30, 16, 24, 16)
    handlers = []
    for instructions in (44, 48, 30, 28, 26, 24, 20):
        text.align(PAGE)
        handlers += routines(text, instructions)
    return Code(*common, *handlers), -(-text.end // PAGE) * PAGE


def lay_out_data(lines: int) -> Places:
    """The tables, one after the other; ``lines`` of simulated memory."""
    sizes = (
        PROCESSORS * PROCESSOR_BYTES,
        PROCESSORS * FIRST_SETS * FIRST_BYTES,
        PROCESSORS * WAYS * WAY_BYTES,
        PROCESSORS * SECOND_SETS,
        lines * ENTRY_BYTES,
        -(-lines // LINES_PER_PAGE) * HEAT_BYTES,
        LOG_BYTES,
    )
    places = [DATA]
    for size in sizes:
        places.append(places[-1] + -(-size // PAGE) * PAGE)
    return Places(*places)


def start_machine(lines: int, window: int, burst: int, shared: float, log_stride: int, seed: int) -> Machine:
    """Empty caches. ``window``: lines among which a processor works for a while; ``shared``: share of its sweeps.

    One request to the directory in ``log_stride`` is logged.
    """
    rng = np.random.default_rng(seed)
    sweep = np.zeros((PROCESSORS, 4), np.int64)
    sweep[:, HOME] = rng.integers(0, lines // (2 * PROCESSORS) - window, PROCESSORS)
    return Machine(
        np.array([0, burst, 0, 0, 0], np.int64),
        np.array([seed], np.uint64),
        sweep,
        np.full((PROCESSORS, FIRST_SETS), NOBODY, np.int32),
        np.zeros((PROCESSORS, FIRST_SETS), np.uint8),
        np.full((PROCESSORS, SECOND_SETS, WAYS), NOBODY, np.int32),
        np.zeros((PROCESSORS, SECOND_SETS, WAYS), np.uint8),
        np.zeros((PROCESSORS, SECOND_SETS), np.uint8),
        np.zeros(lines, np.int64),
        np.full(lines, NOBODY, np.int8),
        np.zeros(-(-lines // LINES_PER_PAGE), np.int64),
        np.array([burst, lines, window, shared * 2**20, 0.3 * 2**20, 0.02 * 2**20, log_stride], np.int64),
    )


@compiled
def simulate(code: Code, at: Places, m: Machine, out: Out, limit: int, count: int) -> tuple[int, int]:
    """Go on until ``limit`` rows, ``count`` simulated references or a full log. Returns rows and simulated references.

    ``out`` has room for ``limit`` + MOST_ROWS rows; ``m`` is updated.
    """
    n = done = 0
    while n < limit and done < count and m.now[LOG_AT] < LOG_BYTES:
        if m.now[TURN] == 0:
            m.now[PROCESSOR], m.now[TURN] = (m.now[PROCESSOR] + 1) % PROCESSORS, m.knobs[0]
            n = execute(out, n, code.turn)
            n = load(out, n, at.processors + m.now[PROCESSOR] * PROCESSOR_BYTES, 64)
            n = store(out, n, STACK + PAGE - 64, 8)
        m.now[TURN] -= 1
        done += 1
        n = _reference(code, at, m, out, n, m.now[PROCESSOR])
    return n, done


@part
def _reference(code: Code, at: Places, m: Machine, out: Out, n: int, cpu: int) -> int:
    """The next reference of a processor."""
    own = at.processors + cpu * PROCESSOR_BYTES
    if m.sweep[cpu, LEFT] == 0:
        _new_sweep(m, cpu)
        n = execute(out, n, code.sweep)
        n = load(out, n, own + 32, 32)
        n = store(out, n, own, 32)
    n = execute(out, n, code.generate)
    n = load(out, n, own, 16)
    n = store(out, n, own, 8)
    line, writes = m.sweep[cpu, LINE], m.sweep[cpu, WRITES] == 1
    m.sweep[cpu, LEFT] -= 1
    if m.sweep[cpu, LEFT] % REFERENCES_PER_LINE == 0:
        m.sweep[cpu, LINE] = (line + 1) % m.knobs[1]
    index = line % FIRST_SETS
    first = at.first + (cpu * FIRST_SETS + index) * FIRST_BYTES
    n = execute(out, n, code.first)
    n = load(out, n, first, FIRST_BYTES)
    if m.first_line[cpu, index] == line and (not writes or m.first_state[cpu, index] == MODIFIED):
        return n
    n = _second_level(code, at, m, out, n, cpu, line, writes)
    m.first_line[cpu, index] = line
    m.first_state[cpu, index] = MODIFIED if writes else SHARED
    return store(out, n, first, FIRST_BYTES)


@part
def _new_sweep(m: Machine, cpu: int) -> None:
    """Where a processor goes on: in its window, which moves through its part of memory, or in what all share.

    The lower half of memory is private, in equal parts; the upper half is shared.
    """
    lines, window = m.knobs[1], m.knobs[2]
    part = lines // (2 * PROCESSORS)
    if random_below(m.seed, 2**20) < m.knobs[5]:
        m.sweep[cpu, HOME] = random_below(m.seed, part - window)
    if random_below(m.seed, 2**20) < m.knobs[3]:
        m.sweep[cpu, LINE] = lines // 2 + random_below(m.seed, lines // 2)
    else:
        m.sweep[cpu, LINE] = cpu * part + m.sweep[cpu, HOME] + random_below(m.seed, window)
    m.sweep[cpu, LEFT] = REFERENCES_PER_LINE * (1 + random_below(m.seed, LONGEST_SWEEP))
    m.sweep[cpu, WRITES] = 1 if random_below(m.seed, 2**20) < m.knobs[4] else 0


@part
def _second_level(code: Code, at: Places, m: Machine, out: Out, n: int, cpu: int, line: int, writes: bool) -> int:
    """A first-level miss: probe the second level, go to the directory if it has not the line, or not as its own."""
    index = line % SECOND_SETS
    place = at.second + cpu * WAYS * WAY_BYTES + index * SECOND_BYTES
    n = execute(out, n, code.second)
    way = NOBODY
    for candidate in range(WAYS):
        n = load(out, n, place + candidate * WAY_BYTES, SECOND_BYTES)
        if m.line[cpu, index, candidate] == line and m.state[cpu, index, candidate] != INVALID:
            way = candidate
    if way == NOBODY or (writes and m.state[cpu, index, way] != MODIFIED):
        if way == NOBODY:
            way = 1 - m.recent[cpu, index]
            for candidate in range(WAYS):
                if m.state[cpu, index, candidate] == INVALID:
                    way = candidate
            n = _evict(code, at, m, out, n, cpu, m.line[cpu, index, way], m.state[cpu, index, way])
        n = _ask_directory(code, at, m, out, n, cpu, line, writes)
        m.line[cpu, index, way] = line
        m.state[cpu, index, way] = MODIFIED if writes else SHARED
        n = execute(out, n, code.fill)
        n = store(out, n, place + way * WAY_BYTES, SECOND_BYTES)
    n = execute(out, n, code.second_hit)
    m.recent[cpu, index] = way
    return store(out, n, at.recent + cpu * SECOND_SETS + index, 1)


@part
def _evict(code: Code, at: Places, m: Machine, out: Out, n: int, cpu: int, line: int, state: int) -> int:
    """A line leaves a second-level cache, and so the first level; the directory is told."""
    if line == NOBODY or state == INVALID:
        return n
    entry = at.directory + line * ENTRY_BYTES
    m.sharers[line] &= ~(1 << cpu)
    if m.owner[line] == cpu:
        m.owner[line] = NOBODY
    n = execute(out, n, code.victim)
    n = load(out, n, entry, ENTRY_BYTES)
    n = store(out, n, entry, ENTRY_BYTES)
    return _leave_first(at, m, out, n, cpu, line)


@part
def _leave_first(at: Places, m: Machine, out: Out, n: int, cpu: int, line: int) -> int:
    """Take a line out of a first-level cache if it is there."""
    index = line % FIRST_SETS
    place = at.first + (cpu * FIRST_SETS + index) * FIRST_BYTES
    n = load(out, n, place, FIRST_BYTES)
    if m.first_line[cpu, index] == line:
        m.first_line[cpu, index] = NOBODY
        n = store(out, n, place, FIRST_BYTES)
    return n


@part
def _ask_directory(code: Code, at: Places, m: Machine, out: Out, n: int, cpu: int, line: int, writes: bool) -> int:
    """A request at the line's home: others give up what they may not keep, the entry and the page's heat change."""
    entry = at.directory + line * ENTRY_BYTES
    heat = at.heat + line // LINES_PER_PAGE * HEAT_BYTES
    m.misses[line // LINES_PER_PAGE] += 1
    n = execute(out, n, code.write_miss if writes else code.read_miss)
    n = load(out, n, entry, ENTRY_BYTES)
    n = load(out, n, heat, 8)
    n = store(out, n, heat, 8)
    for other in range(PROCESSORS):
        if other == cpu or not (m.sharers[line] >> other) & 1:
            continue
        if writes:
            n = execute(out, n, code.invalidate)
            n = _demote(at, m, out, n, other, line, INVALID)
        elif m.owner[line] == other:
            n = execute(out, n, code.intervene)
            n = _demote(at, m, out, n, other, line, SHARED)
    m.now[REQUESTS] += 1
    if m.now[REQUESTS] % m.knobs[6] == 0:
        n = execute(out, n, code.log)
        n = store(out, n, at.log + m.now[LOG_AT], RECORD_BYTES)
        m.now[LOG_AT] += RECORD_BYTES
        m.now[LOGGED] += RECORD_BYTES
    m.sharers[line] = (0 if writes else m.sharers[line]) | (1 << cpu)
    m.owner[line] = cpu if writes else NOBODY
    return store(out, n, entry, ENTRY_BYTES)


@part
def _demote(at: Places, m: Machine, out: Out, n: int, cpu: int, line: int, state: int) -> int:
    """Another processor keeps a line in a lesser state, or not at all; its first level loses it."""
    index = line % SECOND_SETS
    place = at.second + cpu * WAYS * WAY_BYTES + index * SECOND_BYTES
    for way in range(WAYS):
        n = load(out, n, place + way * WAY_BYTES, SECOND_BYTES)
        if m.line[cpu, index, way] == line and m.state[cpu, index, way] != INVALID:
            m.state[cpu, index, way] = state
            n = store(out, n, place + way * WAY_BYTES, SECOND_BYTES)
    return _leave_first(at, m, out, n, cpu, line)


def run_machine(code: Code, at: Places, machine: Machine, out: Out) -> References:
    """The next references of the simulator, as many as ``out`` has room for or until the log is full."""
    rows, _ = simulate(code, at, machine, out, len(out.kind) - MOST_ROWS, 2**62)
    return taken(out, rows)


def warm_up(code: Code, at: Places, machine: Machine, out: Out, count: int) -> None:
    """Simulate ``count`` references of which the trace has none."""
    while count > 0:
        _, done = simulate(code, at, machine, out, len(out.kind) - MOST_ROWS, count)
        count -= done
        machine.now[LOG_AT] = machine.now[LOGGED] = 0
