"""A generated gate-level netlist: flip-flops, primary inputs and gates in modules, and its naive evaluation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

AND, OR, NAND, NOR, XOR, MUX = range(6)
INPUTS = 3  # of a gate; those with two ignore the last
FLIP_FLOP_SHARE = 0.15
PRIMARY_INPUTS = 8  # of a module
LEVELS = 10  # gates between two flip-flops at most
DELAYS = 3  # a gate answers 1 to 3 steps later
FARTHEST_MODULE = 8  # a wire between modules reaches so many modules to either side

Ints = npt.NDArray[np.int32]


class Netlist(NamedTuple):
    """Elements of modules of one size, all flip-flops first, then all primary inputs, then the gates by level.

    Element i has output i. ``kind``: of a gate. ``inputs`` (elements, 3): outputs that it reads, for a flip-flop the
    first alone. ``fanout[first[i]:first[i + 1]]``: the gates that read output i. Delays in steps of simulated time.
    """

    modules: int
    module_size: int
    flip_flops: int
    kind: npt.NDArray[np.uint8]
    inputs: Ints
    delay: npt.NDArray[np.uint8]
    first: Ints
    fanout: Ints

    @property
    def first_gate(self) -> int:
        """Place of the first gate in a module."""
        return self.flip_flops + PRIMARY_INPUTS

    @property
    def level_size(self) -> int:
        """Gates of one level in a module; the last level may have fewer."""
        return _level_size(self.module_size, self.first_gate)

    @property
    def level(self) -> npt.NDArray[np.int64]:
        """Level of each place of a module; 0 = no gate."""
        return _levels(self.module_size, self.first_gate)


def _level_size(module_size: int, first_gate: int) -> int:
    return -(-(module_size - first_gate) // LEVELS)


def _levels(module_size: int, first_gate: int) -> npt.NDArray[np.int64]:
    place = np.arange(module_size)
    return np.where(place < first_gate, 0, 1 + (place - first_gate) // _level_size(module_size, first_gate))


def make_netlist(modules: int, module_size: int, local: float, rng: np.random.Generator) -> Netlist:
    """A random netlist. ``local``: share of inputs that come from the own module; a gate reads lower levels only."""
    count = modules * module_size
    flip_flops = int(module_size * FLIP_FLOP_SHARE)
    first_gate = flip_flops + PRIMARY_INPUTS
    place = np.arange(count) % module_size
    level = _levels(module_size, first_gate)[place]
    below = first_gate + (level - 1) * _level_size(module_size, first_gate)
    readable = np.where(level > 0, below, module_size)  # places whose outputs it may read
    shape = (count, INPUTS)
    far = rng.integers(1, FARTHEST_MODULE + 1, shape) * rng.choice([-1, 1], shape)
    module = (np.arange(count)[:, None] // module_size + np.where(rng.random(shape) < local, 0, far)) % modules
    inputs = (module * module_size + rng.integers(0, readable[:, None], shape)).astype(np.int32)
    kind = rng.choice(6, count, p=[0.15, 0.15, 0.2, 0.15, 0.2, 0.15]).astype(np.uint8)
    first, fanout = _fanout(inputs, kind, place >= first_gate)
    delay = rng.integers(1, DELAYS + 1, count).astype(np.uint8)
    return Netlist(modules, module_size, flip_flops, kind, inputs, delay, first, fanout)


def _fanout(inputs: Ints, kind: npt.NDArray[np.uint8], is_gate: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Who reads each output, each reader once."""
    reads = np.repeat(is_gate[:, None], INPUTS, axis=1)
    reads[:, 2] &= kind == MUX
    reads[:, 1] &= inputs[:, 1] != inputs[:, 0]
    reads[:, 2] &= (inputs[:, 2] != inputs[:, 0]) & (inputs[:, 2] != inputs[:, 1])
    reader, pin = np.nonzero(reads)
    read = inputs[reader, pin]
    order = np.argsort(read, kind="stable")
    first = np.zeros(len(inputs) + 1, np.int32)
    first[1:] = np.cumsum(np.bincount(read, minlength=len(inputs)))
    return first, reader[order].astype(np.int32)


def settle(netlist: Netlist, value: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What all outputs become once flip-flops and primary inputs hold still: level by level, no events."""
    size, level_size = netlist.module_size, netlist.level_size
    value = value.copy()
    starts = np.arange(netlist.modules)[:, None] * size
    for start in range(netlist.first_gate, size, level_size):
        gates = (starts + np.arange(start, min(start + level_size, size))).ravel()
        a, b, c = (value[netlist.inputs[gates, pin]] for pin in range(INPUTS))
        kind = netlist.kind[gates]
        results = [a & b, a | b, 1 - (a & b), 1 - (a | b), a ^ b, np.where(a == 1, b, c)]
        value[gates] = np.choose(kind, results)
    return value
