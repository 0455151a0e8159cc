"""Replays of intervals of a trace: tasks that know nothing of each other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discotrace.analysis.run import new_system
from discotrace.analysis.sampling.choice import Choice
from discotrace.analysis.sampling.pasts import Pasts
from discotrace.replay.engine import RowFault
from discotrace.replay.machine import Machine
from discotrace.replay.piece import Past, Piece, begun
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.trail import TrailReader

TRAIL_CHUNKS = 60  # chunks before an interval whose trail warms its caches; docs/scaling.md has what fewer cost
WHOLE_CHUNKS = 8  # of which the last are replayed whole; of the others the last touches of lines are enough


@dataclass(frozen=True)
class Pieces:
    """Intervals of a trace to replay under a system. ``machine`` has its CPUs resolved; ``folder`` of ``Pasts``."""

    source: str
    folder: Path
    system: str
    machine: Machine
    window: int
    choice: Choice
    firsts: tuple[int, ...]

    def split(self, parts: int) -> "list[Pieces]":
        """The same as so many tasks, or as many as there are intervals."""
        groups = [group for group in np.array_split(self.firsts, parts) if len(group)]
        return [replace(self, firsts=tuple(group.tolist())) for group in groups]


def replay_pieces(task: Pieces, on_rows: Callable[[int], None]) -> pa.Table:
    """Replay intervals; their tidy counts, windows numbered as in a replay of the whole trace.

    ``on_rows`` is told how many more rows are done. Raises TraceError, ConfigError as a replay does, TraceError also
    where ``folder`` has not what is to be known before.
    """
    pasts = Pasts(task.folder)
    with TraceReader(task.source) as reader:
        pasts.check(reader, task.system, task.machine)
        past = pasts.past(reader, task.system, task.machine, pasts.outline(reader, lambda rows: None))
        with TrailReader(pasts.trail(reader)) as trail:
            tables = [_replayed(reader, trail, past, task, first, on_rows) for first in task.firsts]
    return pa.concat_tables(tables)


def _replayed(
    reader: TraceReader, trail: TrailReader, past: Past, task: Pieces, first: int, on_rows: Callable[[int], None]
) -> pa.Table:
    """Counts of one interval."""
    outline, windows = past.outline, task.choice.interval_windows(first)
    mark = outline.mark_before(windows.start * task.window)
    begin, end = outline.row_of(mark), outline.row_of(outline.mark_after(windows.stop * task.window))
    around = trail.between(outline.row_of(max(0, mark - TRAIL_CHUNKS)), end)
    piece = Piece(*around, max(0, mark - WHOLE_CHUNKS), mark)
    system = new_system(task.system, reader.meta, task.machine)
    try:
        replay = begun(piece, reader.meta, system, task.window, past)
        for rows in reader.batches_between(begin, end):
            replay.feed(rows)
    except RowFault as fault:
        raise TraceError(f"{reader.source}: near {reader.locate(begin)}: {fault.message}") from fault
    on_rows(end - begin)
    counts = replay.finish().table()
    return counts.filter(pc.is_in(counts["window"], pa.array(list(windows))))
