"""A report of made-up figures: each figure of the paper, goals met and missed, texts that HTML has to quote."""

from dataclasses import replace

from discotrace.analysis.paper.comparison import ALL_BARS, LOCAL_SHARE, ORDER, TOTAL, Comparison, Expected, compare
from discotrace.analysis.paper.formats import Report
from discotrace.analysis.sensitivity import Sensitivity

OF_IRIX = "% of IRIX"
MULTIPROCESSOR = ("irix", "1vm", "8vm_nfs")
BARS = {  # figure: workload, configurations, quantities from the bottom up, the last one their sum
    "figure5": [("pmake", ("irix", "disco"), ("user", "kernel", "monitor", "idle", TOTAL))],
    "table2": [("pmake", ("open", "quick_fault"), ("kernel", "tlb_write", "monitor_call", "slowdown"))],
    "figure6": [("pmake", MULTIPROCESSOR, ("machine_data", "machine_text", "machine_total"))],
    "figure7": [
        ("pmake", MULTIPROCESSOR, ("user", "user_stall", "kernel", "sync", TOTAL)),
        ("radix", ("irix", "splashos"), ("user", "idle", TOTAL)),
    ],
    "figure8": [("raytrace", ("irix", "disco", "uma"), ("exec", "local_stall", TOTAL))],
}
UNDIVIDED = {
    "figure6": [("pmake", MULTIPROCESSOR, "virtual_total", "MB")],
    "figure8": [("raytrace", ("irix", "disco"), LOCAL_SHARE, "%")],
    "table3": [("raytrace", ("disco",), "migrations", "per s"), ("engineering", ("disco",), "migrations", "per s")],
}
REMARK = 'most of it in <kernel stall> & "idle": 1,234 L2 misses | </script>'


def made_up_report() -> Report:
    """The same report every time."""
    comparisons = []
    for figure in ("figure5", "table2", "figure6", "figure7", "figure8", "table3"):
        for workload, configurations, quantities in BARS.get(figure, []):
            for place, configuration in enumerate(configurations):
                comparisons += _bar(figure, workload, configuration, quantities, place)
        for workload, configurations, quantity, unit in UNDIVIDED.get(figure, []):
            for place, configuration in enumerate(configurations):
                expected = Expected(figure, workload, configuration, quantity, unit, "predict", 40.0 + 10 * place, "%")
                comparisons.append(compare(expected, 37.123456 + 11 * place))
    order = Expected("figure7", "pmake", ALL_BARS, ORDER, "pairs", "predict", 3, "points", 0.0)
    return Report((*comparisons, compare(order, 3)), PROVENANCE, SENSITIVITY)


def _bar(figure: str, workload: str, configuration: str, quantities: tuple[str, ...], place: int) -> list[Comparison]:
    """The parts, 10, 20 ... high as published, and their sum; the bar that stands third misses its goal."""
    role, goal = ("predict", 10.0) if place else ("calibrate", None)
    unit = "MB" if figure == "figure6" else OF_IRIX
    factor = 1.31 if place == 2 else 1.0271828
    *parts, whole = quantities
    bar = [
        compare(Expected(figure, workload, configuration, part, unit, role, 10.0 * n, "points"), 10.0 * n * factor)
        for n, part in enumerate(parts, 1)
    ]
    height = sum(part.published for part in bar)
    total = compare(Expected(figure, workload, configuration, whole, unit, role, height, "%", goal), height * factor)
    return [*bar, total if total.met is not False else replace(total, remark=REMARK, explanation="Made up.")]


PROVENANCE = {
    "command": "discotrace paper -o report.html",
    "versions": {"discotrace": "0.0.0", "python": "3.11"},
    "traces": [{"name": "pmake-1", "sha256": "0f" * 32, "records": 1234}],
}
SENSITIVITY = tuple(
    Sensitivity("figure5", "pmake", "disco", TOTAL, f"memory.price_{n}_ns", 1.1, n / 8 * (-1) ** n, n % 5 == 0)
    for n in range(20)
)
