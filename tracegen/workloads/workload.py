"""What a workload is to ``discotrace generate``: a name, knobs with defaults, and the programs that it starts.

A workload is a subclass of ``Workload`` that is a frozen dataclass: its fields are its knobs. Those that come along
are found by the name of their module; others by an entry point of the group ``discotrace.workloads``, or by the path
of a file.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from discotrace.tracegen.workloads.stage import Stage


@dataclass(frozen=True)
class Workload(ABC):
    """A workload with its knobs.

    A docstring under a field, or a comment beside it, is what ``discotrace generate NAME --knobs`` says of it.
    ``search_ranges``: the knobs that ``discotrace calibrate`` may change, each with its lowest and highest value.
    """

    summary: ClassVar[str] = ""
    default_cpus: ClassVar[int] = 1
    default_instances: ClassVar[int] = 1
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {}
    runs_on: ClassVar[bool] = False  # the trace is a piece of a longer run: its processes go on after its end

    cpus: int = 0  # CPUs of the trace; 0 = what the workload is usually run with
    instances: int = 0  # how often it runs side by side; 0 = likewise
    scale: float = 0.02  # 1 = the length of the paper's run; less does less of each phase, so that rates stay
    seed: int = 1  # makes all that is random

    @property
    def cpu_count(self) -> int:
        """CPUs of the trace."""
        return self.cpus or self.default_cpus

    @property
    def instance_count(self) -> int:
        """How often the workload runs side by side."""
        return self.instances or self.default_instances

    @abstractmethod
    def start(self, stage: Stage) -> None:
        """Start the first programs on a stage with ``cpu_count`` CPUs."""
