"""What a sweep will take, said before it begins: replays, time, memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from discotrace.analysis.fronts import Run, fronts
from discotrace.analysis.run import new_system
from discotrace.analysis.sampling.choice import Sample
from discotrace.analysis.sampling.pasts import chronicle_key
from discotrace.analysis.sweep.figures import SOLVED_AT_MOST
from discotrace.analysis.sweep.plan import REPLAY, Plan, Wanted
from discotrace.analysis.sweep.warm import is_warm
from discotrace.replay.engine import Replay
from discotrace.replay.lane_layout import lines_of
from discotrace.replay.machine import Machine
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import rows_from_records

TRIAL_S = 1.0  # so long the trace is replayed to find out how fast this computer does it now
TYPICAL_NS_PER_ROW = 40.0  # where nothing is compiled yet; docs/performance.md
STARTING_S = 3.0  # of worker processes, side by side
COMPILING_S = 40.0  # for each system, one after the other; a cold sweep under both took 75 s on two busy cores
OUTLINE_NS_PER_ROW, CHRONICLE_NS_PER_ROW = 65.0, 40.0  # to know a trace, and its memory; docs/scaling.md
SAMPLED_INTERVAL_S = 0.2  # of a sample; docs/scaling.md
LANE_SHARE = 0.3  # what a further hierarchy behind a front takes, of a replay by itself; docs/performance.md
REPLAY_S, POINT_S = 0.1, 0.002  # to arrange counts for pricing; to price a point with waiting; docs/performance.md
FITTING_S, INTERPOLATED_S = 1.0, 4e-6  # to fit a surface; to price a point by it, and keep it; docs/performance.md
WORKER_MIB = 420  # a worker with the libraries, a batch and the kernels, before its caches; docs/performance.md
TAG_BYTES = 8
MIB = 1 << 20


@dataclass(frozen=True)
class Estimate:
    """``replays``: distinct ones; ``missing``: those without counts; ``fronts``: groups that share what comes before
    the caches; ``measured``: whether the speed was tried, or is a typical one."""

    points: int
    impossible: int
    replays: int
    missing: int
    fronts: int
    seconds: float
    memory_mib: float
    measured: bool


def estimated(plan: Plan, counted: set[str], workers: int) -> Estimate:
    """What is left of a plan if these replays are counted. Replays the beginning of its first trace to find out."""
    missing = [one for one in plan.replays if one.key not in counted]
    sample = plan.spec.sample
    groups = _groups(missing) if sample is None else [[one] for one in missing]
    cold = [system for system in sorted({one.system for one in missing}) if not is_warm([system])]
    measured = sample is None and bool(missing) and not cold
    replaying = _replaying_s(groups, measured) if sample is None else _sampling_s(missing, sample)
    of_each = plan.points[REPLAY].drop_nulls().value_counts()["count"].to_list()
    layers = 1 if sample is None else 1 + sample.intervals
    pricing = sum(layers * (REPLAY_S + _pricing_s(points)) for points in of_each)
    largest = max((sum(_tag_mib(one.configuration.machine) for one in group) for group in groups), default=0.0)
    return Estimate(
        points=plan.points.height,
        impossible=plan.skipped.height,
        replays=len(plan.replays),
        missing=len(missing),
        fronts=len(groups),
        seconds=STARTING_S + COMPILING_S * len(cold) + (replaying + pricing) / workers,
        memory_mib=workers * (WORKER_MIB + largest),
        measured=measured,
    )


def _groups(missing: Sequence[Wanted]) -> list[list[Wanted]]:
    by_trace: dict[str, list[Wanted]] = {}
    for one in missing:
        by_trace.setdefault(one.trace.source, []).append(one)
    found = []
    for of_trace in by_trace.values():
        runs = [Run(one.key, one.system, one.configuration.machine) for one in of_trace]
        found += [[of_trace[place] for place in front] for front in fronts(runs)]
    return found


def _replaying_s(groups: Sequence[Sequence[Wanted]], measured: bool) -> float:
    """How long it takes to replay whole traces: tried, or as is typical."""
    firsts = {group[0].system: group[0] for group in reversed(groups)}
    ns_per_row = {system: _ns_per_row(one) if measured else TYPICAL_NS_PER_ROW for system, one in firsts.items()}
    return sum(
        group[0].trace.rows * ns_per_row[group[0].system] / 1e9 * (1 + LANE_SHARE * (len(group) - 1))
        for group in groups
    )


def _sampling_s(missing: Sequence[Wanted], sample: Sample) -> float:
    """How long samples take that begin with nothing known of their traces."""
    rows = sum({one.trace.source: one.trace.rows for one in missing}.values())
    memories = {
        (one.trace.source, chronicle_key(one.system, one.configuration.machine)): one.trace.rows for one in missing
    }
    knowing_ns = rows * OUTLINE_NS_PER_ROW + sum(memories.values()) * CHRONICLE_NS_PER_ROW
    return knowing_ns / 1e9 + len(missing) * sample.intervals * SAMPLED_INTERVAL_S


def _pricing_s(points: int) -> float:
    """How long so many points of one replay take."""
    return points * POINT_S if points <= SOLVED_AT_MOST else FITTING_S + points * INTERPOLATED_S


def _ns_per_row(wanted: Wanted) -> float:
    """How long a row of the beginning of the trace takes."""
    with TraceReader(wanted.trace.source) as reader:
        machine = wanted.configuration.machine
        replay = Replay(reader.meta, new_system(wanted.system, reader.meta, machine), 1 << 40)
        replay.feed(rows_from_records([]))  # which loads the kernels
        rows, spent, began = 0, 0.0, time.perf_counter()
        for batch in reader.batches():
            replay.feed(batch)
            rows, spent = rows + len(batch.kind), time.perf_counter() - began
            if spent > TRIAL_S:
                break
        return spent * 1e9 / max(1, rows)


def _tag_mib(machine: Machine) -> float:
    """Memory for the tags of all caches."""
    caches = machine.caches
    lines = sum(lines_of(cache) for cache in (caches.l1i, caches.l1d, caches.l2))
    return machine.cpu.count * lines * TAG_BYTES / MIB
