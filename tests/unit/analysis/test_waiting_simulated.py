"""The solved time against a simulation of the whole, event by event: 2 CPUs, 2 nodes, 1 lock, 1 disk.

The simulation has the mechanisms that the model stands for and none of its formulas: a node handles one request after
the other, a lock has one holder and goes to the next after a while, a job waits for the disk and leaves its CPU to
others. Think times, sections and disk requests are exponential.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl
import pytest
import simpy

from discotrace.analysis.configuration import load
from discotrace.analysis.ledger import ledger
from discotrace.analysis.site import Site
from discotrace.analysis.waiting import Timing, timing
from tests.unit.analysis.frames import counts_frame

ROUNDS = 8000  # of each CPU; on average one in LOCK_EVERY with a section, one in DISK_EVERY with a disk request
LOCK_EVERY, DISK_EVERY = 4, 50
WINDOWS = 40
LATENCY_NS = {True: 300, False: 900}
INSTRUCTION_NS = 2.5


@dataclass(frozen=True)
class Case:
    """What takes how long; 0 switches a mechanism off. ``jobs`` on 2 CPUs; ``remote``: share of misses."""

    think_ns: float = 500
    remote: float = 0.4
    controller_ns: float = 0
    port_ns: float = 0
    section_ns: float = 1000
    handoff_ns: float = 0
    request_ms: float = 0
    jobs: int = 2


MEMORY = Case(think_ns=100, remote=0.6, controller_ns=280, port_ns=550, section_ns=100)
LOCK = Case(section_ns=2000, handoff_ns=1000)
DISK = Case(request_ms=0.04, jobs=4)
WHOLE = Case(controller_ns=150, port_ns=100, section_ns=1500, handoff_ns=500, request_ms=0.03, jobs=3)


class Simulated:
    """One run. Jobs take rounds from a common store, so that they finish together."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.random = random.Random(7)
        self.world = simpy.Environment()
        self.nodes = [simpy.Resource(self.world) for _ in range(2)]
        self.lock, self.disk = simpy.Resource(self.world), simpy.Resource(self.world)
        self.free_cpus = simpy.Store(self.world)
        self.free_cpus.items = [0, 1]
        self.rounds = 0
        self.requests = {(cpu, node): 0 for cpu in (0, 1) for node in (0, 1)}
        self.times, self.spent = Counter[str](), Counter[str]()  # how often, and for how many ns
        for _ in range(case.jobs):
            self.world.process(self.job())
        self.world.run()

    def job(self) -> Iterator[simpy.Event]:
        cpu = yield self.free_cpus.get()
        while self.rounds < 2 * ROUNDS:
            self.rounds += 1
            yield self.spend("think", self.case.think_ns)
            yield from self.miss(cpu)
            if self.random.random() < 1 / LOCK_EVERY:
                yield from self.section()
            if self.random.random() < 1 / DISK_EVERY and self.case.request_ms:
                yield self.free_cpus.put(cpu)
                with self.disk.request() as turn:
                    yield turn
                    yield self.spend("disk", 1e6 * self.case.request_ms)
                cpu = yield self.free_cpus.get()
        yield self.free_cpus.put(cpu)

    def spend(self, what: str, mean_ns: float) -> simpy.Event:
        ns = self.random.expovariate(1 / mean_ns)
        self.times[what] += 1
        self.spent[what] += ns  # type: ignore[assignment]
        return self.world.timeout(ns)

    def miss(self, cpu: int) -> Iterator[simpy.Event]:
        node = 1 - cpu if self.random.random() < self.case.remote else cpu
        self.requests[cpu, node] += 1
        handled = self.case.controller_ns + (self.case.port_ns if node != cpu else 0)
        with self.nodes[node].request() as turn:
            yield turn
            yield self.world.timeout(handled)
        yield self.world.timeout(LATENCY_NS[node == cpu] - handled)

    def section(self) -> Iterator[simpy.Event]:
        """A section; where handing the lock on has a time, it is free again only after that."""
        turn = self.lock.request()
        if self.case.handoff_ns:
            yield turn
        yield self.spend("section", self.case.section_ns)
        self.world.process(self.hand_on(turn))

    def hand_on(self, turn: simpy.resources.resource.Request) -> Iterator[simpy.Event]:
        yield self.world.timeout(self.case.handoff_ns)
        self.lock.release(turn)


def solved(case: Case, run: Simulated) -> Timing:
    """The same from counts, spread evenly over CPUs and windows."""
    changes = [f"{key}={value}" for key, value in PRICES.items()] + [
        f"memory.controller_ns={case.controller_ns}",
        f"memory.port_ns={case.port_ns}",
        f"locks.handoff_ns={case.handoff_ns}",
        f"disks.request_ms={case.request_ms and run.spent['disk'] / run.times['disk'] / 1e6}",
    ]
    configuration = load("flash", changes)
    site = Site(configuration.machine.for_trace(2), jobs=case.jobs)
    return timing(ledger("native", counts(run), site), configuration.prices)


PRICES = {"disks.page_ms": 0, "disks.create_requests": 0, "memory.local_ns": 300, "memory.remote_ns": 900}


def counts(run: Simulated) -> pl.DataFrame:
    def every_window(cpu: int, context: str, event: str, number: float, lock: int = 0, at: int = 0) -> pl.DataFrame:
        share = round(number / WINDOWS)
        context, any_context = ("user", True) if context == "any" else (context, False)
        frame = counts_frame(*((window, cpu, context, event, share) for window in range(WINDOWS)))
        frame = frame.with_columns(pl.lit(lock, pl.UInt8).alias("lock"), pl.lit(at, pl.Int64).alias("at"))
        return frame.with_columns(pl.lit("any").alias("context")) if any_context else frame

    frames = []
    for cpu in (0, 1):
        own, other = run.requests[cpu, cpu], run.requests[cpu, 1 - cpu]
        frames += [
            every_window(cpu, "user", "instructions", run.spent["think"] / 2 / INSTRUCTION_NS),
            every_window(cpu, "user", "l2_load_local", own),
            every_window(cpu, "user", "l2_load_remote", other),
            every_window(cpu, "any", "memory_requests", own, at=cpu),
            every_window(cpu, "any", "memory_requests", other, at=1 - cpu),
            every_window(cpu, "kernel:open", "instructions", run.spent["section"] / 2 / INSTRUCTION_NS, lock=1),
            every_window(cpu, "kernel:open", "lock_acquires", run.times["section"] / 2, lock=1),
        ]
    one_window = counts_frame((0, 0, "user", "disk_requests", run.times["disk"]))
    return pl.concat([*frames, one_window.with_columns(pl.lit("any").alias("context"))])


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(MEMORY, id="memory"),
        pytest.param(LOCK, id="lock"),
        pytest.param(DISK, id="disk"),
        pytest.param(replace(DISK, jobs=2), id="disk, a job for each CPU"),
        pytest.param(WHOLE, id="all of it"),
    ],
)
def test_the_execution_time_is_that_of_a_simulation(case: Case) -> None:
    """Within 4 %, and the waiting in it within a fifth. Most of that is that sections are taken to be equally long."""
    run = Simulated(case)
    time = solved(case, run).total_ns
    busy = solved(replace(case, controller_ns=0, port_ns=0, handoff_ns=0, request_ms=0), run).total_ns
    assert time == pytest.approx(run.world.now, rel=0.04)
    assert time - busy == pytest.approx(run.world.now - busy, rel=0.2)
    assert time > 1.05 * busy  # else this would say nothing
