"""The gate-level simulation: events give what evaluation level by level gives, and code and data lie apart."""

import numpy as np
import pytest

from discotrace.tracegen.schema import Kind
from discotrace.tracegen.workloads import engineering_gates as g
from discotrace.tracegen.workloads.engineering_netlist import (
    INPUTS,
    MUX,
    PRIMARY_INPUTS,
    Netlist,
    make_netlist,
    settle,
)
from discotrace.tracegen.workloads.engineering_rows import room

ROWS = 1 << 15


@pytest.fixture(scope="module")
def netlist() -> Netlist:
    return make_netlist(12, 60, 0.8, np.random.default_rng(3))


def started(netlist: Netlist) -> tuple[g.Code, g.Places, g.Gates]:
    return g.lay_out_code(netlist), g.lay_out_data(netlist, 4), g.start_gates(netlist, 0.5, 3.0, 4, 9)


def test_after_each_clock_all_outputs_are_as_if_evaluated_level_by_level(netlist: Netlist) -> None:
    code, places, state = started(netlist)
    place = np.arange(netlist.modules * netlist.module_size) % netlist.module_size
    flip_flop, out, changes = place < netlist.flip_flops, room(ROWS), 0
    for clock in range(1, 40):
        before = state.value.copy()
        while state.now[g.CLOCK] < clock:
            g.run_gates(netlist, code, places, state, out, clock)
            state.now[g.DUMP_AT] = 0
        enabled = np.repeat(state.enabled, netlist.module_size)
        expected = np.where(flip_flop & enabled, before[netlist.inputs[:, 0]], before)
        inputs = ~flip_flop & (place < netlist.flip_flops + PRIMARY_INPUTS)
        assert (state.value[inputs & ~enabled] == before[inputs & ~enabled]).all()
        expected[inputs] = state.value[inputs]
        assert (state.value == settle(netlist, expected)).all(), clock
        changes += int((state.value != before).sum())
    assert changes > 1000


def test_fanout_lists_are_the_inputs_turned_round(netlist: Netlist) -> None:
    for output in range(40):
        readers = set(netlist.fanout[netlist.first[output] : netlist.first[output + 1]].tolist())
        expected = {
            gate
            for gate in range(len(netlist.kind))
            if gate % netlist.module_size >= netlist.first_gate
            for pin in range(INPUTS if netlist.kind[gate] == MUX else INPUTS - 1)
            if netlist.inputs[gate, pin] == output
        }
        assert readers == expected


def test_gates_read_lower_levels_only(netlist: Netlist) -> None:
    place = np.arange(len(netlist.kind)) % netlist.module_size
    gates = np.flatnonzero(place >= netlist.first_gate)
    level = netlist.level[place]
    assert (level[netlist.inputs[gates]] < level[gates][:, None]).all()


def test_records_and_code_lie_apart(netlist: Netlist) -> None:
    code, places, _ = started(netlist)
    assert (np.diff(np.sort(places.record)) >= g.GATE_BYTES).all()
    assert places.record.min() >= places.modules + netlist.modules * g.MODULE_BYTES
    assert places.record.max() + g.GATE_BYTES <= places.dump
    starts = np.append(code.element, code.end)
    own = (g.EVALUATE + g.CHANGE + g.CALL * np.diff(netlist.first)) * 4
    gates = np.arange(len(netlist.kind)) % netlist.module_size >= netlist.first_gate
    assert (np.diff(starts) >= np.where(gates, own, 0)).all()


def test_each_evaluation_fetches_the_gates_own_code_and_loads_its_inputs(netlist: Netlist) -> None:
    code, places, state = started(netlist)
    rows = g.run_gates(netlist, code, places, state, room(ROWS))
    evaluated = np.flatnonzero((rows.kind == Kind.FETCH) & (rows.arg == g.EVALUATE) & np.isin(rows.vaddr, code.element))
    element_at = {int(start): element for element, start in enumerate(code.element)}
    seen = 0
    for row in evaluated:
        element = element_at[int(rows.vaddr[row])]
        if element % netlist.module_size >= netlist.first_gate:
            expected = [places.record[netlist.inputs[element, pin]] for pin in range(2)]
            assert rows.vaddr[row + 1 : row + 3].tolist() == expected
            seen += 1
    assert seen > 100


def test_a_full_dump_buffer_stops_the_simulation(netlist: Netlist) -> None:
    code, places, state = started(netlist)
    out = room(ROWS)
    for _ in range(100):
        rows = g.run_gates(netlist, code, places, state, out)
        if state.now[g.DUMP_AT] == g.DUMP_BYTES:
            break
    assert state.now[g.DUMP_AT] == g.DUMP_BYTES
    assert (rows.vaddr < places.end).sum() + (rows.vaddr >= g.STACK).sum() == len(rows.kind)
    assert len(g.run_gates(netlist, code, places, state, out).kind) == 0
