"""The published results, all of them, as a list of what to come out at.

This is the only module that reads values whose role is "predict". Nothing that fits imports it, which a test enforces;
fitting reads ``discotrace.analysis.published``.
"""

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from discotrace.analysis.paper.comparison import ALL_BARS, LOCAL_SHARE, ORDER, TOTAL, ErrorUnit, Expected, Role

OF_IRIX = "% of IRIX"
IRIX = "irix"
TOTAL_GOAL, LOCAL_SHARE_GOAL, FOOTPRINT_GOAL = 10.0, 10.0, 15.0  # percent, points, percent

_SERVICE_PARTS = ("kernel", "tlb_write", "privileged", "monitor_call", "kernel_tlb")
_SCALABILITY_BARS = {"pmake": ("1vm", "2vm", "4vm", "8vm", "8vm_nfs"), "radix": ("splashos",)}

Table = dict[str, Any]


def expected_results() -> list[Expected]:
    """Every published figure, in the order of the paper."""
    published = _published()
    return [
        *_figure5(published["figure5"]),
        *_table2(published["table2"]),
        *_figure6(published["figure6"]),
        *_figure7(published["figure7"]),
        *_figure8(published["figure8"]),
        *_table3(published["table3"]),
    ]


@cache
def _published() -> Table:
    text = (resources.files("discotrace.analysis") / "disco-sosp97.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _figure5(tables: Table) -> Iterator[Expected]:
    irix, disco = tables[IRIX], tables["disco"]
    for workload in _workloads(irix):
        yield from _bar("figure5", workload, IRIX, irix["role"], _with_total(irix[workload]))
        yield from _bar("figure5", workload, "disco", disco["role"], disco[workload])
        yield _order("figure5", workload, disco["role"], _heights({"disco": disco[workload]}))


def _figure7(tables: Table) -> Iterator[Expected]:
    irix, disco = tables[IRIX], tables["disco"]
    for workload, labels in _SCALABILITY_BARS.items():
        bars = {label: disco[f"{workload}_{label}"] for label in labels}
        yield from _bar("figure7", workload, IRIX, irix["role"], _with_total(irix[workload]))
        for label, bar in bars.items():
            yield from _bar("figure7", workload, label, disco["role"], bar)
        yield _order("figure7", workload, disco["role"], _heights(bars))


def _figure8(tables: Table) -> Iterator[Expected]:
    irix, shares = tables[IRIX], tables[LOCAL_SHARE]
    for workload in _workloads(irix):
        bars = {label: tables[label][workload] for label in ("disco", "uma")}
        yield from _bar("figure8", workload, IRIX, irix["role"], _with_total(irix[workload]))
        for label, bar in bars.items():
            yield from _bar("figure8", workload, label, tables[label]["role"], bar)
        yield _order("figure8", workload, tables["disco"]["role"], _heights(bars))
        for label, share in shares[workload].items():
            goal = None if label == "uma" else LOCAL_SHARE_GOAL  # where all is local there is nothing to come out at
            yield Expected("figure8", workload, label, LOCAL_SHARE, "%", shares["role"], 100 * share, "points", goal)


def _bar(figure: str, workload: str, configuration: str, role: Role, bar: Table) -> Iterator[Expected]:
    """The whole in percent, its segments in points of IRIX's time."""
    goal = TOTAL_GOAL if role == "predict" else None
    yield Expected(figure, workload, configuration, TOTAL, OF_IRIX, role, bar[TOTAL], "%", goal)
    for segment, height in bar.items():
        if segment != TOTAL:
            yield Expected(figure, workload, configuration, segment, OF_IRIX, role, height, "points")


def _order(figure: str, workload: str, role: Role, heights: dict[str, float]) -> Expected:
    names = list(heights)
    pairs = sum(heights[a] != heights[b] for i, a in enumerate(names) for b in names[i + 1 :])
    return Expected(figure, workload, ALL_BARS, ORDER, "pairs", role, pairs, "points", 0.0)


def _heights(bars: dict[str, Table]) -> dict[str, float]:
    return {IRIX: 100.0} | {label: bar[TOTAL] for label, bar in bars.items()}


def _with_total(bar: Table) -> Table:
    return {TOTAL: 100.0} | bar


def _table2(services: Table) -> Iterator[Expected]:
    """Services stand where other figures have the configuration; ratios in percent, so that errors are points."""
    role = services["role"]
    for service in _workloads(services):
        row = services[service]
        if "irix_us" not in row:
            continue
        yield Expected("table2", "pmake", service, "irix_share", "% of kernel", role, 100 * row["irix_share"], "points")
        yield Expected("table2", "pmake", service, "irix_us", "us", role, row["irix_us"], "%")
        yield Expected("table2", "pmake", service, "slowdown", OF_IRIX, role, 100 * row["slowdown"], "%")
        for part in _SERVICE_PARTS:
            yield Expected("table2", "pmake", service, part, OF_IRIX, role, 100 * row[part], "points")


def _figure6(tables: Table) -> Iterator[Expected]:
    irix, disco = tables[IRIX], tables["disco"]
    total = irix[TOTAL]
    yield from _footprint(IRIX, irix["role"], {**total, "machine_parts": irix["parts"]})
    for label in _SCALABILITY_BARS["pmake"]:
        yield from _footprint(label, disco["role"], disco[label])


def _footprint(configuration: str, role: Role, row: Table) -> Iterator[Expected]:
    goal = FOOTPRINT_GOAL if role == "predict" else None
    for sort in ("virtual", "machine"):
        yield Expected("figure6", "pmake", configuration, f"{sort}_{TOTAL}", "MB", role, row[sort], "%", goal)
    for part, megabytes in row["machine_parts"].items():
        unit: ErrorUnit = "%" if megabytes else "points"
        yield Expected("figure6", "pmake", configuration, f"machine_{part}", "MB", role, megabytes, unit)


def _table3(table: Table) -> Iterator[Expected]:
    """The rates. The times may be used as prices, and are: nothing to be held against."""
    for workload in _workloads(table):
        for action in ("migrations", "replications"):
            rate = table[workload][f"{action}_per_s"]
            yield Expected("table3", workload, "disco", action, "per s", table["role"], rate, "%")


def _workloads(table: Table) -> list[str]:
    return [name for name, value in table.items() if isinstance(value, dict)]
