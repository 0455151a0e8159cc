"""The results of a sweep, whatever its state: done, stopped, killed, or still running."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.analysis.sweep.blocks import DONE, STATUS
from discotrace.analysis.sweep.figures import ERROR, TIME
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.points import POINT, SYSTEM, TRACE
from discotrace.analysis.sweep.results import METADATA_KEY
from discotrace.analysis.sweep.sampled_figures import HALF_WIDTH
from discotrace.tracegen.errors import ConfigError

SURE = f"{TIME}{HALF_WIDTH}"


@dataclass(frozen=True)
class Results:
    """Results as they are now. ``rows``: one row a point, lazily; ``about``: what is noted of the sweep.

    ``complete``: whether every point is there, those that are impossible or failed included.
    """

    source: str
    rows: pl.LazyFrame
    about: Mapping[str, Any]
    complete: bool

    @cached_property
    def schema(self) -> pl.Schema:
        """Columns and their types."""
        return self.rows.collect_schema()

    @cached_property
    def parameters(self) -> list[str]:
        """The keys that vary: the columns between system and status."""
        names = self.schema.names()
        return names[names.index(SYSTEM) + 1 : names.index(STATUS)]

    @cached_property
    def varying(self) -> list[str]:
        """Trace and system if there are several, and the keys that vary."""
        counts = self.rows.select(pl.col(TRACE, SYSTEM).n_unique()).collect()
        return [name for name in (TRACE, SYSTEM) if counts[name][0] > 1] + self.parameters

    @property
    def together(self) -> list[tuple[str, ...]]:
        """Keys whose values went together."""
        found = [tuple(key for key in keys if key in self.parameters) for keys in self.about["sweep"]["zipped"]]
        return [keys for keys in found if len(keys) > 1]

    @cached_property
    def by_status(self) -> dict[str, int]:
        """How many points are done, impossible, failed."""
        return dict(self.rows.group_by(STATUS).agg(pl.len()).collect().iter_rows())

    @property
    def points(self) -> int:
        """How many points there are so far."""
        return sum(self.by_status.values())

    def done(self, columns: Iterable[str]) -> pl.DataFrame:
        """These columns of the points that are done, in the order of the points."""
        return self.rows.filter(pl.col(STATUS) == DONE).select(list(dict.fromkeys(columns))).collect()

    @property
    def remarks(self) -> list[str]:
        """What who reads them should know of them."""
        found = [] if self.complete else [f"{self.source}: {self.points:,} of {self.about['points']:,} points so far"]
        lost = {status: count for status, count in sorted(self.by_status.items()) if status != DONE}
        if lost:
            told = ", ".join(f"{count:,} {status}" for status, count in lost.items())
            found.append(f"{self.source}: points that are left out: {told}")
        if self.about["sweep"].get("sample"):
            found.append(f"{self.source}: figures are those of samples; how sure they are is in columns like {SURE}")
        if ERROR in self.schema:
            error = self.rows.select(pl.col(ERROR).max()).collect().item()
            if error:
                found.append(f"{self.source}: times are interpolated, up to {100 * error:.2g} % off as far as checked")
        return found


def read(path: str | os.PathLike[str]) -> Results:
    """The results in the folder of a sweep, or in a results file.

    In a folder whose sweep has not ended they are the priced blocks that there are. Raises ConfigError where there are
    no results, or they cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        return _of_folder(SweepFolder(place))
    if not place.exists():
        raise ConfigError(f"{place}: there is no such file or folder; give the folder of a sweep")
    return _of_file(place)


def _of_folder(folder: SweepFolder) -> Results:
    asked = folder.asked()
    if folder.results.exists():
        found = _of_file(folder.results)
        if found.complete and found.about["sweep"] == asked["sweep"]:
            return Results(str(folder.path), found.rows, found.about, complete=True)
    blocks = []
    for paths in folder.priced_blocks().values():
        try:
            blocks.append(pl.read_parquet(max(paths, key=lambda path: path.stat().st_mtime_ns)))
        except FileNotFoundError:  # a run that goes on has removed it, to price it again
            continue
        except (pl.exceptions.PolarsError, OSError) as fault:
            raise ConfigError(f"{paths[0]}: damaged; remove it and sweep again") from fault
    if not blocks:
        raise ConfigError(f"{folder.path} has no results yet: the same sweep command goes on")
    rows = pl.concat(blocks).sort(POINT)
    return Results(str(folder.path), rows.lazy(), asked, complete=rows.height == asked["points"])


def _of_file(path: Path) -> Results:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as fault:
        raise ConfigError(
            f"{path} is no Parquet file, or damaged; give the folder of a sweep, or its results.parquet"
        ) from fault
    if METADATA_KEY not in metadata:
        raise ConfigError(f"{path} has no results of a sweep; give the folder of one, or its results.parquet")
    about = json.loads(metadata[METADATA_KEY])
    return Results(str(path), pl.scan_parquet(path), about, complete=about["complete"])
