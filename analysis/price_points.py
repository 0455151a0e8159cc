"""Many vectors of prices at once, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import KEYS, Codes, Flags, Floats, units_ns
from discotrace.tracegen.errors import ConfigError


@dataclass(frozen=True)
class PricePoints:
    """``n`` vectors of prices: ``unit_ns`` [n, len(KEYS)], what one event of each key costs in ns, and arrays [n] of
    those that waiting needs, named as in the tables of ``Prices``."""

    unit_ns: Floats
    controller_ns: Floats
    port_ns: Floats
    handoff_ns: Floats
    request_ms: Floats
    page_ms: Floats
    create_requests: Floats
    jobs_per_cpu: Floats

    @classmethod
    def of(cls, base: Prices, changes: Mapping[str, ArrayLike] | None = None) -> "PricePoints":
        """The prices of ``base``, but for those that are given as arrays [n], by ``table.key``; one point if none is.

        Raises ConfigError, naming the key, for an unknown one, for values that are no numbers >= 0 (a clock: > 0), and
        for arrays of different lengths.
        """
        tables: dict[str, dict[str, float | Floats]] = {name: {**table} for name, table in base.to_tables().items()}
        sizes = {1} if not changes else set()
        for key, values in (changes or {}).items():
            table, _, name = key.partition(".")
            if name not in tables.get(table, {}):
                raise ConfigError(f"prices: unknown price {key}")
            tables[table][name] = _checked(key, values)
            sizes.add(np.size(values))
        if len(sizes) > 1:
            raise ConfigError(f"prices: arrays of {' and '.join(map(str, sorted(sizes)))} values, expected one length")
        points = sizes.pop()
        units = np.empty((len(KEYS), points))
        for place, unit in enumerate(units_ns(tables)):
            units[place] = unit
        waits = {**tables["memory"], **tables["locks"], **tables["disks"]}
        needed = np.empty((len(NEEDED), points))
        for place, name in enumerate(NEEDED):
            needed[place] = waits[name]
        return cls(units.T, *needed)

    def __len__(self) -> int:
        return len(self.unit_ns)

    def part(self, which: slice | Codes | Flags) -> "PricePoints":
        """Some of the points."""
        units = np.ascontiguousarray(self.unit_ns.T[:, which])
        return PricePoints(units.T, *(getattr(self, name)[which] for name in NEEDED))


NEEDED = [array.name for array in fields(PricePoints)][1:]


def _checked(key: str, values: ArrayLike) -> Floats:
    """Values of one price [n]."""
    checked = np.asarray(values, dtype=np.float64)
    is_clock = key == "cpu.clock_mhz"
    is_usable = np.isfinite(checked) & ((checked > 0) if is_clock else (checked >= 0))
    if checked.ndim != 1 or not is_usable.all():
        raise ConfigError(f"prices: {key} has to be an array of numbers, {'positive' if is_clock else 'zero or more'}")
    return checked
