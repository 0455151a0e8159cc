"""The chronicle of a trace under a system: what memory held at any row, so that a replay can begin there.

It is made by a replay of the trace's outline alone, which maps what the whole trace maps, in the same order: where no
page ever moves it is what the whole replay would have. Where misses decide which pages move, a replay of the trail
takes its place.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.engine import Replay
from discotrace.replay.journal import STILL, Journal, columns
from discotrace.replay.system import System
from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.outline import Outline
from discotrace.tracegen.schema import Rows, TraceMeta, slice_rows
from discotrace.tracegen.trail import GROUP_CHUNKS, TrailReader

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

BATCH_ROWS = 1 << 14  # of an outline that are replayed in one go
_FILE_SHIFT = _NODE_SHIFT = 32
_KEY_FACTOR = np.uint64(0xC2B2_AE3D_27D4_EB4F)


def code_of(key: npt.ArrayLike, vpn: npt.ArrayLike) -> U64:
    """A number for each virtual page; two pages have the same one practically never, and are compared all the same."""
    code: U64 = np.asarray(key, np.int64).astype(np.uint64) * _KEY_FACTOR ^ np.asarray(vpn, np.int64).astype(np.uint64)
    return code


@dataclass(frozen=True)
class Chronicle:
    """Arrays. Of mapped pages, sorted by ``page_code`` and row: from ``page_row`` on until ``page_until`` a page
    (``key``, ``vpn``) had frame (``node``, ``index``). Of pages of files, sorted by ``file_code``: likewise when they
    were in memory, and from when on written. From row ``dealt_row`` on ``dealt`` frames had been dealt out.
    ``disks`` [disks, disk events]: what was asked of each disk, by its number in the trace.
    """

    page_code: U64
    page_row: I64
    page_until: I64
    key: I64
    vpn: I64
    node: I64
    index: I64
    file_code: I64
    file_row: I64
    file_until: I64
    file_written: I64
    file_node: I64
    file_index: I64
    dealt_row: I64
    dealt: I64
    disks: I64

    def pages_at(self, row: int, key: I64, vpn: I64) -> I64:
        """Places of those of the pages that are mapped before a row, in the order in which they were."""
        code = np.unique(code_of(key, vpn))
        first = np.searchsorted(self.page_code, code, side="left")
        count = np.searchsorted(self.page_code, code, side="right") - first
        places = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        there = places[(self.page_row[places] < row) & (row <= self.page_until[places])]
        ordered: I64 = there[np.argsort(self.page_row[there], kind="stable")]
        return ordered

    def file_page_at(self, row: int, page: FilePage) -> tuple[int, int, bool] | None:
        """Node and index of the frame of a page of a file that is in memory before a row, and whether it is written."""
        code = page[0] << _FILE_SHIFT | page[1]
        codes, begins, ends, written, nodes, indices = self._files
        place = bisect_left(codes, code)
        while place < len(codes) and codes[place] == code:
            if begins[place] < row <= ends[place]:
                return nodes[place], indices[place], written[place] < row
            place += 1
        return None

    def dealt_at(self, row: int) -> int:
        """Frames that have been dealt before a row."""
        place = int(np.searchsorted(self.dealt_row, row)) - 1
        return int(self.dealt[place]) if place >= 0 else 0

    def fresh_at(self, row: int, nodes: int) -> list[int]:
        """How many frames of each node have ever been used before a row, as far as is known."""
        frames = self._frame_ids[self._first_rows < row]
        of_node, index = frames >> _NODE_SHIFT, frames & (1 << _NODE_SHIFT) - 1
        return [int(index[of_node == node].max(initial=-1)) + 1 for node in range(nodes)]

    def freed_at(self, row: int, nodes: int) -> list[I64]:
        """Indices of the frames of each node that are free again before a row, the last freed last."""
        rows, frames = self._ends
        ended = frames[: int(np.searchsorted(rows, row))]
        freed = np.zeros(len(self._frame_ids), np.int64)  # when each frame was freed last: a place of ``ended``, from 1
        freed[ended] = np.arange(1, len(ended) + 1)
        freed[self._frame[(self.page_row < row) & (row <= self.page_until)]] = 0
        freed[self._file_frame[(self.file_row < row) & (row <= self.file_until)]] = 0
        last_last = self._frame_ids[np.argsort(freed)[np.count_nonzero(freed == 0) :]]
        of_node, index = last_last >> _NODE_SHIFT, last_last & (1 << _NODE_SHIFT) - 1
        return [index[of_node == node] for node in range(nodes)]

    @cached_property
    def _files(self) -> list[list[int]]:
        """What is known of pages of files: one by one, lists are faster than arrays."""
        columns = (self.file_code, self.file_row, self.file_until, self.file_written, self.file_node, self.file_index)
        return [column.tolist() for column in columns]

    @cached_property
    def _frame_ids(self) -> I64:
        """Node and index of each frame in one number, ascending. By its place here a frame is known below."""
        return np.unique(np.concatenate([self._ids(self.node, self.index), self._ids(self.file_node, self.file_index)]))

    @cached_property
    def _frame(self) -> I64:
        """The frame of each page."""
        return np.searchsorted(self._frame_ids, self._ids(self.node, self.index))

    @cached_property
    def _file_frame(self) -> I64:
        """The same for pages of files."""
        return np.searchsorted(self._frame_ids, self._ids(self.file_node, self.file_index))

    @cached_property
    def _first_rows(self) -> I64:
        """The row in which each frame was first used."""
        first = np.full(len(self._frame_ids), STILL)
        np.minimum.at(first, self._frame, self.page_row)
        np.minimum.at(first, self._file_frame, self.file_row)
        return first

    @cached_property
    def _ends(self) -> tuple[I64, I64]:
        """Rows at which pages ended, ascending, and the frames that they had."""
        order = np.argsort(self.page_until, kind="stable")
        return self.page_until[order], self._frame[order]

    @staticmethod
    def _ids(node: I64, index: I64) -> I64:
        return node << _NODE_SHIFT | index


@dataclass(frozen=True)
class Part:
    """Rows of a trace that follow each other, though not all that there are: their ``numbers`` in it.

    ``instructions`` of the trace before them, if that matters.
    """

    numbers: I64
    rows: Rows
    instructions: int | None = None


def parts_of(outline: Outline) -> Iterator[Part]:
    """The rows of an outline: they decide what memory holds where no page ever moves."""
    for first in range(0, len(outline.row), BATCH_ROWS):
        yield Part(outline.row[first : first + BATCH_ROWS], slice_rows(outline.rows, first, first + BATCH_ROWS))


def parts_of_trail(outline: Outline, trail: str | os.PathLike[str]) -> Iterator[Part]:
    """The rows of a trail, chunk by chunk: they miss where all rows would, and misses decide which pages move."""
    marks = len(outline.instructions) - 1
    with TrailReader(trail) as reader:
        for first in range(0, marks, GROUP_CHUNKS):
            last = min(first + GROUP_CHUNKS, marks)
            numbers, rows = reader.between(outline.row_of(first), outline.row_of(last))
            ends = np.searchsorted(numbers, [outline.row_of(mark) for mark in range(first, last + 1)]).tolist()
            for mark, start, stop in zip(range(first, last), ends, ends[1:], strict=False):
                yield Part(numbers[start:stop], slice_rows(rows, start, stop), int(outline.instructions[mark]))


def chronicle_of(
    system: System, meta: TraceMeta, parts: Iterable[Part], on_rows: Callable[[int], None] = lambda rows: None
) -> Chronicle:
    """Replay parts of a trace under a system that has not begun, and write down what memory holds.

    ``on_rows`` is told how many more rows of the trace are behind it. Raises as a replay does.
    """
    journal = Journal(system.now, system.memory, lambda: system.dealt, system.slot)
    system.keep_journal(journal)
    replay = Replay(meta, system, STILL)
    numbers: list[I64] = [np.zeros(0, np.int64)]
    behind = 0
    for part in parts:
        if part.instructions is not None:
            replay.pass_to(part.instructions)
        replay.feed(part.rows)
        numbers.append(part.numbers)
        if len(part.numbers):
            on_rows(int(part.numbers[-1]) - behind)
            behind = int(part.numbers[-1])
    journal.close()
    return _sorted(journal, np.concatenate(numbers), replay.finish().at_disks())


def _sorted(journal: Journal, numbers: I64, disks: I64) -> Chronicle:
    """The journal as a chronicle. Row ``r`` of the replay is row ``numbers[r]`` of the trace."""
    row, key, vpn, node, index = columns(journal.pages, 5)
    file_row, file, page, file_until, file_written, file_node, file_index = columns(journal.files, 7)
    dealt_row, dealt = columns(journal.dealt, 2)
    code, file_code = code_of(key, vpn), file << _FILE_SHIFT | page
    order, file_order = np.lexsort((row, code)), np.lexsort((file_row, file_code))
    until = np.array(journal.pages_until, np.int64)
    return Chronicle(
        page_code=code[order],
        page_row=numbers[row[order]],
        page_until=_in_trace(numbers, until[order]),
        key=key[order],
        vpn=vpn[order],
        node=node[order],
        index=index[order],
        file_code=file_code[file_order],
        file_row=numbers[file_row[file_order]],
        file_until=_in_trace(numbers, file_until[file_order]),
        file_written=_in_trace(numbers, file_written[file_order]),
        file_node=file_node[file_order],
        file_index=file_index[file_order],
        dealt_row=numbers[dealt_row],
        dealt=dealt,
        disks=disks,
    )


def _in_trace(numbers: I64, until: I64) -> I64:
    """Rows of the trace for those of the replay; what has not ended has not."""
    ended = until < STILL
    return np.where(ended, numbers[np.where(ended, until, 0)] if len(numbers) else STILL, STILL)


def save(path: str | os.PathLike[str], chronicle: Chronicle) -> None:
    """Write a chronicle to a file, whole or not at all. Raises OutputError."""
    with atomic_path(path) as temporary, output_errors(path), open(temporary, "wb") as file:
        np.savez(file, **{one.name: getattr(chronicle, one.name) for one in fields(chronicle)})


def load(path: str | os.PathLike[str]) -> Chronicle:
    """Read what ``save`` wrote."""
    with np.load(path) as arrays:
        return Chronicle(*(arrays[one.name] for one in fields(Chronicle)))
