"""The figures of a point: what a row of the results says of it, by column."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.labels import RATE_LABELS
from discotrace.analysis.outcome import ACTIONS, Counted, rates, remote_miss_ratio
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, STALLS, Floats

TIME, SLOWDOWN, REMOTE = "time_ms", "slowdown", "remote_miss_ratio"
FIGURES = (
    TIME,
    SLOWDOWN,
    "kernel_percent",
    "monitor_percent",
    REMOTE,
    *(f"{part}_ms" for part in ALL_PARTS),
    *(f"stall_{where}_ms" for where in STALLS),
    "memory_busy_ratio",
    *RATE_LABELS,
    *(f"{action}_per_second" for action in ACTIONS),
)


def figures(counted: Counted, prices: Prices, changes: Mapping[str, ArrayLike], points: int) -> pl.DataFrame:
    """The figures of one replay at so many points: one row a point; all of ``FIGURES`` but ``slowdown``.

    ``changes``: prices by ``table.key``, arrays [points]; without any, all points are the same. Raises ConfigError for
    a price that cannot be.
    """
    times = priced(counted.ledger, PricePoints.of(prices, changes), threads=1)
    of_part = dict(zip(ALL_PARTS, times.parts_ns.T, strict=True))
    monitor = np.sum([ns for part, ns in of_part.items() if part.startswith("monitor")], axis=0)
    varying: dict[str, Floats] = {
        TIME: times.total_ns / 1e6,
        "kernel_percent": _share(100 * (of_part["kernel"] + of_part["kernel_stall"]), times),
        "monitor_percent": _share(100 * monitor, times),
        **{f"{part}_ms": ns / 1e6 for part, ns in of_part.items()},
        **{f"stall_{where}_ms": times.stalls_ms[:, place] for place, where in enumerate(STALLS)},
        "memory_busy_ratio": times.memory_busy_ratio,
        **{f"{action}_per_second": _share(counted.totals[action] * 1e9, times) for action in ACTIONS},
    }
    constant = {REMOTE: remote_miss_ratio(counted.totals), **rates(counted.totals)}
    whole = {name: np.broadcast_to(values, points) for name, values in (varying | constant).items()}
    return pl.DataFrame({name: whole[name] for name in FIGURES if name != SLOWDOWN})


def _share(part: ArrayLike, times: BulkTimes) -> Floats:
    """Shares of the execution times; 0 where nothing took any."""
    total = times.total_ns
    return np.divide(part, total, out=np.zeros_like(total), where=total > 0)
