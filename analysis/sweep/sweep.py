"""A sweep from beginning to end: plan, replay, price, keep."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from discotrace.analysis.keeping import digest, sources_digest
from discotrace.analysis.sweep.blocks import DONE, FAILED, IMPOSSIBLE, PRICING, STATUS, blocks_of
from discotrace.analysis.sweep.execute import Execution, Manner, Watcher, WholeTraces, Work
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import COUNTING, WHY, Plan
from discotrace.analysis.sweep.results import assemble
from discotrace.analysis.sweep.sampled import Samples
from discotrace.analysis.sweep.spec import Spec
from discotrace.analysis.sweep.workers import Workers
from discotrace.tracegen.errors import ConfigError
from discotrace.version import VERSION

SOURCES = (*COUNTING, *PRICING)  # the code that decides what results are


@dataclass(frozen=True)
class Summary:
    """What came of a sweep: points by what became of them, replays in all and made now, why points are missing."""

    points: int
    done: int
    impossible: int
    failed: int
    replays: int
    replays_made: int
    reasons: dict[str, int]  # and how many points each concerns
    seconds: float


def sweep(
    plan: Plan,
    folder: SweepFolder,
    pasts: Path,
    workers: Callable[[], Workers],
    watcher: Watcher,
    command: str,
    force: bool,
) -> Summary:
    """Carry a plan out in a folder. What is there already is not made again.

    ``pasts``: the folder for what samples must know of traces.

    However it ends, by an exception too, the results of what is finished are written. Raises OutputError where another
    sweep, unless ``force``, or another run is in the folder; and what concerns the sweep as a whole.
    """
    began = time.monotonic()
    folder = SweepFolder(folder.path.absolute())  # workers may have another directory to work in
    folder.make()
    with folder.alone():
        asked = about(plan, command)
        if not force:
            folder.check(asked)
        counted = folder.counted()
        work = Work([one for one in plan.replays if one.key not in counted], blocks_of(plan))
        folder.drop_blocks({block.key for block in work.blocks})  # so that what is priced is always of what was asked
        folder.note(asked)
        there = [one for one in plan.replays if one.key in counted]
        watcher.there(len(there), sum(one.trace.rows for one in there))
        with workers() as working:
            execution = Execution(work, folder, _manner(plan.spec, pasts), working, watcher)
            try:
                execution.run()
            finally:
                finished = [key for _, key in sorted(execution.found.blocks.items())]
                assemble(folder, finished, asked | {"complete": len(finished) == len(work.blocks)})
        folder.drop_priced(finished)
    summary = _summary(plan, folder, len(work.missing), time.monotonic() - began)
    if summary.impossible == summary.points:
        raise ConfigError(f"every point is impossible; the first: {next(iter(summary.reasons))}")
    return summary


def _manner(spec: Spec, pasts: Path) -> Manner:
    if spec.sample is None:
        return WholeTraces(spec.window)
    return Samples(spec.window, spec.sample, pasts.absolute())


def about(plan: Plan, command: str) -> dict[str, Any]:
    """What is noted of a sweep; ``sweep`` is what must be the same for another run to go on with it."""
    traces = [one.identity for one in plan.traces]
    return {
        "discotrace": VERSION,
        "sources": digest({"sources": sources_digest(*SOURCES)}),
        "command": command,
        "points": plan.points.height,
        "replays": len(plan.replays),
        "prices": plan.prices,
        "sweep": json.loads(json.dumps({**asdict(plan.spec), "traces": traces})),
    }


def _summary(plan: Plan, folder: SweepFolder, made: int, seconds: float) -> Summary:
    told = pl.read_parquet(folder.results, columns=[STATUS, WHY])
    by_status = dict(told.group_by(STATUS).len().iter_rows())
    reasons = told.filter(pl.col(WHY).is_not_null()).group_by(WHY, maintain_order=True).len()
    return Summary(
        points=told.height,
        done=by_status.get(DONE, 0),
        impossible=by_status.get(IMPOSSIBLE, 0),
        failed=by_status.get(FAILED, 0),
        replays=len(plan.replays),
        replays_made=made,
        reasons=dict(reasons.iter_rows()),
        seconds=seconds,
    )
