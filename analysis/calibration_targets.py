"""What a workload is calibrated to: measures of a native replay, and their published values where there are any.

Published values come from ``published.calibration``, which has none that the model must come out at by itself. A TLB
miss rate is among them for pmake only (table 2).
"""

from collections.abc import Iterable, Mapping

from discotrace.analysis.outcome import Outcome
from discotrace.analysis.published import calibration
from discotrace.tracegen.errors import ConfigError

BUSY = ("user", "user_stall", "kernel", "kernel_stall")  # parts of the time of a native replay without idle
TLB_MISSES = "tlb_misses_per_second"
SERVICES = ("demand_zero", "quick_fault", "open", "write", "read", "execve")


def measures(outcome: Outcome) -> dict[str, float]:
    """What can be a target. Shares are percent of a CPU's busy time, rates are per second of it.

    ``user_percent`` and ``kernel_percent`` include their stalls, of which ``user_stall_percent`` is the user's.
    """
    parts = outcome.parts_ms
    busy_ms = sum(parts[part] for part in BUSY)
    seconds = busy_ms * outcome.cpus / 1000
    entries = {service.service: service.entries for service in outcome.services}
    rates = {TLB_MISSES: outcome.totals["tlb_misses"] + outcome.totals["tlb_invalid"]}
    rates |= {f"{name}_per_second": entries.get(name, 0) for name in SERVICES}
    shares = {
        "user_percent": parts["user"] + parts["user_stall"],
        "user_stall_percent": parts["user_stall"],
        "kernel_percent": parts["kernel"] + parts["kernel_stall"],
    }
    return {name: _ratio(100 * ms, busy_ms) for name, ms in shares.items()} | {
        name: _ratio(count, seconds) for name, count in rates.items()
    }


MEASURES = ("user_percent", "user_stall_percent", "kernel_percent", TLB_MISSES, *(f"{s}_per_second" for s in SERVICES))


def published_targets(workload: str) -> dict[str, float]:
    """The measures of a workload that the paper gives: figure 5, for pmake table 2 too, figure 7 for radix."""
    published = calibration()
    if workload == "radix":
        time = published["figure7"]["irix"]["radix"]
        busy = time["user"] + time["user_stall"] + time["kernel"]
        user = time["user"] + time["user_stall"]
        return _percents(busy, user=user, user_stall=time["user_stall"], kernel=time["kernel"])
    if workload not in published["figure5"]["irix"]:
        return {}
    time = published["figure5"]["irix"][workload]
    busy = time["user"] + time["kernel"]
    targets = _percents(busy, user=time["user"], kernel=time["kernel"])
    return targets | _service_rates(time["kernel"] / busy) if workload == "pmake" else targets


def parse_targets(given: Iterable[str]) -> dict[str, float]:
    """Targets of ``measure=value`` texts. Raises ConfigError."""
    targets = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            targets[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(f"--target {text!r}: expected measure=number, as in kernel_percent=13.6") from None
        if name.strip() not in MEASURES:
            raise ConfigError(f"--target {text!r}: no such measure; known: {', '.join(MEASURES)}")
        if not 0 < targets[name.strip()] < float("inf"):
            raise ConfigError(f"--target {text!r}: expected a number above 0")
    return targets


def _percents(busy: float, **parts: float) -> dict[str, float]:
    return {f"{part}_percent": 100 * share / busy for part, share in parts.items()}


def _service_rates(kernel_share: float) -> dict[str, float]:
    """Entries per busy second: a service's share of the kernel's time over what one entry takes (table 2)."""
    table: Mapping[str, Mapping[str, float]] = calibration()["table2"]
    rates = {name: kernel_share * row["irix_share"] / (row["irix_us"] * 1e-6) for name, row in table.items()}
    return {TLB_MISSES: rates["utlb_miss"]} | {f"{name}_per_second": rates[name] for name in SERVICES}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
