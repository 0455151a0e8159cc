"""When CPUs are done: on by themselves, together where they idle or come to a barrier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from discotrace.analysis.execution import executed

ONE_VM = np.ones((1, 2), bool)


def meeting(*windows: tuple[bool, bool]) -> np.ndarray:
    return np.array(windows)[:, None, :]


def test_cpus_run_on_by_themselves() -> None:
    """Each has one long and one short window: nobody waits."""
    done = executed(np.array([[10.0, 1.0], [1.0, 10.0]]), meeting((False, False), (False, False)), ONE_VM)
    assert done.ends.tolist() == [11, 11]
    assert done.waited.tolist() == [0, 0]


def test_a_cpu_that_idled_meets_the_slowest_at_the_end_of_the_window() -> None:
    done = executed(np.array([[10.0, 1.0], [1.0, 10.0]]), meeting((False, True), (False, False)), ONE_VM)
    assert done.clock.tolist() == [[10, 10], [11, 20]]
    assert done.waited.tolist() == [0, 9]


def test_a_cpu_that_idled_and_is_the_slowest_waits_for_nobody() -> None:
    done = executed(np.array([[10.0, 1.0]]), meeting((True, False)), ONE_VM)
    assert done.waited.tolist() == [0, 0]


def test_cpus_meet_those_of_their_own_vm_only() -> None:
    members = np.array([[True, True, False, False], [False, False, True, True]])
    meets = np.zeros((1, 2, 4), bool)
    meets[0, 0, 0] = meets[0, 1, 2] = True
    done = executed(np.array([[1.0, 5.0, 1.0, 9.0]]), meets, members)
    assert done.ends.tolist() == [5, 5, 9, 9]


def test_a_cpu_that_virtual_machines_share_never_waits() -> None:
    members = np.array([[True, True], [False, True]])
    meets = np.ones((1, 2, 2), bool)
    assert executed(np.array([[5.0, 1.0]]), meets, members).ends.tolist() == [5, 1]


def test_nothing_takes_no_time() -> None:
    done = executed(np.zeros((0, 2)), np.zeros((0, 1, 2), bool), ONE_VM)
    assert done.ends.tolist() == done.waited.tolist() == [0, 0]


@given(arrays.arrays(float, (5, 3), elements=st.floats(0, 1e6)), arrays.arrays(bool, (5, 1, 3)))
def test_meetings_only_add_waiting(busy: np.ndarray, meets: np.ndarray) -> None:
    done = executed(busy, meets, np.ones((1, 3), bool))
    assert done.ends == pytest.approx(busy.sum(axis=0) + done.waited)
    assert (done.waited >= 0).all()
    assert done.ends.max() <= busy.max(axis=1).sum() * (1 + 1e-9)  # all meeting at the end of every window


def ends_one_by_one(busy: np.ndarray, meets: np.ndarray, members: np.ndarray) -> list[float]:
    """The naive twin: window after window, virtual machine after virtual machine."""
    clocks = [0.0] * busy.shape[1]
    shared = {cpu for cpu in range(len(clocks)) if sum(members[:, cpu]) > 1}
    for window, times in enumerate(busy.tolist()):
        clocks = [clock + time for clock, time in zip(clocks, times, strict=True)]
        for vm, of_vm in enumerate(members):
            cpus = [cpu for cpu in range(len(clocks)) if of_vm[cpu]]
            slowest = max((clocks[cpu] for cpu in cpus), default=0.0)
            for cpu in cpus:
                if meets[window, vm, cpu] and cpu not in shared:
                    clocks[cpu] = slowest
    return clocks


@given(
    arrays.arrays(float, (5, 4), elements=st.floats(0, 1e6)),
    arrays.arrays(bool, (5, 2, 4)),
    arrays.arrays(bool, (2, 4)),
)
def test_cpus_finish_as_if_one_went_through_the_windows(
    busy: np.ndarray, meets: np.ndarray, members: np.ndarray
) -> None:
    assert executed(busy, meets, members).ends == pytest.approx(ends_one_by_one(busy, meets, members))


def test_leading_axes_are_runs_of_their_own() -> None:
    busy = np.array([[[10.0, 1.0], [1.0, 10.0]], [[1.0, 2.0], [3.0, 4.0]]])
    meets = meeting((False, True), (False, False))
    together = executed(busy, meets, ONE_VM)
    for run in range(2):
        alone = executed(busy[run], meets, ONE_VM)
        assert (together.clock[run] == alone.clock).all()
        assert (together.waited[run] == alone.waited).all()
