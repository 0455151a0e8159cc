"""The memory-system simulator does what a plain model of it does, and its directory knows what the caches hold."""

import numpy as np
import pytest

from discotrace.tracegen.workloads import engineering_memory as m
from discotrace.tracegen.workloads.engineering_rows import random_below, room

LINES, WINDOW, BURST, SHARED, SEED = 1 << 16, 300, 8, 0.9, 77
REFERENCES = 200_000  # enough for a few thousand evictions
ROWS = 1 << 15


def xorshift(state: list[int], bound: int) -> int:
    x = state[0]
    x ^= x << 13 & (2**64 - 1)
    x ^= x >> 7
    x ^= x << 17 & (2**64 - 1)
    state[0] = x
    return ((x >> 33) * bound) >> 31


class Plain:
    """Caches as dictionaries and lists, least recently used first; who holds a line is looked up in all of them."""

    def __init__(self, homes: list[int]) -> None:
        self.seed, self.homes, self.turn = [SEED], homes, 0
        self.sweeps: list[tuple[int, bool]] = []
        self.left: list[list[tuple[int, bool]]] = [[] for _ in range(m.PROCESSORS)]
        self.first: list[dict[int, tuple[int, bool]]] = [{} for _ in range(m.PROCESSORS)]
        self.second: list[dict[int, list[int]]] = [{} for _ in range(m.PROCESSORS)]
        self.modified: dict[int, int] = {}
        self.requests: dict[int, int] = {}
        self.evictions = 0

    def sweep(self, cpu: int) -> list[tuple[int, bool]]:
        part = LINES // (2 * m.PROCESSORS)
        if xorshift(self.seed, 2**20) < int(0.02 * 2**20):
            self.homes[cpu] = xorshift(self.seed, part - WINDOW)
        if xorshift(self.seed, 2**20) < int(SHARED * 2**20):
            start = LINES // 2 + xorshift(self.seed, LINES // 2)
        else:
            start = cpu * part + self.homes[cpu] + xorshift(self.seed, WINDOW)
        length = 1 + xorshift(self.seed, m.LONGEST_SWEEP)
        writes = xorshift(self.seed, 2**20) < int(0.3 * 2**20)
        return [((start + i) % LINES, writes) for i in range(length) for _ in range(m.REFERENCES_PER_LINE)]

    def holders(self, line: int) -> list[int]:
        return [c for c in range(m.PROCESSORS) if line in self.second[c].get(line % m.SECOND_SETS, [])]

    def leave_first(self, cpu: int, line: int) -> None:
        if self.first[cpu].get(line % m.FIRST_SETS, (-1, False))[0] == line:
            del self.first[cpu][line % m.FIRST_SETS]

    def request(self, cpu: int, line: int, writes: bool) -> None:
        self.requests[line // m.LINES_PER_PAGE] = self.requests.get(line // m.LINES_PER_PAGE, 0) + 1
        for other in self.holders(line):
            if other != cpu and (writes or self.modified.get(line) == other):
                self.leave_first(other, line)
                if writes:
                    self.second[other][line % m.SECOND_SETS].remove(line)
        self.modified.pop(line, None)
        if writes:
            self.modified[line] = cpu

    def reference(self) -> None:
        cpu = self.turn // BURST % m.PROCESSORS
        self.turn += 1
        if not self.left[cpu]:
            self.left[cpu] = self.sweep(cpu)
        line, writes = self.left[cpu].pop(0)
        held, dirty = self.first[cpu].get(line % m.FIRST_SETS, (-1, False))
        if held == line and (dirty or not writes):
            return
        ways = self.second[cpu].setdefault(line % m.SECOND_SETS, [])
        if line not in ways or (writes and self.modified.get(line) != cpu):
            if line not in ways and len(ways) == m.WAYS:
                victim = ways.pop(0)
                self.evictions += 1
                self.leave_first(cpu, victim)
                if self.modified.get(victim) == cpu:
                    del self.modified[victim]
            self.request(cpu, line, writes)
        if line in ways:
            ways.remove(line)
        ways.append(line)
        self.first[cpu][line % m.FIRST_SETS] = (line, writes)


@pytest.fixture(scope="module")
def ran() -> tuple[m.Machine, Plain]:
    machine = m.start_machine(LINES, WINDOW, BURST, SHARED, 4, SEED)
    plain = Plain(machine.sweep[:, m.HOME].tolist())
    code, _ = m.lay_out_code()
    m.warm_up(code, m.lay_out_data(LINES), machine, room(ROWS), REFERENCES)
    for _ in range(REFERENCES):
        plain.reference()
    return machine, plain


def test_random_numbers_are_xorshift64() -> None:
    seed, state = np.array([5], np.uint64), [5]
    assert [random_below(seed, 1000) for _ in range(50)] == [xorshift(state, 1000) for _ in range(50)]


def test_requests_to_the_directory_are_those_of_the_plain_model(ran: tuple[m.Machine, Plain]) -> None:
    machine, plain = ran
    assert {page: int(n) for page, n in enumerate(machine.misses) if n} == plain.requests
    assert machine.now[m.REQUESTS] == sum(plain.requests.values()) > 5000
    assert plain.evictions > 1000


def test_caches_hold_what_the_plain_model_holds(ran: tuple[m.Machine, Plain]) -> None:
    machine, plain = ran
    for cpu in range(m.PROCESSORS):
        valid = machine.state[cpu] != m.INVALID
        held = set(machine.line[cpu][valid].tolist())
        assert held == {line for ways in plain.second[cpu].values() for line in ways}
        assert len(held) == valid.sum()
        first = machine.first_line[cpu]
        assert set(first[first != m.NOBODY].tolist()) == {line for line, _ in plain.first[cpu].values()}


def test_the_directory_is_exact(ran: tuple[m.Machine, Plain]) -> None:
    machine, plain = ran
    sharers, owner = np.zeros(LINES, np.int64), np.full(LINES, m.NOBODY)
    for cpu in range(m.PROCESSORS):
        np.add.at(sharers, machine.line[cpu][machine.state[cpu] != m.INVALID], 1 << cpu)
        owner[machine.line[cpu][machine.state[cpu] == m.MODIFIED]] = cpu
    assert (machine.sharers == sharers).all()
    assert (machine.owner == owner).all()
    assert plain.modified == {int(line): int(owner[line]) for line in np.flatnonzero(owner != m.NOBODY)}


def test_references_lie_in_the_simulators_text_and_tables() -> None:
    machine = m.start_machine(LINES, WINDOW, BURST, SHARED, 4, SEED)
    (code, text_end), places = m.lay_out_code(), m.lay_out_data(LINES)
    rows = m.run_machine(code, places, machine, room(ROWS))
    is_text = rows.kind == 0
    last = rows.vaddr + rows.size
    assert (rows.vaddr[is_text] >= m.TEXT).all()
    assert (last[is_text] <= text_end).all()
    data = last[~is_text & (rows.vaddr < m.STACK)]
    assert (data <= places.end).all()
    assert (data > m.DATA).all()
