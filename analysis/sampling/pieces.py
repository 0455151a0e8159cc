"""Replays of intervals of a trace: tasks that know nothing of each other."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
from discotrace.tracegen.outline import Outline
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import Rows
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


@dataclass(frozen=True)
class _Read:
    """What is read of the files for one interval: the trail around it, and its rows."""

    first: int
    piece: Piece
    rows: list[Rows]


def replay_pieces(task: Pieces, on_rows: Callable[[int], None]) -> pa.Table:
    """Replay intervals; their tidy counts, windows numbered as in a replay of the whole trace.

    ``on_rows`` is told how many more rows are done. Raises TraceError, ConfigError as a replay does, TraceError also
    where ``folder`` has not what is to be known before.
    """
    pasts = Pasts(task.folder)
    with TraceReader(task.source) as reader:
        pasts.check(reader, task.system, task.machine)
        past = pasts.past(reader, task.system, task.machine, pasts.outline(reader, lambda rows: None))
        with TrailReader(pasts.trail(reader)) as trail, _garbage_of_pieces_only():
            read = _one_ahead(_read(reader, trail, past.outline, task, first) for first in task.firsts)
            tables = []
            for one in read:
                tables.append(_replayed(reader, past, task, one, on_rows))
                _collect_garbage()
    return pa.concat_tables(tables)


def _one_ahead(items: Iterator[_Read]) -> Iterator[_Read]:
    """The same items, each made by a thread while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="piece-decode") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _read(reader: TraceReader, trail: TrailReader, outline: Outline, task: Pieces, first: int) -> _Read:
    """Read what one interval needs."""
    windows = task.choice.interval_windows(first)
    mark, end = outline.mark_before(windows.start * task.window), outline.mark_after(windows.stop * task.window)
    around = trail.between(outline.row_of(max(0, mark - TRAIL_CHUNKS)), outline.row_of(end))
    piece = Piece(*around, max(0, mark - WHOLE_CHUNKS), mark)
    return _Read(first, piece, list(reader.batches_between(outline.row_of(mark), outline.row_of(end))))


@contextmanager
def _garbage_of_pieces_only() -> Iterator[None]:
    """No garbage collections but those asked for: nearly all of the many objects of a piece last until its end, and to
    look for others takes a tenth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _collect_garbage() -> None:
    """Free a piece, whose system and guests know each other. What is left, compiled code above all, is not looked at
    again."""
    gc.collect()
    gc.freeze()


def _replayed(reader: TraceReader, past: Past, task: Pieces, read: _Read, on_rows: Callable[[int], None]) -> pa.Table:
    """Counts of one interval."""
    system = new_system(task.system, reader.meta, task.machine)
    try:
        replay = begun(read.piece, system, task.window, past)
        for rows in read.rows:
            replay.feed(rows)
    except RowFault as fault:
        begin = past.outline.row_of(read.piece.mark)
        raise TraceError(f"{reader.source}: near {reader.locate(begin)}: {fault.message}") from fault
    on_rows(sum(len(rows.kind) for rows in read.rows))
    counts = replay.finish().table()
    windows = task.choice.interval_windows(read.first)
    return counts.filter(pc.is_in(counts["window"], pa.array(list(windows))))
