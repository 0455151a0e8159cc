"""What things cost: every price of one configuration, read from the same TOML tables as the machine.

A key is either structural (``discotrace.replay.machine``: another replay) or a price (here: another multiplication).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from discotrace.tracegen.errors import ConfigError


@dataclass(frozen=True)
class CpuPrices:
    """Clock, and cycles of an instruction that stalls for nothing."""

    clock_mhz: float
    cycles_per_instruction: float


@dataclass(frozen=True)
class MemoryPrices:
    """Latencies of second-level misses and upgrades without contention, by who serves them.

    ``controller_ns``: how long the home node's memory is busy with a request; ``port_ns``: how much longer with one of
    another node. 0: nobody waits.
    """

    local_ns: float
    remote_ns: float
    dirty_local_ns: float
    dirty_remote_ns: float
    upgrade_local_ns: float
    upgrade_remote_ns: float
    controller_ns: float
    port_ns: float


@dataclass(frozen=True)
class SecondCachePrices:
    """Latency of a first-level miss that hits the second level."""

    hit_ns: float


@dataclass(frozen=True)
class LockPrices:
    """Time from the release of a kernel lock until another CPU has it; 0: nobody waits for locks."""

    handoff_ns: float


@dataclass(frozen=True)
class DiskPrices:
    """Times of a request and of each of its pages; requests for each file made; jobs that wait, if the trace has none.

    ``jobs_per_cpu`` 0: nobody waits for disks where the trace does not say how many jobs there are.
    """

    request_ms: float
    page_ms: float
    create_requests: float
    jobs_per_cpu: float


@dataclass(frozen=True)
class MonitorPrices:
    """What the monitor's actions cost beside the guest's own instructions and the counted misses."""

    software_tlb_hit_cycles: float
    kernel_software_tlb_hit_cycles: float
    kernel_tlb_refill_cycles: float
    tlb_write_cycles: float
    wired_write_cycles: float
    privileged_cycles: float
    patched_cycles: float
    zero_page_cycles: float
    vcpu_switch_cycles: float
    free_page_cycles: float
    disk_request_cycles: float
    monitor_fault_cycles: float
    migration_us: float
    replication_us: float
    collapse_us: float
    hot_left_us: float
    cow_fault_us: float
    page_copy_us: float
    page_remap_us: float
    nfs_request_us: float


@dataclass(frozen=True)
class Prices:
    """All prices of one configuration, table by table as in the TOML file."""

    cpu: CpuPrices
    memory: MemoryPrices
    l2: SecondCachePrices
    locks: LockPrices
    disks: DiskPrices
    monitor: MonitorPrices

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]]) -> "Prices":
        """Checked prices from nested tables.

        Raises ConfigError, naming the key, for a missing or unknown one, or a value that is no number >= 0.
        """
        parts = {}
        for table in fields(cls):
            given = tables.get(table.name, {})
            kind: Any = table.type
            names = [f.name for f in fields(kind)]
            for name in given:
                if name not in names:
                    raise ConfigError(f"configuration: unknown price {table.name}.{name}; known: {', '.join(names)}")
            parts[table.name] = kind(**{name: _number(given, table.name, name) for name in names})
        prices = cls(**parts)
        if prices.cpu.clock_mhz == 0:
            raise ConfigError("configuration: cpu.clock_mhz is 0, expected a positive number")
        return prices

    def to_tables(self) -> dict[str, dict[str, float]]:
        """The inverse of ``from_tables``."""
        return {name: dict(vars(table)) for name, table in vars(self).items()}

    @property
    def cycle_ns(self) -> float:
        """Length of a cycle in ns."""
        return 1000 / self.cpu.clock_mhz

    @property
    def instruction_ns(self) -> float:
        """Time of an instruction that stalls for nothing, in ns."""
        return self.cycle_ns * self.cpu.cycles_per_instruction


def _number(given: Mapping[str, Any], table: str, name: str) -> float:
    if name not in given:
        raise ConfigError(f"configuration: {table}.{name} is missing")
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"configuration: {table}.{name} is {value!r}, expected a number, zero or more")
    return float(value)
