"""How much bars depend on parameters: of experiments carried out on a workload so small that it takes no time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from discotrace.analysis.paper.evaluation import count, price
from discotrace.analysis.paper.experiments import Bar, Experiment, TraceSpec
from discotrace.analysis.paper.store import Store
from discotrace.analysis.sensitivity import Trial
from discotrace.analysis.sensitivity_of_paper import of_prices, of_structure
from tests.unit.tracegen.workloads.toy import toy_file

WAITING = ("disks.request_ms", "disks.page_ms", "memory.controller_ns", "memory.port_ns", "locks.handoff_ns")
NO_WAITING = [f"{name}=0" for name in WAITING]


class Silent:
    """A watcher that wants to know nothing."""

    def generating(self, spec: TraceSpec) -> None:
        pass

    @contextmanager
    def replaying(self, spec: TraceSpec, rows: int) -> Iterator[Callable[[int], None]]:
        yield lambda more: None

    def done(self, spec: TraceSpec) -> None:
        pass


@pytest.fixture
def toy(tmp_path: Path) -> Experiment:
    bars = (Bar("irix", "native"), Bar("disco", "disco"))
    return Experiment(TraceSpec("toy", toy_file(tmp_path), 1, 1, 1.0), ("figure5",), bars)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def test_prices__a_linear_part_changes_its_bar_by_its_share(toy: Experiment, store: Store) -> None:
    count([toy], store, 1, Silent())
    found = {one.parameter: one for one in of_prices([toy], store, NO_WAITING)}
    disco = price([toy], store, NO_WAITING)[0].bars["disco"].outcome
    privileged = found["monitor.privileged_cycles"].change + found["monitor.patched_cycles"].change
    assert privileged == pytest.approx(10 * disco.parts_ms["monitor_privileged"] / disco.time_ms)
    assert {one.key for one in found.values()} == {("figure5", toy.trace.workload, "disco", "total")}
    assert found["l2.hit_ns"].is_unverified
    assert not found["memory.local_ns"].is_unverified
    changes = [abs(one.change) for one in found.values()]
    assert changes == sorted(changes, reverse=True)


def test_prices__that_are_given_are_where_it_starts(toy: Experiment, store: Store) -> None:
    """What costs ten times as much counts for more."""
    count([toy], store, 1, Silent())
    name = "monitor.zero_page_cycles"
    few, many = (
        next(one.change for one in of_prices([toy], store, [*NO_WAITING, f"{name}={cycles}"]) if one.parameter == name)
        for cycles in (700, 7000)
    )
    assert many > 5 * few


def test_structure__needs_replays_of_the_bars_that_use_it(toy: Experiment, store: Store) -> None:
    trials = [Trial("monitor.refill_instructions", 2.0), Trial("migration.trigger")]
    found = of_structure([toy], store, NO_WAITING, trials, 1, Silent())
    assert {one.parameter for one in found} <= {trial.parameter for trial in trials}
    assert len(list((store.folder / "counts").glob("*disco*.parquet"))) == 3  # as it is, and with each changed
    assert len(list((store.folder / "counts").glob("*.parquet"))) == 4
