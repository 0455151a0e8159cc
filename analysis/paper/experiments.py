"""The experiments of the Disco paper's evaluation: which traces, on which machines, under which systems."""

from collections.abc import Iterable
from dataclasses import dataclass

from discotrace.tracegen.errors import ConfigError

FIGURES = ("figure5", "table2", "figure6", "figure7", "figure8", "table3")
MACHINE = "flash"
SEED = 1


@dataclass(frozen=True)
class TraceSpec:
    """A trace to generate: what ``discotrace generate WORKLOAD --cpus --instances --scale`` writes.

    ``scale``: the length that all of the paper takes a few minutes with; 1 is the length of the paper's run.
    """

    name: str
    workload: str
    cpus: int
    instances: int
    scale: float


@dataclass(frozen=True)
class Bar:
    """A system under test: a bar of a figure. ``changes`` of the machine's structure, ``prices`` of its prices."""

    label: str
    system: str
    changes: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """Bars over one trace. The first is what the others are held against: IRIX on the same machine."""

    trace: TraceSpec
    figures: tuple[str, ...]
    bars: tuple[Bar, ...]


# A machine has 256 MB in all, also with one CPU (S 5.3); preset ``flash`` has it in shares of 32 MiB for each CPU.
_ONE_CPU = ("memory.mib_per_node=256",)
_STILL = ("placement.policy=first-touch",)  # "migration off" (S 5.4)
_SMALL_CACHE = ("l2.size_kib=256",)  # Raytrace of figure 8 only (S 5.5)
# Every miss takes what a local one does, and there is no network (S 5.5).
_UMA = (
    "memory.remote_ns=300",
    "memory.dirty_local_ns=300",
    "memory.dirty_remote_ns=300",
    "memory.upgrade_local_ns=300",
    "memory.upgrade_remote_ns=300",
    "memory.port_ns=0",
)
_RAYTRACE_ACTIONS = ("monitor.migration_us=102", "monitor.replication_us=73")  # table 3, whose times serve as prices


def _one_cpu(workload: str, scale: float, figures: tuple[str, ...]) -> Experiment:
    bars = (Bar("irix", "native", _ONE_CPU), Bar("disco", "disco", _ONE_CPU))
    return Experiment(TraceSpec(f"{workload}-1", workload, 1, 1, scale), figures, bars)


def _virtual_machines(count: int) -> Bar:
    return Bar(f"{count}vm", "disco", (*_STILL, f"vm.count={count}"))


def _numa(trace: TraceSpec, changes: tuple[str, ...], actions: tuple[str, ...]) -> Experiment:
    bars = (
        Bar("irix", "native", changes),
        Bar("disco", "disco", changes, actions),
        Bar("uma", "native", changes, _UMA),
    )
    return Experiment(trace, ("figure8", "table3"), bars)


# In the order in which traces are made: what takes long comes early. pmake is compiled on the short one of its traces.
EXPERIMENTS = (
    _one_cpu("pmake", 0.1, ("figure5", "table2")),
    _numa(TraceSpec("engineering-8", "engineering", 8, 1, 0.1), (), ()),
    Experiment(
        TraceSpec("pmake-8", "pmake", 8, 8, 0.05),
        ("figure6", "figure7"),
        (
            Bar("irix", "native"),
            *(_virtual_machines(count) for count in (1, 2, 4, 8)),
            Bar("8vm_nfs", "disco", (*_STILL, "vm.count=8", "vm.nfs=true")),
        ),
    ),
    _numa(TraceSpec("raytrace-16", "raytrace", 16, 1, 0.2), _SMALL_CACHE, _RAYTRACE_ACTIONS),
    Experiment(
        TraceSpec("radix-8", "radix", 8, 1, 0.02), ("figure7",), (Bar("irix", "native"), Bar("splashos", "splashos"))
    ),
    _one_cpu("database", 0.1, ("figure5",)),
    _one_cpu("engineering", 0.1, ("figure5",)),
    _one_cpu("raytrace", 0.02, ("figure5",)),
)


def chosen(figures: Iterable[str]) -> list[Experiment]:
    """The experiments that figures are made of, all of them for none. Raises ConfigError for an unknown figure."""
    wanted = list(figures) or list(FIGURES)
    for figure in wanted:
        if figure not in FIGURES:
            raise ConfigError(f"the paper has no {figure!r} here; known: {', '.join(FIGURES)}")
    return [experiment for experiment in EXPERIMENTS if set(wanted) & set(experiment.figures)]
