"""How the report lays the paper's figures out: titles, names, which comparisons make which bars of which panel."""

from collections.abc import Iterable
from dataclasses import dataclass

from discotrace.analysis.paper.comparison import LOCAL_SHARE, ORDER, TOTAL, Comparison, Role

PAPER, OURS = "paper", "ours"  # the two bars of a pair
ROLES = {"calibrate": "calibrated", "predict": "predicted"}
NAMES = {
    "1vm": "1 VM",
    "2vm": "2 VMs",
    "4vm": "4 VMs",
    "8vm": "8 VMs",
    "8vm_nfs": "8 VMs, NFS",
    "irix": "IRIX",
    "uma": "IRIX, UMA",
    "disco": "Disco",
    "splashos": "SPLASHOS",
    "all": "all bars",
    "pmake": "Pmake",
    "engineering": "Engineering",
    "raytrace": "Raytrace",
    "database": "Database",
    "radix": "Radix",
    "demand_zero": "demand-zero fault",
    "quick_fault": "quick fault",
    "utlb_miss": "UTLB miss",
    "open": "open",
    "read": "read",
    "write": "write",
    "execve": "execve",
    "virtual_total": "memory without sharing",
    "machine_total": "memory used",
    "machine_data": "data",
    "machine_text": "text",
    "machine_buffer_cache": "buffer cache",
    "machine_monitor": "monitor",
    "irix_share": "share of the kernel's time, IRIX",
    "irix_us": "time of one, IRIX",
    LOCAL_SHARE: "misses served by local memory",
    ORDER: "order of the bars",
    "slowdown": "time of a service",
    "stall": "memory stall",
    "figure5": "figure 5",
    "figure6": "figure 6",
    "figure7": "figure 7",
    "figure8": "figure 8",
    "table2": "table 2",
    "table3": "table 3",
    "exec": "execution",
    "sync": "waiting for locks",
    "tlb_write": "TLB writes",
    "privileged": "privileged instructions",
    "monitor_call": "monitor calls",
    "kernel_tlb": "kernel TLB misses",
}


@dataclass(frozen=True)
class Figure:
    """A figure or table of the paper: how it is called, what it shows, what its bars are made of.

    ``segments`` are stacked from the bottom up and make together what ``total`` says. Each quantity in ``plain`` gets
    a panel of bars that are not divided.
    """

    key: str
    title: str
    shows: str
    segments: tuple[str, ...] = ()
    total: str = TOTAL
    plain: tuple[str, ...] = ()


FIGURES = (
    Figure(
        key="figure5",
        title="Figure 5: virtualization on one CPU",
        shows="Execution time of the four uniprocessor workloads under the monitor, where the same run under IRIX "
        "takes 100.",
        segments=("user", "user_stall", "kernel", "kernel_stall", "sync", "monitor", "idle"),
    ),
    Figure(
        key="table2",
        title="Table 2: Pmake's kernel services",
        shows="How long each of seven kernel services takes under the monitor and what the time is spent on, where it "
        "takes 100 under IRIX.",
        segments=("kernel", "tlb_write", "privileged", "monitor_call", "kernel_tlb"),
        total="slowdown",
    ),
    Figure(
        key="figure6",
        title="Figure 6: memory, shared among virtual machines",
        shows="Memory that eight Pmakes take in 1 to 8 virtual machines: what is used, divided by content, and what it "
        "would be if virtual machines shared nothing.",
        segments=("machine_data", "machine_text", "machine_buffer_cache", "machine_monitor"),
        total="machine_total",
        plain=("virtual_total",),
    ),
    Figure(
        key="figure7",
        title="Figure 7: scalability on eight CPUs",
        shows="Execution time of eight Pmakes divided among virtual machines, and of Radix on a specialised operating "
        "system, where IRIX on the whole machine takes 100.",
        segments=("user", "user_stall", "kernel", "kernel_stall", "sync", "monitor", "idle"),
    ),
    Figure(
        key="figure8",
        title="Figure 8: page migration and replication",
        shows="Time of the two NUMA workloads under IRIX, under the monitor that moves and copies hot pages, and on a "
        "machine with uniform memory, where IRIX takes 100.",
        segments=("exec", "local_stall", "remote_stall", "stall", "monitor"),
        plain=(LOCAL_SHARE,),
    ),
    Figure(
        key="table3",
        title="Table 3: pages moved and copied",
        shows="How often the monitor migrates and replicates pages in the runs of figure 8.",
        plain=("migrations", "replications"),
    ),
)


@dataclass(frozen=True)
class Pair:
    """Two bars side by side: ``parts`` are the comparisons they are stacked from, ``total`` is that of their heights.

    An undivided pair has one part, which is its total. ``total`` is None where the paper prints none.
    """

    label: str
    parts: tuple[Comparison, ...]
    total: Comparison | None

    @property
    def role(self) -> Role:
        """Whether the pair was predicted: its height, or else its parts."""
        return (self.total or self.parts[0]).role

    @property
    def heights(self) -> dict[str, float]:
        """How high the bars are, by name of the bar."""
        return {PAPER: sum(p.published for p in self.parts), OURS: sum(p.ours for p in self.parts)}

    @property
    def values(self) -> dict[str, float]:
        """What stands above the bars: the total where there is one, else their heights."""
        total = self.total
        return self.heights if total is None else {PAPER: total.published, OURS: total.ours}


@dataclass(frozen=True)
class Panel:
    """Pairs of bars on one scale. ``height``: the highest bar of all panels that share the scale."""

    title: str
    unit: str
    pairs: tuple[Pair, ...]
    height: float

    @property
    def bars(self) -> int:
        """Rectangles that are drawn."""
        return sum(2 * len(pair.parts) for pair in self.pairs)


def name_of(word: str) -> str:
    """What people read for a key of a comparison."""
    return NAMES.get(word, word.replace("_", " "))


def figures_in(comparisons: Iterable[Comparison]) -> list[tuple[Figure, list[Comparison]]]:
    """The figures that there are comparisons of, with these, in the paper's order."""
    by_figure: dict[str, list[Comparison]] = {}
    for one in comparisons:
        by_figure.setdefault(one.figure, []).append(one)
    return [(figure, by_figure[figure.key]) for figure in FIGURES if figure.key in by_figure]


def panels_of(figure: Figure, comparisons: list[Comparison]) -> list[Panel]:
    """The panels of a figure: stacked bars for each workload, then a panel for each undivided quantity."""
    return _stacked(figure, comparisons) + [
        panel for quantity in figure.plain for panel in _plain(quantity, comparisons)
    ]


def _stacked(figure: Figure, comparisons: list[Comparison]) -> list[Panel]:
    bars: dict[tuple[str, str], list[Comparison]] = {}
    for one in comparisons:
        if one.quantity in (*figure.segments, figure.total):
            bars.setdefault((one.workload, one.configuration), []).append(one)
    by_panel: dict[str, list[Pair]] = {}
    units: dict[str, str] = {}
    for (workload, configuration), found in bars.items():
        parts = sorted(
            (one for one in found if one.quantity in figure.segments), key=lambda c: figure.segments.index(c.quantity)
        )
        total = next((one for one in found if one.quantity == figure.total), None)
        title = name_of(workload) if figure.total == TOTAL else f"{name_of(workload)}: {name_of(figure.total)}"
        by_panel.setdefault(title, []).append(Pair(name_of(configuration), tuple(parts) or _alone(total), total))
        units.setdefault(title, found[0].unit)
    height = max((max(pair.heights.values()) for pairs in by_panel.values() for pair in pairs), default=0)
    return [Panel(title, units[title], tuple(pairs), height) for title, pairs in by_panel.items()]


def _alone(total: Comparison | None) -> tuple[Comparison, ...]:
    """The parts of a bar of which only the total is known."""
    return () if total is None else (total,)


def _plain(quantity: str, comparisons: list[Comparison]) -> list[Panel]:
    found = [one for one in comparisons if one.quantity == quantity]
    if not found:
        return []
    height = max(max(one.published, one.ours) for one in found)
    by_workload: dict[str, list[Pair]] = {}
    for one in found:
        pair = Pair(name_of(one.configuration), (one,), one)
        by_workload.setdefault(name_of(one.workload), []).append(pair)
    if all(len(pairs) == 1 for pairs in by_workload.values()):  # one bar each: named by the workloads, side by side
        pairs = tuple(Pair(workload, own[0].parts, own[0].total) for workload, own in by_workload.items())
        return [Panel(name_of(quantity), found[0].unit, pairs, height)]
    return [
        Panel(f"{workload}: {name_of(quantity)}", found[0].unit, tuple(pairs), height)
        for workload, pairs in by_workload.items()
    ]
