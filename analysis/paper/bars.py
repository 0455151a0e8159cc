"""Our figures, laid out as the paper lays out its own."""

from collections.abc import Callable, Iterator
from itertools import chain

from discotrace.analysis.outcome import Outcome, ServiceTime
from discotrace.analysis.paper.comparison import LOCAL_SHARE, TOTAL
from discotrace.analysis.paper.evaluation import Priced, Result
from discotrace.analysis.paper.service_parts import service_parts_us

IRIX = "irix"
MB = 1 << 20  # as the paper counts memory: its 256 MB are 8 x 32 MiB
Key = tuple[str, str, str, str]  # figure, workload, configuration, quantity
Figures = dict[Key, float]
Segments = dict[str, float]


def our_figures(results: list[Result]) -> Figures:
    """Everything that can be held against a published figure, by figure, workload, configuration and quantity."""
    found: Figures = {}
    for result in results:
        for figure in result.experiment.figures:
            workload = result.experiment.trace.workload
            for configuration, quantity, value in _LAYOUTS[figure](result.bars):
                found[figure, workload, configuration, quantity] = value
    return found


Rows = Iterator[tuple[str, str, float]]  # configuration, quantity, value


def _normalised(bars: dict[str, Priced], segments: Callable[[Priced], Segments]) -> Rows:
    """Heights of bars and segments in percent of the time of IRIX."""
    whole = bars[IRIX].outcome.time_ms
    for label, priced in bars.items():
        yield label, TOTAL, _percent(priced.outcome.time_ms, whole)
        for segment, ms in segments(priced).items():
            yield label, segment, _percent(ms, whole)


def _overhead(bars: dict[str, Priced]) -> Rows:
    return _normalised(bars, lambda priced: overhead_segments(priced.outcome))


def _scalability(bars: dict[str, Priced]) -> Rows:
    return _normalised(bars, lambda priced: scalability_segments(priced.outcome))


def _placement(bars: dict[str, Priced]) -> Rows:
    yield from _normalised(bars, placement_segments)
    for label, priced in bars.items():
        share = 1.0 if label == "uma" else 1.0 - priced.outcome.remote_miss_ratio
        yield label, LOCAL_SHARE, 100 * share


def _actions(bars: dict[str, Priced]) -> Rows:
    for action in ("migrations", "replications"):
        yield "disco", action, bars["disco"].outcome.actions_per_second[action]


def _memory(bars: dict[str, Priced]) -> Rows:
    for label, priced in bars.items():
        for quantity, kib in memory_parts(priced).items():
            yield label, quantity, kib * 1024 / MB


def _services(bars: dict[str, Priced]) -> Rows:
    """Times of services, natively and relative to that: the whole and its five parts."""
    irix = {service.service: service for service in bars[IRIX].outcome.services}
    disco = {service.service: service for service in bars["disco"].outcome.services}
    parts = service_parts_us(bars["disco"])
    kernel_us = sum(service.entries * service.kernel_us for service in irix.values())
    for name, service in irix.items():
        if service.kernel_us and name in disco:
            yield name, "irix_share", _percent(service.entries * service.kernel_us, kernel_us)
            yield name, "irix_us", service.kernel_us
            yield name, "slowdown", _percent(_whole_us(disco[name]), service.kernel_us)
            for part, us in parts[name].items():
                yield name, part, _percent(us, service.kernel_us)


_LAYOUTS: dict[str, Callable[[dict[str, Priced]], Rows]] = {
    "figure5": _overhead,
    "table2": _services,
    "figure6": _memory,
    "figure7": _scalability,
    "figure8": _placement,
    "table3": _actions,
}


def overhead_segments(one: Outcome) -> Segments:
    """Figure 5, in ms: stalls belong to who has them."""
    segments = scalability_segments(one)
    user = segments["user"] + segments["user_stall"]
    kernel = segments["kernel"] + segments["sync"]
    return {"user": user, "kernel": kernel, "monitor": segments["monitor"], "idle": segments["idle"]}


def scalability_segments(one: Outcome) -> Segments:
    """Figure 7, in ms: the kernel's stalls belong to it, what waits for its locks stands apart."""
    parts = one.parts_ms
    return {
        "user": parts["user"],
        "user_stall": parts["user_stall"],
        "kernel": parts["kernel"] + parts["kernel_stall"],
        "sync": parts["sync"],
        "monitor": _monitor_ms(one),
        "idle": parts["idle"] + parts["idle_loop"],
    }


def placement_segments(priced: Priced) -> Segments:
    """Figure 8, in ms: stalls for memory by who serves them; what hits the second-level cache is execution."""
    one = priced.outcome
    stalls = {f"{where}_stall": one.stalls_ms[where] for where in ("local", "remote")}
    stall = sum(stalls.values())
    monitor = _monitor_ms(one)
    idle = one.parts_ms["idle"] + one.parts_ms["idle_loop"]
    segments = {"exec": one.time_ms - stall - monitor - idle}
    segments |= {"stall": stall} if priced.bar.label == "uma" else stalls
    return segments | {"monitor": monitor, "idle": idle}


def memory_parts(priced: Priced) -> dict[str, int]:
    """Figure 6, in KiB: what the kernels and the monitor have; memory of processes is not part of it."""
    end = priced.memory.end
    return {
        "virtual_total": sum(end.virtual_kib.get(name, 0) for name in chain.from_iterable(_HELD.values())),
        "machine_total": sum(end.machine_kib.get(name, 0) for name in chain.from_iterable(_HELD.values())),
        **{f"machine_{part}": sum(end.machine_kib.get(n, 0) for n in names) for part, names in _HELD.items()},
    }


# Pages that only the disk cache or a log keeps are pages of files, as those of a buffer cache are.
_HELD = {
    "data": ("kernel_data",),
    "text": ("kernel_text",),
    "buffer_cache": ("buffer_cache", "disk_cache", "logs"),
    "monitor": ("monitor", "replicas"),
}


def _monitor_ms(one: Outcome) -> float:
    return sum(ms for part, ms in one.parts_ms.items() if part.startswith("monitor"))


def _whole_us(service: ServiceTime) -> float:
    return service.kernel_us + service.monitor_us


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0
