"""The figures of a point: what a row of the results says of it, by column."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.labels import RATE_LABELS
from discotrace.analysis.outcome import ACTIONS, Counted, rates, remote_miss_ratio
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.price_surface import Surface, surface
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, STALLS, Flags, Floats
from discotrace.analysis.waiting_model import what_waits

TIME, SLOWDOWN, REMOTE = "time_ms", "slowdown", "remote_miss_ratio"
BUSY = "memory_busy_ratio"
ERROR = "interpolation_error"  # of times, as a share of the execution time, as far as it was checked; 0 = solved
FIGURES = (
    TIME,
    SLOWDOWN,
    "kernel_percent",
    "monitor_percent",
    REMOTE,
    *(f"{part}_ms" for part in ALL_PARTS),
    *(f"stall_{where}_ms" for where in STALLS),
    BUSY,
    *RATE_LABELS,
    *(f"{action}_per_second" for action in ACTIONS),
    ERROR,
)
SOLVED_AT_MOST = 10_000  # points of one replay for which waiting is solved one by one


class Pricer:
    """Prices the counts of one replay, at points that are known beforehand and may be very many.

    Where it is more than ``SOLVED_AT_MOST`` at which CPUs wait for the same things, waiting is interpolated.
    """

    def __init__(self, counted: Counted, prices: Prices, changes: Mapping[str, Floats]) -> None:
        """``changes``: prices by ``table.key`` at all points, arrays. Raises ConfigError for a price that cannot be."""
        self._counted = counted
        self._prices = prices
        self._surfaces: dict[int, Surface] = {}
        for kind, alike in self._kinds(changes).items():
            if kind > 0 and np.count_nonzero(alike) > SOLVED_AT_MOST:
                part = {key: values[alike] for key, values in changes.items()}
                found = surface(counted.ledger, prices, part, threads=1)
                if found is not None:
                    self._surfaces[kind] = found

    def figures(self, changes: Mapping[str, Floats], points: int) -> pl.DataFrame:
        """The figures at so many of the points: one row a point; all of ``FIGURES`` but ``slowdown``.

        ``changes``: as before, arrays [points]; without any, all points are the same.
        """
        kinds = self._kinds(changes)
        size = len(kinds[next(iter(kinds))])
        times, error = BulkTimes.empty(size), np.zeros(size)
        for kind, alike in kinds.items():
            which = slice(None) if alike.all() else np.flatnonzero(alike)
            part = {key: values[which] for key, values in changes.items()}
            if kind in self._surfaces:
                times.put(which, self._surfaces[kind].at(part))
                error[which] = self._surfaces[kind].error
            else:
                times.put(which, priced(self._counted.ledger, PricePoints.of(self._prices, part), threads=1))
        return _frame(self._counted, times, error, points)

    def _kinds(self, changes: Mapping[str, Floats]) -> dict[int, Flags]:
        """Which of the points [n] are alike: CPUs wait for the same things and the same prices are nothing.

        By a number, 0 = they wait for nothing. What takes no time at all is left out of the model: times need not be
        smooth there. What is waited for depends on nothing but which prices are nothing.
        """
        priced_keys = np.zeros(1, np.int64)  # those that are not nothing, a bit each
        for place, values in enumerate(changes.values()):
            priced_keys = priced_keys | np.not_equal(values, 0).astype(np.int64) << place
        kinds: dict[int, Flags] = {}
        for keys in np.unique(priced_keys).tolist():
            alike = priced_keys == keys
            first = int(np.argmax(alike))
            one = PricePoints.of(self._prices, {key: values[first : first + 1] for key, values in changes.items()})
            waits = int(what_waits(one, self._counted.ledger.site.jobs)[0] @ [1, 2, 4])
            kind = (waits | keys << 3) if waits else 0
            kinds[kind] = kinds[kind] | alike if kind in kinds else alike
        return kinds


def _frame(counted: Counted, times: BulkTimes, error: Floats, points: int) -> pl.DataFrame:
    """Figures as a table of so many rows."""
    of_part = dict(zip(ALL_PARTS, times.parts_ns.T, strict=True))
    of_monitor = (ns for part, ns in of_part.items() if part.startswith("monitor"))
    monitor = sum(of_monitor, np.zeros_like(times.total_ns))  # one after the other, however many points there are
    varying: dict[str, Floats] = {
        TIME: times.total_ns / 1e6,
        "kernel_percent": _share(100 * (of_part["kernel"] + of_part["kernel_stall"]), times),
        "monitor_percent": _share(100 * monitor, times),
        **{f"{part}_ms": ns / 1e6 for part, ns in of_part.items()},
        **{f"stall_{where}_ms": times.stalls_ms[:, place] for place, where in enumerate(STALLS)},
        BUSY: times.memory_busy_ratio,
        **{f"{action}_per_second": _share(counted.totals[action] * 1e9, times) for action in ACTIONS},
        ERROR: error,
    }
    constant = {REMOTE: remote_miss_ratio(counted.totals), **rates(counted.totals)}
    whole = {name: np.broadcast_to(values, points) for name, values in (varying | constant).items()}
    return pl.DataFrame({name: whole[name] for name in FIGURES if name != SLOWDOWN})


def _share(part: ArrayLike, times: BulkTimes) -> Floats:
    """Shares of the execution times; 0 where nothing took any."""
    total = times.total_ns
    return np.divide(part, total, out=np.zeros_like(total), where=total > 0)
