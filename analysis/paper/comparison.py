"""A published figure against ours: the one record that all reports of ``discotrace paper`` print."""

from dataclasses import dataclass
from typing import Literal

ErrorUnit = Literal["%", "points"]
Role = Literal["calibrate", "predict"]

TOTAL = "total"
LOCAL_SHARE = "local_share"
ORDER = "order"  # pairs of bars that stand in the published order
ALL_BARS = "all"  # the configuration of an ORDER


@dataclass(frozen=True)
class Expected:
    """A published figure, named as a comparison is.

    ``role``: "calibrate" if the model may be fitted to it, "predict" if it must come out by itself.
    ``goal``: the error that is allowed, in ``error_unit``; None where nothing is promised.
    """

    figure: str
    workload: str
    configuration: str
    quantity: str
    unit: str
    role: Role
    published: float
    error_unit: ErrorUnit
    goal: float | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from others: figure, workload, configuration, quantity."""
        return self.figure, self.workload, self.configuration, self.quantity


@dataclass(frozen=True)
class Comparison:
    """A published figure and ours.

    ``configuration``: irix, disco, uma, 1vm, 2vm, 4vm, 8vm, 8vm_nfs, splashos, or "all" for what concerns all bars.
    By ``figure``, the quantities (unit) are:

    - figure5, figure7, figure8: "total" and the segments of a bar (% of IRIX); "order" (pairs); in figure 8 also
      "local_share" (%). A segment that the paper's bar does not have has 0 published.
    - figure6: "virtual_total", "machine_total", "machine_data", "machine_text", "machine_buffer_cache",
      "machine_monitor" (MB).
    - table2: ``configuration`` is the service; "irix_share" (% of kernel), "irix_us" (us), "slowdown" and its five
      parts "kernel", "tlb_write", "privileged", "monitor_call", "kernel_tlb" (% of IRIX).
    - table3: "migrations", "replications" (per s).

    ``error`` in ``error_unit``: "%" of the published figure, or "points": ours less published. ``goal``: what its
    absolute value may be at most, None without a goal, and then ``met`` is None too.
    ``remark`` says where a missed goal comes from; ``explanation`` why, in words of ours.
    """

    figure: str
    workload: str
    configuration: str
    quantity: str
    unit: str
    role: Role
    published: float
    ours: float
    error: float
    error_unit: ErrorUnit
    goal: float | None
    met: bool | None
    remark: str = ""
    explanation: str = ""


def compare(expected: Expected, ours: float) -> Comparison:
    """Hold our figure against a published one."""
    error = error_of(expected, ours)
    return Comparison(
        figure=expected.figure,
        workload=expected.workload,
        configuration=expected.configuration,
        quantity=expected.quantity,
        unit=expected.unit,
        role=expected.role,
        published=expected.published,
        ours=ours,
        error=error,
        error_unit=expected.error_unit,
        goal=expected.goal,
        met=None if expected.goal is None else abs(error) <= expected.goal,
    )


def error_of(expected: Expected, ours: float) -> float:
    """Percent of the published figure, or points. A published zero has no percent: it must be held against in points.

    Raises ValueError for a percentage of zero.
    """
    if expected.error_unit == "points":
        return ours - expected.published
    if expected.published == 0:
        raise ValueError(f"{' '.join(expected.key)}: an error in percent of nothing")
    return 100 * (ours - expected.published) / expected.published


def pairs_in_order(published: dict[str, float], ours: dict[str, float]) -> tuple[int, int]:
    """Pairs of bars that stand in the published order, of all pairs whose published heights differ."""
    names = list(published)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if published[a] != published[b]]
    return sum((published[a] < published[b]) == (ours[a] < ours[b]) for a, b in pairs), len(pairs)
