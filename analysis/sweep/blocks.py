"""Blocks of points that are priced together and kept in one file: some combinations of structure, under all systems."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from discotrace.analysis.counts_file import read
from discotrace.analysis.keeping import digest, make_folder, sources_digest
from discotrace.analysis.pricing import Floats
from discotrace.analysis.sweep.figures import FIGURES, SLOWDOWN, TIME
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import CELL, REPLAY, WHY, Plan, Wanted
from discotrace.analysis.sweep.points import PAIR, POINT, SYSTEM, TRACE
from discotrace.analysis.sweep.sampled_figures import Figures, pricers_of, with_half_widths
from discotrace.tracegen.atomic import atomic_path, output_errors

STATUS, DONE, IMPOSSIBLE, FAILED = "status", "done", "impossible", "failed"
MOST_POINTS = 4096  # of a block, unless a single combination has more
PARTS = 64  # so many blocks at least, where there are as many combinations: what is finished is seen block by block
CHUNK = 1 << 16  # points that are priced, and written, in one go
PRICING = ("discotrace.analysis",)  # the sources that decide what counts cost


@dataclass(frozen=True)
class Block:
    """Points to price. ``points``: rows of ``Plan.points``; ``replays``: those that they need, by their place there.

    ``prices``: the keys that vary; ``layers``: how often counts are priced, see ``sampled_figures``.
    """

    points: pl.DataFrame
    replays: dict[int, Wanted]
    prices: tuple[str, ...]
    layers: int

    @cached_property
    def key(self) -> str:
        """The hash of all that decides what its points cost, but for replays that could not be made."""
        replays = {str(place): [one.key, one.configuration.prices.to_tables()] for place, one in self.replays.items()}
        rows = hashlib.sha256(self.points.drop(CELL).write_csv().encode()).hexdigest()
        return digest({"rows": rows, "replays": replays, "layers": self.layers, "sources": sources_digest(*PRICING)})


@dataclass(frozen=True)
class Pricing:
    """A block to price into a folder. ``impossible``, ``failed``: why replays of it have no counts, by their keys."""

    block: Block
    folder: SweepFolder
    impossible: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A name for the priced block: says all that decides what is in it, first the block."""
        missing = {"impossible": self.impossible, "failed": self.failed}
        return f"{self.block.key}-{digest(missing)}" if any(missing.values()) else self.block.key


def blocks_of(plan: Plan) -> list[Block]:
    """The points of a plan in blocks, each combination of structure whole, in their order."""
    sizes = plan.points.group_by(CELL).len().sort(CELL)
    by_points = (pl.col("len").cum_sum() - 1) // MOST_POINTS
    by_cells = pl.int_range(pl.len()) // -(-sizes.height // PARTS)
    numbers = sizes.select(CELL, pl.struct(points=by_points, cells=by_cells).rank("dense").alias("block"))
    numbered = plan.points.join(numbers, on=CELL, maintain_order="left")
    layers = 1 if plan.spec.sample is None else 1 + plan.spec.sample.intervals
    found = []
    for points in numbered.partition_by("block", maintain_order=True, include_key=False):
        places = points[REPLAY].drop_nulls().unique().sort().to_list()
        found.append(Block(points, {place: plan.replays[place] for place in places}, tuple(plan.prices), layers))
    return found


def price(task: Pricing, on_rows: Callable[[int], None]) -> int:
    """Price a block and keep it, whole or not at all. Returns how many points it has. No row is replayed.

    Raises TraceError for counts that are damaged, OutputError where the result cannot be kept.
    """
    path = task.folder.priced(task.key)
    make_folder(path.parent)
    with atomic_path(path) as temporary, output_errors(path):
        tables = (rows.to_arrow() for rows in _priced(task))
        first = next(tables)
        with pq.ParquetWriter(temporary, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
    return task.block.points.height


def _priced(task: Pricing) -> Iterator[pl.DataFrame]:
    """The rows of the results, some pairs at a time, so that each point has the one that it is compared with."""
    points = task.block.points
    made = _Pricers(task)
    pair = points[PAIR].to_numpy()
    starts = np.searchsorted(pair, np.unique(pair)[:: max(1, CHUNK // task.block.layers)])
    for start, end in zip(starts, [*starts[1:], len(pair)], strict=True):
        by_replay = points[int(start) : int(end)].partition_by(REPLAY, maintain_order=True)
        yield with_half_widths([_layer(task, by_replay, made, layer) for layer in range(task.block.layers)])


def _layer(task: Pricing, parts: Sequence[pl.DataFrame], made: "_Pricers", layer: int) -> pl.DataFrame:
    """Points by replay, with what one layer of its counts costs at them."""
    return _compared(pl.concat([_of_replay(task, part, made, layer) for part in parts]).sort(POINT))


class _Pricers:
    """Pricers of the replays of a block, each made once, of all the block's points that need it."""

    def __init__(self, task: Pricing) -> None:
        self._task = task
        self._made: dict[int, Sequence[Figures]] = {}

    def of(self, place: int) -> Sequence[Figures]:
        """One for each layer."""
        if place not in self._made:
            block = self._task.block
            wanted = block.replays[place]
            counts = read(self._task.folder.counts(wanted.key))
            changes = _changes(block, block.points.filter(pl.col(REPLAY) == place))
            self._made[place] = pricers_of(counts, wanted.system, wanted.configuration.prices, changes)
        return self._made[place]


def _changes(block: Block, points: pl.DataFrame) -> dict[str, Floats]:
    """The prices that vary, at these points."""
    return {key: points[key].cast(pl.Float64).to_numpy() for key in block.prices}


def _of_replay(task: Pricing, part: pl.DataFrame, made: _Pricers, layer: int) -> pl.DataFrame:
    """Points of one replay, or of none, with what is said of them."""
    status, why, found = DONE, None, None
    place = part[REPLAY][0]
    wanted = None if place is None else task.block.replays[place]
    if wanted is None:
        status = IMPOSSIBLE
    elif wanted.key in task.impossible:
        status, why = IMPOSSIBLE, task.impossible[wanted.key]
    elif wanted.key in task.failed:
        status, why = FAILED, task.failed[wanted.key]
    else:
        found = made.of(place)[layer].figures(_changes(task.block, part), part.height)
    reason = pl.col(WHY) if why is None else pl.lit(why)
    parameters = [name for name in part.columns if name not in (CELL, REPLAY, WHY)]
    told = part.select(*parameters, pl.lit(status).alias(STATUS), reason.alias(WHY))
    missing = [pl.lit(None, pl.Float64).alias(name) for name in FIGURES if found is None or name not in found.columns]
    whole = told if found is None else told.hstack(found)
    return whole.with_columns(missing).select(*told.columns, *FIGURES)


def _compared(rows: pl.DataFrame) -> pl.DataFrame:
    """With the slowdown of each point against its pair's point under the first system."""
    first = rows.filter(pl.col(SYSTEM).to_physical() == 0).select(PAIR, pl.col(TIME).alias("of_first"))
    compared = rows.join(first, on=PAIR, how="left", maintain_order="left")
    ratio = pl.when(pl.col("of_first") > 0).then(pl.col(TIME) / pl.col("of_first"))
    return compared.with_columns(ratio.alias(SLOWDOWN), pl.col(TRACE, SYSTEM).cast(pl.String)).drop("of_first", PAIR)
