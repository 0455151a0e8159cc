"""What prices are fitted to: published figures that may be fitted, and how ours are held against each.

Published values come from ``published.calibration``, which has none that the model must come out at by itself.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from discotrace.analysis.configuration import read_tables
from discotrace.analysis.published import calibration

Key = tuple[str, str, str, str]  # figure, workload, configuration, quantity: as in ``paper.bars``
Figures = Mapping[Key, float]

SERVICE_PARTS = ("kernel", "tlb_write", "privileged", "monitor_call", "kernel_tlb")
MACHINE = "flash"
IRIX, DISCO = "irix", "disco"
OF_IRIX_TIME = "of the IRIX time"
PERCENT_OF_BUSY = "% of the bar without idle"
PERCENT_OF_BAR = "% of the bar"


@dataclass(frozen=True)
class Target:
    """A published value, ours out of all our figures, and what a residual counts (its square by ``weight``)."""

    name: str
    unit: str
    published: float
    ours: Callable[[Figures], float]
    weight: float = 1.0


@dataclass(frozen=True)
class Step:
    """Prices that are found together. ``starts``: where the search begins, by ``table.key``, of the expected size.

    ``figure`` is where the targets are; ``bars``: the labels of the bars that they need, by the name of their trace.
    ``at_least``: prices that cannot be below another one of ``starts``, which is named. ``limits``: prices that cannot
    be above a value. ``given``: prices that are set to a value of their own while this step is fitted.
    """

    name: str
    figure: str
    fitted_to: str
    starts: dict[str, float]
    bars: dict[str, tuple[str, ...]]
    targets: list[Target]
    at_least: dict[str, str] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    given: dict[str, float] = field(default_factory=dict)

    def prices(self, values: Sequence[float]) -> dict[str, float]:
        """Prices by ``table.key``, from values >= 0 in the order of ``starts``.

        The value of a price that has a floor is what it is above that.
        """
        named = dict(zip(self.starts, values, strict=True))
        return {key: value + named.get(self.at_least.get(key, ""), 0.0) for key, value in named.items()}


def steps() -> list[Step]:
    """All that is fitted. Each step takes the prices of the others as they are."""
    return [_monitor(), _disks(), _contention(), _locks()]


def _monitor() -> Step:
    """Times are absolute, over the IRIX time that is printed: a trace with faster services changes no price.

    The second-level TLB's answer is the way of every miss of the kernel, cut short: what goes on from there cannot
    cost less. An emulated TLB write is in one number with the answers of the second-level TLB: its price is not fitted.
    A residual counts as what it is of the kernel's time: its square by the square of the service's share.
    """
    table = calibration()["table2"]
    targets = [_service_part(service, part, row) for service, row in table.items() for part in SERVICE_PARTS]
    starts = {
        "software_tlb_hit_cycles": 17.0,
        "wired_write_cycles": 560.0,
        "privileged_cycles": 300.0,
        "zero_page_cycles": 700.0,
        "kernel_software_tlb_hit_cycles": 80.0,
        "kernel_tlb_refill_cycles": 80.0,
    }
    return Step(
        "monitor",
        "table2",
        "table 2: seven services of pmake on 1 CPU, five parts each",
        {f"monitor.{name}": value for name, value in starts.items()},
        {"pmake-1": (IRIX, DISCO)},
        targets,
        {"monitor.kernel_tlb_refill_cycles": "monitor.kernel_software_tlb_hit_cycles"},
    )


def _service_part(service: str, part: str, row: Mapping[str, float]) -> Target:
    def ours(figures: Figures) -> float:
        us = figures["table2", "pmake", service, part] / 100 * figures["table2", "pmake", service, "irix_us"]
        return us / row["irix_us"]

    return Target(f"{service} {part}", OF_IRIX_TIME, row[part], ours, row["irix_share"] ** 2)


def _disks() -> Step:
    idle = calibration()["figure5"][IRIX]["pmake"]["idle"]
    target = Target("pmake idle", PERCENT_OF_BAR, idle, lambda figures: figures["figure5", "pmake", IRIX, "idle"])
    return Step(
        "disks",
        "figure5",
        "figure 5: idle time of pmake on 1 CPU under IRIX",
        {"disks.create_requests": 2.0},
        {"pmake-1": (IRIX,)},
        [target],
    )


def _contention() -> Step:
    """Without disks: the paper's bars have no idle time, in which memory would be free.

    A request takes so long without contention that nothing on its way can be busy with it for longer.
    """
    memory = read_tables(MACHINE)["memory"]  # without what is fitted, which need not be there yet
    table = calibration()["figure8"][IRIX]
    targets = [
        _busy_share("figure8", workload, stall, table[workload])
        for workload in ("engineering", "raytrace")
        for stall in ("local_stall", "remote_stall")
    ]
    return Step(
        "contention",
        "figure8",
        "figure 8: local and remote stall of engineering (8 CPUs) and raytrace (16 CPUs) under IRIX",
        {"memory.controller_ns": 100.0, "memory.port_ns": 100.0},
        {"engineering-8": (IRIX,), "raytrace-16": (IRIX,)},
        targets,
        limits={
            "memory.controller_ns": memory["local_ns"],
            "memory.port_ns": memory["remote_ns"] - memory["local_ns"],
        },
        given={"disks.request_ms": 0.0, "disks.page_ms": 0.0},
    )


def _locks() -> Step:
    bar = calibration()["figure7"][IRIX]["pmake"]
    return Step(
        "locks",
        "figure7",
        "figure 7: waiting for locks of pmake on 8 CPUs under IRIX",
        {"locks.handoff_ns": 1000.0},
        {"pmake-8": (IRIX,)},
        [_busy_share("figure7", "pmake", "sync", bar)],
    )


def _busy_share(figure: str, workload: str, segment: str, bar: Mapping[str, float]) -> Target:
    """A segment of the bar of IRIX in percent of what is not idle, so that waiting for disks has no part in it."""
    published = 100 * bar[segment] / (sum(bar.values()) - bar.get("idle", 0.0))

    def ours(figures: Figures) -> float:
        idle = figures[figure, workload, IRIX, "idle"]
        return 100 * figures[figure, workload, IRIX, segment] / (100 - idle)

    return Target(f"{workload} {segment}", PERCENT_OF_BUSY, published, ours)


def error_of(targets: list[Target], figures: Figures) -> float:
    """Root of the weighted mean squared residual."""
    squares = math.fsum(one.weight * (one.ours(figures) - one.published) ** 2 for one in targets)
    return math.sqrt(squares / math.fsum(one.weight for one in targets))
