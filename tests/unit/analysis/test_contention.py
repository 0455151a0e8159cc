"""Waiting at the nodes."""

import numpy as np
import pytest

from discotrace.analysis.contention import nodes_of, waits_at_nodes, waits_of_misses
from discotrace.analysis.pricing import ANY_NODE, OTHER_NODES, OWN_NODE
from discotrace.analysis.waiting import timing
from tests.unit.analysis.waits import arranged, misses, priced, rows


def test_nothing_is_asked_without_prices_or_requests() -> None:
    asked = arranged(misses(10, cpu=0, at=0))
    assert nodes_of(asked, priced().memory) is None
    assert nodes_of(arranged(rows("instructions", 5)), priced(memory__controller_ns=100).memory) is None


def test_requests_of_other_nodes_keep_a_node_busy_for_longer() -> None:
    asked = arranged(misses(10, cpu=0, at=0), misses(30, cpu=1, at=0))
    nodes = nodes_of(asked, priced(memory__controller_ns=100, memory__port_ns=40).memory)
    assert nodes is not None
    assert nodes.demand[0, :, 0].tolist() == [1000, 4200]
    assert nodes.service[0].tolist() == [130, 0]
    assert (nodes.visits * nodes.service[:, None]).sum() == pytest.approx(5200)


def test_many_cpus_wait_as_at_a_queue_with_fixed_service() -> None:
    """16 CPUs, each rarely, at a node used for a half: rho / (2 (1 - rho)) services, less as none waits for itself."""
    frames = [misses(100, cpu=cpu, at=0) for cpu in range(16)]
    nodes = nodes_of(arranged(*frames, cpus=16), priced(memory__controller_ns=100).memory)
    assert nodes is not None
    waits = waits_at_nodes(nodes, np.full((1, 16), 16 * 100 * 100 / 0.5), np.zeros((1, 16, 16)))
    assert waits[0, :, 0] == pytest.approx(44, rel=0.05)  # rho of the others: 15 / 32
    assert not waits[0, :, 1:].any()


def test_the_waiting_of_misses_is_that_of_all_requests() -> None:
    """Of the CPU's requests 10 go to its own node and 30 elsewhere; 5 and 6 of them came from other caches."""
    asked = arranged(
        rows("l2_load_local", 5),
        rows("upgrades_remote", 24),
        rows("l2_load_dirty_remote", 11),
        rows("memory_requests", 10, at=0, context="any"),
        rows("memory_requests", 30, at=1, context="any"),
    )
    nodes = nodes_of(asked, priced(memory__controller_ns=100).memory)
    assert nodes is not None
    waits = waits_of_misses(nodes, np.array([[[7.0, 2.0], [0.0, 0.0]]]))[0, 0]
    assert waits[OWN_NODE] == 7
    assert waits[OTHER_NODES] == 2
    assert waits[ANY_NODE] * 11 == pytest.approx(5 * 7 + 6 * 2)
    assert waits @ nodes.classes[0, 0] == pytest.approx(10 * 7 + 30 * 2)


def test_waiting_is_in_the_stalls_that_caused_it() -> None:
    frames = [misses(1000, cpu=cpu, at=0) for cpu in (0, 1)]
    free, busy = (timing(arranged(*frames), priced(memory__controller_ns=ns)).parts_ns() for ns in (0, 200))
    assert busy["user_stall"] > 1.05 * free["user_stall"]
    assert not any(busy[part] for part in busy if part not in ("user_stall", "idle"))


def test_write_backs_make_others_wait_and_wait_for_nobody() -> None:
    alone = [misses(1000, cpu=0, at=0)]
    written = [*alone, rows("memory_writebacks", 500, cpu=0, at=0, context="any")]
    times = [
        timing(arranged(*frames, cpus=1), priced(memory__controller_ns=100)).total_ns for frames in (alone, written)
    ]
    assert times[0] == 300_000
    assert 300_000 < times[1] < 330_000
