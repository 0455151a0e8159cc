"""Experiments carried out: on a workload so small that it takes no time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from discotrace.analysis.paper.evaluation import at_scale, count, price
from discotrace.analysis.paper.experiments import EXPERIMENTS, Bar, Experiment, TraceSpec, chosen
from discotrace.analysis.paper.generation import Generation, Job
from discotrace.analysis.paper.replays import check_prices, configuration_of, counts_path, missing
from discotrace.analysis.paper.store import Store
from discotrace.analysis.paper.traces import trace_path
from discotrace.tracegen.errors import ConfigError, DiscotraceError
from tests.unit.tracegen.workloads.toy import toy_file

SLOW_REMOTE = ("memory.remote_ns=9000", "memory.local_ns=9000")
BARS = (Bar("irix", "native"), Bar("disco", "disco"), Bar("uma", "native", prices=SLOW_REMOTE))


class Notes:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def generating(self, spec: TraceSpec) -> None:
        self.told.append(f"generate {spec.name}")

    @contextmanager
    def replaying(self, spec: TraceSpec, rows: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more

        yield advance
        self.told.append(f"replay {spec.name}" if done == rows else f"{done} of {rows} rows")

    def done(self, spec: TraceSpec) -> None:
        self.told.append(f"done {spec.name}")


@pytest.fixture
def toy(tmp_path: Path) -> Experiment:
    return Experiment(TraceSpec("toy", toy_file(tmp_path), 1, 1, 1.0), ("figure5",), BARS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def counting(experiment: Experiment, store: Store) -> list[str]:
    notes = Notes()
    count([experiment], store, 2, notes)
    return notes.told


def test_what_is_there_is_not_made_again(toy: Experiment, store: Store) -> None:
    assert counting(toy, store) == ["generate toy", "replay toy", "done toy"]
    assert counting(toy, store) == []


def test_one_bar_that_is_missing_needs_the_trace_and_no_other_bar(toy: Experiment, store: Store) -> None:
    counting(toy, store)
    counts_path(store, toy.trace, toy.bars[1]).unlink()
    assert list(missing(store, toy.trace, toy.bars).values()) == [toy.bars[1]]
    assert counting(toy, store) == ["replay toy", "done toy"]


def test_counts_outlive_their_trace(toy: Experiment, store: Store) -> None:
    counting(toy, store)
    trace_path(store, toy.trace).unlink()
    assert counting(toy, store) == []
    assert price([toy], store, [])[0].trace["rows"] > 0


def test_bars_that_differ_in_prices_are_one_replay(toy: Experiment, store: Store) -> None:
    counting(toy, store)
    assert len(list((store.folder / "counts").iterdir())) == 2
    bars = price([toy], store, [])[0].bars
    assert bars["uma"].outcome.time_ms > bars["irix"].outcome.time_ms
    assert bars["uma"].outcome.totals == bars["irix"].outcome.totals


def test_another_price_needs_no_replay(toy: Experiment, store: Store) -> None:
    counting(toy, store)
    (before,), (after,) = (price([toy], store, changes) for changes in ([], ["cpu.cycles_per_instruction=2"]))
    assert after.bars["irix"].outcome.time_ms > before.bars["irix"].outcome.time_ms


def test_what_makes_a_bar_comes_before_a_change() -> None:
    assert configuration_of(BARS[2], ["memory.remote_ns=5"]).prices.memory.remote_ns == 9000


@pytest.mark.parametrize("change", ["tlb.entries=32", "memory.nonsense=1"])
def test_only_prices_may_be_changed(change: str) -> None:
    with pytest.raises(ConfigError):
        check_prices([change])


def test_memory_in_use_is_kept_with_the_counts(toy: Experiment, store: Store) -> None:
    counting(toy, store)
    bars = price([toy], store, [])[0].bars
    assert bars["disco"].memory.end.machine_kib["monitor"] > 0
    assert bars["irix"].memory.peak.virtual_kib["user"] >= 64 * 4  # at the end the process is gone


def test_another_scale_is_another_trace(toy: Experiment, store: Store) -> None:
    (longer,) = at_scale([toy], 2.0)
    assert trace_path(store, longer.trace) != trace_path(store, toy.trace)
    assert at_scale([toy], None) == [toy]


def test_a_trace_that_cannot_be_generated_is_one_line(toy: Experiment, store: Store) -> None:
    broken = replace(toy, trace=replace(toy.trace, workload="nonesuch"))
    with pytest.raises(DiscotraceError, match=r"trace toy could not be generated: .*no workload"):
        counting(broken, store)
    assert list((store.folder / "traces").iterdir()) == []


def test_generation_that_is_left_early_leaves_nothing(tmp_path: Path, store: Store) -> None:
    endless = toy_file(tmp_path, "endless.py", ("20  # each", "20_000_000  # each"))
    spec = TraceSpec("endless", endless, 1, 1, 1.0)
    generation = Generation([Job(spec, trace_path(store, spec))], 1, lambda _: None)
    with pytest.raises(KeyboardInterrupt), generation.working():
        raise KeyboardInterrupt
    assert list((store.folder / "traces").iterdir()) == []


def test_figures_choose_experiments() -> None:
    assert chosen([]) == list(EXPERIMENTS)
    assert [one.trace.name for one in chosen(["table2"])] == ["pmake-1"]
    with pytest.raises(ConfigError, match=r"figure9.*known: figure5"):
        chosen(["figure9"])
