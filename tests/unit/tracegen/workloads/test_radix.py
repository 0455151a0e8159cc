"""The radix workload: it sorts, it faults as the paper says, and its knobs do what they say."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import Kind, Rows, Service, TraceMeta, concat_rows
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.radix import Radix
from discotrace.tracegen.workloads.radix_memory import RadixMemory
from discotrace.tracegen.workloads.radix_sort import (
    FIRST_NUMBER,
    MULTIPLIER,
    NUMBER_BITS,
    RadixSort,
    places_in_bucket,
    random_numbers,
)
from discotrace.tracegen.workloads.stage import Stage

SMALL = {"scale": 0.02, "sorts": 50}


def run(workload: Radix) -> tuple[RadixSort, Rows, TraceMeta]:
    """Run one instance of a workload in memory."""
    meta = TraceMeta(workload.cpu_count)
    parts: list[Rows] = []
    stage = Stage(meta, parts.append)
    sort = workload.sort(0)
    for thread in range(workload.cpu_count):
        stage.start(workload.thread(sort, thread), "radix", 0, range(thread, thread + 1))
    stage.run()
    return sort, concat_rows(parts), meta


def services(rows: Rows) -> Counter[int]:
    return Counter(rows.arg[rows.kind == Kind.ENTER].tolist())


def test_random_numbers_are_those_of_the_recurrence() -> None:
    number, expected = FIRST_NUMBER, []
    for _ in range(40):
        number = number * MULTIPLIER % (1 << NUMBER_BITS)
        expected.append(number)
    assert random_numbers(FIRST_NUMBER, 1, 40).tolist() == expected
    assert random_numbers(FIRST_NUMBER, 8, 5).tolist() == expected[7:12]
    assert len(random_numbers(FIRST_NUMBER, 8, 0)) == 0


def test_places_in_bucket_count_the_equal_digits_before() -> None:
    digits = np.array([3, 0, 3, 3, 1, 0])
    assert places_in_bucket(digits, 4).tolist() == [0, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("cpus", "keys", "radix", "key_bits"),
    [(8, 5000, 64, 32), (1, 300, 16, 20), (4, 1001, 256, 24), (2, 777, 16, 9), (16, 99, 4, 11)],
)
def test_keys_are_sorted_at_the_end(cpus: int, keys: int, radix: int, key_bits: int) -> None:
    workload = Radix(cpus=cpus, keys=keys, radix=radix, key_bits=key_bits, sorts=2, scale=1.0)
    sort, _, _ = run(workload)
    filled = random_numbers(sort.first_number, keys, keys) >> np.uint64(NUMBER_BITS - key_bits)  # of the second sort
    assert sort.result.tolist() == sorted(filled.tolist())


def test_seeds_give_other_keys() -> None:
    first, second = (random_numbers(Radix(seed=seed).sort(0).first_number, 0, 8).tolist() for seed in (1, 2))
    assert first != second


def test_every_reference_of_the_last_pass_goes_where_the_key_goes() -> None:
    sort, rows, _ = run(Radix(cpus=4, keys=4096, radix=16, key_bits=8, **SMALL))
    start = sort.memory.array(0)  # two passes: the result is in array 0
    stores = (rows.kind == Kind.STORE) & (rows.vaddr >= start) & (rows.vaddr < start + 4096 * 4)
    counts = np.bincount((rows.vaddr[stores].astype(np.int64) - start) // 4, minlength=4096)
    assert (counts == 2).all()  # once filled, once put in order


def test_one_thread_clears_each_shared_page_and_the_others_fault_it_in() -> None:
    workload = Radix(cpus=4, keys=1 << 15, radix=64, key_bits=12, **SMALL)
    sort, rows, _ = run(workload)
    in_shared = (sort.memory.array(2) - sort.memory.barrier) // 4096
    counts = services(rows)
    private = 4 * 4  # data and key densities, two pages of stack at most
    assert in_shared <= counts[Service.DEMAND_ZERO] <= in_shared + private
    key_pages = 2 * (sort.memory.keys * 4 // 4096)
    assert counts[Service.QUICK_FAULT] >= 3 * key_pages * 0.9  # each of the others touches all destinations


def test_a_second_sort_faults_as_the_first() -> None:
    knobs = {"cpus": 2, "keys": 1 << 13, "radix": 16, "key_bits": 8}
    _, once, _ = run(Radix(sorts=1, scale=1.0, **knobs))
    _, twice, _ = run(Radix(sorts=2, scale=1.0, **knobs))
    shared = services(once)[Service.QUICK_FAULT]
    assert services(twice)[Service.QUICK_FAULT] == pytest.approx(2 * shared, rel=0.1)
    assert len(twice.kind) == pytest.approx(2 * len(once.kind), rel=0.15)


def test_threads_stay_on_their_cpus_and_meet_at_barriers() -> None:
    _, rows, meta = run(Radix(cpus=4, keys=4096, radix=16, key_bits=8, **SMALL))
    threads = rows.asid > 0
    assert set(zip(rows.vcpu[threads].tolist(), rows.asid[threads].tolist(), strict=True)) == {
        (cpu, cpu + 1) for cpu in range(4)
    }
    assert len(meta.processes) == 4
    common = (rows.kind == Kind.BARRIER) & (rows.size == 4)
    assert common.sum() == 4 * (1 + 2 * 4)  # after filling, and four times in each pass
    pauses = (rows.kind == Kind.BARRIER) & (rows.size == 2)
    assert pauses.sum() == 2 * 2 * (3 + 3)  # two passes, two threads, three left children up and down


def test_memory_areas_follow_each_other_without_overlap() -> None:
    memory = RadixMemory(threads=4, keys=1000, radix=16)
    starts = [memory.barrier]
    starts += [memory.rank_me(0), memory.rank_me(3), memory.rank_ff(0), memory.rank_ff(3)]
    starts += [memory.densities(0), memory.ranks(0), memory.flag(0), memory.densities(memory.root)]
    starts += [memory.array(0), memory.array(1), memory.array(2)]
    assert starts == sorted(set(starts))
    assert memory.array(1) - memory.array(0) >= 4000
    assert memory.shared(7).end == memory.array(2)


@pytest.mark.parametrize(
    "knobs",
    [{"cpus": 3}, {"radix": 100}, {"radix": 1}, {"key_bits": 0}, {"key_bits": 33}, {"keys": 0}, {"sorts": 0}],
)
def test_impossible_knobs_are_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="radix"):
        Radix(**knobs)  # type: ignore[arg-type]


def test_scale_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="scale"):
        Radix(scale=0.0)


def test_scale_changes_the_number_of_sorts_and_only_then_the_keys() -> None:
    assert [(w.rounds, w.keys_per_sort) for w in (Radix(scale=s) for s in (1.0, 0.2, 0.02, 0.01, 0.005))] == [
        (100, 1 << 18),
        (20, 1 << 18),
        (2, 1 << 18),
        (1, 1 << 18),
        (1, 1 << 17),
    ]


def test_two_instances_share_cpus_but_no_memory(tmp_path: Path) -> None:
    workload = Radix(cpus=2, instances=2, keys=2048, radix=16, key_bits=8, **SMALL)
    made = generate(workload, "radix", tmp_path / "t.parquet", version="0")
    assert made.processes == 4


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        workload = Radix(cpus=2, keys=2048, radix=16, key_bits=8, **SMALL)
        generate(workload, "radix", tmp_path / name, version="0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
