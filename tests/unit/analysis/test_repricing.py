"""Bars of the paper with one parameter changed."""

import pytest

from discotrace.analysis.paper.experiments import EXPERIMENTS, Bar
from discotrace.analysis.paper.replays import configuration_of
from discotrace.analysis.repricing import with_price, with_structure
from discotrace.analysis.sensitivity import STRUCTURAL, Trial

EXPERIMENT = {one.trace.name: one for one in EXPERIMENTS}
RAYTRACE = {bar.label: bar for bar in EXPERIMENT["raytrace-16"].bars}


def memory_of(bar: Bar) -> tuple[float, float]:
    prices = configuration_of(bar).prices.memory
    return prices.local_ns, prices.remote_ns


def test_a_price_is_multiplied() -> None:
    assert memory_of(with_price(RAYTRACE["irix"], [], Trial("memory.remote_ns"))) == (300, pytest.approx(990))


def test_on_top_of_changes() -> None:
    bar = with_price(RAYTRACE["irix"], ["memory.remote_ns=1000"], Trial("memory.remote_ns", 2.0))
    assert configuration_of(bar, ["memory.remote_ns=1000"]).prices.memory.remote_ns == 2000


def test_on_uniform_memory_all_latencies_are_the_local_one() -> None:
    assert memory_of(with_price(RAYTRACE["uma"], [], Trial("memory.remote_ns"))) == (300, 300)
    assert memory_of(with_price(RAYTRACE["uma"], [], Trial("memory.local_ns"))) == pytest.approx((330, 330))


def test_what_a_bar_has_a_price_of_its_own_for_is_multiplied_too() -> None:
    bar = with_price(RAYTRACE["disco"], [], Trial("monitor.migration_us"))
    assert configuration_of(bar).prices.monitor.migration_us == pytest.approx(1.1 * 102)


def test_structure__of_bars_that_use_it() -> None:
    changed = {bar.label: bar for bar in with_structure(EXPERIMENT["raytrace-16"], Trial("migration.trigger")).bars}
    assert changed["irix"] == RAYTRACE["irix"]
    assert configuration_of(changed["disco"]).machine.migration.trigger == 141
    caches = with_structure(EXPERIMENT["raytrace-16"], Trial("l2.size_kib", 2.0)).bars
    assert {configuration_of(bar).machine.l2.size_kib for bar in caches} == {512}


def test_structure__without_migration_its_table_is_not_used() -> None:
    experiment = EXPERIMENT["pmake-8"]
    assert with_structure(experiment, Trial("migration.trigger")) == experiment


@pytest.mark.parametrize("trial", STRUCTURAL, ids=lambda trial: trial.parameter)
def test_structure__every_trial_makes_a_machine_that_can_be(trial: Trial) -> None:
    for experiment in EXPERIMENTS:
        for bar in with_structure(experiment, trial).bars:
            configuration_of(bar)
